//! The daemon: threads, sockets, signals. It moves bytes between mio and [`crate::shard`]; what can
//! be tested without a socket does not live here.
//!
//! Threads of a node: the main thread (listeners, greetings, signals), one for each shard
//! ([`shard_loop`]), one syncer for each shard, some that read from disk and one that prepares
//! segments ([`disk`]); one for each name that has to be resolved. Beside them, so that nobody
//! waits for them: one that writes log lines ([`log_queue`]),
//! one that waits for SIGHUP ([`reload`]), and one that talks to a service manager where there is
//! one ([`notify`]).

pub mod admin;
pub mod admission;
pub mod asked;
mod awaited;
pub mod clock;
pub mod conn;
pub mod cow;
pub mod data_dir;
pub mod data_layout;
pub mod descriptors;
mod dialling;
pub mod disk;
pub mod exit;
pub mod handshake;
pub mod inherited;
pub mod initialise;
pub mod links;
#[cfg(test)]
mod links_tests;
pub mod live;
pub mod log_queue;
pub mod logging;
pub mod loops;
pub mod mailbox;
pub mod main_loop;
pub mod metrics;
pub mod node;
pub mod node_context;
pub mod notify;
pub mod outgoing;
pub mod path_failure;
mod pauses;
mod peering;
pub mod pin;
pub mod status_board;
pub mod waker;

mod connections;
mod port;
mod port_owner;
pub mod ports;
mod rate_limited_log;
pub mod reload;
mod replica_config;
pub mod resolve;
pub mod service;
pub mod shard_loop;
pub mod shortage;
pub mod slow;
mod slow_clients;
pub mod sockets;
pub mod space;
pub mod table;
mod unformed;
pub mod writing;
