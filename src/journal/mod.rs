//! The write-ahead log: the one place where a shard's facts are kept, and the log store itself.
//!
//! A shard owns one [`Journal`], which does no input or output: it turns pushed records into
//! [`Job`]s. Another thread (or the simulator) runs [`execute`] on each job over a [`Storage`] and
//! hands the [`Done`] back. [`recover`] reads a journal back after a stop and tells torn, suspect
//! and damaged apart (C11). `docs/JOURNAL.md` is the specification of the format.

mod file_storage;
mod identity;
mod jobs;
#[allow(clippy::module_inception)] // The file is named after the type it holds.
mod journal;
mod mem_storage;
mod recovery;
mod storage;

pub use file_storage::FileStorage;
pub use identity::Identity;
pub use jobs::{
    BatchDone, BatchJob, Done, Event, Job, Location, PrepareDone, PrepareJob, ReadDamage, ReadDone,
    ReadJob, ReadResult, execute,
};
pub use journal::{Journal, JournalOptions};
pub use mem_storage::{MemStorage, Randomness};
pub use recovery::{Finding, FindingKind, OpenError, Recovered, Stats, TornTail, format, recover};
pub use storage::{Storage, StorageError, StorageOp};
