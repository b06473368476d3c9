//! What a start begins from: the newest checkpoint that is good, with all that it names.

use super::file::{
    CheckpointFault, ReadError, UNFINISHED, checkpoint_file_name, not_newer,
    parse_checkpoint_file_name,
};
use super::footer::CheckpointFooter;
use super::heal_note::{HEAL_FILE, HealNote, read_note};
use super::install::part_file_slot;
use super::manifest::{Manifest, RunEntry};
use super::reader::{read_checkpoint, read_manifest};
use crate::index::{
    Run, RunError, RunSet, Span, parse_run_file_name, parse_span_file_name, run_file_name,
    span_file_name,
};
use crate::journal::{JournalStart, OpenError};
use crate::limits::CHECKPOINTS_KEPT;
use crate::machine::{Machine, Restore, SnapshotSurvey};
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{FileOwner, FormatLevel, Released, RunId, Slot, SlotRanges};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// A checkpoint that is kept: its slot, its digest, and the runs that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The slot.
    pub slot: Slot,
    /// The digest of the state after it.
    pub digest: u64,
    /// The runs that a start from it needs.
    pub runs: Vec<RunId>,
    /// Bytes of its state.
    pub state_bytes: u64,
    /// From where on a start from it reads the journal.
    pub journal: JournalStart,
}

/// What a shard's directory gives back.
#[derive(Debug)]
pub struct RestoredState {
    /// The state after the checkpoint's slot; that before slot 1 where there is no checkpoint.
    pub machine: Machine,
    /// The runs that it names.
    pub runs: RunSet,
    /// The spans of their slots that are there and good.
    pub spans: Vec<Arc<Span>>,
    /// From where on the journal must be read; nothing for all of it.
    pub from: Option<(Slot, JournalStart)>,
    /// What the journal had released when that checkpoint was taken.
    pub released: Released,
    /// Slots that a peer's checkpoint stands for.
    pub installed: SlotRanges,
    /// Slots up to the checkpoint's whose values this node may not have.
    pub absent: SlotRanges,
    /// The checkpoints that are good as far as was looked, the oldest first.
    pub kept: Vec<Kept>,
    /// Every run has a lower number.
    pub next_run: RunId,
    /// Files that nothing names: checkpoints, runs and spans that are unfinished or too old.
    pub unused: Vec<String>,
    /// Those that are to stay until a newer checkpoint is taken, because one was not believed.
    pub doubted: Vec<String>,
    /// What was not believed, for log lines.
    pub faults: Vec<String>,
    /// What this node has tried to come by the state of the others, and not seen to succeed (C32).
    pub heal: Option<HealNote>,
}

impl RestoredState {
    /// A shard without checkpoints.
    #[must_use]
    pub fn none(owner: &FileOwner, shards: u16) -> RestoredState {
        RestoredState {
            machine: Machine::new(owner.shard, shards),
            runs: RunSet::default(),
            spans: Vec::new(),
            from: None,
            released: Released::default(),
            installed: SlotRanges::default(),
            absent: SlotRanges::default(),
            kept: Vec::new(),
            next_run: RunId(1),
            unused: Vec::new(),
            doubted: Vec::new(),
            faults: Vec::new(),
            heal: None,
        }
    }

    /// The slot of the last checkpoint that was installed here, 0 for none.
    #[must_use]
    pub fn installed_upto(&self) -> Slot {
        self.installed.last().map_or(Slot(0), |(_, last)| last)
    }

    /// Looks for the newest good checkpoint below slot `below` in a shard's directory, for a program that
    /// knows format levels up to `known`.
    ///
    /// # Errors
    /// When the system is short of something, the directory cannot be read, or a newer program wrote a
    /// checkpoint, a run or a span. What is damaged is no error: an older checkpoint serves, or the journal.
    pub fn newest(
        storage: &dyn Storage,
        owner: &FileOwner,
        (shards, known): (u16, FormatLevel),
        below: Slot,
    ) -> Result<RestoredState, OpenError> {
        let names = storage.list().map_err(StorageError::at(StorageOp::List, ".", 0))?;
        let mut restored = RestoredState::none(owner, shards);
        let last_run = names.iter().filter_map(|name| parse_run_file_name(name)).max();
        restored.next_run = RunId(last_run.map_or(0, |run| run.0) + 1);
        let mut slots: Vec<Slot> =
            names.iter().filter_map(|name| parse_checkpoint_file_name(name)).collect();
        slots.sort_unstable();
        for slot in slots.into_iter().rev().filter(|slot| *slot < below) {
            // One more is one that was on its way out: segments went by the older of the other two (C26).
            if restored.kept.len() == CHECKPOINTS_KEPT {
                break;
            }
            settle(storage, &checkpoint_file_name(slot))?;
            let found = match restored.from {
                None => restored.take(storage, owner, (shards, known), slot),
                Some(_) => restored.note_older(storage, owner, slot),
            };
            match found {
                Ok(()) => {}
                Err(error) => restored.faults.push(error.damage()?.to_string()),
            }
        }
        restored.kept.reverse();
        let damaged_spans = restored.open_spans(storage, owner, &names)?;
        restored.unused = restored.unnamed(&names);
        if !restored.faults.is_empty() {
            let unfinished = |name: &String| name.ends_with(UNFINISHED);
            (restored.unused, restored.doubted) =
                std::mem::take(&mut restored.unused).into_iter().partition(unfinished);
        }
        restored.faults.extend(damaged_spans);
        let (heal, damaged_note) = read_note(storage, owner)?;
        restored.heal = heal;
        restored.faults.extend(damaged_note);
        Ok(restored)
    }

    /// Opens the spans of the slots that the runs have, none of which shares slots with another: what was
    /// written before a start from an older checkpoint may. A damaged one is none: it is made anew from
    /// the runs. Returns what is wrong.
    fn open_spans(
        &mut self,
        storage: &dyn Storage,
        owner: &FileOwner,
        names: &[String],
    ) -> Result<Vec<String>, OpenError> {
        let mut faults = Vec::new();
        let Some(mut end) = self.runs.upto() else { return Ok(faults) };
        // The names are sorted.
        for slot in names.iter().rev().filter_map(|name| parse_span_file_name(name)) {
            if slot > end {
                continue;
            }
            match Span::open(storage, &span_file_name(slot), owner) {
                Ok(span) => {
                    end = span.spec().after;
                    self.spans.push(Arc::new(span));
                }
                Err(RunError::Damaged(damage)) => faults.push(not_newer(damage)?.to_string()),
                Err(RunError::Storage(error)) => return Err(error.into()),
            }
        }
        Ok(faults)
    }

    /// Begins from this checkpoint, if all that it names is there.
    fn take(
        &mut self,
        storage: &dyn Storage,
        owner: &FileOwner,
        place: (u16, FormatLevel),
        slot: Slot,
    ) -> Result<(), ReadError> {
        let (machine, (ending, manifest)) = restore(storage, owner, place, slot)?;
        self.runs = open_runs(storage, owner, slot, &manifest.runs)?;
        self.machine = machine;
        self.from = Some((slot, manifest.journal));
        self.released.clone_from(&manifest.released);
        (self.installed, self.absent) = (manifest.installed.clone(), manifest.absent.clone());
        self.kept.push(kept(slot, &ending, &manifest));
        Ok(())
    }

    /// Keeps an older checkpoint, with what it names.
    fn note_older(
        &mut self,
        storage: &dyn Storage,
        owner: &FileOwner,
        slot: Slot,
    ) -> Result<(), ReadError> {
        let (ending, manifest) = read_manifest(storage, owner, slot)?;
        self.kept.push(kept(slot, &ending, &manifest));
        Ok(())
    }

    /// Names of files in the directory that nothing here has a use for: unfinished ones, runs that no
    /// checkpoint names, and spans of other slots or that are damaged.
    fn unnamed(&self, names: &[String]) -> Vec<String> {
        let slots: BTreeSet<String> =
            self.kept.iter().map(|kept| checkpoint_file_name(kept.slot)).collect();
        let runs: BTreeSet<String> =
            self.kept.iter().flat_map(|kept| &kept.runs).map(|run| run_file_name(*run)).collect();
        let spans: BTreeSet<&str> = self.spans.iter().map(|span| span.name()).collect();
        let is_unused = |name: &&String| {
            let whole = name.strip_suffix(UNFINISHED).unwrap_or(name);
            let is_of_index =
                parse_run_file_name(whole).is_some() || parse_span_file_name(whole).is_some();
            // What has arrived of a checkpoint is of use until a newer one is here.
            let newest = self.kept.last().map_or(Slot(0), |kept| kept.slot);
            let is_part = part_file_slot(name).is_some_and(|slot| slot <= newest);
            let is_checkpoint = parse_checkpoint_file_name(whole).is_some();
            let is_used = slots.contains(*name) || runs.contains(*name);
            let is_note = whole == HEAL_FILE && whole != name.as_str();
            (is_of_index || is_part || is_checkpoint || is_note)
                && !is_used
                && !spans.contains(name.as_str())
        };
        names.iter().filter(is_unused).cloned().collect()
    }
}

fn kept(slot: Slot, ending: &CheckpointFooter, manifest: &Manifest) -> Kept {
    let runs = manifest.runs.iter().map(|run| run.id).collect();
    let CheckpointFooter { digest, state_bytes, .. } = *ending;
    Kept { slot, digest, runs, state_bytes, journal: manifest.journal }
}

/// The state of the checkpoint at a slot, and what the file says of itself.
pub(super) fn restore(
    storage: &dyn Storage,
    owner: &FileOwner,
    (shards, known): (u16, FormatLevel),
    slot: Slot,
) -> Result<(Machine, (CheckpointFooter, Manifest)), ReadError> {
    let mut restore = Restore::new(owner.shard, shards, known);
    let found = read_checkpoint(storage, owner, slot, &mut |piece| restore.take(piece))?;
    let damaged = |what: String| {
        let file = checkpoint_file_name(slot);
        ReadError::from(CheckpointFault::Damaged { file, offset: found.0.manifest_at, what })
    };
    let machine = restore.finish().map_err(|error| damaged(error.to_string()))?;
    if machine.applied_upto() != slot || machine.digest() != found.0.digest {
        let (upto, digest) = (machine.applied_upto(), machine.digest());
        return Err(damaged(format!("its state is that of slot {upto}, of digest {digest:016x}")));
    }
    Ok((machine, found))
}

/// What is to be known of the checkpoint at a slot where nobody needs its state: all of it is read and decoded
/// all the same (C25), in a small part of the memory.
pub(super) fn survey(
    storage: &dyn Storage,
    owner: &FileOwner,
    (shards, known): (u16, FormatLevel),
    slot: Slot,
) -> Result<SnapshotSurvey, ReadError> {
    let mut restore = Restore::survey_only(owner.shard, shards, known);
    let found = read_checkpoint(storage, owner, slot, &mut |piece| restore.take(piece))?;
    let damaged = |what: String| {
        let file = checkpoint_file_name(slot);
        ReadError::from(CheckpointFault::Damaged { file, offset: found.0.manifest_at, what })
    };
    let survey = restore.survey().map_err(|error| damaged(error.to_string()))?;
    let (upto, digest) = (survey.applied_upto, survey.digest);
    if upto != slot || digest != found.0.digest {
        return Err(damaged(format!("its state is that of slot {upto}, of digest {digest:016x}")));
    }
    Ok(survey)
}

/// What a killed process left unsynced becomes durable, and what the page cache shows is not believed.
fn settle(storage: &dyn Storage, name: &str) -> Result<(), StorageError> {
    match storage.sync(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        synced => synced.map_err(StorageError::at(StorageOp::Sync, name, 0))?,
    }
    storage.forget(name).map_err(StorageError::at(StorageOp::Read, name, 0))
}

/// Opens the runs that a checkpoint names.
pub(super) fn open_runs(
    storage: &dyn Storage,
    owner: &FileOwner,
    slot: Slot,
    entries: &[RunEntry],
) -> Result<RunSet, ReadError> {
    let damaged = |file: String, what: String| {
        ReadError::from(CheckpointFault::Damaged { file, offset: 0, what })
    };
    let mut runs = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = run_file_name(entry.id);
        settle(storage, &name)?;
        let run = match Run::open(storage, &name, owner) {
            Ok(run) => run,
            Err(RunError::Damaged(damage)) => {
                let damage = not_newer(damage).map_err(ReadError::Newer)?;
                return Err(damaged(name, damage.to_string()));
            }
            Err(RunError::Storage(error)) => return Err(error.into()),
        };
        if RunEntry::of(&run) != *entry {
            let what = format!("it is not the run that {} names", checkpoint_file_name(slot));
            return Err(damaged(name, what));
        }
        runs.push(Arc::new(run));
    }
    let upto = runs.last().map_or(Slot(0), |run| run.upto());
    let set = RunSet::new(runs)
        .map_err(|apart| damaged(checkpoint_file_name(slot), apart.to_string()))?;
    if upto > slot {
        let what = format!("its runs are of slots up to {upto}");
        return Err(damaged(checkpoint_file_name(slot), what));
    }
    Ok(set)
}
