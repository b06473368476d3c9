//! The file work for spans, on a thread that may block. Run by the daemon and by the simulator alike.

use crate::index::{PartsOfRuns, RunDamage, RunError, RunSet, Span, SpanRow, SpanSpec, write_span};
use crate::limits::SPAN_READ_BLOCKS;
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{FormatLevel, LogId, Trouble};
use std::sync::Arc;

/// What is to be done for a span.
#[derive(Clone, Debug)]
pub enum SpanJob {
    /// Reads rows, a few blocks of them.
    Read {
        /// The span.
        span: Arc<Span>,
        /// The first block.
        block: u64,
    },
    /// Writes a span anew whose file is lost or damaged.
    Make {
        /// What it is of.
        spec: SpanSpec,
        /// The runs that have all extents of its slots, but for dead ones.
        runs: RunSet,
        /// The format level at which it is written.
        level: FormatLevel,
        /// Free space that is left alone, in bytes.
        min_free_bytes: u64,
    },
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum SpanDone {
    /// The rows of these blocks, one after the other.
    Rows(Vec<Vec<SpanRow>>),
    /// The span is durable and was read back.
    Made(Arc<Span>),
    /// The span is damaged there, or what it is made of is.
    Damaged(RunDamage),
    /// There was no space.
    Abandoned(String),
}

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub enum SpanJobError {
    /// The disk failed: the caller ends the process with exit 74 (R01).
    #[error(transparent)]
    Fatal(StorageError),
    /// The system was short of something: the caller runs it again a little later.
    #[error("{error}")]
    Short {
        /// What there was too little of, and where.
        error: StorageError,
        /// The job.
        again: Box<SpanJob>,
    },
}

/// Runs a job.
///
/// # Errors
/// [`SpanJobError`]. What cannot be read, and a full disk, are no errors.
pub fn execute_span(storage: &dyn Storage, job: SpanJob) -> Result<SpanDone, SpanJobError> {
    let done = match &job {
        SpanJob::Read { span, block } => read(storage, span, *block),
        SpanJob::Make { spec, runs, level, min_free_bytes } => {
            make(storage, (spec, *level), runs, *min_free_bytes)
        }
    };
    match done {
        Ok(done) => Ok(done),
        Err(RunError::Damaged(damage)) => Ok(SpanDone::Damaged(damage)),
        Err(RunError::Storage(error)) if Trouble::is_no_space(&error.source) => {
            Ok(SpanDone::Abandoned(error.to_string()))
        }
        Err(RunError::Storage(error)) if error.may_pass() => {
            Err(SpanJobError::Short { error, again: Box::new(job) })
        }
        Err(RunError::Storage(error)) => Err(SpanJobError::Fatal(error)),
    }
}

fn read(storage: &dyn Storage, span: &Span, block: u64) -> Result<SpanDone, RunError> {
    let mut before: Option<LogId> = None;
    let mut blocks = Vec::new();
    for block in block..span.blocks().min(block + SPAN_READ_BLOCKS) {
        let rows = span.read_block(storage, block, before)?;
        before = rows.last().map(|row| row.log);
        blocks.push(rows);
    }
    Ok(SpanDone::Rows(blocks))
}

fn make(
    storage: &dyn Storage,
    (spec, level): (&SpanSpec, FormatLevel),
    runs: &RunSet,
    min_free_bytes: u64,
) -> Result<SpanDone, RunError> {
    let free = storage.free_bytes().map_err(StorageError::at(StorageOp::Space, ".", 0))?;
    if free < min_free_bytes {
        return Ok(SpanDone::Abandoned(format!("{free} bytes free")));
    }
    let mut parts = PartsOfRuns::open(storage, runs.runs(), spec)?;
    Ok(SpanDone::Made(Arc::new(write_span(storage, (spec, level), &mut parts)?)))
}
