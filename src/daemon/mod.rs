//! The daemon: threads, sockets, signals. It moves bytes between mio and [`crate::shard`]; what can
//! be tested without a socket does not live here.
//!
//! Threads of a node: the main thread (listeners, greetings, signals), one for each shard
//! ([`event_loop::shard_loop`]), one syncer for each shard, some that read from disk and one that prepares
//! segments ([`disk::workers`]); one for each name that has to be resolved. Beside them, so that nobody
//! waits for them: one that writes log lines ([`log::queue`]),
//! one that waits for SIGHUP ([`node::reload`]), and one that talks to a service manager where there is
//! one ([`watch::notify`]).

pub mod admin;
pub mod clock;
pub mod disk;
pub mod event_loop;
pub mod exit;
pub mod log;
pub mod metrics;
pub mod net;
pub mod node;
pub mod waker;
pub mod watch;
