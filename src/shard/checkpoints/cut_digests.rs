//! The digests of the state at the last cuts, beyond the checkpoints that are kept. A peer that catches up takes
//! checkpoints at cuts whose own checkpoints are gone here, and may release nothing by one before another node has
//! confirmed its digest (C25, C26).

use crate::limits::CUT_DIGESTS_KEPT;
use crate::types::Slot;
use std::collections::VecDeque;

/// Digests of the state at cuts, by rising slot.
#[derive(Clone, Debug, Default)]
pub(super) struct CutDigests {
    kept: VecDeque<(Slot, u64)>,
}

impl CutDigests {
    /// Notes the digest of the state at a cut.
    pub(super) fn note(&mut self, slot: Slot, digest: u64) {
        self.forget_above(slot.prev());
        if self.kept.len() == CUT_DIGESTS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((slot, digest));
    }

    /// The digest of the state at this slot, where it is one of those cuts.
    pub(super) fn at(&self, slot: Slot) -> Option<u64> {
        let place = self.kept.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
        self.kept.get(place).map(|(_, digest)| *digest)
    }

    /// Drops what is known above this slot: the state was replaced, or is not believed any more.
    pub(super) fn forget_above(&mut self, slot: Slot) {
        let stay = self.kept.partition_point(|(other, _)| *other <= slot);
        self.kept.truncate(stay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C25: the last cuts are known, each by its slot; of what was applied anew only the present state counts.
    #[test]
    fn c25_the_last_cuts_are_known() {
        let mut digests = CutDigests::default();
        let most = CUT_DIGESTS_KEPT as u64;
        for nth in 1..=most + 1 {
            digests.note(Slot(10 * nth), nth);
        }
        assert_eq!((digests.at(Slot(10)), digests.at(Slot(20))), (None, Some(2)));
        assert_eq!(digests.at(Slot(25)), None);
        digests.forget_above(Slot(40));
        assert_eq!((digests.at(Slot(40)), digests.at(Slot(50))), (Some(4), None));
        digests.note(Slot(35), 7);
        let known = [30, 35, 40].map(|slot| digests.at(Slot(slot)));
        assert_eq!(known, [Some(3), Some(7), None]);
    }
}
