//! Making a checkpoint of this node's own of what has arrived (C25, C29).

use super::part_file::{Frames, part_file_bytes};
use super::rows::take_rows;
use crate::checkpoint::file::{
    PIECE_OVERHEAD_BYTES, ReadError, UNFINISHED, checkpoint_file_name, header_bytes,
};
use crate::checkpoint::manifest::{Manifest, RunEntry};
use crate::checkpoint::newest::survey;
use crate::checkpoint::written::Written;
use crate::index::{Run, RunError, RunSpec, RunWriter};
use crate::journal::JournalStart;
use crate::limits::{CHECKPOINT_PIECE_BYTES, CHECKPOINT_SYNC_BYTES};
use crate::machine::{Machine, RecordFault, Restore, SnapshotError};
use crate::storage::{Storage, StorageError, StorageOp, complete_file};
use crate::types::{
    Extent, FileOwner, FormatLevel, Index, InstallPlace, LogId, Released, RunId, Slot, SlotRanges,
};
use std::io;
use std::sync::Arc;

/// What a checkpoint is to be made of.
#[derive(Clone, Debug)]
pub struct BuildPlan {
    /// Whose it is to be.
    pub owner: FileOwner,
    /// Shards of the cluster.
    pub shards: u16,
    /// The highest format level that this node's program knows.
    pub known: FormatLevel,
    /// Its slot.
    pub slot: Slot,
    /// The digests that other nodes say their state had there.
    pub digests: Vec<u64>,
    /// The number of the run that its extents become.
    pub run: RunId,
    /// From where on a start from it must read this node's journal.
    pub journal: JournalStart,
    /// Slots that a peer's checkpoint stands for, this one's included.
    pub installed: SlotRanges,
    /// Slots up to the checkpoint's whose values this node may not have.
    pub absent: SlotRanges,
    /// What this node's journal has released.
    pub released: Released,
    /// Free space that is left alone, in bytes.
    pub min_free_bytes: u64,
}

/// A checkpoint that was made of a peer's.
#[derive(Clone, Debug)]
pub struct Built {
    /// The state.
    pub machine: Machine,
    /// Its extents.
    pub run: Arc<Run>,
    /// Bytes of the state.
    pub state_bytes: u64,
    /// From where on a start from it reads this node's journal.
    pub journal: JournalStart,
    /// No entry of a slot below is live.
    pub live_from: Slot,
}

/// Why it could not be made.
#[derive(Debug)]
pub(super) enum BuildFault {
    /// What arrived is no checkpoint, or another one.
    Useless(String),
    /// The medium, the space on it, or the program does not do for now.
    Passing(String),
    Storage(StorageError),
}

impl From<StorageError> for BuildFault {
    fn from(error: StorageError) -> BuildFault {
        BuildFault::Storage(error)
    }
}

impl From<SnapshotError> for BuildFault {
    fn from(error: SnapshotError) -> BuildFault {
        match &error {
            // What has arrived is right, and of use to the program that knows it (C32c).
            SnapshotError::Record {
                fault: RecordFault::Version { .. } | RecordFault::Level { .. },
                ..
            } => BuildFault::Passing(error.to_string()),
            SnapshotError::Record { .. }
            | SnapshotError::Incomplete { .. }
            | SnapshotError::Duplicate { .. }
            | SnapshotError::StrayLoss { .. }
            | SnapshotError::Digest { .. } => BuildFault::Useless(error.to_string()),
        }
    }
}

impl From<RunError> for BuildFault {
    fn from(error: RunError) -> BuildFault {
        match error {
            RunError::Damaged(damage) => BuildFault::Passing(damage.to_string()),
            RunError::Storage(error) => BuildFault::Storage(error),
        }
    }
}

/// Makes the run and the checkpoint; each counts once it was read back past the page cache.
pub(super) fn build(storage: &dyn Storage, plan: &BuildPlan) -> Result<Built, BuildFault> {
    let free = storage.free_bytes().map_err(StorageError::at(StorageOp::Space, ".", 0))?;
    // What is made is about as large as what has arrived.
    let needed = plan.min_free_bytes.saturating_add(part_file_bytes(storage, plan.slot)?);
    if free < needed {
        return Err(BuildFault::Passing(format!("{free} bytes free, needed are {needed}")));
    }
    let machine = decode(storage, plan)?;
    let digest = machine.digest();
    if let Some(other) = plan.digests.iter().find(|other| **other != digest) {
        let why = format!("its state has digest {digest:016x}, another node has {other:016x}");
        return Err(BuildFault::Useless(why));
    }
    let (run, live_from) = write_run(storage, plan, &machine)?;
    let state_bytes = write_checkpoint(storage, plan, (&run, live_from), &machine)?;
    let name = checkpoint_file_name(plan.slot);
    storage.forget(&name).map_err(StorageError::at(StorageOp::Read, &name, 0))?;
    match survey(storage, &plan.owner, (plan.shards, plan.known), plan.slot) {
        Ok(survey) if survey.digest == digest => {
            let (run, journal) = (Arc::new(run), plan.journal);
            Ok(Built { machine, run, state_bytes, journal, live_from })
        }
        Ok(_) => Err(BuildFault::Passing(format!("{name} does not read back as it was written"))),
        Err(ReadError::Storage(error)) => Err(BuildFault::Storage(error)),
        Err(error @ (ReadError::Fault(_) | ReadError::Newer(_))) => {
            Err(BuildFault::Passing(error.to_string()))
        }
    }
}

/// What arrived last may have rotted since: the rows before it alone would pass for all there are.
fn check_whole(frames: &Frames<'_>) -> Result<(), BuildFault> {
    if frames.is_at_end() {
        return Ok(());
    }
    Err(BuildFault::Useless(format!("frame {} of what has arrived is damaged", frames.number)))
}

/// The state that has arrived.
fn decode(storage: &dyn Storage, plan: &BuildPlan) -> Result<Machine, BuildFault> {
    let mut restore = Restore::new(plan.owner.shard, plan.shards, plan.known);
    let mut frames = Frames::open(storage, plan.slot, InstallPlace::STATE)?;
    while let Some(bytes) = frames.next()? {
        restore.take(bytes)?;
    }
    check_whole(&frames)?;
    let machine = restore.finish()?;
    let upto = machine.applied_upto();
    if upto == plan.slot {
        Ok(machine)
    } else {
        Err(BuildFault::Useless(format!("its state is that of slot {upto}, not {}", plan.slot)))
    }
}

/// Writes the extents that have arrived as a run, as far as somebody may ask for them. Returns it, and the
/// first slot that one of them is of.
fn write_run(
    storage: &dyn Storage,
    plan: &BuildPlan,
    machine: &Machine,
) -> Result<(Run, Slot), BuildFault> {
    let (owner, run, upto) = (plan.owner, plan.run, plan.slot);
    let logs_max = machine.logs().count() as u64;
    let level = machine.levels().level();
    let spec = RunSpec { owner, run, after: Slot(0), upto, logs_max, level };
    let mut writer = RunWriter::create(storage, &spec)?;
    let mut frames = Frames::open(storage, plan.slot, InstallPlace::EXTENTS)?;
    let (mut last, mut live_from): (Option<(LogId, Extent)>, _) = (None, upto.next());
    while let Some(bytes) = frames.next()? {
        let rows = take_rows(bytes).map_err(|error| BuildFault::Useless(error.to_string()))?;
        for (log, extent) in rows {
            if extent.slot > upto || extent.slot == Slot(0) || !follows(last.as_ref(), log, &extent)
            {
                return Err(BuildFault::Useless(format!(
                    "log {log} has {extent:?} behind {last:?}"
                )));
            }
            if last.is_some_and(|(before, _)| before != log) {
                check_end(machine, last)?;
            }
            last = Some((log, extent));
            if machine.logs().first_index(log).is_some_and(|first| first < extent.end()) {
                live_from = live_from.min(extent.slot);
                writer.push(log, &extent)?;
            }
        }
    }
    check_whole(&frames)?;
    check_end(machine, last)?;
    let run = writer.finish()?;
    run.read_back(storage, &owner)?;
    Ok((run, live_from))
}

/// True where a row may stand behind another. What lies in a gap within a log is trimmed, and so is all
/// before it.
fn follows(last: Option<&(LogId, Extent)>, log: LogId, next: &Extent) -> bool {
    let Some((last_log, last)) = last else { return true };
    if *last_log != log {
        return *last_log < log;
    }
    last.end() <= next.first
        && (last.slot, last.offset) < (next.slot, next.offset)
        && last.bytes_before <= next.bytes_before
        && last.stamp_ms <= next.stamp_ms
}

/// No row of a log lies past its end. Where the last one ends before it, what lies between is trimmed, and so
/// is all before it: the peer knows more of that by now than the state that arrived.
fn check_end(machine: &Machine, last: Option<(LogId, Extent)>) -> Result<(), BuildFault> {
    let Some((log, extent)) = last else { return Ok(()) };
    let (end, next): (Index, Option<Index>) = (extent.end(), machine.logs().next_index(log));
    match next.filter(|next| *next < end) {
        Some(next) => Err(BuildFault::Useless(format!(
            "the extents of log {log} end at {end}, the log at {next}"
        ))),
        None => Ok(()),
    }
}

/// Writes the checkpoint, at the format level of its state; returns the bytes of that.
fn write_checkpoint(
    storage: &dyn Storage,
    plan: &BuildPlan,
    (run, live_from): (&Run, Slot),
    machine: &Machine,
) -> Result<u64, StorageError> {
    let name = checkpoint_file_name(plan.slot);
    let aside = format!("{name}{UNFINISHED}");
    match storage.remove(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StorageError::at(StorageOp::Remove, &aside, 0)(error));
        }
        Ok(()) | Err(_) => {}
    }
    storage.create_empty(&aside).map_err(StorageError::at(StorageOp::Create, &aside, 0))?;
    let extend = |offset: u64, bytes: &[u8]| {
        storage.extend(&aside, bytes).map_err(StorageError::at(StorageOp::Write, &aside, offset))
    };
    let (header, seed) = header_bytes(plan.slot, &plan.owner, machine.levels().level());
    extend(0, &header)?;
    let (mut written, mut synced) = (Written::header(), 0);
    let mut frames = Frames::open(storage, plan.slot, InstallPlace::STATE)?;
    while let Some(bytes) = frames.next()? {
        for part in bytes.chunks(CHECKPOINT_PIECE_BYTES) {
            let mut piece = vec![0; PIECE_OVERHEAD_BYTES];
            piece.extend_from_slice(part);
            let (offset, piece) = written.add(piece, seed);
            extend(offset, &piece)?;
        }
        if written.offset - synced >= CHECKPOINT_SYNC_BYTES {
            storage.sync(&aside).map_err(StorageError::at(StorageOp::Sync, &aside, 0))?;
            synced = written.offset;
        }
    }
    let mut absent = plan.absent.clone();
    absent.remove(Slot(1), live_from.prev());
    let manifest = Manifest {
        journal: plan.journal,
        runs: vec![RunEntry::of(run)],
        installed: plan.installed.clone(),
        absent,
        released: plan.released.clone(),
    };
    extend(written.offset, &written.end(machine.digest(), &manifest, seed))?;
    complete_file(storage, &aside, &name)?;
    Ok(written.state_bytes)
}
