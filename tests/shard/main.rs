//! One shard alone, driven step by step: what its clients are promised.

mod node;
mod reads;
mod rules;
mod trio;
mod trio_rig;
mod writes;
