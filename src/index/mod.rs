//! Where each log's entries lie, as a fact of the sequence (C31): extents, sorted by log and index.
//!
//! The machine computes an [`Extent`](crate::types::Extent) when it applies a slot, and forgets it.
//! Here they are kept: on disk in *runs*, which are immutable, sorted and checksummed, and of which
//! memory holds little more than one key in two hundred. `docs/JOURNAL.md` specifies their format.
//!
//! - [`RunWriter`] writes a run, [`Run::open`] finds one again, [`Run::verify`] reads all of it.
//! - [`RunSet`] is what worker threads look things up in: all runs of a shard, at one moment.
//! - [`plan_merge`] says which runs are to become one, and [`merge`] makes it.

mod entry_index;
mod recent;
mod run;
mod search;

pub use entry_index::EntryIndex;
pub use run::fault::{RunDamage, RunError, RunFault};
pub use run::layout::{is_unfinished_run, parse_run_file_name, run_file_name};
pub use run::merge::merge;
pub use run::opened::Run;
pub use run::plan::{plan_merge, plan_merge_of_sizes};
pub use run::set::{RunSet, RunsApart};
pub use run::writer::{RunSpec, RunWriter};
pub use search::Search;
