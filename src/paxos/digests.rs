//! Replicas compare digests of their state (R23): what applied the same slots must be the
//! same. One that differs from a majority fences itself; a leader that differs from somebody, and
//! has no majority that agrees with it, serves nothing until that is settled.

use super::effects::Effects;
use super::note::Note;
use super::quorum::Voters;
use super::replica::{Replica, Role};
use crate::limits::DIGESTS_KEPT;
use crate::types::{NodeId, Slot, Tick};
use crate::wire::peer::Digest;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Digests of this replica, and what came of comparing them with others'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digests {
    /// Of the last slots applied here, without gaps.
    kept: VecDeque<Digest>,
    /// Of each peer, one of a slot that is yet to be applied here, and the members that share it.
    pending: BTreeMap<NodeId, (Digest, Vec<NodeId>)>,
    /// The last comparison with each peer.
    compared: BTreeMap<NodeId, Compared>,
    /// For each peer, the slot of the newest checkpoint of this replica that it confirmed: it has, or had, the same
    /// state there.
    confirmed: BTreeMap<NodeId, Slot>,
    /// What the comparisons come to. A replica that has fenced itself stays so until its state was rebuilt.
    doubt: Option<Doubt>,
    /// The highest slot at which a majority was seen to share this replica's state.
    agreed_upto: Slot,
    /// How often it has fenced itself.
    fences: u64,
    /// It has fenced itself, and the state was rebuilt since: what comes of that is not known yet.
    is_rebuilt: bool,
    /// Members whose digests, by which it had fenced itself, are to be compared with the new state.
    awaited: BTreeSet<NodeId>,
}

/// Two replicas' digests after the same slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Compared {
    /// The last slot at which they were the same, or the first one since at which they were not.
    slot: Slot,
    same: bool,
    /// The peer's digest at that slot.
    theirs: u64,
    /// Members that share the peer's state, itself included, as far as the peer knows.
    backed: Vec<NodeId>,
}

/// What is wrong with this replica's state, as far as the comparisons say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// A majority of the members differs from this replica: it takes no part any more.
    Fenced,
    /// Some members differ, and no majority agrees with this replica.
    Disputed,
    /// Some members differ from this replica and the majority that agrees with it.
    Others,
}

impl Digests {
    /// Of a replica that starts. Where its disk says that the state there is not to be believed, it has
    /// fenced itself.
    pub(super) fn start(is_fenced: bool) -> Digests {
        let doubt = is_fenced.then_some(Doubt::Fenced);
        Digests { doubt, fences: u64::from(is_fenced), ..Digests::default() }
    }

    /// The state is another one, that after a slot: what was compared says nothing of it. A replica that has
    /// fenced itself stays so until the new state was held against the digests by which it had.
    pub(super) fn restart(&mut self, slot: Slot) {
        let before = std::mem::take(self);
        self.fences = before.fences;
        if before.doubt != Some(Doubt::Fenced) {
            return;
        }
        (self.doubt, self.is_rebuilt) = (before.doubt, true);
        let ahead = before.compared.into_iter().filter(|(_, c)| !c.same && c.slot > slot);
        let digest = |c: &Compared| Digest { slot: c.slot, state: c.theirs };
        self.pending = ahead.map(|(node, c)| (node, (digest(&c), c.backed))).collect();
        self.awaited = self.pending.keys().copied().collect();
    }

    /// After the last slot applied.
    pub(super) fn last(&self) -> Option<Digest> {
        self.kept.back().copied()
    }

    fn at(&self, slot: Slot) -> Option<Digest> {
        let first = self.kept.front()?.slot;
        let back = slot.0.checked_sub(first.0)?;
        self.kept.get(usize::try_from(back).ok()?).copied()
    }

    fn push(&mut self, digest: Digest) {
        if self.last().is_some_and(|last| digest.slot != last.slot.next()) {
            self.kept.clear();
        }
        if self.kept.len() == DIGESTS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(digest);
    }

    /// Other members that were seen with this replica's state at that slot or later, without those
    /// that do not count: that they had the same before says nothing of what came since.
    fn agreeing(&self, since: Slot, uncounted: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let same = |(node, compared): &(&NodeId, &Compared)| {
            compared.same && compared.slot >= since && !uncounted.contains(node)
        };
        self.compared.iter().filter(same).map(|(node, _)| *node).collect()
    }

    /// A member confirmed this replica's checkpoint at that slot.
    fn confirm(&mut self, slot: Slot, member: NodeId) {
        let confirmed = self.confirmed.entry(member).or_default();
        *confirmed = slot.max(*confirmed);
    }

    /// Another member, of those that count, was seen with this replica's state at that slot or later, by a comparison
    /// or by its confirmation of a checkpoint.
    fn is_shared_since(&self, slot: Slot, uncounted: &BTreeSet<NodeId>) -> bool {
        let counts = |(node, upto): (&NodeId, &Slot)| *upto >= slot && !uncounted.contains(node);
        self.confirmed.iter().any(counts) || !self.agreeing(slot, uncounted).is_empty()
    }

    /// The members that agree, and those that one of them has behind it: a follower hears of most others through its
    /// leader alone.
    fn backing(&self, since: Slot, uncounted: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let agreeing = self.agreeing(since, uncounted);
        let backed = agreeing.iter().filter_map(|node| self.compared.get(node));
        let backed =
            backed.flat_map(|compared| &compared.backed).filter(|n| !uncounted.contains(n));
        backed.chain(&agreeing).copied().collect()
    }

    /// The digest that a majority is known to share, of the highest such slot, and the other members
    /// that share it. Where there is none, the last one, which only this replica is known to have.
    fn spoken_for(
        &self,
        me: NodeId,
        voters: &Voters,
        uncounted: &BTreeSet<NodeId>,
    ) -> (Option<Digest>, Vec<NodeId>) {
        let agreeing = self.agreeing(Slot(0), uncounted);
        let last = self.last().map(|digest| digest.slot);
        let agrees_at = |node: NodeId| {
            if node == me {
                return last;
            }
            self.compared.get(&node).filter(|_| agreeing.contains(&node)).map(|c| c.slot)
        };
        let shared = voters.reached_by_majority(agrees_at);
        match shared.and_then(|slot| self.at(slot)) {
            Some(digest) => (Some(digest), self.agreeing(digest.slot, uncounted)),
            None => (self.last(), Vec::new()),
        }
    }

    /// Adds the comparisons up. Members that do not count are for nothing and against nothing.
    fn weigh(&mut self, me: NodeId, voters: &Voters, uncounted: &BTreeSet<NodeId>) {
        let differing = self.compared.iter().filter(|(_, compared)| !compared.same);
        let counted = differing.filter(|(node, _)| !uncounted.contains(node));
        // Those that differ by comparison, and those that one of them has behind it.
        let against = |(node, compared): (&NodeId, &Compared)| {
            compared.backed.iter().copied().chain([*node]).collect::<Vec<_>>()
        };
        let against: BTreeSet<NodeId> = counted.clone().flat_map(against).collect();
        let against: BTreeSet<NodeId> = against.difference(uncounted).copied().collect();
        // The first slot by which all differences had been seen.
        let diverged_at = counted.map(|(_, compared)| compared.slot).max().unwrap_or_default();
        let backing = self.backing(diverged_at, uncounted);
        let agrees =
            |node: NodeId| node == me || (backing.contains(&node) && !against.contains(&node));
        let doubt = if against.is_empty() {
            None
        } else if voters.is_majority(|node| against.contains(&node)) {
            Some(Doubt::Fenced)
        } else if voters.is_majority(agrees) {
            Some(Doubt::Others)
        } else {
            Some(Doubt::Disputed)
        };
        let is_judged = self.is_rebuilt && self.awaited.is_empty();
        if self.doubt != Some(Doubt::Fenced) || is_judged {
            self.fences += u64::from(doubt == Some(Doubt::Fenced));
            (self.doubt, self.is_rebuilt) = (doubt, false);
        }
    }

    /// Notes up to where a majority is known to share this replica's state.
    fn note_agreement(&mut self, me: NodeId, voters: &Voters, uncounted: &BTreeSet<NodeId>) {
        let last = self.last().map(|digest| digest.slot);
        let agrees_at = |node: NodeId| {
            if node == me {
                return last;
            }
            let shows = |(with, compared): &(&NodeId, &Compared)| {
                let speaks = **with == node || compared.backed.contains(&node);
                compared.same && speaks && !uncounted.contains(with) && !uncounted.contains(&node)
            };
            self.compared.iter().filter(shows).map(|(_, compared)| compared.slot).max()
        };
        let agreed = voters.reached_by_majority(agrees_at);
        self.agreed_upto = self.agreed_upto.max(agreed.unwrap_or_default());
    }

    /// The members whose state differs, each with the first slot at which that was seen.
    pub fn differing(&self) -> impl Iterator<Item = (NodeId, Slot)> + '_ {
        let differs = self.compared.iter().filter(|(_, compared)| !compared.same);
        differs.map(|(node, compared)| (*node, compared.slot))
    }
}

impl Replica {
    /// The state machine applied a slot.
    pub(super) fn on_applied(&mut self, now: Tick, digest: Digest, effects: &mut Effects) {
        self.digests.push(digest);
        let due = |(node, (theirs, _)): (&NodeId, &(Digest, Vec<NodeId>))| {
            (theirs.slot <= digest.slot).then_some(*node)
        };
        while let Some(node) = self.digests.pending.iter().find_map(due) {
            let Some((theirs, backed)) = self.digests.pending.remove(&node) else { break };
            let was_awaited = self.digests.awaited.remove(&node);
            if theirs.slot == digest.slot {
                self.compare(now, node, (theirs, backed), digest, effects);
            } else if was_awaited {
                self.weigh_digests(now, effects);
            }
        }
        self.announce_if_durable(effects);
    }

    /// A peer's digest, which these members share: compared now, or once its slot is applied here.
    pub(super) fn hear_digest(
        &mut self,
        now: Tick,
        from: NodeId,
        theirs: Option<Digest>,
        backed: &[NodeId],
        effects: &mut Effects,
    ) {
        let Some(theirs) = theirs else { return };
        if self.digests.last().is_none_or(|last| last.slot < theirs.slot) {
            self.digests.pending.entry(from).or_insert_with(|| (theirs, backed.to_vec()));
        } else if let Some(own) = self.digests.at(theirs.slot) {
            self.compare(now, from, (theirs, backed.to_vec()), own, effects);
        }
    }

    /// Members whose states say nothing for or against another's. This replica itself is left out, for
    /// the comparisons are about it. One that has not accounted for all that it was seen to
    /// acknowledge may have lost it, and gone on from there.
    fn uncounted(&self) -> BTreeSet<NodeId> {
        let doubted = self.peers.iter().filter(|(_, peer)| peer.is_unaccounted());
        doubted.map(|(node, _)| *node).chain([self.config.me]).collect()
    }

    /// A checkpoint at a slot was installed, and these members were seen with the same one: that is as good as a
    /// comparison at that slot, which they have left behind (C25). What is known of a later one stays.
    pub fn shares_checkpoint(
        &mut self,
        now: Tick,
        slot: Slot,
        members: &[NodeId],
        effects: &mut Effects,
    ) {
        let Some(own) = self.digests.at(slot) else { return };
        for node in members {
            if !self.digests.compared.contains_key(node) {
                self.compare(now, *node, (own, vec![*node]), own, effects);
            }
        }
    }

    /// A member confirms this replica's checkpoint at that slot: it had the same state there (C25). That says nothing
    /// of the states that the two have now, nor of the members behind the one that confirms: comparisons stay as they
    /// are.
    pub fn confirms_checkpoint(&mut self, slot: Slot, member: NodeId) {
        self.digests.confirm(slot, member);
    }

    /// Another voter was seen with this replica's state at that slot or later.
    pub(super) fn is_shared_since(&self, slot: Slot) -> bool {
        self.digests.is_shared_since(slot, &self.uncounted())
    }

    /// The state that this leader names, and all members that are known to have it.
    pub(super) fn shared_digest(&self) -> (Option<Digest>, Vec<NodeId>) {
        let me = self.config.me;
        let (digest, mut agreeing) = self.digests.spoken_for(me, self.voters(), &self.uncounted());
        agreeing.push(me);
        agreeing.sort_unstable();
        (digest, agreeing)
    }

    fn compare(
        &mut self,
        now: Tick,
        with: NodeId,
        (theirs, backed): (Digest, Vec<NodeId>),
        own: Digest,
        effects: &mut Effects,
    ) {
        let (slot, same) = (own.slot, theirs.state == own.state);
        let (theirs, own) = (theirs.state, own.state);
        let differed = self.digests.compared.get(&with).filter(|before| !before.same);
        let differed = differed.map(|before| (before.slot, before.theirs));
        let (first, at_first) = differed.filter(|_| !same).unwrap_or((slot, theirs));
        let compared = Compared { slot: first, same, theirs: at_first, backed };
        self.digests.compared.insert(with, compared);
        if same {
            let uncounted = self.uncounted();
            let voters = self.configurations.of(self.chosen_upto.next());
            self.digests.note_agreement(self.config.me, voters, &uncounted);
        } else if differed.is_none() {
            effects.note(Note::StateDiffers { node: with, slot, theirs, own });
        }
        self.weigh_digests(now, effects);
    }

    /// Looks again at what the comparisons come to: one is new, or a member counts no more.
    pub(super) fn weigh_digests(&mut self, now: Tick, effects: &mut Effects) {
        let (was, fences) = (self.digests.doubt, self.digests.fences);
        let uncounted = self.uncounted();
        let voters = self.configurations.of(self.chosen_upto.next());
        self.digests.weigh(self.config.me, voters, &uncounted);
        let is_fenced = self.digests.doubt == Some(Doubt::Fenced);
        if was == Some(Doubt::Fenced) && !is_fenced {
            self.announce_due = true; // The others learn that the state is theirs again.
        }
        if self.digests.fences > fences {
            effects.note(Note::Fenced);
            if !matches!(self.role, Role::Follower) {
                self.become_follower(now, None, effects);
            }
            // The others learn of it, though this one answers no heartbeat any more.
            self.announce_due = true;
            self.announce_if_durable(effects);
        }
    }

    /// What the comparisons say against this replica's state, or against others'.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        self.digests.doubt
    }

    /// How often this replica has fenced itself in its life.
    #[must_use]
    pub fn fences(&self) -> u64 {
        self.digests.fences
    }

    /// A majority is known to have shared this replica's state up to this slot, and, while it is in doubt, no member
    /// to have differed; what is compared later may show another.
    #[must_use]
    pub fn agreed_upto(&self) -> Slot {
        let in_doubt = self.is_doubtful();
        let differing = self.digests.differing().filter(|_| in_doubt);
        let differed = differing.map(|(_, slot)| slot.prev()).min();
        differed.map_or(self.digests.agreed_upto, |before| before.min(self.digests.agreed_upto))
    }

    /// The comparisons with other members.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// True while this replica's state may be wrong: nothing is served from it.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        matches!(self.doubt(), Some(Doubt::Fenced | Doubt::Disputed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paxos::quorum::Quorums;

    fn same(slot: u64, backed: &[u16]) -> Compared {
        let backed = backed.iter().map(|node| NodeId(*node)).collect();
        Compared { slot: Slot(slot), same: true, theirs: 7, backed }
    }

    /// C25, R23: of five, a follower heard through its leader that three have its state, and one differs. When the
    /// leader confirms a checkpoint besides, the checkpoint counts as shared, and the three still count as agreeing.
    #[test]
    fn r23_a_confirmed_checkpoint_leaves_comparisons_alone() {
        let me = NodeId(1);
        let voters = Voters::new((1..=5).map(NodeId).collect(), Quorums::majority(5));
        let uncounted = BTreeSet::from([me]);
        let mut digests = Digests::default();
        digests.compared.insert(NodeId(2), same(100, &[2, 3, 4]));
        let differs = Compared { same: false, ..same(90, &[5]) };
        digests.compared.insert(NodeId(5), differs);
        digests.weigh(me, &voters, &uncounted);
        assert_eq!(digests.doubt, Some(Doubt::Others));
        assert!(!digests.is_shared_since(Slot(200), &uncounted));
        digests.confirm(Slot(200), NodeId(2));
        digests.weigh(me, &voters, &uncounted);
        assert_eq!(digests.doubt, Some(Doubt::Others));
        assert!(digests.is_shared_since(Slot(200), &uncounted));
        assert!(!digests.is_shared_since(Slot(201), &uncounted));
        let nobody_counts = BTreeSet::from([me, NodeId(2)]);
        assert!(!digests.is_shared_since(Slot(100), &nobody_counts));
    }
}
