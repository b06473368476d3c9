//! What a member has of the entries that a leader asks about: each value is read from the disk, and held against the
//! index. Of a value that was cut down to what was live (C30), entries of other logs may be all that is left. What a
//! disk fails to deliver may be there all the same: the node cannot say.

use super::job::LossJob;
use crate::checkpoint::install::{KeptPart, RecordsBeside, ValueFault, Verified, VerifyValues};
use crate::journal::{Job, ReadDamage, ReadResult};
use crate::limits::{LEARN_BYTES_MAX, LEARN_SLOTS_MAX, LOST_ROWS_MAX};
use crate::shard::disk_job::DiskJob;
use crate::shard::install::log_ends;
use crate::shard::journal_reads::{JournalRead, any_unreadable};
use crate::shard::turn::Turn;
use crate::types::{Ballot, LogId, LostRange, NodeId, Slot, SlotRanges, Value};
use crate::wire::peer::{LossAnswer, LossAsk, LossVerdict};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Checks under way, one for each node that asks.
#[derive(Debug, Default)]
pub struct Holdings {
    checks: BTreeMap<NodeId, Check>,
    /// Reads of the journal under way, those of checks that are over among them.
    reading: BTreeSet<u64>,
}

/// A check of some slots.
#[derive(Debug)]
struct Check {
    attempt: u64,
    /// Entries of this log alone are looked for, and of them those of this range.
    log: LogId,
    range: LostRange,
    /// Slots that were not looked at yet, by rising slot.
    left: VecDeque<Slot>,
    /// Values that were read, and are being held against the index.
    values: Vec<(Slot, Ballot, Value)>,
    /// Other records of those slots: one may have what another lacks.
    beside: RecordsBeside,
    /// What is under way.
    token: u64,
    /// So many segments were released when the read began.
    released_before: u64,
}

/// An answer, and who gets it.
pub(in crate::shard) type Answer = (NodeId, LossAnswer);

impl Holdings {
    /// A node asks, this one itself where it leads. The newest checkpoint stands for all slots up to `known`.
    pub(in crate::shard) fn ask(
        &mut self,
        turn: &mut Turn<'_>,
        from: NodeId,
        ask: &LossAsk,
        known: Slot,
    ) -> Option<Answer> {
        let LossAsk { attempt, log, from: first, before, slots } = ask;
        let answer = |verdict| Some((from, LossAnswer { attempt: *attempt, verdict }));
        if turn.core.replica.is_doubtful() {
            return answer(LossVerdict::InDoubt);
        }
        // Of slots above its checkpoint a node may learn values that it does not have yet.
        let is_known = |(first, last): &(Slot, Slot)| Slot(0) < *first && *last <= known;
        if let Some((_, last)) = slots.iter().find(|range| !is_known(range)) {
            return answer(LossVerdict::Unclear(*last));
        }
        let slots = SlotRanges::new(slots.iter().copied()); // Whatever order they come in.
        if slots.count() == 0 || slots.count() > LOST_ROWS_MAX as u64 {
            return answer(LossVerdict::Unclear(known));
        }
        let left = slots
            .as_slice()
            .iter()
            .flat_map(|(first, last)| (first.0..=last.0).map(Slot))
            .collect();
        let (attempt, log) = (*attempt, *log);
        let range = LostRange { from: *first, before: *before };
        let (values, beside) = (Vec::new(), BTreeMap::new());
        let check =
            Check { attempt, log, range, left, values, beside, token: 0, released_before: 0 };
        self.checks.insert(from, check);
        self.go_on(turn, from)
    }

    /// Reads what is next of a check; answers where nothing is left.
    fn go_on(&mut self, turn: &mut Turn<'_>, from: NodeId) -> Option<Answer> {
        let check = self.checks.get_mut(&from)?;
        let slots: Vec<Slot> = check.left.iter().take(LEARN_SLOTS_MAX as usize).copied().collect();
        let core = &mut *turn.core;
        if let Some(slot) = slots.iter().find(|slot| core.absent.may_come(**slot)) {
            return self.end(from, LossVerdict::Unclear(*slot));
        }
        if slots.is_empty() {
            return self.end(from, LossVerdict::Absent);
        }
        check.token = core.journal_reads.token();
        check.released_before = core.tally.released_segments;
        core.journal_reads.begin(check.token, JournalRead::Loss);
        self.reading.insert(check.token);
        let job = core.journal.read_anything(check.token, slots, LEARN_BYTES_MAX);
        turn.run(Job::Read(job));
        None
    }

    /// The journal delivered what it has.
    pub(in crate::shard) fn read(
        &mut self,
        turn: &mut Turn<'_>,
        token: u64,
        results: Vec<(Slot, ReadResult)>,
    ) -> Option<Answer> {
        self.reading.remove(&token);
        let (from, check) = self.checks.iter_mut().find(|(_, check)| check.token == token)?;
        let from = *from;
        if check.released_before != turn.core.tally.released_segments {
            // Segments went while it was read: copies of what lived in them may be elsewhere.
            return self.go_on(turn, from);
        }
        let next = check.left.front().copied().unwrap_or_default();
        let (mut looked_at, mut verdict) = (0, None);
        for records in results.chunk_by(|(slot, _), (other, _)| slot == other) {
            let slot = records[0].0;
            let good = records.iter().filter_map(|(_, found)| found.as_ref().ok());
            let mut good = good.map(|(ballot, value)| (*ballot, value.clone()));
            match &records[0].1 {
                Err(ReadDamage::Unplaced { .. }) => break,
                Ok(_) if turn.core.cache.get(slot).is_some() => {
                    verdict = verdict.or(Some(LossVerdict::Held(slot)));
                }
                Err(damage) if turn.core.keep_cached(slot, damage.ballot()) => {
                    verdict = verdict.or(Some(LossVerdict::Held(slot)));
                }
                // Nobody has read it before: it is fetched, as after any read that fails.
                Err(damage) if !turn.core.absent.contains(slot) => turn.not_read(slot, damage),
                Ok(_) | Err(_) => {}
            }
            if any_unreadable(records) {
                verdict = verdict.or(Some(LossVerdict::Unclear(slot)));
            }
            if let Some((ballot, value)) = good.next() {
                check.values.push((slot, ballot, value));
                check.beside.insert(slot, good.collect());
            }
            looked_at += 1;
        }
        if let Some(verdict) = verdict {
            return self.end(from, verdict);
        }
        if looked_at == 0 {
            return self.end(from, LossVerdict::Unclear(next));
        }
        check.left.drain(..looked_at.min(check.left.len()));
        self.verify(turn, from)
    }

    /// Holds the values that were read against the index, if there are some; else goes on.
    fn verify(&mut self, turn: &mut Turn<'_>, from: NodeId) -> Option<Answer> {
        let check = self.checks.get_mut(&from)?;
        if check.values.is_empty() {
            return self.go_on(turn, from);
        }
        check.token = turn.core.journal_reads.token();
        let (token, values, from) = (check.token, check.values.clone(), turn.core.options.paxos.me);
        let all = values.iter().map(|(_, _, value)| value);
        let all = all.chain(check.beside.values().flatten().map(|(_, value)| value));
        let (mut logs, runs) = (log_ends(turn.core, all), turn.core.index.runs().clone());
        logs.retain(|log, _| *log == check.log);
        let (beside, among, wanted) = (check.beside.clone(), Some(check.range), KeptPart::Whole);
        let values = VerifyValues { from, values, beside, among, wanted, runs, logs };
        turn.run(DiskJob::Loss(LossJob::Verify { token, values: Box::new(values) }));
        None
    }

    /// Values were held against the index: one that is right and has entries of the log is held; one that is another
    /// than was chosen, or of which only entries of other logs are left, is as good as none. What was accepted here and
    /// never known to be chosen (C29) is looked at as a whole then, and what is right of it is kept.
    pub(in crate::shard) fn verified(
        &mut self,
        turn: &mut Turn<'_>,
        token: u64,
        verified: &Verified,
    ) -> Option<Answer> {
        let (from, check) = self.checks.iter_mut().find(|(_, check)| check.token == token)?;
        let from = *from;
        if let Some((slot, ballot, _)) = verified.values.first() {
            if verified.beside.contains(slot) && !turn.core.absent.contains(*slot) {
                turn.mend(*slot, *ballot);
            }
            turn.core.absent.want_copy(*slot);
            return self.end(from, LossVerdict::Held(*slot));
        }
        match &verified.refused {
            None => (check.values, check.beside) = (Vec::new(), BTreeMap::new()),
            Some((refused, _, ValueFault::OtherValue(_))) => {
                check.values.retain(|(slot, ..)| slot > refused);
                check.beside.retain(|slot, _| slot > refused);
            }
            Some((slot, _, ValueFault::DamagedIndex(damage))) => {
                turn.core.note_damage(damage);
                return self.end(from, LossVerdict::Unclear(*slot));
            }
        }
        self.verify(turn, from)
    }

    fn end(&mut self, from: NodeId, verdict: LossVerdict) -> Option<Answer> {
        let check = self.checks.remove(&from)?;
        Some((from, LossAnswer { attempt: check.attempt, verdict }))
    }

    /// The connection to a peer is gone: nobody waits for an answer.
    pub(in crate::shard) fn lost(&mut self, peer: NodeId) {
        self.checks.remove(&peer);
    }

    /// The state was replaced, or is another one: what was held against the index before says nothing.
    pub(in crate::shard) fn leave(&mut self) {
        self.checks.clear();
    }

    /// Reads of the journal under way.
    pub(in crate::shard) fn len(&self) -> usize {
        self.reading.len()
    }
}
