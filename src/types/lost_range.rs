//! Entries of one log that are declared lost.

use super::Index;
use std::fmt;

/// Consecutive entries of one log that are declared lost (C32b). Their indexes stay theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LostRange {
    /// The first of them.
    pub from: Index,
    /// The index behind the last of them: it can be read, or was never given.
    pub before: Index,
}

impl LostRange {
    /// It has this index.
    #[must_use]
    pub fn contains(&self, index: Index) -> bool {
        self.from <= index && index < self.before
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.before.0.saturating_sub(self.from.0)
    }
}

/// As people read it: "entry 5" or "entries 5 to 9".
impl fmt::Display for LostRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = Index(self.before.0.saturating_sub(1));
        match self.entries() {
            1 => write!(f, "entry {}", self.from),
            _ => write!(f, "entries {} to {last}", self.from),
        }
    }
}
