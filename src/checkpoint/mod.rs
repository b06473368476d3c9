//! Checkpoints: the state after a slot, as a file, and where the rest of a start is found.
//!
//! A checkpoint is taken at a *cut*, so that its state is the same bytes on all nodes (C23). It is
//! written aside, synced, renamed, and read back past the page cache before it counts (C25). Its last
//! part is this node's own: the runs of the index that hold the extents of all slots up to it, and
//! from where on the journal must be read. `docs/JOURNAL.md` is the specification of the format.
//!
//! - [`CheckpointJob`] and [`execute`]: what a shard has written, on a thread that may block.
//! - [`start()`]: a shard's directory is read back.

mod file;
mod footer;
mod heal_note;
mod inspect;
pub mod install;
mod job;
mod manifest;
mod newest;
mod reader;
mod span_job;
mod start;
mod written;

pub use file::{
    CheckpointFault, CheckpointFile, PIECE_OVERHEAD_BYTES, ReadError, checkpoint_file_name,
    header_bytes, parse_checkpoint_file_name, piece_bytes,
};
pub use footer::CheckpointFooter;
pub use heal_note::{HEAL_FILE, HealNote, HealStage};
pub use inspect::{Inspected, inspect, inspect_shard};
pub use job::{CheckpointDone, CheckpointJob, CheckpointJobError, execute};
pub use manifest::{Manifest, RUNS_LISTED_MAX, RunEntry};
pub use newest::{Kept, RestoredState};
pub use reader::{read_checkpoint, read_manifest};
pub use span_job::{SpanDone, SpanJob, SpanJobError, execute_span};
pub use start::{Start, owner, start};
pub use written::Written;
