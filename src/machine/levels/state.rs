//! The state: the level, and the slot that raised it.

use crate::machine::feature::CommandPlace;
use crate::types::{FormatLevel, Slot};

/// Words of the level in the machine's digest.
pub(in crate::machine) const DIGEST_WORDS: usize = 2;

/// What the machine knows of the format level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    pub(super) level: FormatLevel,
    pub(super) since: Slot,
}

impl Default for Levels {
    fn default() -> Levels {
        Levels { level: FormatLevel::FIRST, since: Slot(0) }
    }
}

impl Levels {
    /// The format level. It never falls.
    #[must_use]
    pub fn level(&self) -> FormatLevel {
        self.level
    }

    /// The slot that raised the level to what it is; 0 for the level of a new cluster.
    #[must_use]
    pub fn since(&self) -> Slot {
        self.since
    }

    /// Executes a command; true where it raised the level.
    pub(in crate::machine) fn execute(&mut self, place: CommandPlace, level: FormatLevel) -> bool {
        let rises = level > self.level;
        if rises {
            *self = Levels { level, since: place.slot };
        }
        rises
    }

    /// What the machine's digest covers of the level.
    pub(in crate::machine) fn digest_words(&self) -> [u64; DIGEST_WORDS] {
        [u64::from(self.level.0), self.since.0]
    }

    /// Checks the state.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub(in crate::machine) fn check(&self, applied_upto: Slot) {
        let (level, since) = (self.level, self.since);
        assert!(since <= applied_upto, "level {level} since slot {since} of {applied_upto}");
        let is_first = level == FormatLevel::FIRST;
        assert!(is_first == (since == Slot(0)), "level {level} since slot {since}");
    }
}
