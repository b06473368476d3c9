//! The body of a `Released` record: which segments went (C26). Its bounds stand in the header, which is
//! there twice.

use crate::journal::format::item::RecordHead;
use crate::limits::RELEASED_RANGES_MAX;
use crate::types::{Ballot, NodeId, Released, ReleasedRange, SegmentId, Slot};
use byteorder::{LittleEndian, ReadBytesExt};
use std::io;

/// Bytes of one range's row.
const ROW_BYTES: usize = 4 * 8;

/// Bytes of a record's body.
pub(crate) fn body_bytes(released: &Released) -> usize {
    4 + released.ranges.len() * ROW_BYTES
}

/// Appends the encoding of the ranges.
pub(crate) fn encode_body(released: &Released, out: &mut Vec<u8>) {
    out.extend_from_slice(&(released.ranges.len() as u32).to_le_bytes());
    for range in &released.ranges {
        let (from, upto) = range.slots;
        for number in [range.first.0, range.last.0, from.0, upto.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// What a record says, by its header and its body, which verifies; nothing where they do not fit each
/// other or are anything else.
pub(crate) fn decode_body(head: &RecordHead, bytes: &[u8]) -> Option<Released> {
    let mut rest = bytes;
    let ranges = read(&mut rest).ok().filter(|_| rest.is_empty())?;
    // Behind the last segment of all comes another one.
    let is_range = |range: &ReleasedRange| {
        SegmentId(0) < range.first && range.first <= range.last && range.last.0 < u64::MAX
    };
    let rises = |two: &[ReleasedRange]| two[0].last.next() < two[1].first;
    if !ranges.iter().all(is_range) || !ranges.windows(2).all(rises) {
        return None;
    }
    let released = Released { ranges, highest_slot: head.slot };
    (RottenRelease::of(head) == RottenRelease::claimed_by(&released)).then_some(released)
}

fn read(from: &mut &[u8]) -> io::Result<Vec<ReleasedRange>> {
    let rows = from.read_u32::<LittleEndian>()? as usize;
    if rows > RELEASED_RANGES_MAX || from.len() != rows * ROW_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let row = |from: &mut &[u8]| {
        let first = SegmentId(from.read_u64::<LittleEndian>()?);
        let last = SegmentId(from.read_u64::<LittleEndian>()?);
        let slots = (from.read_u64::<LittleEndian>()?, from.read_u64::<LittleEndian>()?);
        Ok(ReleasedRange { first, last, slots: (Slot(slots.0), Slot(slots.1)) })
    };
    (0..rows).map(|_| row(from)).collect()
}

/// What the header of a `Released` record says by itself, for where its body does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RottenRelease {
    /// No record before has a higher slot, nor can one that is lost.
    pub highest_slot: Slot,
    /// No value in what was released has a higher slot.
    pub upto: Slot,
    /// The last segment that was released.
    pub last: SegmentId,
    /// How many were.
    pub segments: u64,
}

impl RottenRelease {
    /// What a header says.
    pub(crate) fn of(head: &RecordHead) -> RottenRelease {
        RottenRelease {
            highest_slot: head.slot,
            upto: head.chosen_upto,
            last: SegmentId(head.ballot.round),
            segments: head.named,
        }
    }

    /// What the header of this record says.
    pub(crate) fn claimed_by(released: &Released) -> RottenRelease {
        RottenRelease {
            highest_slot: released.highest_slot,
            upto: released.upto(),
            last: released.last_segment(),
            segments: released.segments(),
        }
    }

    /// The last segment, in the place of the round.
    pub(crate) fn ballot(&self) -> Ballot {
        Ballot::new(self.last.0, NodeId(0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::{Lsn, RecordKind};

    fn range(first: u64, last: u64) -> ReleasedRange {
        let (first, last) = (SegmentId(first), SegmentId(last));
        ReleasedRange { first, last, slots: (Slot(first.0 * 10), Slot(last.0 * 10 + 9)) }
    }

    fn head_of(released: &Released) -> RecordHead {
        let claimed = RottenRelease::claimed_by(released);
        RecordHead {
            kind: RecordKind::Released,
            lsn: Lsn(1),
            slot: claimed.highest_slot,
            ballot: claimed.ballot(),
            chosen_upto: claimed.upto,
            segment: SegmentId(9),
            offset: 4096,
            ordinal: 0,
            body_bytes: 0,
            body_checksum: 0,
            named: claimed.segments,
        }
    }

    /// C26: a record reads back as written, and each field stands where `docs/JOURNAL.md` says.
    #[test]
    fn c26_the_encoding_of_what_was_released_is_fixed() {
        let released = Released { ranges: vec![range(1, 3), range(5, 5)], highest_slot: Slot(77) };
        let mut bytes = Vec::new();
        encode_body(&released, &mut bytes);
        assert_eq!(bytes.len(), body_bytes(&released));
        let head = head_of(&released);
        let words = (head.slot, head.ballot.round, head.chosen_upto, head.named);
        assert_eq!(words, (Slot(77), 5, Slot(59), 4));
        let (rows, _) = bytes[4..].as_chunks::<8>();
        let numbers: Vec<u64> = rows.iter().map(|row| u64::from_le_bytes(*row)).collect();
        assert_eq!((bytes[0], numbers), (2, vec![1, 3, 10, 39, 5, 5, 50, 59]));
        assert_eq!(decode_body(&head, &bytes), Some(released));
    }

    /// Bytes that are anything else are nothing: ranges that touch, turn round or do not fit the header,
    /// and lengths that are not those of the rows.
    #[test]
    fn c26_what_no_journal_wrote_is_not_believed() {
        let of = |ranges| Released { ranges, highest_slot: Slot(500) };
        let good = of(vec![range(1, 3), range(5, 5)]);
        let head = head_of(&good);
        for ranges in [
            vec![range(1, 4), range(5, 5)],
            vec![range(5, 5), range(1, 3)],
            vec![range(1, 2), range(5, 5)],
            vec![range(0, 3)],
        ] {
            let mut bytes = Vec::new();
            encode_body(&of(ranges.clone()), &mut bytes);
            assert_eq!(decode_body(&head, &bytes), None, "{ranges:?}");
        }
        for (first, last) in [(4, 3), (7, u64::MAX)] {
            let mut bytes = 1u32.to_le_bytes().to_vec();
            [first, last, 1, 2].iter().for_each(|n: &u64| bytes.extend(n.to_le_bytes()));
            assert_eq!(decode_body(&head, &bytes), None, "{first} to {last}");
        }
        let mut bytes = Vec::new();
        encode_body(&good, &mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(decode_body(&head, &bytes[..len]), None, "{len} bytes");
        }
        bytes[0..4].fill(0xff);
        assert_eq!(decode_body(&head, &bytes), None, "more rows than there are");
    }
}
