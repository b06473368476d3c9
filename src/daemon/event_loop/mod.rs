//! The event loops: one for the main thread, one for each shard, and what wakes them.
//!
//! [`shard_loop`] turns sockets, messages and disk outcomes into inputs of a shard; [`service`] is a shard
//! with its frames, without sockets. [`mailbox`] and [`waker`] are how other threads reach a loop.

pub mod mailbox;
pub mod main_loop;
pub mod service;
pub mod shard_loop;
pub mod waker;
