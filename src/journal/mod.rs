//! The write-ahead log: the one place where a shard's facts are kept, and the log store itself.
//!
//! A shard owns one [`Journal`], which does no input or output: it turns pushed records into
//! [`Job`]s. Another thread (or the simulator) runs [`execute`] on each job over a [`Storage`](crate::storage::Storage) and
//! hands the [`Done`] back. [`recover`] reads a journal back after a stop and distinguishes torn,
//! suspect and damaged (C11), as a whole or from a checkpoint on (C31). `docs/JOURNAL.md` is the specification of the format.

mod format;
pub mod invariants;
mod recover;
mod segment;
#[cfg(test)]
mod test_rig;
mod write;

pub use format::identity::{Identity, IdentityError, is_shard_dir};
pub use format::open_error::OpenError;
pub use recover::inspect::{Overlay, inspect, inspect_knowing};
pub use recover::opening::format;
pub use recover::recovered::{Finding, FindingKind, Recovered, Stats, TornTail};
pub use recover::run::{recover, recover_knowing};
pub use segment::facts::FactsToRepeat;
pub use segment::indexed_record::Location;
pub use segment::start::JournalStart;
pub use write::execute::{JobError, execute};
pub use write::jobs::{
    BatchDone, BatchJob, Done, Fill, Job, JournalEvent, NoRoom, PrepareDone, PrepareJob, ReadJob,
    ReadJobDone,
};
pub use write::journal::{Journal, JournalOptions};
pub use write::pieces::{PieceReader, PieceSource, RecordPiece, RecordPlace, SlotPlace};
pub use write::places_jobs::{PlacesDone, PlacesJob};
pub use write::read_plan::{ReadDamage, ReadResult};
pub use write::releasing::FullSegment;
pub use write::removal::{RemoveDone, RemoveJob};
pub use write::room::ValueRoom;
pub use write::segment_slots::{ListedSlots, SegmentSlots};
