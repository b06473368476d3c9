//! Where a journal begins. What lies before was trimmed.

use crate::types::{Lsn, SegmentId, Slot};

/// The first segment, record and slot that a journal holds: the one place that answers where the
/// journal begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// No segment before this one is read, though its file may still be there.
    pub first_segment: SegmentId,
    /// The first LSN of that segment.
    pub first_lsn: Lsn,
    /// Every slot below is chosen, and its value is not held here any more. No record before
    /// `first_lsn` names this slot or a higher one.
    pub first_slot: Slot,
}

impl Manifest {
    /// That of a journal from which nothing was trimmed.
    pub(crate) const UNTRIMMED: Manifest =
        Manifest { first_segment: SegmentId(1), first_lsn: Lsn(1), first_slot: Slot(1) };

    /// Every slot up to here is trimmed; zero where none is.
    pub(crate) fn trimmed_upto(&self) -> Slot {
        self.first_slot.prev()
    }

    /// True for a slot that lies before the first one.
    pub(crate) fn is_trimmed(&self, slot: Slot) -> bool {
        slot < self.first_slot
    }

    /// The segments from the first one on, without a gap and without an end.
    pub(crate) fn segments(self) -> impl Iterator<Item = SegmentId> {
        (self.first_segment.0..).map(SegmentId)
    }
}
