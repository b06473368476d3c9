//! One record with a value: where it lies, and which of several records of a slot counts.

use crate::journal::format::item::RecordHead;
use crate::types::{Ballot, Lsn, RecordKind, SegmentId, Slot};

/// The record does not verify; what it should hold is damaged here.
pub(crate) const DAMAGED: u8 = 1;
/// The value is known to be chosen: learned, or accepted in exactly the ballot of a watermark.
pub(crate) const KNOWN: u8 = 2;
/// Never known durable, and does not verify (C11); goes with `DAMAGED`.
pub(crate) const SUSPECT: u8 = 4;

/// The record is a remnant: what is left of the chosen value (C30).
pub(crate) const REMNANT: u8 = 8;

/// What somebody needs of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotNeed {
    /// The value that was chosen, as a whole: to learn it, or to apply it.
    Whole,
    /// What is here of it; whoever asks holds it against an index, and takes what is missing from others.
    Kept,
    /// The same, and the record beside the one that counts, for that one may lack entries, or have rotted.
    Both,
    /// The entries in it that can still be read, by this node's own index.
    Live,
    /// Whatever was written down for it, though it need not be what was chosen: whoever asks holds it against an
    /// index, and asks whether this node has a copy at all (C32b).
    Anything,
}

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
            RecordKind::Remnant => REMNANT,
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

    /// It is no value, but what is left of one.
    pub(crate) fn is_remnant(&self) -> bool {
        self.flags & REMNANT != 0
    }

    /// Nothing is known to be wrong with it.
    pub(crate) fn is_intact(&self) -> bool {
        self.flags & DAMAGED == 0
    }

    /// What it holds is of the chosen value: that is known of it, or it was held against the index before it
    /// was written.
    pub(crate) fn is_trusted(&self) -> bool {
        self.flags & (KNOWN | REMNANT) != 0
    }

    /// It may be given to whoever needs this: a remnant never takes the place of a value.
    pub(crate) fn serves(&self, need: SlotNeed) -> bool {
        match need {
            SlotNeed::Whole => !self.is_remnant(),
            SlotNeed::Kept | SlotNeed::Both | SlotNeed::Live | SlotNeed::Anything => true,
        }
    }

    /// Of the records of a slot the one that ranks highest counts: one known to hold the chosen value, or a
    /// remnant of it, else the one of the highest ballot; of several, one that is intact, else the newest. So a
    /// remnant that came for a value that rotted counts before it; whoever needs whole values looks at those alone.
    ///
    /// Where the slot is chosen, every record of a ballot at or above the one in which it was
    /// chosen holds the chosen value (Paxos Made Simple, P2), so the highest ballot is right.
    pub(crate) fn rank(&self) -> (bool, Ballot, bool, Lsn) {
        let intact = self.is_intact();
        let known = intact && self.is_trusted();
        (known, self.location.ballot, intact, self.location.lsn)
    }
}
