//! What the records of each segment reach, so that a start from a checkpoint knows which segments it
//! need not read. Only what is durable is taken in.

use crate::journal::format::item::RecordHead;
use crate::journal::segment::start::JournalStart;
use crate::types::{Lsn, RecordKind, SegmentId, Slot};
use std::collections::BTreeMap;

/// What one segment's records reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) struct SegmentFacts {
    /// The segment's first LSN, as a batch in it says; unknown where none does.
    pub first_lsn: Option<Lsn>,
    /// The highest slot that a record before the segment has or, if it is lost, may have had.
    pub highest_before: Slot,
    /// The highest slot that a record of the segment names.
    pub slot_max: Slot,
    /// The highest slot that a lost record of the segment may have had; zero where none is lost.
    pub lost_upto: Slot,
}

impl SegmentFacts {
    /// No record of the segment is of a higher slot, be it lost or not.
    pub(in crate::journal) fn reach(&self) -> Slot {
        self.slot_max.max(self.lost_upto)
    }
}

/// Facts that stand in segments which a start need not read for any other reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactsToRepeat {
    /// A record of the hard state is to be written again.
    pub hard_state: bool,
    /// A record of what was witnessed is to be written again.
    pub witnessed: bool,
    /// The record of what was released is to be written again.
    pub released: bool,
}

/// What the segments reach, from the first one that was read on.
#[derive(Clone, Debug)]
pub(crate) struct JournalFacts {
    segments: BTreeMap<SegmentId, SegmentFacts>,
    /// The highest slot that any record so far has or, if it is lost, may have had.
    highest: Slot,
    /// The segments that hold the last record of the hard state, and of what was witnessed.
    hard_state: Option<SegmentId>,
    witnessed: Option<SegmentId>,
    /// The segment that holds the last record of what was released, and whether it verifies.
    released: Option<(SegmentId, bool)>,
    /// No record of a segment that was forgotten is of a higher slot, be it lost or not.
    forgotten_upto: Slot,
}

impl JournalFacts {
    /// Nothing is read yet, and nothing before has a higher slot.
    pub(in crate::journal) fn new(highest: Slot) -> JournalFacts {
        JournalFacts {
            segments: BTreeMap::new(),
            highest,
            hard_state: None,
            witnessed: None,
            released: None,
            forgotten_upto: Slot(0),
        }
    }

    /// Records of this segment follow, if they do not yet.
    pub(in crate::journal) fn begin(&mut self, segment: SegmentId, first_lsn: Option<Lsn>) {
        let highest_before = self.highest;
        let facts = self.segments.entry(segment).or_insert(SegmentFacts {
            first_lsn,
            highest_before,
            slot_max: Slot(0),
            lost_upto: Slot(0),
        });
        facts.first_lsn = facts.first_lsn.or(first_lsn);
    }

    fn last(&mut self) -> Option<&mut SegmentFacts> {
        self.segments.values_mut().next_back()
    }

    /// A record of the last segment is there.
    pub(in crate::journal) fn saw(&mut self, head: &RecordHead) {
        let slot = head.slot.max(head.chosen_upto);
        self.highest = self.highest.max(slot);
        // What was released names slots of other segments.
        let names = head.kind != RecordKind::Released;
        if let Some(facts) = self.last().filter(|_| names) {
            facts.slot_max = facts.slot_max.max(slot);
        }
    }

    /// Records of the last segment are lost, of slots up to this one.
    pub(in crate::journal) fn lost(&mut self, upto: Slot) {
        self.highest = self.highest.max(upto);
        if let Some(facts) = self.last() {
            facts.lost_upto = facts.lost_upto.max(upto);
        }
    }

    /// The last segment holds a record of this kind, whole or not.
    pub(in crate::journal) fn stands(&mut self, kind: RecordKind, intact: bool) {
        let segment = self.segments.keys().next_back().copied();
        match kind {
            // Without it, files that are missing are not known to be released.
            RecordKind::Released => self.released = segment.map(|segment| (segment, intact)),
            RecordKind::HardState if intact => self.hard_state = segment,
            RecordKind::Witnessed if intact => self.witnessed = segment,
            RecordKind::HardState
            | RecordKind::Witnessed
            | RecordKind::Accepted
            | RecordKind::Learned
            | RecordKind::Remnant
            | RecordKind::Chosen
            | RecordKind::Checkpoint => {}
        }
    }

    /// The highest slot that any record so far has or, if it is lost, may have had.
    pub(in crate::journal) fn highest(&self) -> Slot {
        self.highest
    }

    /// The last segment that holds something durable.
    pub(in crate::journal) fn last_segment(&self) -> Option<SegmentId> {
        self.segments.keys().next_back().copied()
    }

    /// All segments that were read or written since the start, by their numbers.
    pub(in crate::journal) fn all(
        &self,
    ) -> impl Iterator<Item = (SegmentId, &SegmentFacts)> + Clone {
        self.segments.iter().map(|(id, facts)| (*id, facts))
    }

    /// The first segment that may hold a record of a slot above `slot`, be it lost; else the last one.
    fn first_above(&self, slot: Slot) -> Option<SegmentId> {
        let above = self.all().find(|(_, facts)| facts.reach() > slot).map(|(id, _)| id);
        above.or_else(|| self.last_segment())
    }

    /// What must be written again before a start for `slot` can begin as late as its slots allow.
    pub(in crate::journal) fn to_repeat(&self, slot: Slot) -> FactsToRepeat {
        let Some(first) = self.first_above(slot) else { return FactsToRepeat::default() };
        let before = |stands: Option<SegmentId>| stands.is_some_and(|segment| segment < first);
        let rotten = self.released.is_some_and(|(_, intact)| !intact);
        FactsToRepeat {
            hard_state: before(self.hard_state),
            witnessed: before(self.witnessed),
            released: rotten || before(self.released.map(|(segment, _)| segment)),
        }
    }

    /// No record of what was released was read or written since the start.
    pub(in crate::journal) fn lacks_release(&self) -> bool {
        self.released.is_none()
    }

    /// The segment was released.
    pub(in crate::journal) fn forget(&mut self, segment: SegmentId) {
        if let Some(facts) = self.segments.remove(&segment) {
            self.forgotten_upto = self.forgotten_upto.max(facts.reach());
        }
    }

    /// No record that was released, or may have been in what was lost of it, has a higher slot.
    pub(in crate::journal) fn forgotten_upto(&self) -> Slot {
        self.forgotten_upto
    }

    /// From where on a start with a checkpoint at `slot` must read; nothing where that is gone.
    pub(in crate::journal) fn start_for(&self, slot: Slot) -> Option<JournalStart> {
        if slot < self.forgotten_upto() {
            return None;
        }
        let released = self.released.map(|(segment, _)| segment);
        let stand = self.hard_state.into_iter().chain(self.witnessed).chain(released);
        let first = stand.chain(self.first_above(slot)).min()?;
        // A segment whose batches do not say where it begins cannot be held against what a
        // checkpoint says.
        let known = self.segments.range(..=first).rev().find_map(|(id, facts)| {
            facts.first_lsn.map(|first_lsn| (*id, first_lsn, facts.highest_before))
        });
        let (segment, first_lsn, highest_slot) = known?;
        Some(JournalStart { segment, first_lsn, highest_slot })
    }
}
