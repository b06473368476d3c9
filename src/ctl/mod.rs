//! The commands of `paxosd` and `paxosctl`.

pub mod args;
pub mod node;
mod table;
