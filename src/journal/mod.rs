//! The write-ahead log: the one place where a shard's facts are kept, and the log store itself.
//!
//! A shard owns one [`Journal`], which does no input or output: it turns pushed records into
//! [`Job`]s. Another thread (or the simulator) runs [`execute`] on each job over a [`Storage`] and
//! hands the [`Done`] back. [`recover`] reads a journal back after a stop and distinguishes torn,
//! suspect and damaged (C11). `docs/JOURNAL.md` is the specification of the format.

mod batch;
mod batch_scan;
mod cut_short;
mod execute;
mod file_storage;
mod format;
mod hard_state;
mod hard_state_body;
mod identity;
mod index;
mod inspect;
mod jobs;
#[allow(clippy::module_inception)] // The file is named after the type it holds.
mod journal;
mod lock;
mod mem_storage;
mod open_files;
mod opening;
mod planning;
mod records;
mod recovered;
mod recovery;
mod replay;
mod segment;
mod segment_reader;
mod storage;
mod tail;
mod witnessed;

pub use execute::{JobError, execute};
pub use file_storage::FileStorage;
pub use identity::{Identity, IdentityError};
pub use inspect::{Overlay, inspect};
pub use jobs::{
    BatchDone, BatchJob, Done, Event, Job, Location, NoRoom, PrepareDone, PrepareJob, ReadDamage,
    ReadDone, ReadJob, ReadResult,
};
pub use journal::{Journal, JournalOptions, ValueRoom};
pub use lock::{DirLock, LockError};
pub use mem_storage::{MemStorage, Randomness};
pub use opening::format;
pub use recovered::{Finding, FindingKind, OpenError, Recovered, Stats, TornTail};
pub use recovery::recover;
pub use storage::{Storage, StorageError, StorageOp};

/// True when all bytes are zero. Compares whole blocks, at the speed of memory.
fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; crate::limits::BLOCK_BYTES] = [0; crate::limits::BLOCK_BYTES];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}
