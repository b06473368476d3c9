//! Classic Multi-Paxos, pure: (state, input, time) → (state, effects).
//!
//! [`Replica`] is one node's part in one shard. Votes leave it only as [`Effect::SendAfter`], behind
//! the record they rest on. Sources: Paxos Made Simple, Paxos Made Moderately Complex, Flexible
//! Paxos, Paxos Made Live.
//!
//! Where votes are counted: promises in `campaign` (a campaign goes on once a prepare quorum has
//! promised) and slot by slot in `value_selection` (what the promises allow for that slot);
//! acknowledgements of accepts in `pipeline` (`advance_leader`), which marks slots as chosen. All of
//! them ask `quorum` whether the votes suffice.
//!
//! | | |
//! | --- | --- |
//! | **State** | |
//! | `replica` | the state of a replica, its inputs, and the function that hands each to its part |
//! | `start` | how a replica begins a life from what its disk holds, and why one is refused |
//! | `memory` | what the disk holds of earlier lives, and what follows from what it has lost |
//! | `config`, `configuration` | members, quorums and times, as given; who votes on which slot |
//! | `effects`, `note` | what a replica asks for; what an operator should read of |
//! | `unsynced`, `disk_budget` | values on their way to the disk; the space that is left for more |
//! | `invariants` | what must hold after every step |
//! | **Phase 1** | |
//! | `campaign` | canvass and campaign; promises are counted here |
//! | `acceptor` | promises and accepts of this node (phase 2 as well) |
//! | `promise_pages` | one member's promise, gathered page by page |
//! | `value_selection` | what the promises allow for one slot |
//! | `phase1_outcome` | the value of every open slot, fetched where it is not held |
//! | `quorum` | members counted against quorums, for both phases |
//! | **Phase 2** | |
//! | `pipeline` | a leader's proposals; accepts are counted here |
//! | `progress` | how far each follower has come, as its leader sees it |
//! | `leftovers` | slots of an earlier leadership that this one fills with no-ops |
//! | **Learning** | |
//! | `learner` | what is known to be chosen, and catching up with peers |
//! | `agreement` | a second value for a chosen slot is noticed |
//! | **Leases and hand-over** | |
//! | `lease` | heartbeats, grants, and until when a leader may answer reads |
//! | `handover` | a leader renounces, and a successor takes over |
//! | `eligibility` | which peers could take over leadership now |
//! | **Evidence** | |
//! | `rounds` | how far a round is believed that a peer names |
//! | `formation` | a cluster forms once, with all of its members |
//! | `evidence` | what peers saw acknowledged: it refutes disks that were set back, and cuts made in error |
//! | `digests` | replicas compare digests of their states |

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
mod install;
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
mod released;
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
