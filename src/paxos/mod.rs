//! Classic Multi-Paxos, pure: (state, input, time) → (state, effects).
//!
//! [`Replica`] is one node's part in one shard. Votes leave it only as [`Effect::SendAfter`], behind
//! the record they rest on. Sources: Paxos Made Simple, Paxos Made Moderately Complex, Flexible
//! Paxos, Paxos Made Live.

mod acceptor;
mod agreement;
mod campaign;
mod config;
mod configuration;
mod digests;
mod disk_budget;
mod effects;
mod eligibility;
mod evidence;
mod formation;
mod handover;
pub mod invariants;
mod learner;
mod lease;
mod leftovers;
mod memory;
mod note;
mod phase1_outcome;
mod pipeline;
mod progress;
mod promise_pages;
mod quorum;
mod replica;
mod rounds;
mod start;
mod unsynced;
mod value_selection;

pub use campaign::{Campaign, Canvassing};
pub use config::{Config, Timing};
pub use configuration::Configurations;
pub use digests::{Digests, Doubt};
pub use disk_budget::DiskBudget;
pub use effects::{Effect, Effects, Plain, Stop, Vote};
pub use memory::{Memory, damage_of_unknown_slot, inexact_reports};
pub use note::Note;
pub use pipeline::Leadership;
pub use progress::FollowerProgress;
pub use quorum::{Quorums, Voters};
pub use replica::{Input, Peer, Replica, Role};
pub use start::StartRefused;
pub use value_selection::{Selection, select_value};
