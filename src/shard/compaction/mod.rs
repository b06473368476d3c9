//! Live values of mostly dead segments are written down again, so that the segments can go (C30).
//!
//! A segment stays while one entry in it is live. Where more than half of what stays so is garbage, the
//! segments are looked at one after the other: a walk reads the values in which entries may be live and holds
//! them against the index. Where what is live of them takes half of the segment or less, a second walk writes that
//! down again in the ordinary journal: of a value the extents that are live, as a remnant; where that is nearly all
//! of it, or the format level is below that of remnants (C32c), the value as a whole, as a learned one. A remnant is
//! good for reads, and for nothing else: all slots here are at or below the older checkpoint. Once the copies are
//! durable the segment is *emptied*: release goes by that as by a segment of which every entry is dead. After a
//! restart nothing is known of it, but a second look finds that other records count.

mod choice;
mod job;
mod pace;
mod walk;

pub use self::job::{CompactionDone, CompactionJob};

use self::choice::{Prospect, Rounds};
use self::job::{Step, StepFound};
use self::pace::CompactionPace;
use self::walk::{Next, Pass, SegmentWalk, read_bytes};
use super::core::Core;
use super::counters::CompactionTally;
use super::disk_job::DiskJob;
use super::install::log_ends;
use super::journal_reads::JournalRead;
use super::release::Pinned;
use super::turn::Turn;
use crate::checkpoint::install::{KeptPart, RecordsBeside, ValueFault, Verified, VerifyValues};
use crate::limits::{
    COMPACTION_NO_ROOM_US, COMPACTION_PENDING_BYTES, COMPACTION_WAIT_US, value_room_bytes,
};
use crate::machine::is_remnant;
use crate::types::{Ballot, Lsn, SegmentId, Slot, Tick, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Copies what is live out of mostly dead segments.
#[derive(Debug, Default)]
pub struct Compaction {
    /// Segments of which every live value has a durable copy elsewhere. What was not copied was dead in the
    /// state after this slot.
    emptied: BTreeMap<SegmentId, Slot>,
    walk: Option<SegmentWalk>,
    /// The step that is under way.
    under_way: Option<u64>,
    /// All of a segment is copied: it is emptied once this record is durable.
    settles: Option<(SegmentId, Slot, Lsn)>,
    rounds: Rounds,
    pace: CompactionPace,
    /// No walk is begun before that.
    rest_until: Tick,
    /// More could be compacted if there were a newer checkpoint.
    wants_cut: bool,
    /// When it goes on, unless something happens before.
    wake: Option<Tick>,
    tally: CompactionTally,
}

/// Whether a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    On,
    /// It waits until then, or for a step that is under way.
    Waits(Option<Tick>),
    /// The segment stays as it is.
    Leaves,
}

impl Compaction {
    /// Segments of which every live value has a durable copy elsewhere, with the slot of the state that says
    /// what is live.
    pub(super) fn emptied(&self) -> &BTreeMap<SegmentId, Slot> {
        &self.emptied
    }

    /// What was done since the start.
    pub(super) fn tally(&self) -> CompactionTally {
        self.tally
    }

    /// More could be compacted if there were a newer checkpoint.
    pub(super) fn wants_cut(&self) -> bool {
        self.wants_cut
    }

    /// The segment that is being compacted.
    pub(super) fn segment(&self) -> Option<SegmentId> {
        let settles = self.settles.map(|(segment, ..)| segment);
        let copied = self.walk.as_ref().filter(|walk| walk.pass == Pass::Copy);
        settles.or_else(|| copied.map(SegmentWalk::segment))
    }

    /// When the next tick is needed, unless something happens before.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.wake
    }

    /// The state was replaced, or is in doubt: what is being done was decided by the one before.
    pub(super) fn leave(&mut self) {
        (self.walk, self.under_way, self.settles, self.wake) = (None, None, None, None);
        self.emptied.clear();
    }

    /// Does what can be done now. True when a segment was emptied: it may go.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_>, pinned: &Pinned<'_>) -> bool {
        self.wake = None;
        if turn.core.failed {
            return false;
        }
        if turn.core.replica.is_doubtful() {
            self.leave();
            return false;
        }
        let released = turn.core.journal.last_released();
        self.emptied.retain(|segment, _| !released.contains(*segment));
        self.pace.earn(turn.now, turn.core.tally.applied_bytes);
        if let Some((segment, state, lsn)) = self.settles {
            return self.settle(turn.core, (segment, state, lsn));
        }
        if self.under_way.is_some() {
            return false;
        }
        if self.walk.is_none() {
            self.begin(turn, pinned);
        }
        let Some(mut walk) = self.walk.take() else { return false };
        match self.step(turn, &mut walk, pinned.is_short) {
            Goes::On => self.finish(turn, &walk),
            Goes::Waits(until) => (self.walk, self.wake) = (Some(walk), until),
            Goes::Leaves => self.wake = Some(turn.now.after(COMPACTION_WAIT_US)),
        }
        false
    }

    /// Takes the next segment, if it is worth while.
    fn begin(&mut self, turn: &Turn<'_>, pinned: &Pinned<'_>) {
        let core = &turn.core;
        let is_stale =
            |(last, _)| pinned.segments.binary_search_by_key(last, |(id, _)| *id).is_ok();
        if self.emptied.last_key_value().is_some_and(is_stale) {
            return; // What is pinned is decided anew first.
        }
        let doubts_own = core.absent.doubts_own(core.options.paxos.me);
        if turn.now < self.rest_until || core.journal.is_placing() || doubts_own {
            self.wake = Some(self.rest_until.max(turn.now.after(COMPACTION_WAIT_US)));
            return;
        }
        let prospect = |waiting: (u64, usize)| Prospect {
            pinned_bytes: pinned.bytes + waiting.0,
            pinned: pinned.segments.len() + waiting.1,
            live_bytes: core.machine.live_bytes(),
            dead_bytes: pinned.dead_bytes,
            catchup_bytes: core.options.catchup_bytes,
            is_short: pinned.is_short,
            allows_remnants: core.allows_remnants(),
        };
        self.wants_cut = pinned.waiting.1 > 0 && prospect(pinned.waiting).is_worth_it();
        let prospect = prospect((0, 0));
        let next = self.rounds.next(turn.now, &prospect, pinned.segments);
        self.wake = self.rounds.next_deadline(turn.now, &prospect);
        let Some((segment, bytes)) = next else { return };
        self.wake = Some(turn.now.after(COMPACTION_WAIT_US));
        // Where no file of places serves, it is looked at in the next round.
        let Some(of) = core.journal.segment_slots(segment) else { return };
        let among = core.spans.live_slots(of.ranges());
        self.walk = Some(SegmentWalk::new(of, bytes, among));
    }

    /// Does the next step of a walk; goes on where all of the segment is copied.
    fn step(&mut self, turn: &mut Turn<'_>, walk: &mut SegmentWalk, is_short: bool) -> Goes {
        if turn.core.journal.last_released().contains(walk.segment()) {
            return Goes::Leaves; // Its last live entry has gone meanwhile.
        }
        if let Some(until) = self.write_copies(turn, walk) {
            return Goes::Waits(Some(until));
        }
        if !is_short && !self.pace.may_go() {
            return Goes::Waits(Some(self.pace.due().max(turn.now.after(1))));
        }
        let segment = walk.segment();
        let step = match walk.next() {
            Next::List(from) => Step::List { of: walk.of.clone(), among: walk.among.clone(), from },
            Next::Read(slots) => {
                let (cache, end) = (Arc::clone(&turn.core.block_cache), Slot(u64::MAX));
                let source = turn.core.journal.piece_source(&slots, end, cache);
                Step::Read { source, segment, slots, reads_others: walk.pass == Pass::Copy }
            }
            Next::End if walk.pass == Pass::Survey => {
                walk.begin_copy();
                return self.step(turn, walk, is_short);
            }
            Next::End => return await_mends(turn, walk),
        };
        self.run(turn, step);
        Goes::Waits(None)
    }

    fn run(&mut self, turn: &mut Turn<'_>, step: Step) {
        let token = turn.core.journal_reads.token();
        turn.core.journal_reads.begin(token, JournalRead::Compaction);
        self.under_way = Some(token);
        turn.run(DiskJob::Compaction(Box::new(CompactionJob { token, step })));
    }

    /// Writes copies down, as far as live traffic and the disk leave space; else says when to go on.
    fn write_copies(&mut self, turn: &mut Turn<'_>, walk: &mut SegmentWalk) -> Option<Tick> {
        let mut room_bytes = 0;
        while let Some((slot, ballot, value)) = walk.copies.front() {
            if turn.core.journal.pending_bytes() >= COMPACTION_PENDING_BYTES {
                return Some(turn.now.after(COMPACTION_WAIT_US));
            }
            let (slot, ballot, value) = (*slot, *ballot, value.clone());
            let (bytes, is_remnant) = (value.len() as u64, is_remnant(&value));
            // What is written down here reaches the journal at the end of the step.
            room_bytes += value_room_bytes(value.len());
            let has_room = turn.core.has_room_to_copy(room_bytes);
            if !has_room || !turn.core.keep_value(slot, ballot, value) {
                return Some(turn.now.after(COMPACTION_NO_ROOM_US));
            }
            walk.copies.pop_front();
            self.tally.values += 1;
            self.tally.remnants += u64::from(is_remnant);
            self.tally.bytes += bytes;
        }
        None
    }

    /// All of a segment is copied, or on its way into the journal.
    fn finish(&mut self, turn: &Turn<'_>, walk: &SegmentWalk) {
        let core = &turn.core;
        let (state, lsn) = (core.machine.applied_upto(), core.replica.next_lsn().prev());
        self.settles = Some((walk.segment(), state, lsn));
        self.wake = Some(turn.now);
    }

    /// The copies are durable, if they are: nothing needs the segment any more.
    fn settle(&mut self, core: &Core, (segment, state, lsn): (SegmentId, Slot, Lsn)) -> bool {
        let is_durable = core.journal.durable_upto() >= lsn;
        if is_durable {
            self.settles = None;
            self.emptied.insert(segment, state);
            self.tally.segments += 1;
            log::info!("shard {}: segment {segment} is compacted", core.options.shard);
        }
        is_durable
    }

    /// A step is done.
    pub(super) fn done(&mut self, turn: &mut Turn<'_>, done: CompactionDone) {
        let CompactionDone { token, found, unplaced } = done;
        turn.core.journal_reads.finish(token);
        turn.core.journal.places_failed(&unplaced);
        if self.under_way.take_if(|under_way| *under_way == token).is_none() {
            return; // It was begun for a state that was replaced.
        }
        let Some(walk) = &mut self.walk else { return };
        if turn.core.journal.last_released().contains(walk.segment()) {
            return; // What was read of it says nothing.
        }
        match found {
            StepFound::Unclear => {
                self.rounds.look_again(walk.segment());
                self.rest_until = turn.now.after(COMPACTION_NO_ROOM_US);
                self.walk = None;
            }
            StepFound::Listed(listed) => walk.listed(listed),
            StepFound::Values(read) => {
                self.pace.spend(read_bytes(&read));
                let beside = read.beside.clone();
                let absent = &turn.core.absent;
                let (values, damaged) = walk.read(read, |slot| absent.contains(slot));
                for (slot, damage) in damaged {
                    turn.not_read(slot, &damage);
                }
                if !values.is_empty() {
                    self.verify(turn, values, beside);
                }
            }
            StepFound::Verified(verified) => {
                let Verified { values, beside, refused, .. } = verified;
                walk.verified(values, &beside);
                if let Some(refused) = &refused {
                    not_believed(turn, walk.segment(), refused);
                }
                if refused.is_some() || walk.is_too_live() {
                    self.walk = None;
                }
            }
        }
    }

    fn verify(
        &mut self,
        turn: &mut Turn<'_>,
        values: Vec<(Slot, Ballot, Value)>,
        beside: RecordsBeside,
    ) {
        let all = values.iter().map(|(_, _, value)| value);
        let all = all.chain(beside.values().flatten().map(|(_, value)| value));
        let logs = log_ends(turn.core, all);
        let runs = turn.core.index.runs().clone();
        let from = turn.core.options.paxos.me;
        let wanted = if turn.core.allows_remnants() { KeptPart::CutDown } else { KeptPart::Whole };
        let verify = VerifyValues { from, values, beside, among: None, wanted, runs, logs };
        self.run(turn, Step::Verify(verify));
    }
}

/// A value is not what the index says.
fn not_believed(
    turn: &mut Turn<'_>,
    segment: SegmentId,
    (slot, ballot, why): &(Slot, Ballot, ValueFault),
) {
    log::error!(
        "shard {}: segment {segment} is not compacted: the value of slot {slot} is not what the index says: {why}",
        turn.core.options.shard
    );
    match why {
        ValueFault::DamagedIndex(damage) => drop(turn.core.note_damage(damage)),
        // The record is whole, so that it is not clear which of the two is wrong. What a peer has is held against the
        // index too: without it each walk of the segment would end here.
        ValueFault::OtherValue(_) => {
            turn.lost(*slot, *ballot, &format!("slot {slot} is wrong here"))
        }
    }
}

/// Waits for what peers are to give of a segment.
fn await_mends(turn: &Turn<'_>, walk: &mut SegmentWalk) -> Goes {
    let absent = &turn.core.absent;
    if walk.is_mended(|slot| absent.contains(slot)) {
        return Goes::On;
    }
    if turn.now >= walk.mend_until(turn.now) {
        return Goes::Leaves;
    }
    Goes::Waits(Some(turn.now.after(COMPACTION_WAIT_US)))
}
