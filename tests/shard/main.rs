//! One shard alone, driven step by step: what its clients are promised.

mod chains;
mod cold_reads;
mod fates;
mod node;
mod reads;
mod trio;
mod waiting;
mod writes;
