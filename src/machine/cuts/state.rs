//! The state: which slot was the last cut, and how many there were.

use crate::machine::feature::CommandPlace;
use crate::types::Slot;

/// Words of the cuts in the machine's digest.
pub(in crate::machine) const DIGEST_WORDS: usize = 2;

/// What the machine knows of its cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    pub(super) last: Slot,
    pub(super) count: u64,
}

impl Cuts {
    /// The last slot that is a cut, 0 for none. A slot whose value is void is none.
    #[must_use]
    pub fn last(&self) -> Slot {
        self.last
    }

    /// How many slots are cuts.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Executes a cut. A slot is one cut, however many commands in it ask for one.
    pub(in crate::machine) fn execute(&mut self, place: CommandPlace) {
        if place.slot != self.last {
            self.last = place.slot;
            self.count += 1;
        }
    }

    /// What the machine's digest covers of the cuts.
    pub(in crate::machine) fn digest_words(&self) -> [u64; DIGEST_WORDS] {
        [self.last.0, self.count]
    }

    /// Checks the state.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub(in crate::machine) fn check(&self, applied_upto: Slot) {
        let (last, count) = (self.last, self.count);
        assert!(last <= applied_upto, "a cut at {last}, applied_upto is {applied_upto}");
        assert!(count <= last.0, "{count} cuts up to slot {last}");
        assert!((count == 0) == (last == Slot(0)), "{count} cuts, the last one at slot {last}");
    }
}
