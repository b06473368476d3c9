//! One shard alone, driven step by step: what its clients are promised.

mod fates;
mod node;
mod reads;
mod trio;
mod writes;
