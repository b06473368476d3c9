//! What a disk lost without saying of which slots (rule C5).

use super::{Ballot, Lsn, Slot};
use std::collections::BTreeMap;

/// Bounds of a lost record, where the disk no longer shows which slot it was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Damage {
    /// The lost record's ballot is at most this.
    pub ballot_max: Ballot,
    /// The lost record's slot is at most this.
    pub upto: Slot,
    /// The record was never known to be durable (C11): it may be the trace of a crash.
    pub suspect: bool,
}

impl Damage {
    /// Joins both losses in one: it is suspect only where both are.
    #[must_use]
    pub fn and(self, other: Damage) -> Damage {
        Damage {
            ballot_max: self.ballot_max.max(other.ballot_max),
            upto: self.upto.max(other.upto),
            suspect: self.suspect && other.suspect,
        }
    }
}

/// Records that are lost with their slots: one of them may have held any slot up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LostRecords {
    /// The LSN of the last of them.
    pub last: Lsn,
    /// No ballot in them is higher, no slot in them is, and whether they were never known durable.
    pub bound: Damage,
}

/// The record of a slot's highest ballot that a disk still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordLeft {
    /// The LSN of the record.
    pub lsn: Lsn,
    /// The ballot that the record names; exact, since its header or descriptor verifies.
    pub ballot: Ballot,
    /// Whether its value verifies.
    pub content: Content,
}

/// What a record's value is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// It verifies.
    Intact,
    /// It does not, and was durable.
    Damaged,
    /// It does not, and was never known to be durable (C11).
    Suspect,
}

/// What a disk says of the slots above its chosen prefix, values apart: the facts that a replica's
/// reports are concluded from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Lost records that may have held such a slot, by rising LSN.
    pub lost: Vec<LostRecords>,
    /// What is left of each such slot.
    pub left: BTreeMap<Slot, RecordLeft>,
}
