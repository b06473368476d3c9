//! What a disk lost without saying of which slots (rule C5).

use super::{Ballot, Slot};

/// Damage whose slot is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Damage {
    /// The lost record's ballot is at most this.
    pub hi: Ballot,
    /// The lost record's slot is at most this.
    pub upto: Slot,
    /// Never known durable (C11).
    pub suspect: bool,
}

impl Damage {
    /// Both losses in one: it is suspect only where both are.
    #[must_use]
    pub fn and(self, other: Damage) -> Damage {
        Damage {
            hi: self.hi.max(other.hi),
            upto: self.upto.max(other.upto),
            suspect: self.suspect && other.suspect,
        }
    }
}
