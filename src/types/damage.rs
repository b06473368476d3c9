//! What a disk lost without saying of which slots (rule C5).

use super::{Ballot, Slot};

/// Bounds of a lost record, where the disk no longer shows which slot it was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Damage {
    /// The lost record's ballot is at most this.
    pub hi: Ballot,
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
            hi: self.hi.max(other.hi),
            upto: self.upto.max(other.upto),
            suspect: self.suspect && other.suspect,
        }
    }
}
