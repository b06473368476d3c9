//! One shard alone, driven step by step: what its clients are promised.

mod chains;
mod node;
mod reads;
mod writes;
