//! paxosd: a replicated log that keeps its word.
//!
//! Named, append-only logs, replicated by classic Multi-Paxos, kept in an fsync'd write-ahead log.
//! `docs/ARCHITECTURE.md` has the bird's eye view. Imports go down these layers only:
//!
//! ```text
//! bin/               arguments in, exit code out (the commands themselves in ctl/)
//! sim/               the deterministic simulator: many shards over simulated everything
//! daemon/  client/   threads, sockets, signals  |  the blocking client library
//! shard/             one shard, sans-IO: replica + machine + journal + requests
//! paxos/  machine/  journal/
//! wire/              frames and messages: encode, decode, nothing else
//! types, limits, config
//! ```

pub mod client;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod journal;
pub mod limits;
pub mod machine;
pub mod paxos;
pub mod shard;
pub mod sim;
pub mod types;
pub mod wire;
