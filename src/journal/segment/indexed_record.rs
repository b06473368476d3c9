//! One record with a value: where it lies, and which of several records of a slot counts.

use crate::journal::format::item::RecordHead;
use crate::types::{Ballot, Lsn, RecordKind, SegmentId, Slot};

/// The record does not verify; what it should hold is damaged here.
pub(crate) const DAMAGED: u8 = 1;
/// The value is known to be chosen: learned, or accepted in exactly the ballot of a watermark.
pub(crate) const KNOWN: u8 = 2;
/// Never known durable, and does not verify (C11); goes with `DAMAGED`.
pub(crate) const SUSPECT: u8 = 4;

/// Where the record of a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment whose file holds it.
    pub segment: SegmentId,
    /// Offset of the record's header in it.
    pub offset: u64,
    /// Bytes of the value.
    pub bytes: u32,
    /// The record's position in the stream.
    pub lsn: Lsn,
    /// The ballot of the record.
    pub ballot: Ballot,
}

/// One record with a value, as it goes into the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexedRecord {
    pub slot: Slot,
    pub location: Location,
    pub flags: u8,
}

impl IndexedRecord {
    /// A record as the index holds it, if it has a value.
    pub(crate) fn of(head: &RecordHead) -> Option<IndexedRecord> {
        let flags = match head.kind {
            RecordKind::Accepted => 0,
            RecordKind::Learned => KNOWN,
            RecordKind::HardState
            | RecordKind::Chosen
            | RecordKind::Released
            | RecordKind::Checkpoint
            | RecordKind::Witnessed => return None,
        };
        let location = Location {
            segment: head.segment,
            offset: head.offset,
            bytes: head.body_bytes,
            lsn: head.lsn,
            ballot: head.ballot,
        };
        Some(IndexedRecord { slot: head.slot, location, flags })
    }

    /// Of the records of a slot the one that ranks highest counts: one known to hold the chosen value,
    /// else the one of the highest ballot; of several, one that is intact, else the newest.
    ///
    /// Where the slot is chosen, every record of a ballot at or above the one in which it was
    /// chosen holds the chosen value (Paxos Made Simple, P2), so the highest ballot is right.
    pub(crate) fn rank(&self) -> (bool, Ballot, bool, Lsn) {
        let intact = self.flags & DAMAGED == 0;
        let known = intact && self.flags & KNOWN != 0;
        (known, self.location.ballot, intact, self.location.lsn)
    }
}
