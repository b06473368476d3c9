//! Where each log's entries lie: extents by log and index.
//!
//! The machine says where entries lie when it applies a slot, and forgets it: its state must not grow with
//! the number of entries. The index keeps it: the extents of recent slots in memory.

mod entry_index;
mod recent;
mod run;
mod search;
mod span;

pub use entry_index::{EntryIndex, InMemory};
pub use recent::Recent;
pub use run::fault::{RunDamage, RunError, RunFault};
pub use run::layout::{is_unfinished_run, parse_run_file_name, run_file_name};
pub use run::merge::merge;
pub use run::opened::Run;
pub use run::plan::{plan_merge, plan_merge_of_sizes};
pub use run::set::{RunSet, RunsApart};
pub use run::writer::{RunSpec, RunWriter};
pub use search::Search;
pub use span::gather::{PartsOfRuns, SpanPart};
pub use span::layout::{SpanSpec, parse_span_file_name, span_file_name};
pub use span::opened::Span;
pub use span::rows::SpanRow;
pub use span::writer::write_span;
