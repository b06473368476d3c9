//! The file work of a checkpoint, step by step, on a thread that may block. Run by the daemon and by
//! the simulator alike.

use super::file::{ReadError, UNFINISHED, checkpoint_file_name};
use super::newest::survey;
use crate::index::{
    Recent, Run, RunError, RunSpec, RunWriter, Span, SpanSpec, merge, run_file_name, write_span,
};
use crate::limits::CHECKPOINT_SYNC_BYTES;
use crate::storage::{Storage, StorageError, StorageOp, complete_file};
use crate::types::{FileOwner, FormatLevel, RunId, Slot, Trouble};
use std::io;
use std::sync::Arc;

/// One step of taking a checkpoint, or of what follows from one.
#[derive(Clone, Debug)]
pub enum CheckpointJob {
    /// Writes extents as a run and as a span, and reads both back.
    Run {
        /// What the run is to be.
        spec: RunSpec,
        /// Its rows.
        rows: Arc<Recent>,
        /// Free space that is left alone, in bytes.
        min_free_bytes: u64,
    },
    /// Begins the file, in place of what an earlier attempt has left.
    Begin {
        /// The checkpoint's slot.
        slot: Slot,
        /// The header's block.
        header: Vec<u8>,
        /// Free space that is left alone, in bytes.
        min_free_bytes: u64,
    },
    /// Adds a piece to the file.
    Piece {
        /// The checkpoint's slot.
        slot: Slot,
        /// Where the file ends so far.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// Adds the last bytes, and gives the file its name.
    Complete {
        /// The checkpoint's slot.
        slot: Slot,
        /// Where the file ends so far.
        offset: u64,
        /// Its end.
        bytes: Vec<u8>,
    },
    /// Reads the file back past the page cache, and decodes it.
    ReadBack {
        /// Whose it is.
        owner: FileOwner,
        /// Shards of the cluster.
        shards: u16,
        /// The highest format level that this node's program knows.
        known: FormatLevel,
        /// The checkpoint's slot.
        slot: Slot,
        /// The digest that the state had at the cut.
        digest: u64,
    },
    /// Makes one run of several, without the rows that the state of a checkpoint has no use for.
    Merge {
        /// Whose they are.
        owner: FileOwner,
        /// Shards of the cluster.
        shards: u16,
        /// The highest format level that this node's program knows.
        known: FormatLevel,
        /// The runs, the oldest first.
        inputs: Vec<Arc<Run>>,
        /// The number of the new one.
        run: RunId,
        /// The slot of the checkpoint.
        slot: Slot,
        /// The format level at which it is written.
        level: FormatLevel,
        /// Free space that is left alone, in bytes.
        min_free_bytes: u64,
    },
    /// Removes files that no checkpoint names any more.
    Remove {
        /// Their names.
        names: Vec<String>,
    },
}

/// What became of a step.
#[derive(Clone, Debug)]
pub enum CheckpointDone {
    /// It is done.
    Step,
    /// The run of what was frozen is durable and was read back, and so is its span.
    Frozen(Arc<Run>, Arc<Span>),
    /// The merged run is durable and was read back.
    Run(Arc<Run>),
    /// It cannot be done now: nothing was changed that anything depends on.
    Abandoned(String),
    /// Nor can it later: a run that is to be merged is damaged.
    IndexDamaged(String),
}

/// Why a step is not done.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointJobError {
    /// The disk failed: the caller ends the process with exit 74 (R01).
    #[error(transparent)]
    Fatal(StorageError),
    /// The system was short of something: the caller runs the step again a little later.
    #[error("{error}")]
    Short {
        /// What there was too little of, and where.
        error: StorageError,
        /// The step.
        again: Box<CheckpointJob>,
    },
}

/// Runs one step.
///
/// # Errors
/// [`CheckpointJobError`]. A file that cannot be read back, and a full disk, are no errors.
pub fn execute(
    storage: &dyn Storage,
    job: CheckpointJob,
) -> Result<CheckpointDone, CheckpointJobError> {
    match run(storage, &job) {
        Ok(done) => Ok(done),
        Err(error) if Trouble::is_no_space(&error.source) => {
            Ok(CheckpointDone::Abandoned(error.to_string()))
        }
        Err(error) if error.may_pass() => {
            Err(CheckpointJobError::Short { error, again: Box::new(job) })
        }
        Err(error) => Err(CheckpointJobError::Fatal(error)),
    }
}

fn run(storage: &dyn Storage, job: &CheckpointJob) -> Result<CheckpointDone, StorageError> {
    if let Some(why) = want_of_space(storage, job)? {
        return Ok(CheckpointDone::Abandoned(why));
    }
    match job {
        CheckpointJob::Run { spec, rows, .. } => write_run(storage, spec, rows),
        CheckpointJob::Begin { slot, header, .. } => begin(storage, *slot, header),
        CheckpointJob::Piece { slot, offset, bytes } => extend(storage, *slot, *offset, bytes),
        CheckpointJob::Complete { slot, offset, bytes } => complete(storage, *slot, *offset, bytes),
        CheckpointJob::ReadBack { owner, shards, known, slot, digest } => {
            read_back(storage, owner, (*shards, *known), *slot, *digest)
        }
        CheckpointJob::Merge { owner, shards, known, inputs, run, slot, level, .. } => {
            let survey = match survey(storage, owner, (*shards, *known), *slot) {
                Ok(survey) => survey,
                Err(ReadError::Storage(error)) => return Err(error),
                Err(error @ (ReadError::Fault(_) | ReadError::Newer(_))) => {
                    return Ok(CheckpointDone::Abandoned(error.to_string()));
                }
            };
            let mut live = survey.first_indexes.into_iter();
            match merge(storage, owner, inputs, (*run, *level), &mut live) {
                // One of those that count, and not the one that was to be made.
                Err(RunError::Damaged(damage)) if damage.file != run_file_name(*run) => {
                    Ok(CheckpointDone::IndexDamaged(damage.to_string()))
                }
                made => run_made(storage, owner, made),
            }
        }
        CheckpointJob::Remove { names } => remove(storage, names),
    }
}

/// Why a step that needs space has to wait.
fn want_of_space(
    storage: &dyn Storage,
    job: &CheckpointJob,
) -> Result<Option<String>, StorageError> {
    let (CheckpointJob::Run { min_free_bytes, .. }
    | CheckpointJob::Begin { min_free_bytes, .. }
    | CheckpointJob::Merge { min_free_bytes, .. }) = job
    else {
        return Ok(None);
    };
    let free = storage.free_bytes().map_err(StorageError::at(StorageOp::Space, ".", 0))?;
    Ok((free < *min_free_bytes)
        .then(|| format!("{free} bytes are free, and {min_free_bytes} would have to be")))
}

fn write_run(
    storage: &dyn Storage,
    spec: &RunSpec,
    rows: &Recent,
) -> Result<CheckpointDone, StorageError> {
    let RunSpec { owner, after, upto, level, .. } = *spec;
    let span_spec = SpanSpec { owner, after, upto };
    let span = match write_span(storage, (&span_spec, level), &mut rows.span_parts()) {
        Ok(span) => span,
        Err(RunError::Damaged(damage)) => return Ok(CheckpointDone::Abandoned(damage.to_string())),
        Err(RunError::Storage(error)) => return Err(error),
    };
    let mut writer = RunWriter::create(storage, spec)?;
    for (log, extent) in rows.iter() {
        writer.push(log, &extent)?;
    }
    let made = run_made(storage, &spec.owner, writer.finish().map_err(RunError::from))?;
    Ok(match made {
        CheckpointDone::Run(run) => CheckpointDone::Frozen(run, Arc::new(span)),
        other => other,
    })
}

/// A run that was written counts once it was read back past the page cache.
fn run_made(
    storage: &dyn Storage,
    owner: &FileOwner,
    made: Result<Run, RunError>,
) -> Result<CheckpointDone, StorageError> {
    let checked = made.and_then(|run| run.read_back(storage, owner).map(|()| run));
    match checked {
        Ok(run) => Ok(CheckpointDone::Run(Arc::new(run))),
        Err(RunError::Damaged(damage)) => Ok(CheckpointDone::Abandoned(damage.to_string())),
        Err(RunError::Storage(error)) => Err(error),
    }
}

/// The name of a checkpoint before it is complete.
fn aside(slot: Slot) -> String {
    checkpoint_file_name(slot) + UNFINISHED
}

fn begin(storage: &dyn Storage, slot: Slot, header: &[u8]) -> Result<CheckpointDone, StorageError> {
    let name = aside(slot);
    let mut created = storage.create_empty(&name);
    if created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        storage.remove(&name).map_err(StorageError::at(StorageOp::Remove, &name, 0))?;
        created = storage.create_empty(&name);
    }
    created.map_err(StorageError::at(StorageOp::Create, &name, 0))?;
    storage.extend(&name, header).map_err(StorageError::at(StorageOp::Write, &name, 0))?;
    Ok(CheckpointDone::Step)
}

fn extend(
    storage: &dyn Storage,
    slot: Slot,
    offset: u64,
    bytes: &[u8],
) -> Result<CheckpointDone, StorageError> {
    let name = aside(slot);
    let end = storage.len(&name).map_err(StorageError::at(StorageOp::Read, &name, offset))?;
    if end != offset {
        // A step that met a shortage has left a part of its piece.
        let why = format!("{name} ends at {end}, not at {offset}");
        return Ok(CheckpointDone::Abandoned(why));
    }
    storage.extend(&name, bytes).map_err(StorageError::at(StorageOp::Write, &name, offset))?;
    let synced = |offset: u64| offset / CHECKPOINT_SYNC_BYTES;
    if synced(offset) != synced(offset + bytes.len() as u64) {
        storage.sync(&name).map_err(StorageError::at(StorageOp::Sync, &name, 0))?;
    }
    Ok(CheckpointDone::Step)
}

fn complete(
    storage: &dyn Storage,
    slot: Slot,
    offset: u64,
    bytes: &[u8],
) -> Result<CheckpointDone, StorageError> {
    if let CheckpointDone::Abandoned(why) = extend(storage, slot, offset, bytes)? {
        return Ok(CheckpointDone::Abandoned(why));
    }
    let (unfinished, name) = (aside(slot), checkpoint_file_name(slot));
    complete_file(storage, &unfinished, &name)?;
    Ok(CheckpointDone::Step)
}

/// C25: what the page cache shows proves nothing, and equal bytes would not show what the encoder forgot:
/// the state is decoded, and its digest held against the one taken at the cut.
fn read_back(
    storage: &dyn Storage,
    owner: &FileOwner,
    place: (u16, FormatLevel),
    slot: Slot,
    digest: u64,
) -> Result<CheckpointDone, StorageError> {
    let name = checkpoint_file_name(slot);
    storage.forget(&name).map_err(StorageError::at(StorageOp::Read, &name, 0))?;
    match survey(storage, owner, place, slot) {
        Ok(survey) if survey.digest == digest => Ok(CheckpointDone::Step),
        Ok(survey) => {
            let found = survey.digest;
            let why = format!("{name} has a state of digest {found:016x}, not {digest:016x}");
            Ok(CheckpointDone::Abandoned(why))
        }
        Err(ReadError::Storage(error)) => Err(error),
        Err(error @ (ReadError::Fault(_) | ReadError::Newer(_))) => {
            Ok(CheckpointDone::Abandoned(error.to_string()))
        }
    }
}

/// Files that are gone already are none to remove: an earlier attempt may have come so far.
fn remove(storage: &dyn Storage, names: &[String]) -> Result<CheckpointDone, StorageError> {
    for name in names {
        match storage.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::at(StorageOp::Remove, name, 0)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))?;
    Ok(CheckpointDone::Step)
}
