//! The commands of `paxosctl`.
pub mod args; mod table;
