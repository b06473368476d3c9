//! A node as a process: what it takes over, what it rests on, its start and its end.

pub mod context;
pub mod descriptors;
pub mod inherited;
pub mod live;
pub mod reload;
pub(super) mod replica_config;
pub mod run;

pub use run::run;
