//! What a shard has done on threads that may block, and what comes of it.

use super::cold_job::{ColdReadDone, ColdReadJob};
use super::compaction::{CompactionDone, CompactionJob};
use super::deferred_drop::DeferredDrop;
use super::lookup_job::{LookupDone, LookupJob};
use super::lost::{LossDone, LossJob};
use crate::checkpoint::install::{self, InstallDone, InstallJob, InstallJobError};
use crate::checkpoint::{
    self, CheckpointDone, CheckpointJob, CheckpointJobError, SpanDone, SpanJob, SpanJobError,
};
use crate::journal::{self, Done, Job, JobError};
use crate::storage::{Storage, StorageError};

/// Work for a thread that may block.
#[derive(Clone, Debug)]
pub enum DiskJob {
    /// Of the journal.
    Journal(Job),
    /// A lookup in the runs of the index.
    Lookup(LookupJob),
    /// A read of entries that are not in memory.
    ColdRead(Box<ColdReadJob>),
    /// A step of a checkpoint.
    Checkpoint(CheckpointJob),
    /// A step of taking over a peer's checkpoint, or of giving it one.
    Install(InstallJob),
    /// For a span.
    Span(SpanJob),
    /// A step of a walk over the values of a segment.
    Compaction(Box<CompactionJob>),
    /// For a declaration that entries are lost.
    Loss(LossJob),
    /// Drops memory, which takes long.
    Drop(DeferredDrop),
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum DiskDone {
    /// Of the journal.
    Journal(Done),
    /// What was looked up.
    Lookup(LookupDone),
    /// The entries that were read.
    ColdRead(Box<ColdReadDone>),
    /// A step of a checkpoint.
    Checkpoint(CheckpointDone),
    /// A step of an install.
    Install(InstallDone),
    /// For a span.
    Span(SpanDone),
    /// A step of a walk over the values of a segment.
    Compaction(Box<CompactionDone>),
    /// For a declaration that entries are lost.
    Loss(LossDone),
    /// Memory was given back.
    Dropped,
}

/// Why a job is not done.
#[derive(Debug, thiserror::Error)]
pub enum DiskJobError {
    /// Durable state failed: the caller ends the process with exit 74 (R01).
    #[error(transparent)]
    Fatal(StorageError),
    /// The system was short of something. Nothing failed that matters: the caller runs what is left
    /// of the job a little later.
    #[error("{error}")]
    Short {
        /// What there was too little of, and where.
        error: StorageError,
        /// What is left to do.
        rest: Box<DiskJob>,
    },
}

/// Runs a job over the files of the shard. The threads of the daemon and the simulator run this very
/// function.
///
/// # Errors
/// [`DiskJobError`]. What cannot be read, and a full disk, are no errors.
pub fn execute(storage: &dyn Storage, job: DiskJob) -> Result<DiskDone, DiskJobError> {
    let short = |error, rest| DiskJobError::Short { error, rest: Box::new(rest) };
    match job {
        DiskJob::Journal(job) => match journal::execute(storage, job) {
            Ok(done) => Ok(DiskDone::Journal(done)),
            Err(JobError::Fatal(error)) => Err(DiskJobError::Fatal(error)),
            Err(JobError::Short { error, rest }) => Err(short(error, DiskJob::Journal(*rest))),
        },
        DiskJob::Lookup(job) => match job.run(storage) {
            Ok(done) => Ok(DiskDone::Lookup(done)),
            Err(error) => Err(short(error, DiskJob::Lookup(job))),
        },
        DiskJob::ColdRead(job) => match job.run(storage) {
            Ok(done) => Ok(DiskDone::ColdRead(Box::new(done))),
            Err((error, rest)) => Err(short(error, DiskJob::ColdRead(rest))),
        },
        DiskJob::Checkpoint(job) => match checkpoint::execute(storage, job) {
            Ok(done) => Ok(DiskDone::Checkpoint(done)),
            Err(CheckpointJobError::Fatal(error)) => Err(DiskJobError::Fatal(error)),
            Err(CheckpointJobError::Short { error, again }) => {
                Err(short(error, DiskJob::Checkpoint(*again)))
            }
        },
        DiskJob::Install(job) => match install::execute(storage, job) {
            Ok(done) => Ok(DiskDone::Install(done)),
            Err(InstallJobError::Fatal(error)) => Err(DiskJobError::Fatal(error)),
            Err(InstallJobError::Short { error, again }) => {
                Err(short(error, DiskJob::Install(*again)))
            }
        },
        DiskJob::Span(job) => match checkpoint::execute_span(storage, job) {
            Ok(done) => Ok(DiskDone::Span(done)),
            Err(SpanJobError::Fatal(error)) => Err(DiskJobError::Fatal(error)),
            Err(SpanJobError::Short { error, again }) => Err(short(error, DiskJob::Span(*again))),
        },
        DiskJob::Compaction(job) => match job.run(storage) {
            Ok(done) => Ok(DiskDone::Compaction(Box::new(done))),
            Err(error) => Err(short(error, DiskJob::Compaction(job))),
        },
        DiskJob::Loss(job) => match job.run(storage) {
            Ok(done) => Ok(DiskDone::Loss(done)),
            Err(error) => Err(short(error, DiskJob::Loss(job))),
        },
        DiskJob::Drop(memory) => {
            drop(memory);
            Ok(DiskDone::Dropped)
        }
    }
}

impl From<Job> for DiskJob {
    fn from(job: Job) -> DiskJob {
        DiskJob::Journal(job)
    }
}
