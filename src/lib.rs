//! The client library of paxosd, and with the feature `server` all of paxosd: named, append-only
//! logs that a quorum of nodes keeps on stable storage.
//!
//! ```no_run
//! use paxosd::client::{AppendOptions, Client, ClientOptions, FollowOptions, Followed, Index};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::connect(ClientOptions::new(["db1:7420", "db2:7420", "db3:7420"]))?;
//!
//! // Acknowledged means: on stable storage at a quorum, at these indexes for ever.
//! let create = AppendOptions { create: true, ..AppendOptions::default() };
//! let appended = client.append_with("orders", ["three apples", "a pear"], create)?;
//! println!("from index {} on; the next one is {}", appended.first, appended.next());
//!
//! // Every entry from index 0 on, and then each one that is appended, as it comes.
//! for entry in client.follow("orders", Index(0), FollowOptions::default())? {
//!     match entry? {
//!         Followed::Entry(index, data) => println!("{index}: {}", String::from_utf8_lossy(&data)),
//!         Followed::Gap { from, first, why } => println!("{from} to before {first}: {}", why.name()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A program that does no more than that leaves the node out, and brings a dozen crates instead of 120:
//!
//! ```toml
//! [dependencies]
//! paxosd = { path = "../paxosd", default-features = false }
//! ```
//!
//! Where to go on:
//!
//! - [`client::Client`] has one method for each operation. It blocks, every wait has a deadline, and
//!   it follows leaders by itself.
//! - Every failure says by its [`outcome`](client::Failure::outcome) whether it took effect: executed,
//!   not executed, or unknown. An append of unknown outcome is never sent again behind the caller's
//!   back; [`client::Client::settle`] finds out about one that named the index it
//!   [expected](client::Client::append_expect). [`client::Failure::next_step`] says what can be done.
//! - [`client::Appender`] has many appends under way at once, in order; [`client::Reader`] as many
//!   reads; [`client::Follow`] waits at a log's end. Each has a connection of its own.
//! - `examples/append_and_read.rs` shows all of it on one screen.
//!
//! # Features
//!
//! `server`, on by default, brings the node, the programs `paxosd` and `paxosctl`, and the simulator.
//! Without it there are [`client`], [`api`], [`wire`], [`types`] and [`limits`].
//!
//! # Layers
//!
//! For those who read the code: `docs/ARCHITECTURE.md` has the bird's eye view. Imports go down these
//! layers only:
//!
//! ```text
//! bin/               arguments in, exit code out
//! ctl/               the commands of both programs
//! sim/               the deterministic simulator: many shards over simulated everything
//! daemon/  client/   threads, sockets, signals  |  the blocking client library
//! shard/             one shard, sans-IO: replica + machine + journal + requests
//! paxos/  machine/  index/  journal/
//! wire/  storage/    frames and messages: encode, decode, nothing else  |  the files of a shard
//! api/               what clients ask and nodes answer, as values without bytes
//! types, limits, config
//! ```

pub mod api;
#[cfg(feature = "server")]
pub mod checkpoint;
pub mod client;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod ctl;
#[cfg(feature = "server")]
pub mod daemon;
#[cfg(feature = "server")]
pub mod index;
#[cfg(feature = "server")]
pub mod journal;
pub mod limits;
#[cfg(feature = "server")]
pub mod machine;
#[cfg(feature = "server")]
pub mod paxos;
#[cfg(feature = "server")]
pub mod shard;
#[cfg(feature = "server")]
pub mod sim;
#[cfg(feature = "server")]
pub mod storage;
pub mod types;
pub mod wire;

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
