//! Members counted against quorums: whoever asks whether votes suffice asks here.

use crate::types::NodeId;
use std::collections::BTreeSet;

/// Sizes of the two quorums; only each pair *across* the phases must intersect (Flexible Paxos,
/// section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quorums {
    /// Members whose promises a campaign needs (phase 1).
    pub prepare: usize,
    /// Members whose acceptance chooses a value, and whose grants make a lease (phase 2).
    pub accept: usize,
}

impl Quorums {
    /// Majorities for both phases.
    #[must_use]
    pub fn majority(members: usize) -> Quorums {
        let majority = majority_of(members);
        Quorums { prepare: majority, accept: majority }
    }

    /// Checks the quorums against the number of members.
    ///
    /// # Errors
    /// A text that names the rule broken, with the numbers.
    pub fn check(self, members: usize) -> Result<(), String> {
        let Quorums { prepare, accept } = self;
        if prepare == 0 || accept == 0 || prepare > members || accept > members {
            return Err(format!(
                "quorums must lie between 1 and the number of members: prepare={prepare} \
                 accept={accept} members={members}"
            ));
        }
        if prepare + accept <= members {
            return Err(format!(
                "prepare + accept must exceed the number of members: {prepare} + {accept} <= \
                 {members}"
            ));
        }
        Ok(())
    }
}

/// Members that are more than half of all.
fn majority_of(members: usize) -> usize {
    members / 2 + 1
}

/// The members whose votes count, and how many of them a decision needs. What is counted is asked of
/// each member once: a node that is no member counts for nothing, and no vote counts twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Voters {
    members: BTreeSet<NodeId>,
    quorums: Quorums,
}

impl Voters {
    /// These members, with quorums of these sizes.
    ///
    /// # Panics
    /// When the quorums do not suit the members: both are checked before.
    pub(super) fn new(members: BTreeSet<NodeId>, quorums: Quorums) -> Voters {
        if let Err(fault) = quorums.check(members.len()) {
            panic!("a checked configuration has quorums that suit its members: {fault}");
        }
        Voters { members, quorums }
    }

    /// Whether the node is a member.
    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.members.contains(&node)
    }

    /// The members, in order.
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied()
    }

    /// The members but this one, in order.
    pub(super) fn others(&self, me: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.members().filter(move |node| *node != me)
    }

    /// There is one member only: it is a quorum by itself.
    pub(super) fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    /// Members that promised are enough for phase 1 (R15).
    pub(super) fn is_prepare_quorum(&self, promised: impl Fn(NodeId) -> bool) -> bool {
        self.count(promised) >= self.quorums.prepare
    }

    /// Members that accepted are enough for phase 2 (R15).
    pub(super) fn is_accept_quorum(&self, accepted: impl Fn(NodeId) -> bool) -> bool {
        self.count(accepted) >= self.quorums.accept
    }

    /// Members that go along are enough for a leader: to be elected, and to get values chosen.
    pub(super) fn is_leading_quorum(&self, follows: impl Fn(NodeId) -> bool) -> bool {
        self.suffice_to_lead(self.count(follows))
    }

    /// So many members are enough for a leader, whichever they are.
    pub(super) fn suffice_to_lead(&self, members: usize) -> bool {
        members >= self.quorums.prepare.max(self.quorums.accept)
    }

    /// Members that agree are more than half of all.
    pub(super) fn is_majority(&self, agrees: impl Fn(NodeId) -> bool) -> bool {
        self.count(agrees) >= majority_of(self.members.len())
    }

    /// No member is missing.
    pub(super) fn is_everyone(&self, there: impl Fn(NodeId) -> bool) -> bool {
        self.members().all(there)
    }

    /// The most that every member of some accept quorum has reached.
    pub(super) fn reached_by_accept_quorum<T: Ord + Copy>(&self, of: impl Fn(NodeId) -> T) -> T {
        self.reached_by(self.quorums.accept, of)
    }

    /// The most that every member of some majority has reached.
    pub(super) fn reached_by_majority<T: Ord + Copy>(&self, of: impl Fn(NodeId) -> T) -> T {
        self.reached_by(majority_of(self.members.len()), of)
    }

    fn count(&self, counts: impl Fn(NodeId) -> bool) -> usize {
        self.members().filter(|node| counts(*node)).count()
    }

    fn reached_by<T: Ord + Copy>(&self, quorum: usize, of: impl Fn(NodeId) -> T) -> T {
        let mut reached: Vec<T> = self.members().map(of).collect();
        reached.sort_unstable_by(|a, b| b.cmp(a));
        reached[quorum - 1] // A quorum is at least one member, and at most all of them.
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Nodes that vote; members among them, and others.
    const NODES: u16 = 12;

    /// Members, quorums that suit them, and what each node of all reached.
    fn drawn() -> impl Strategy<Value = (Voters, Vec<u64>)> {
        let members = proptest::collection::btree_set((1..=NODES).prop_map(NodeId), 1..=9);
        let sized = members.prop_flat_map(|members| {
            let n = members.len();
            (Just(members), 1..=n).prop_flat_map(move |(members, accept)| {
                (Just(members), n + 1 - accept..=n, Just(accept))
            })
        });
        let reached = proptest::collection::vec(0..6_u64, usize::from(NODES));
        (sized, reached).prop_map(|((members, prepare, accept), reached)| {
            (Voters::new(members, Quorums { prepare, accept }), reached)
        })
    }

    fn at(reached: &[u64], node: NodeId) -> u64 {
        reached[usize::from(node.0) - 1]
    }

    /// The count, by looking at one node after the other.
    fn naive(voters: &Voters, reached: &[u64], least: u64) -> usize {
        let mut found = 0;
        for node in 1..=NODES {
            if voters.members.contains(&NodeId(node)) && at(reached, NodeId(node)) >= least {
                found += 1;
            }
        }
        found
    }

    /// Every set of so many members.
    fn sets_of(voters: &Voters, size: usize) -> Vec<BTreeSet<NodeId>> {
        let members: Vec<NodeId> = voters.members.iter().copied().collect();
        let picked = |bits: u32| {
            let node = |(at, node): (usize, &NodeId)| (bits >> at & 1 == 1).then_some(*node);
            members.iter().enumerate().filter_map(node).collect::<BTreeSet<_>>()
        };
        (0..1_u32 << members.len()).map(picked).filter(|set| set.len() == size).collect()
    }

    proptest! {
        /// R15: each question is the naive count of members against the size that belongs to it.
        #[test]
        fn r15_questions_agree_with_a_naive_count(drawn in drawn(), least in 0..7_u64) {
            let (voters, reached) = drawn;
            let (n, Quorums { prepare, accept }) = (voters.members.len(), voters.quorums);
            let found = naive(&voters, &reached, least);
            let votes = |node| at(&reached, node) >= least;
            prop_assert_eq!(voters.is_prepare_quorum(votes), found >= prepare);
            prop_assert_eq!(voters.is_accept_quorum(votes), found >= accept);
            prop_assert_eq!(voters.is_leading_quorum(votes), found >= prepare && found >= accept);
            prop_assert_eq!(voters.is_majority(votes), 2 * found > n);
            prop_assert_eq!(voters.is_everyone(votes), found == n);
            prop_assert_eq!(voters.is_single(), n == 1);
        }

        /// R15: what a quorum has reached, enough members have reached, and nothing higher.
        #[test]
        fn r15_no_quorum_has_reached_more(drawn in drawn()) {
            let (voters, reached) = drawn;
            let of = |node| at(&reached, node);
            let accept = voters.reached_by_accept_quorum(of);
            prop_assert!(naive(&voters, &reached, accept) >= voters.quorums.accept);
            prop_assert!(naive(&voters, &reached, accept + 1) < voters.quorums.accept);
            let majority = voters.reached_by_majority(of);
            prop_assert!(2 * naive(&voters, &reached, majority) > voters.members.len());
            prop_assert!(2 * naive(&voters, &reached, majority + 1) <= voters.members.len());
        }

        /// R15: every prepare quorum meets every accept quorum, and every two majorities meet.
        #[test]
        fn r15_quorums_of_the_two_phases_meet(drawn in drawn()) {
            let (voters, _) = drawn;
            let Quorums { prepare, accept } = voters.quorums;
            for promised in sets_of(&voters, prepare) {
                prop_assert!(voters.is_prepare_quorum(|node| promised.contains(&node)));
                let rest = |node| !promised.contains(&node);
                prop_assert!(!voters.is_accept_quorum(rest), "{promised:?} of {voters:?}");
            }
            prop_assert!(prepare + accept > voters.members.len());
        }
    }

    /// A checked configuration only: sizes that let two decisions pass each other by are none.
    #[test]
    fn r15_quorums_that_need_not_meet_are_refused() {
        let fits = |prepare, accept, members| Quorums { prepare, accept }.check(members).is_ok();
        assert!(fits(2, 2, 3) && fits(3, 1, 3) && fits(1, 3, 3) && fits(1, 1, 1));
        assert!(!fits(1, 2, 3) && !fits(2, 2, 4) && !fits(0, 3, 3) && !fits(4, 1, 3));
    }

    /// The leader of one member is its own quorum.
    #[test]
    fn r15_one_member_decides_alone() {
        let voters = Voters::new(BTreeSet::from([NodeId(7)]), Quorums::majority(1));
        assert!(voters.is_single() && voters.others(NodeId(7)).next().is_none());
        assert!(voters.is_leading_quorum(|node| node == NodeId(7)));
        assert!(!voters.is_accept_quorum(|node| node != NodeId(7)));
        assert_eq!(voters.reached_by_accept_quorum(|node| node.0), 7);
    }
}
