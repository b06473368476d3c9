//! Taking checkpoints: what was cut is written, read back, and noted, step by step (C24, C25).
//!
//! One step is under way at a time. The state is encoded in bounded pieces between the turns in which
//! later slots are applied; files are written by jobs. What cannot be done, because the disk is full or
//! what was read back is not what was written, is left, and the next cut tries again.
//!
//! `cut_digests` remembers the digests of the state at cuts, for peers that come to these later; `pace` says how fast a
//! state is written, `files` which files stay, and `replaced` what becomes of all of them when another state takes the
//! place.

mod cut_digests;
mod files;
mod pace;
mod replaced;

use self::cut_digests::CutDigests;
use self::pace::WritePace;
use crate::checkpoint::{
    CheckpointDone, CheckpointJob, Kept, Manifest, PIECE_OVERHEAD_BYTES, RUNS_LISTED_MAX,
    RestoredState, RunEntry, Written, checkpoint_file_name, header_bytes,
};
use crate::index::{Run, RunSpec, plan_merge, run_file_name, span_file_name};
use crate::journal::JournalStart;
use crate::limits::CHECKPOINT_PIECE_BYTES;
use crate::machine::SnapshotStep;
use crate::shard::core::Core;
use crate::shard::counters::CheckpointTally;
use crate::shard::deferred_drop::DeferredDrop;
use crate::shard::disk_job::DiskJob;
use crate::shard::turn::Turn;
use crate::types::{FileOwner, FormatLevel, Lsn, NodeId, RunId, Slot, SlotRanges, Tick};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The checkpoints of a shard on this node.
#[derive(Debug)]
pub struct Checkpoints {
    owner: FileOwner,
    /// Durable, and noted in the journal or found at the start; the oldest first.
    kept: Vec<Kept>,
    /// The number of the next run.
    next_run: RunId,
    /// The one that is being taken.
    taking: Option<Taking>,
    /// The step that is under way.
    under_way: Option<UnderWay>,
    /// How fast the state is written.
    pace: WritePace,
    /// Files that nothing names any more.
    unused: Vec<String>,
    /// Files that go once a newer checkpoint is taken.
    doubted: Vec<String>,
    /// Runs that were merged. A lookup under way may still read one: its file stays until then.
    merged: Vec<Arc<Run>>,
    /// A checkpoint was taken since runs were last looked at for a merge.
    may_merge: bool,
    /// Nothing new is begun: that of a peer is about to take the place of the state.
    is_held: bool,
    /// Checkpoints that peers install, and until when they are kept for that.
    kept_for: BTreeMap<NodeId, (Slot, Tick)>,
    /// The digests of the state at the last cuts.
    cut_digests: CutDigests,
    tally: CheckpointTally,
}

/// The step that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum UnderWay {
    /// One of the checkpoint that is being taken.
    Taking,
    /// These runs become this one.
    Merging(Range<usize>, RunId),
    /// Files of these names are being removed.
    Removing(Vec<String>),
}

/// A checkpoint that is being taken.
#[derive(Debug)]
struct Taking {
    slot: Slot,
    digest: u64,
    /// The format level of the state: its files are written at that one.
    level: FormatLevel,
    /// All records up to here were pushed when the cut was applied: the values that the state is made of.
    records_upto: Lsn,
    seed: u64,
    /// Slots whose values were absent when the cut was applied: what was fetched since need not be durable.
    absent: SlotRanges,
    /// Bytes of the state, and from where on a start reads the journal, once the file names both.
    state_bytes: u64,
    journal: Option<JournalStart>,
    phase: Phase,
}

/// What is to be done next for it, or is being done.
#[derive(Debug)]
enum Phase {
    /// The extents that were frozen are to be written as this run.
    Run(RunId),
    /// The file is to be begun.
    Begin,
    /// Pieces of the state are to be written.
    Pieces(Written),
    /// The end of the file is to be written, once the records that it speaks of are durable.
    Complete(Written),
    /// The file is to be read back.
    ReadBack,
    /// The record in the journal is to become durable.
    Record(Lsn),
}

impl Checkpoints {
    /// What a start found.
    pub(in crate::shard) fn start(owner: FileOwner, restored: &mut RestoredState) -> Checkpoints {
        Checkpoints {
            owner,
            kept: std::mem::take(&mut restored.kept),
            next_run: restored.next_run,
            taking: None,
            under_way: None,
            pace: WritePace::default(),
            unused: std::mem::take(&mut restored.unused),
            doubted: std::mem::take(&mut restored.doubted),
            merged: Vec::new(),
            may_merge: true,
            is_held: false,
            kept_for: BTreeMap::new(),
            cut_digests: CutDigests::default(),
            tally: CheckpointTally::default(),
        }
    }

    /// The state is that of a cut: a checkpoint of it begins, unless one is under way.
    pub(in crate::shard) fn cut(&mut self, now: Tick, core: &mut Core) {
        let slot = core.machine.applied_upto();
        let (digest, level) = (core.machine.digest(), core.machine.levels().level());
        if !core.replica.is_doubtful() {
            self.cut_digests.note(slot, digest);
        }
        // A step of a checkpoint that was left may be under way still: its outcome would be taken for one of this.
        let is_busy = self.taking.is_some() || self.under_way == Some(UnderWay::Taking);
        if is_busy || self.is_held || core.replica.is_doubtful() {
            self.tally.passed_over += 1;
            return;
        }
        core.machine.begin_snapshot();
        let frozen = core.index.freeze(slot).is_some();
        let facts = core.journal.facts_to_repeat(slot);
        core.repeat_facts(facts);
        core.record_chosen(now);
        let (_, seed) = header_bytes(slot, &self.owner, level);
        let phase = if frozen { Phase::Run(self.run_id()) } else { Phase::Begin };
        self.keep(&checkpoint_file_name(slot));
        self.keep(&span_file_name(slot));
        let records_upto = core.replica.next_lsn().prev();
        let (absent, state_bytes, journal) = (core.absent.ranges(), 0, None);
        self.taking = Some(Taking {
            slot,
            digest,
            level,
            records_upto,
            seed,
            absent,
            state_bytes,
            journal,
            phase,
        });
    }

    /// Has the next step done, if none is under way.
    pub(in crate::shard) fn go_on(&mut self, turn: &mut Turn<'_>) {
        if self.under_way.is_some() || self.is_held || turn.core.failed {
            return;
        }
        if self.taking.is_some() && turn.core.replica.is_doubtful() {
            self.abandon(turn.core, "the state is in doubt"); // R23
        }
        if let Some(Taking { slot, phase: Phase::Record(lsn), .. }) = self.taking
            && lsn <= turn.core.journal.durable_upto()
        {
            self.taken(turn, slot);
        }
        if self.rests_until(turn.core).is_some_and(|until| turn.now < until) {
            return;
        }
        let next = match self.next_step(turn.core) {
            Some(job) => Some((UnderWay::Taking, job)),
            None if self.taking.is_some() => None,
            None => self.next_removal().or_else(|| self.next_merge(turn.core)),
        };
        if let Some((under_way, job)) = next {
            if let CheckpointJob::Piece { bytes, .. } = &job {
                self.pace.wrote(turn.now, bytes.len());
            }
            self.under_way = Some(under_way);
            turn.run(DiskJob::Checkpoint(job));
        }
    }

    /// When the next piece of the state may be written; none where none is being written.
    fn rests_until(&self, core: &Core) -> Option<Tick> {
        let is_written = matches!(self.taking.as_ref()?.phase, Phase::Pieces(_));
        // Extents that come meanwhile stay in memory until the next cut.
        let extents_max = core.options.cuts.extents_max(core.machine.logs().count());
        let is_crowded = core.index.recent_extents() as u64 >= extents_max;
        is_written.then(|| self.pace.rests_until(core.machine.snapshot_overlay_bytes(), is_crowded))
    }

    /// When the next piece of the state is due, if one waits for its time.
    pub(in crate::shard) fn next_deadline(&self, core: &Core) -> Option<Tick> {
        self.rests_until(core).filter(|_| self.under_way.is_none() && !self.is_held && !core.failed)
    }

    /// The next step of the checkpoint that is being taken; none where something is to be waited for.
    fn next_step(&mut self, core: &mut Core) -> Option<CheckpointJob> {
        // The file will be about as large as the one before. Where something else has filled the disk, it takes of the
        // space that is left alone: without a checkpoint no segment can go.
        let min_free_bytes = core.journal.min_free_bytes() / 2 + self.state_bytes();
        let Taking {
            slot,
            digest,
            level,
            records_upto,
            seed,
            ref absent,
            journal: ref mut start,
            ref mut phase,
            ..
        } = *self.taking.as_mut()?;
        match phase {
            Phase::Run(run) => {
                let rows = core.index.frozen()?;
                let (owner, run) = (self.owner, *run);
                let after = core.index.runs().upto().unwrap_or(Slot(0));
                let logs_max = rows.logs() as u64;
                let spec = RunSpec { owner, run, after, upto: slot, logs_max, level };
                Some(CheckpointJob::Run { spec, rows, min_free_bytes })
            }
            Phase::Begin => {
                let (header, _) = header_bytes(slot, &self.owner, level);
                Some(CheckpointJob::Begin { slot, header, min_free_bytes })
            }
            Phase::Pieces(written) => {
                let mut bytes = vec![0; PIECE_OVERHEAD_BYTES];
                let step = core.machine.snapshot_step(CHECKPOINT_PIECE_BYTES, &mut bytes);
                written.is_whole = step == SnapshotStep::Done;
                let (offset, bytes) = written.add(bytes, seed);
                Some(CheckpointJob::Piece { slot, offset, bytes })
            }
            Phase::Complete(written) => {
                if core.journal.durable_upto() < records_upto {
                    return None;
                }
                let runs: Vec<RunEntry> =
                    core.index.runs().runs().iter().map(|run| RunEntry::of(run)).collect();
                let journal = core.journal.start_for(slot);
                let (Some(journal), true) = (journal, runs.len() <= RUNS_LISTED_MAX) else {
                    let count = runs.len();
                    let why = format!("no start of the journal, or too many runs: {count}");
                    self.abandon(core, &why);
                    return None;
                };
                *start = Some(journal);
                let absent = absent.clone();
                let installed = core.installed.clone();
                let released = core.journal.released().clone();
                let manifest = Manifest { journal, runs, installed, absent, released };
                let bytes = written.end(digest, &manifest, seed);
                Some(CheckpointJob::Complete { slot, offset: written.offset, bytes })
            }
            Phase::ReadBack => {
                let (owner, shards) = (self.owner, core.options.shards);
                let known = core.options.paxos.known_level;
                Some(CheckpointJob::ReadBack { owner, shards, known, slot, digest })
            }
            Phase::Record(_) => None,
        }
    }

    /// A step is done.
    pub(in crate::shard) fn done(&mut self, turn: &mut Turn<'_>, done: CheckpointDone) {
        let under_way = self.under_way.take().expect("a step that is done was under way");
        let shard = turn.core.options.shard;
        let is_damaged = matches!(done, CheckpointDone::IndexDamaged(_));
        match (under_way, done) {
            (
                UnderWay::Taking,
                CheckpointDone::Abandoned(why) | CheckpointDone::IndexDamaged(why),
            ) => self.abandon(turn.core, &why),
            (UnderWay::Taking, CheckpointDone::Frozen(run, _)) if self.taking.is_none() => {
                self.drop_run(run.id());
                self.unused.push(span_file_name(run.upto()));
            }
            (UnderWay::Taking, CheckpointDone::Frozen(run, span)) => {
                match turn.core.index.run_written(run) {
                    Ok(before) => turn.core.drops.push(DeferredDrop::Extents(before)),
                    Err(apart) => return self.abandon(turn.core, &apart.to_string()),
                }
                turn.core.spans.add(span);
                self.set_phase(Phase::Begin);
            }
            (UnderWay::Taking, CheckpointDone::Step | CheckpointDone::Run(_)) => {
                self.step_done(turn.core);
            }
            (UnderWay::Merging(range, _), CheckpointDone::Run(run)) => {
                self.tally.merges += 1;
                self.may_merge = true; // One more may be due.
                self.merged.extend_from_slice(&turn.core.index.runs().runs()[range.clone()]);
                let merged = turn.core.index.runs_merged(range, run);
                merged.expect("the run has the slots of those that it was made of");
            }
            (
                UnderWay::Merging(_, run),
                CheckpointDone::Abandoned(why) | CheckpointDone::IndexDamaged(why),
            ) => {
                turn.core.is_index_damaged |= is_damaged;
                self.drop_run(run);
                log::warn!("shard {shard}: runs of the index are not merged: {why}");
            }
            (UnderWay::Removing(names), CheckpointDone::Abandoned(_)) => {
                self.unused.extend(names);
                return; // Not at once: the disk is as full as it was.
            }
            (UnderWay::Merging(..) | UnderWay::Removing(_), _) => {}
        }
        self.go_on(turn);
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(taking) = &mut self.taking {
            taking.phase = phase;
        }
    }

    fn step_done(&mut self, core: &mut Core) {
        let Some(taking) = self.taking.take() else { return };
        let (slot, digest) = (taking.slot, taking.digest);
        let mut state_bytes = taking.state_bytes;
        let phase = match taking.phase {
            Phase::Run(_) => Phase::Begin,
            Phase::Begin => Phase::Pieces(Written::header()),
            Phase::Pieces(written) if written.is_whole => Phase::Complete(written),
            Phase::Pieces(written) => Phase::Pieces(written),
            Phase::Complete(written) => {
                state_bytes = written.state_bytes;
                Phase::ReadBack
            }
            Phase::ReadBack => Phase::Record(core.record_checkpoint((slot, slot), digest)),
            Phase::Record(lsn) => Phase::Record(lsn),
        };
        self.taking = Some(Taking { phase, state_bytes, ..taking });
    }

    /// The checkpoint cannot be taken: what was begun is undone, and the next cut tries again.
    fn abandon(&mut self, core: &mut Core, why: &str) {
        let Some(taking) = self.taking.take() else { return };
        let (shard, slot) = (core.options.shard, taking.slot);
        log::warn!("shard {shard}: the checkpoint at slot {slot} is left: {why}");
        self.tally.abandoned += 1;
        core.machine.drop_snapshot();
        let Core { index, machine, .. } = core;
        index.thaw(|log| machine.logs().next_index(log));
        let name = checkpoint_file_name(slot);
        self.unused.extend([format!("{name}.new"), name]);
        if let Phase::Run(run) = taking.phase {
            self.drop_run(run);
            let span = span_file_name(slot);
            self.unused.extend([format!("{span}.new"), span]);
        }
    }

    /// A run was not made: whatever there is of its file goes.
    fn drop_run(&mut self, run: RunId) {
        let name = run_file_name(run);
        self.unused.extend([format!("{name}.new"), name]);
    }

    /// A number for a new run.
    pub(in crate::shard) fn run_id(&mut self) -> RunId {
        let run = self.next_run;
        self.next_run = RunId(run.0 + 1);
        run
    }

    /// The checkpoint counts.
    fn taken(&mut self, turn: &mut Turn<'_>, slot: Slot) {
        let Some(taking) = self.taking.take() else { return };
        let Taking { digest, state_bytes, journal: Some(journal), .. } = taking else { return };
        let runs: Vec<RunId> = turn.core.index.runs().runs().iter().map(|run| run.id()).collect();
        self.tally.taken += 1;
        self.may_merge = true;
        self.unused.append(&mut self.doubted);
        self.kept.push(Kept { slot, digest, runs, state_bytes, journal });
        turn.core.checkpointed(slot);
        self.drop_surplus(turn.now, turn.core.index.runs());
    }

    /// Runs that are to become one, now that the newest checkpoint says which logs there are.
    fn next_merge(&mut self, core: &Core) -> Option<(UnderWay, CheckpointJob)> {
        let slot = self.kept.last()?.slot;
        // A checkpoint that was left may have left its run: of younger logs this one knows nothing.
        if core.index.runs().upto().is_some_and(|upto| upto > slot) {
            return None;
        }
        if !std::mem::take(&mut self.may_merge) {
            return None;
        }
        let range = plan_merge(core.index.runs())?;
        let inputs = core.index.runs().runs()[range.clone()].to_vec();
        let (owner, shards, run) = (self.owner, core.options.shards, self.run_id());
        let bytes: u64 = inputs.iter().map(|run| run.file_bytes()).sum();
        let min_free_bytes = core.journal.min_free_bytes().saturating_add(bytes);
        let (known, level) = (core.options.paxos.known_level, core.machine.levels().level());
        let job =
            CheckpointJob::Merge { owner, shards, known, inputs, run, slot, level, min_free_bytes };
        Some((UnderWay::Merging(range, run), job))
    }

    /// Whose the files are.
    pub(in crate::shard) fn owner(&self) -> FileOwner {
        self.owner
    }

    /// Bytes of the state in the newest checkpoint.
    pub(in crate::shard) fn state_bytes(&self) -> u64 {
        self.kept.last().map_or(0, |kept| kept.state_bytes)
    }

    /// The checkpoints that count, the oldest first.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The digest of the state at a slot: of a checkpoint, or of a cut that was left behind.
    pub(in crate::shard) fn digest_at(&self, slot: Slot) -> Option<u64> {
        let kept = self.kept.iter().find(|kept| kept.slot == slot).map(|kept| kept.digest);
        kept.or_else(|| self.cut_digests.at(slot))
    }

    /// A file of this name is one of them, or of the one that is being taken.
    pub(in crate::shard) fn has(&self, name: &str) -> bool {
        let slots = self.kept.iter().map(|kept| kept.slot).chain(self.taking());
        slots.into_iter().any(|slot| checkpoint_file_name(slot) == name)
    }

    /// What became of them since the start.
    #[must_use]
    pub fn tally(&self) -> CheckpointTally {
        self.tally
    }

    /// The slot of the one that is being taken.
    #[must_use]
    pub fn taking(&self) -> Option<Slot> {
        self.taking.as_ref().map(|taking| taking.slot)
    }
}
