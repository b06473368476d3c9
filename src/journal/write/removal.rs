//! Removing the files of segments that were released.

use crate::journal::format::layout::file_name;
use crate::journal::segment::places::places_name;
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{Lsn, Released, SegmentId};
use std::io;
use std::sync::Arc;

/// Removal of the files of segments that were released, in any order, and a sync of the directory. One
/// at a time per journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveJob {
    pub(crate) segments: Vec<SegmentId>,
}

/// Outcome of a [`RemoveJob`]: the files are gone for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveDone {
    pub(crate) segments: Vec<SegmentId>,
}

/// What is on its way out.
#[derive(Debug, Default)]
pub(in crate::journal) struct Releasing {
    /// What the last record says that is not durable yet.
    pub recorded: Option<(Lsn, Arc<Released>)>,
    /// Segments whose files are to be removed, and the bytes of each.
    pub due: Vec<(SegmentId, u64)>,
    /// Those that a job is under way for.
    pub under_way: Vec<(SegmentId, u64)>,
}

/// Runs a job. What is gone already was removed by an earlier attempt.
pub(crate) fn run_remove(storage: &dyn Storage, job: &RemoveJob) -> Result<(), StorageError> {
    for segment in &job.segments {
        for name in [file_name(*segment), places_name(*segment)] {
            match storage.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::at(StorageOp::Remove, &name, 0)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
    storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))
}
