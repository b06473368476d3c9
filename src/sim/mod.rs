//! The deterministic simulator: whole clusters of [`crate::shard`] over a simulated network,
//! simulated disks and simulated clocks, driven by a seed.
//!
//! A seed decides everything: the cluster, its hardware, what clients do and what goes wrong. The
//! same seed gives the same history, so that a failure can be repeated at will. What runs is the
//! production code: the shard, the journal over [`crate::journal::MemStorage`], and its recovery.
//!
//! - [`Plan`]: what a seed decides beforehand.
//! - `world`, `turns`, `lives`, `links`, `disk`, `rot`, `faults`, `scenes`, `users`: the world, and what happens in it.
//! - `oracle`, `history`, `ledger`: what is checked, against what was decided, asked and claimed.
//! - [`command`]: `paxosd simulate`.

mod clock;
pub mod command;
mod dice;
mod disk;
mod faults;
mod history;
mod ledger;
mod links;
mod lives;
mod network;
mod node;
mod oracle;
mod phase;
mod plan;
mod queue;
mod report;
mod rot;
mod scenes;
mod set_back;
mod trace;
mod turns;
mod users;
mod violation;
mod world;

pub use dice::Dice;
pub use plan::{Fault, Plan};
pub use report::{Failure, Summary, run_plan, run_seed};
pub use trace::Verbosity;
pub use violation::Violation;
