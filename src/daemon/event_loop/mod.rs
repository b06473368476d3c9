//! The event loops: one for the main thread, one for each shard, and what wakes them.
//!
//! [`shard_loop`] turns sockets, messages and disk outcomes into inputs of a shard; [`service`] is a shard
//! with its frames, without sockets. [`mailbox`] is how other threads reach a loop. [`handshake`] is what a
//! connection has to say to the main thread first; `connections`, `peering` and `dialling` are what a shard's
//! loop does with it from then on, `writing` and `slow_clients` what becomes of its output.

pub(super) mod connections;
pub(super) mod dialling;
pub mod handshake;
pub mod mailbox;
pub mod main_loop;
pub(super) mod peering;
pub mod pin;
pub mod service;
pub mod shard_loop;
pub(super) mod slow_clients;
pub mod writing;
