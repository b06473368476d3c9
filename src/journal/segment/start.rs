//! Where a start that has a checkpoint reads the journal from.

use crate::types::{Lsn, SegmentId, Slot};

/// From where on a start must read the journal, and what it must know of what lies before. Goes with
/// a checkpoint at some slot: no record before has a higher slot, nor can one that is lost there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalStart {
    /// The first segment that must be read.
    pub segment: SegmentId,
    /// The first LSN of that segment.
    pub first_lsn: Lsn,
    /// The highest slot that a record before it has, or that one that is lost there may have had:
    /// what bounds a loss right behind (C4, C5).
    pub highest_slot: Slot,
}

impl JournalStart {
    /// Bytes of its encoding: three numbers of eight bytes, little endian.
    pub const BYTES: usize = 24;
    /// The front of the journal: all of it is read.
    pub(crate) const FRONT: JournalStart =
        JournalStart { segment: SegmentId(1), first_lsn: Lsn(1), highest_slot: Slot(0) };

    /// Its encoding, for the header of a checkpoint.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; JournalStart::BYTES] {
        let mut bytes = [0; JournalStart::BYTES];
        let numbers = [self.segment.0, self.first_lsn.0, self.highest_slot.0];
        for (out, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            out.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Decodes what [`to_bytes`](JournalStart::to_bytes) wrote. What the bytes say is checked by
    /// [`recover`](crate::journal::recover()).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; JournalStart::BYTES]) -> JournalStart {
        let mut numbers = [0; 3];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
        let [segment, first_lsn, highest_slot] = numbers;
        JournalStart {
            segment: SegmentId(segment),
            first_lsn: Lsn(first_lsn),
            highest_slot: Slot(highest_slot),
        }
    }
}

/// What a start begins with: the slot of its checkpoint, and from where it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Baseline {
    /// Every slot up to here is chosen and applied; zero without a checkpoint.
    pub slot: Slot,
    pub start: JournalStart,
}

impl Baseline {
    /// No checkpoint: all of the journal is read.
    pub(crate) const NONE: Baseline = Baseline { slot: Slot(0), start: JournalStart::FRONT };

    pub(crate) fn new(from: Option<(Slot, JournalStart)>) -> Baseline {
        from.map_or(Baseline::NONE, |(slot, start)| Baseline { slot, start })
    }

    /// There is a checkpoint: what lies before the start need not be read.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.slot > Slot(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start reads back as it was written, and its bytes stay what they are.
    #[test]
    fn c31_the_encoding_of_a_start_is_fixed() {
        let start =
            JournalStart { segment: SegmentId(3), first_lsn: Lsn(0x0102), highest_slot: Slot(9) };
        let bytes = start.to_bytes();
        assert_eq!(JournalStart::from_bytes(&bytes), start);
        assert_eq!((bytes[0], bytes[8], bytes[9], bytes[16]), (3, 2, 1, 9));
    }
}
