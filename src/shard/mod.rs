//! One shard, sans-IO: replica, machine, journal, and the requests of its connections.
//!
//! [`Shard::step`] takes what happened and returns what is to be done; sockets, threads, files and
//! clocks are its driver's. The daemon drives a shard with mio, the simulator with a seed. After
//! every burst of inputs the driver gives one [`Input::Tick`]: it closes the batch of commands that
//! arrived together and proposes it.
//!
//! Imports between the files go down only:
//!
//! | | |
//! | --- | --- |
//! | `interface`, `invariants` | the shard as its driver sees it, and what must hold of it |
//! | `router` | hands an input to its part, and carries out the replica's effects |
//! | `apply`, `leaving` | what is chosen reaches those who wait; the end in order |
//! | `requests` | hands a request to its part: `writes`, `fates`, `reads`, `status` |
//! | `writes`, `fates` | who waits for a command, with `write_request`, `queued`, `waiter`, `trims` |
//! | `reads` | who waits for entries, with `read_task`, `lines`, `parked`, `cold_reads` |
//! | `status` | what a shard says of itself |
//! | `catch_up`, `disk_full`, `idle_mark`, `retention`, `cuts`, `levels`, `checkpoints`, `release`, `compaction`, `heal` | what needs no client |
//! | `notes`, `repair_log` | log lines of what the replica noted, and of damage that was repaired |
//! | `turn` | one step: the time, the core, the outputs; answers leave here |
//! | `core` | what all parts work on: replica, journal, machine, and the tables below |
//! | `conns`, `chains` | requests under way by connection; chains of appends that failed |
//! | `budget`, `held`, `cache`, `journal_reads`, `outbox`, `spans` | one table each, with what it counts |
//! | `lookup`, `doubt` | which log a request means; errors while states differ |
//! | `counters`, `keeping` | what a shard has done and has on its hands, for metrics |
//! | `lost` | what is asked of all members before entries are declared lost |
//! | `disk_job`, `lookup_job`, `cold_job` | what is done on threads that may block |
//! | `events`, `options`, `cut_options`, `fatal` | what goes in and comes out |

mod apply;
mod budget;
mod cache;
mod catch_up;
mod chains;
mod checkpoints;
mod cold_job;
mod cold_reads;
mod compaction;
mod conns;
mod core;
mod counters;
mod cut_options;
mod cuts;
mod deferred_drop;
mod disk_full;
mod disk_job;
mod doubt;
mod events;
mod fatal;
mod fates;
mod heal;
mod held;
mod idle_mark;
mod install;
mod interface;
pub mod invariants;
#[cfg(test)]
mod invariants_tests;
mod journal_reads;
mod keeping;
mod leaving;
mod levels;
mod lines;
mod lookup;
mod lookup_job;
mod lost;
mod memory;
mod notes;
mod options;
mod outbox;
mod parked;
mod peer_clocks;
mod queued;
mod read_task;
mod reads;
mod release;
mod remnants;
mod repair_log;
mod replacement;
mod requests;
mod retention;
mod router;
mod spans;
#[cfg(test)]
mod spans_tests;
mod status;
mod trims;
mod turn;
mod value_part;
mod waiter;
mod write_request;
mod writes;

pub use self::counters::{Backlog, CheckpointTally, CompactionTally, SyncTally, Tally};
pub use self::cut_options::CutOptions;
pub use self::disk_job::{DiskDone, DiskJob, DiskJobError, execute};
pub use self::events::{Input, Output};
pub use self::fatal::Fatal;
pub use self::interface::Shard;
pub use self::memory::MemoryAccounts;
pub use self::options::ShardOptions;
