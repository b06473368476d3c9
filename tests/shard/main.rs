//! One shard alone, driven step by step: what its clients are promised.

mod chains;
mod cold_reads;
mod node;
mod reads;
mod waiting;
mod writes;
