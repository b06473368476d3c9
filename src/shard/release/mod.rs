//! What the journal need not keep any more, and when it goes (C26).
//!
//! Spans are looked at after each checkpoint: those whose last live entry is gone are found, a few
//! rows at a time. Then it is decided which segments may go, and one record names them; the journal
//! removes them once it is durable.

mod confirm;
mod decision;
#[cfg(test)]
mod decision_tests;

use self::decision::{Basis, Decision};
use super::checkpoints::Checkpoints;
use super::compaction::Compaction;
use super::core::Core;
use super::disk_job::DiskJob;
use super::keeping::{Keeping, Stays};
use super::spans::RowsWanted;
use super::turn::Turn;
use crate::checkpoint::{Kept, SpanDone, SpanJob};
use crate::index::{SpanRow, SpanSpec, span_file_name};
use crate::limits::{CHECKPOINTS_KEPT, EXTENT_RUN_BYTES, SPANS_LOOKED_AT};
use crate::machine::Machine;
use crate::types::{Index, NodeId, SegmentId, Slot, Tick};
use crate::wire::peer::InstallChunk;

/// What could not go yet is looked at again after this.
const AGAIN_US: u64 = 1_000_000;

/// Has segments released.
#[derive(Debug, Default)]
pub struct SegmentRelease {
    /// The span for which a job is under way, by its last slot.
    under_way: Option<Slot>,
    /// The newest checkpoint when spans were last looked at.
    looked_at: Slot,
    /// No span is made anew before there is a newer checkpoint than this one: there was no space, or a run
    /// is damaged.
    failed_at: Option<Slot>,
    /// When it is decided again.
    decide_at: Option<Tick>,
    /// The older checkpoint, while no other voter has confirmed it.
    unconfirmed: Option<Slot>,
    /// What was decided last.
    last: Decision,
}

/// What waits for checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Segments could go if there were a newer checkpoint.
    pub wants_cut: bool,
    /// A disk is short of space, or a node waits for a checkpoint to heal from.
    pub is_urgent: bool,
}

/// What stays only because entries in it are live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pinned<'a> {
    /// The segments, by rising number, and their bytes.
    pub segments: &'a [(SegmentId, u64)],
    /// Their bytes together.
    pub bytes: u64,
    /// Bytes of those that a start still reads, or with slots above the older checkpoint's, and how many they are.
    pub waiting: (u64, usize),
    /// Bytes of segments without live entries that are still there.
    pub dead_bytes: u64,
    /// A disk is short of space that they take.
    pub is_short: bool,
}

impl SegmentRelease {
    /// Has the next step done, if none is under way.
    pub(super) fn go_on(
        &mut self,
        turn: &mut Turn<'_>,
        checkpoints: &mut Checkpoints,
        compaction: &Compaction,
    ) {
        if turn.core.failed {
            return;
        }
        let newest = checkpoints.kept().last().map_or(Slot(0), |kept| kept.slot);
        if newest > self.looked_at {
            self.looked_at = newest;
            self.decide_at = Some(turn.now);
            turn.core.spans.look_again();
        }
        let reserve_bytes = reserve_bytes(turn.core, checkpoints.state_bytes());
        turn.core.journal.set_reserve_bytes(reserve_bytes);
        // A state in doubt says nothing of what is live (R23).
        if turn.core.replica.is_doubtful() {
            self.last = Decision { stays: Stays::Doubt, ..Decision::default() };
        } else if self.under_way.is_none() && !self.read_on(turn) {
            self.decide(turn, checkpoints, compaction);
        }
        let Decision { dead_bytes, mut stays, oldest, .. } = self.last;
        if stays == Stays::Live && oldest.is_some() && oldest == compaction.segment() {
            stays = Stays::Compacted;
        }
        let reserve_bytes = turn.core.journal.reserve_bytes();
        turn.core.keeping = Keeping { dead_bytes, reserve_bytes, stays };
    }

    /// Looks at spans; true while that is not finished.
    fn read_on(&mut self, turn: &mut Turn<'_>) -> bool {
        if !turn.core.spans.is_looking() {
            return false;
        }
        let Core { spans, machine, .. } = &mut *turn.core;
        let is_live = |row: &SpanRow| row_is_live(machine, row);
        let wanted = spans.look(machine.applied_upto(), SPANS_LOOKED_AT, is_live);
        if let Some(RowsWanted { span, block }) = wanted {
            self.under_way = Some(span.spec().upto);
            turn.run(DiskJob::Span(SpanJob::Read { span, block }));
            return true;
        }
        self.decide_at = Some(turn.now);
        turn.core.spans.is_looking()
    }

    /// Decides what goes, where it is time, and nothing is on its way out.
    fn decide(
        &mut self,
        turn: &mut Turn<'_>,
        checkpoints: &mut Checkpoints,
        compaction: &Compaction,
    ) {
        let due = self.decide_at.is_some_and(|at| turn.now >= at);
        if !due || turn.core.journal.is_releasing() {
            return;
        }
        self.decide_at = None;
        checkpoints.let_go(turn.now, is_short(turn.core), turn.core.index.runs());
        let kept = checkpoints.kept();
        let (Some(oldest), Some(newest)) = (kept.first(), kept.last()) else { return };
        let (oldest, newest, start) = (oldest.slot, newest.slot, newest.journal);
        let core = &mut *turn.core;
        let is_confirmed = core.replica.is_confirmed(oldest);
        self.unconfirmed = (!is_confirmed).then_some(oldest);
        let is_short = is_short(core);
        let catchup_bytes = if is_short { 0 } else { core.options.catchup_bytes };
        let spans = &core.spans;
        let emptied = compaction.emptied();
        let basis = Basis { kept, spans, is_confirmed, catchup_bytes, emptied };
        self.last = basis.decide(core.journal.releasable(&start));
        let keeps_more = kept.len() > CHECKPOINTS_KEPT;
        let waits = keeps_more || self.last.dead_bytes > 0 || self.last.missing.is_some();
        if waits || core.journal.is_spilling() {
            self.decide_at = Some(turn.now.after(AGAIN_US));
        }
        if !is_confirmed && self.last.dead_bytes > 0 {
            confirm::ask(turn, oldest);
        }
        let core = &mut *turn.core;
        if !self.last.goes.is_empty() {
            let released = core.journal.release(&self.last.goes);
            let count = released.segments() - core.journal.last_released().segments();
            if count == 0 {
                return; // No more ranges can be named: it is decided again in a while.
            }
            log::info!("shard {}: {count} segments of the journal go", core.options.shard);
            core.tally.released_segments += count;
            core.record_released(released);
            self.decide_at = Some(turn.now);
        } else if let Some((after, upto)) = self.last.missing {
            self.make(turn, checkpoints, (after, upto), newest);
        } else {
            let names = core.spans.forget(oldest, &self.last.kept_slots, newest);
            names.into_iter().for_each(|name| checkpoints.discard(name));
        }
    }

    /// A peer says which digest its state had at a slot. Where that confirms the older checkpoint, what may go is
    /// decided anew.
    pub(super) fn hear(
        &mut self,
        turn: &mut Turn<'_>,
        from: NodeId,
        chunk: &InstallChunk,
        kept: &[Kept],
    ) {
        confirm::hear(turn, from, chunk, kept);
        let confirmed = self.unconfirmed.take_if(|slot| turn.core.replica.is_confirmed(*slot));
        if confirmed.is_some() {
            self.decide_at = Some(turn.now);
        }
    }

    /// Has a span made anew, whose file is lost.
    fn make(
        &mut self,
        turn: &mut Turn<'_>,
        checkpoints: &mut Checkpoints,
        (after, upto): (Slot, Slot),
        newest: Slot,
    ) {
        if self.failed_at >= Some(newest) || !checkpoints.hand_over(&span_file_name(upto)) {
            return;
        }
        let spec = SpanSpec { owner: checkpoints.owner(), after, upto };
        let runs = turn.core.index.runs().clone();
        let min_free_bytes = turn.core.journal.min_free_bytes();
        let level = turn.core.machine.levels().level();
        self.under_way = Some(upto);
        turn.run(DiskJob::Span(SpanJob::Make { spec, runs, level, min_free_bytes }));
    }

    /// A job for a span is done.
    pub(super) fn done(&mut self, core: &mut Core, done: SpanDone) {
        let upto = self.under_way.take().expect("a job that is done was under way");
        let Core { spans, machine, options, .. } = core;
        match done {
            SpanDone::Rows(blocks) => {
                spans.read(upto, &blocks, |row| row_is_live(machine, row));
            }
            SpanDone::Made(span) => {
                spans.made(span);
                spans.look_again();
            }
            SpanDone::Damaged(damage) => {
                log::warn!("shard {}: the span up to slot {upto}: {damage}", options.shard);
                if !spans.lost(upto) {
                    self.failed_at = Some(self.looked_at);
                    core.note_damage(&damage); // What it was to be made of is damaged.
                }
            }
            SpanDone::Abandoned(why) => {
                log::warn!("shard {}: no span up to slot {upto}: {why}", options.shard);
                self.failed_at = Some(self.looked_at);
            }
        }
    }

    /// When the next tick is needed, unless something happens before.
    pub(super) fn next_deadline(&self, now: Tick, core: &Core) -> Option<Tick> {
        if self.under_way.is_some() || core.replica.is_doubtful() {
            return None;
        }
        let looks = core.spans.is_looking().then_some(now);
        looks.or_else(|| self.decide_at.filter(|_| !core.journal.is_releasing()))
    }

    /// No job is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_none()
    }

    /// What stays only because entries in it are live.
    pub(super) fn pinned(&self, core: &Core) -> Pinned<'_> {
        let Decision { pinned, pinned_bytes, waiting, dead_bytes, .. } = &self.last;
        Pinned {
            segments: pinned,
            bytes: *pinned_bytes,
            waiting: *waiting,
            dead_bytes: *dead_bytes,
            is_short: is_short(core),
        }
    }

    /// A segment was emptied: it is decided anew.
    pub(super) fn emptied(&mut self, now: Tick) {
        self.decide_at = Some(now);
    }

    /// What waits for checkpoints.
    pub(super) fn garbage(&self, core: &Core) -> Garbage {
        Garbage { wants_cut: self.last.wants_cut, is_urgent: is_short(core) }
    }
}

/// An entry of the row is live. A log's entries are dense, so that those of a row end with its last one.
fn row_is_live(machine: &Machine, row: &SpanRow) -> bool {
    let end = row.last.plus(1);
    machine.is_live(row.log, Index(end.0.saturating_sub(row.entries)), end)
}

/// This disk is short of space, or too many others are for appends to go on.
fn is_short(core: &Core) -> bool {
    !core.journal.has_room() || core.replica.full_nodes().is_some()
}

/// Space that is kept for a checkpoint, without which nothing could be released (R11): twice the state,
/// and the run of what is in memory.
fn reserve_bytes(core: &Core, state_bytes: u64) -> u64 {
    let runs = core.index.extents_in_memory() as u64 * EXTENT_RUN_BYTES;
    state_bytes.saturating_mul(2).saturating_add(runs)
}
