//! The deterministic simulator: whole clusters of [`crate::shard`] over a simulated network,
//! simulated disks and simulated clocks, driven by a seed.
//!
//! A seed decides everything: the cluster, its hardware, what clients do and what goes wrong. The
//! same seed gives the same history, so that a failure can be repeated at will. What runs is the
//! production code: the shard, the journal over [`crate::storage::MemStorage`], and its recovery.
//!
//! - [`Plan`]: what a seed decides beforehand.
//! - `run`: a run from its first event to its last. `world`: its state.
//! - `event_loop`, `process`, `links`, `disk`, `rot`, `faults`, `scenes`, `losses`, `absence`, `interrupt`, `clients`, `phase`,
//!   `upgrades`: what happens in the world.
//! - `oracle`, `history`, `durability_checker`: what is checked, against what was decided, asked and claimed.
//! - `marks`: which branches were taken, so that a run of many seeds that leaves one out fails.
//! - [`command`]: `paxosd simulate`.

mod absence;
mod client;
mod clients;
mod clock;
pub mod command;
mod disk;
mod durability_checker;
mod event_loop;
mod faults;
mod history;
mod interrupt;
mod links;
mod losses;
mod marks;
mod network;
mod node;
mod oracle;
mod phase;
mod plan;
mod process;
mod queue;
mod report;
mod rng;
mod rot;
mod run;
mod scenes;
mod set_back;
mod trace;
mod upgrades;
mod violation;
mod world;

pub use marks::Marks;
pub use plan::{FaultKind, Plan};
pub use report::{RunFailure, RunSummary, run_plan, run_seed};
pub use rng::Rng;
pub use trace::Verbosity;
pub use violation::Violation;
