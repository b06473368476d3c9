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
