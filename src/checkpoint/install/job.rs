//! The file work of an install, on either side, on a thread that may block. Run by the daemon and by the
//! simulator alike.

use super::build::{BuildFault, BuildPlan, Built, build};
use super::heal::{HealDone, HealStep, heal};
use super::part_file::{Frames, frame, part_file_name, part_file_slot};
use super::rows::take_rows;
use super::slot_rows::{SlotRow, rows_of};
use super::source::read_chunk;
use super::verify::{Verified, VerifyValues, verify};
use crate::index::{RunDamage, RunSet};
use crate::limits::CHECKPOINT_SYNC_BYTES;
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{FileOwner, InstallPlace, NodeId, Slot, SlotRanges, Trouble};
use std::io;

/// One step of an install.
#[derive(Clone, Debug)]
pub enum InstallJob {
    /// Reads a part of this node's checkpoint for a peer.
    Read {
        /// Who installs it.
        to: NodeId,
        /// Whose the files are.
        owner: FileOwner,
        /// The checkpoint.
        slot: Slot,
        /// What is asked for.
        place: InstallPlace,
        /// This node's runs, which have the extents of its slots.
        runs: RunSet,
    },
    /// Looks for what has arrived of a checkpoint before, and removes what is of others.
    Look {
        /// The checkpoint.
        slot: Slot,
        /// What has arrived of it is of no use either.
        anew: bool,
    },
    /// Adds what has arrived to its part.
    Append {
        /// The checkpoint.
        slot: Slot,
        /// Where it belongs.
        place: InstallPlace,
        /// The number of its frame in the part's file.
        number: u32,
        /// What has arrived.
        bytes: Vec<u8>,
        /// Free space that is left alone, in bytes.
        min_free_bytes: u64,
    },
    /// Makes a checkpoint of this node's own of what has arrived.
    Build(Box<BuildPlan>),
    /// Holds values that arrived against the index.
    Verify(Box<VerifyValues>),
    /// Looks for the rows of slots that no peer has a value of.
    Rows {
        /// The runs, which have the extents of those slots.
        runs: RunSet,
        /// The slots.
        slots: SlotRanges,
    },
    /// A step of a node whose state is another than that of the others.
    Heal(HealStep),
}

/// What became of a step.
#[derive(Clone, Debug)]
pub enum InstallDone {
    /// Bytes for a peer, and whether they are the last of their part; or why there are none.
    Read {
        /// Who installs the checkpoint.
        to: NodeId,
        /// The checkpoint.
        slot: Slot,
        /// What was asked for.
        place: InstallPlace,
        /// What is there.
        chunk: Result<(Vec<u8>, bool), String>,
    },
    /// What has arrived before.
    Looked(Received),
    /// It is added, so many bytes; what comes next of the part is this.
    Appended(InstallPlace, u64),
    /// The checkpoint is durable and was read back.
    Built(Box<Built>),
    /// The values that are right.
    Verified(Verified),
    /// Rows of the slots that were asked for, or the damage of a run.
    Rows(Result<Vec<SlotRow>, RunDamage>),
    /// What became of a step of a node that heals.
    Heal(HealDone),
    /// It cannot be done now, or not with what has arrived.
    Failed {
        /// Why.
        why: String,
        /// What has arrived is of no use.
        is_useless: bool,
    },
}

/// How much has arrived of each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Of the state: frames, and what comes next.
    pub state: (u32, InstallPlace),
    /// Of the extents.
    pub extents: (u32, InstallPlace),
    /// Bytes of the extents.
    pub extent_bytes: u64,
}

/// Why a step is not done.
#[derive(Debug, thiserror::Error)]
pub enum InstallJobError {
    /// The disk failed: the caller ends the process with exit 74 (R01).
    #[error(transparent)]
    Fatal(StorageError),
    /// The system was short of something: the caller runs the step again a little later.
    #[error("{error}")]
    Short {
        /// What there was too little of, and where.
        error: StorageError,
        /// The step.
        again: Box<InstallJob>,
    },
}

/// Runs one step.
///
/// # Errors
/// [`InstallJobError`]. Damaged files, a peer's nonsense and a full disk are no errors.
pub fn execute(storage: &dyn Storage, job: InstallJob) -> Result<InstallDone, InstallJobError> {
    match run(storage, &job) {
        Ok(done) => Ok(done),
        Err(error) if Trouble::is_no_space(&error.source) => Ok(match job {
            InstallJob::Heal(_) => InstallDone::Heal(HealDone::NoSpace),
            InstallJob::Read { .. }
            | InstallJob::Look { .. }
            | InstallJob::Append { .. }
            | InstallJob::Build(_)
            | InstallJob::Verify(_)
            | InstallJob::Rows { .. } => {
                InstallDone::Failed { why: error.to_string(), is_useless: false }
            }
        }),
        Err(error) if error.may_pass() => {
            Err(InstallJobError::Short { error, again: Box::new(job) })
        }
        Err(error) => Err(InstallJobError::Fatal(error)),
    }
}

fn run(storage: &dyn Storage, job: &InstallJob) -> Result<InstallDone, StorageError> {
    match job {
        InstallJob::Read { to, owner, slot, place, runs } => {
            let chunk = read_chunk(storage, owner, runs, (*slot, *place))?;
            Ok(InstallDone::Read { to: *to, slot: *slot, place: *place, chunk })
        }
        InstallJob::Look { slot, anew } => look(storage, *slot, *anew),
        InstallJob::Append { slot, place, number, bytes, min_free_bytes } => {
            append(storage, (*slot, *place), *number, bytes, *min_free_bytes)
        }
        InstallJob::Build(plan) => match build(storage, plan) {
            Ok(built) => Ok(InstallDone::Built(Box::new(built))),
            Err(BuildFault::Useless(why)) => Ok(InstallDone::Failed { why, is_useless: true }),
            Err(BuildFault::Passing(why)) => Ok(InstallDone::Failed { why, is_useless: false }),
            Err(BuildFault::Storage(error)) => Err(error),
        },
        InstallJob::Verify(values) => verify(storage, values).map(InstallDone::Verified),
        InstallJob::Rows { runs, slots } => rows_of(storage, runs, slots).map(InstallDone::Rows),
        InstallJob::Heal(step) => heal(storage, step).map(InstallDone::Heal),
    }
}

/// What comes behind these bytes of a part; nothing where they are none of it.
fn behind(place: InstallPlace, bytes: &[u8]) -> Option<InstallPlace> {
    match place {
        InstallPlace::State(from) => Some(InstallPlace::State(from + bytes.len() as u64)),
        InstallPlace::Extents(log, first) => {
            let mut next = (log, first);
            for (log, extent) in take_rows(bytes).ok()? {
                if (log, extent.first) < next {
                    return None;
                }
                next = (log, extent.end());
            }
            Some(InstallPlace::Extents(next.0, next.1))
        }
    }
}

fn look(storage: &dyn Storage, slot: Slot, anew: bool) -> Result<InstallDone, StorageError> {
    let parts = [InstallPlace::STATE, InstallPlace::EXTENTS];
    let ours = parts.map(|part| part_file_name(slot, part));
    let names = storage.list().map_err(StorageError::at(StorageOp::List, ".", 0))?;
    let is_useless =
        |name: &&String| part_file_slot(name).is_some() && (anew || !ours.contains(name));
    for name in names.iter().filter(is_useless) {
        storage.remove(name).map_err(StorageError::at(StorageOp::Remove, name, 0))?;
    }
    let [state, extents] = parts.map(|part| look_at(storage, slot, part));
    let ((state, _), (extents, extent_bytes)) = (state?, extents?);
    let received = Received { state, extents, extent_bytes };
    storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))?;
    Ok(InstallDone::Looked(received))
}

/// How far a part's file is, and how many bytes of the part it holds. What lies behind the last whole frame, as a
/// crash leaves it, goes; a file whose frames are not in order is begun anew.
fn look_at(
    storage: &dyn Storage,
    slot: Slot,
    part: InstallPlace,
) -> Result<((u32, InstallPlace), u64), StorageError> {
    let name = part_file_name(slot, part);
    let mut frames = Frames::open(storage, slot, part)?;
    let (mut next, mut held) = (Some(part), 0);
    while let Some(bytes) = frames.next()? {
        next = next.and_then(|place| behind(place, bytes));
        held += bytes.len() as u64;
    }
    if let Some(next) = next
        && (frames.is_at_end() || frames.number > 0 && frames.keep_whole()?)
    {
        return Ok(((frames.number, next), held));
    }
    storage.remove(&name).map_err(StorageError::at(StorageOp::Remove, &name, 0))?;
    Ok(((0, part), 0))
}

fn append(
    storage: &dyn Storage,
    (slot, place): (Slot, InstallPlace),
    number: u32,
    bytes: &[u8],
    min_free_bytes: u64,
) -> Result<InstallDone, StorageError> {
    let name = part_file_name(slot, place);
    let free = storage.free_bytes().map_err(StorageError::at(StorageOp::Space, ".", 0))?;
    let needed = min_free_bytes.saturating_add(bytes.len() as u64);
    if free < needed {
        let why = format!("{free} bytes free, needed are {needed}");
        return Ok(InstallDone::Failed { why, is_useless: false });
    }
    let Some(next) = behind(place, bytes) else {
        let why = format!("what arrived for {name} is not in order");
        return Ok(InstallDone::Failed { why, is_useless: true });
    };
    let created = storage.create_empty(&name);
    if let Err(error) = created
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(StorageError::at(StorageOp::Create, &name, 0)(error));
    }
    let offset = storage.len(&name).map_err(StorageError::at(StorageOp::Read, &name, 0))?;
    let frame = frame(slot, number, bytes);
    storage.extend(&name, &frame).map_err(StorageError::at(StorageOp::Write, &name, offset))?;
    // Now and then, so that a sync never queues up in front of a batch's. The file is derived: what of it a
    // crash takes is asked for again.
    let synced = |offset: u64| offset / CHECKPOINT_SYNC_BYTES;
    if synced(offset) != synced(offset + frame.len() as u64) {
        storage.sync(&name).map_err(StorageError::at(StorageOp::Sync, &name, 0))?;
    }
    Ok(InstallDone::Appended(next, bytes.len() as u64))
}
