//! Which members vote on a slot, and with which quorums (R26, R28).

use super::config::Config;
use super::quorum::Voters;
use super::replica::Replica;
use crate::types::{Configuration, ConfigurationNumber, NodeId, Slot};
use std::collections::BTreeMap;

/// The voters of every slot, by ranges of slots: each range reaches up to where the next one begins.
/// There is one range as yet, of all slots, since members and quorums cannot be changed (R26).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configurations {
    /// By the first slot of each range. The lowest range begins at slot 1.
    ranges: BTreeMap<Slot, Voters>,
}

impl Configurations {
    /// These voters for every slot.
    pub(super) fn fixed(voters: Voters) -> Configurations {
        Configurations { ranges: BTreeMap::from([(Slot(1), voters)]) }
    }

    /// The voters that decide the slot (R28).
    pub(super) fn of(&self, slot: Slot) -> &Voters {
        let range = self.ranges.range(..=slot).next_back();
        let Some((_, voters)) = range else { panic!("slot {slot} lies before all configurations") };
        voters
    }
}

impl Config {
    /// What the votes of a replica rest on.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        Configuration {
            number: ConfigurationNumber::FORMATION,
            members: self.members.clone(),
            prepare: self.quorums.prepare as u16,
            accept: self.quorums.accept as u16,
            window_slots: self.window_slots,
        }
    }
}

impl Replica {
    /// The voters of the lowest slot that is not known to be chosen: those of a campaign, of a lease,
    /// and of whatever else is not about a single slot.
    pub(super) fn voters(&self) -> &Voters {
        self.configurations.of(self.chosen_upto.next())
    }

    /// The members that vote beside this one, in order.
    pub(super) fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters().others(self.config.me)
    }

    /// This replica is the only member: it decides alone.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.voters().is_single()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paxos::Quorums;

    /// R28: a slot's voters are those of the last range that begins at it or below.
    #[test]
    fn r28_a_slot_has_the_voters_of_its_range() {
        let voters =
            |n: u16| Voters::new((1..=n).map(NodeId).collect(), Quorums::majority(n.into()));
        let fixed = Configurations::fixed(voters(3));
        assert!([1, 2, 1 << 40].iter().all(|slot| *fixed.of(Slot(*slot)) == voters(3)));
        let ranges = BTreeMap::from([(Slot(1), voters(3)), (Slot(10), voters(5))]);
        let configurations = Configurations { ranges };
        assert_eq!(*configurations.of(Slot(9)), voters(3));
        assert_eq!(*configurations.of(Slot(10)), voters(5));
    }
}
