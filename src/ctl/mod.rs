//! The commands of `paxosd` and `paxosctl`.

pub mod node;
