//! Absent values that may be in this node's own journal after all: what was there before the index was
//! replaced, or was fetched before the process ended; and, where no peer could give a value, whatever was written
//! down for its slot, though it was never known to be chosen. Each is believed once it was held against the index,
//! and has every live row of its slot, as what a peer sends is.

use crate::checkpoint::install::{InstallJob, RecordsBeside, RowName, Verified, VerifyValues};
use crate::journal::{Job, ReadDamage, ReadResult};
use crate::limits::{ABSENT_REST_US, LEARN_BYTES_MAX, LEARN_SLOTS_MAX};
use crate::shard::core::Core;
use crate::shard::disk_job::DiskJob;
use crate::shard::journal_reads::{JournalRead, any_unreadable};
use crate::shard::turn::Turn;
use crate::types::{Ballot, Slot, SlotRanges, Tick, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Looks for absent values here, the newest first.
#[derive(Debug, Default)]
pub struct OwnValues {
    slots: SlotRanges,
    /// Those that somebody waits for: they come first.
    wanted: BTreeSet<Slot>,
    /// Whatever was written down counts, be it known to be what was chosen or not.
    reads_anything: bool,
    /// They are being read.
    reads: Option<(Slot, Slot)>,
    /// So many segments had been released when the read began.
    released_before: u64,
    /// They are being held against the index.
    verifies: Option<(Slot, Slot)>,
    /// Of these the record that counts does not verify, and another one does.
    rotten: BTreeSet<Slot>,
    /// No sooner is anything read: it was not known where it lies.
    rest_until: Tick,
}

impl OwnValues {
    /// These slots are looked for first.
    pub(super) fn start(slots: SlotRanges) -> OwnValues {
        OwnValues { slots, ..OwnValues::default() }
    }

    /// Whatever was written down for slots is looked for, once no peer could give them.
    pub(super) fn of_anything() -> OwnValues {
        OwnValues { reads_anything: true, ..OwnValues::default() }
    }

    /// This slot is looked for too.
    pub(super) fn add(&mut self, slot: Slot) {
        self.slots.add(slot, slot);
    }

    pub(super) fn slots(&self) -> &SlotRanges {
        &self.slots
    }

    /// Somebody waits for this slot, which is one of them: it comes first.
    pub(super) fn want(&mut self, slot: Slot) {
        self.wanted.insert(slot);
    }

    /// Somebody waits for one of them.
    pub(super) fn is_one_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// This slot is not here. Returns whether somebody waits for it.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        self.slots.remove(slot, slot);
        self.wanted.remove(&slot)
    }

    /// These slots were looked at.
    fn remove_all(&mut self, first: Slot, last: Slot) {
        self.slots.remove(first, last);
        let behind = self.wanted.split_off(&last.plus(1));
        self.wanted.retain(|slot| *slot < first);
        self.wanted.extend(behind);
    }

    /// Nothing is read before that: there was no space to write anew what was found.
    pub(super) fn rest_until(&mut self, until: Tick) {
        self.rest_until = until;
    }

    /// A read of the journal is under way.
    pub(super) fn is_reading(&self) -> bool {
        self.reads.is_some()
    }

    /// So many segments had been released when the last read began.
    pub(super) fn released_before(&self) -> u64 {
        self.released_before
    }

    /// No job is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.reads.is_none() && self.verifies.is_none()
    }

    /// When it is to be looked at again.
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        Some(self.rest_until).filter(|until| *until > now && self.slots.last().is_some())
    }

    /// Reads what is next, if nothing is under way.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_>) {
        if !self.is_idle() || turn.now < self.rest_until {
            return;
        }
        let wanted = self.wanted.last().map(|slot| (*slot, *slot));
        let Some((first, last)) = wanted.or_else(|| self.slots.last()) else { return };
        let first = first.max(Slot(last.0.saturating_sub(LEARN_SLOTS_MAX - 1)));
        let core = &mut *turn.core;
        let token = core.journal_reads.token();
        core.journal_reads.begin(token, JournalRead::Absent);
        self.reads = Some((first, last));
        self.released_before = core.tally.released_segments;
        let slots = (first.0..=last.0).map(Slot);
        let job = match self.reads_anything {
            true => core.journal.read_anything(token, slots, LEARN_BYTES_MAX),
            false => core.journal.read_both(token, slots, LEARN_BYTES_MAX),
        };
        turn.run(Job::Read(job));
    }

    /// The journal delivered what it has. Returns the slots that it has not.
    pub(super) fn found(
        &mut self,
        turn: &mut Turn<'_>,
        results: Vec<(Slot, ReadResult)>,
        verify: impl Fn(&Core, Vec<(Slot, Ballot, Value)>, RecordsBeside) -> VerifyValues,
    ) -> Vec<(Slot, NotHere)> {
        let Some((first, _)) = self.reads.take() else { return Vec::new() };
        let (mut values, mut lacking, mut upto) = (Vec::new(), Vec::new(), first.prev());
        let mut beside = RecordsBeside::new();
        self.rotten.clear();
        for records in results.chunk_by(|(slot, _), (other, _)| slot == other) {
            let slot = records[0].0;
            let good = records.iter().filter_map(|(_, found)| found.as_ref().ok());
            let mut good = good.map(|(ballot, value)| (*ballot, value.clone()));
            match (&records[0].1, good.next()) {
                (Err(ReadDamage::Unplaced { .. }), _) => break,
                (found, Some((ballot, value))) => {
                    if found.is_err() {
                        self.rotten.insert(slot);
                    }
                    values.push((slot, ballot, value));
                    beside.insert(slot, good.collect());
                }
                (_, None) if any_unreadable(records) => lacking.push((slot, NotHere::NotReadable)),
                (_, None) => lacking.push((slot, NotHere::Lacking)),
            }
            upto = slot;
        }
        if upto < first {
            self.rest_until = turn.now.after(ABSENT_REST_US);
        } else if values.is_empty() {
            self.remove_all(first, upto);
        } else {
            self.verifies = Some((first, upto));
            let verify = verify(turn.core, values, beside);
            turn.run(DiskJob::Install(InstallJob::Verify(Box::new(verify))));
        }
        lacking
    }

    /// Values were held against the index.
    pub(super) fn verified(&mut self, verified: Verified) -> FoundHere {
        let rotten = std::mem::take(&mut self.rotten);
        let Some((first, upto)) = self.verifies.take() else { return FoundHere::default() };
        let wrong = verified.refused.as_ref().map(|(slot, ..)| *slot);
        let right = (first.0..=upto.0).map(Slot).take_while(|slot| Some(*slot) != wrong);
        let right = right.filter(|slot| self.slots.contains(*slot)).collect();
        self.remove_all(first, wrong.unwrap_or(upto));
        let mut mended = verified.values;
        mended.retain(|(slot, ..)| rotten.contains(slot) || verified.beside.contains(slot));
        FoundHere { right, wrong, mended, rows: verified.rows }
    }
}

/// Why a value was not found here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotHere {
    /// No record of it verifies.
    Lacking,
    /// The disk failed to read a record, which it may give the next time.
    NotReadable,
}

/// What was found here.
#[derive(Debug, Default)]
pub(super) struct FoundHere {
    /// The slots that were looked for here.
    pub right: Vec<Slot>,
    /// A slot whose value is another than was chosen.
    pub wrong: Option<Slot>,
    /// What is to be written anew, for it does not count.
    pub mended: Vec<(Slot, Ballot, Value)>,
    /// The rows of live entries that each of these has.
    pub rows: BTreeMap<Slot, Vec<RowName>>,
}
