//! Replicas compare digests of their state (RULES R23): what applied the same slots must be the
//! same. One that differs from a majority fences itself; a leader that differs from somebody, and
//! has no majority that agrees with it, serves nothing until that is settled.

use super::effects::Effects;
use super::replica::{Replica, Role};
use crate::limits::DIGESTS_KEPT;
use crate::types::{NodeId, Slot, Tick};
use crate::wire::peer::Digest;
use std::collections::{BTreeMap, VecDeque};

/// Digests of this replica, and what came of comparing them with others'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digests {
    /// Of the last slots applied here, without gaps.
    kept: VecDeque<Digest>,
    /// Of each peer, one of a slot that is yet to be applied here, and how many members share it.
    pending: BTreeMap<NodeId, (Digest, usize)>,
    /// The last comparison with each peer.
    compared: BTreeMap<NodeId, Compared>,
    /// What the comparisons come to. A replica that has fenced itself stays so.
    doubt: Option<Doubt>,
}

/// Two replicas' digests after the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Compared {
    /// The last slot at which they were the same, or the first one since at which they were not.
    slot: Slot,
    same: bool,
    /// Members that share the peer's state, itself included, as far as the peer knows.
    backed: usize,
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

    /// Members that were seen with this replica's state at that slot or later, itself included: that
    /// they had the same before says nothing of what came since.
    fn agreeing(&self, since: Slot) -> usize {
        let same = |compared: &&Compared| compared.same && compared.slot >= since;
        1 + self.compared.values().filter(same).count()
    }

    /// The digest that a majority is known to share, of the highest such slot, and how many share
    /// it. Where there is none, the last one, which this replica alone speaks for.
    pub(super) fn spoken_for(&self, majority: usize) -> (Option<Digest>, usize) {
        let same = self.compared.values().filter(|compared| compared.same);
        let mut slots: Vec<Slot> = same.map(|compared| compared.slot).collect();
        slots.sort_unstable_by(|a, b| b.cmp(a));
        let shared = majority.checked_sub(2).and_then(|others| slots.get(others).copied());
        match shared.and_then(|slot| self.at(slot)) {
            Some(digest) => (Some(digest), self.agreeing(digest.slot)),
            None => (self.last(), 1),
        }
    }

    /// The first slot by which all differences had been seen.
    fn parted_at(&self) -> Slot {
        self.differing().map(|(_, slot)| slot).max().unwrap_or_default()
    }

    /// Members that are known to differ from this replica: by comparison, or because one that
    /// differs has them behind it.
    fn against(&self) -> usize {
        let differing = self.compared.values().filter(|compared| !compared.same);
        let backed = differing.clone().map(|compared| compared.backed).max();
        differing.count().max(backed.unwrap_or(0))
    }

    /// Adds the comparisons up.
    fn weigh(&mut self, majority: usize) {
        let doubt = match (self.against(), self.agreeing(self.parted_at())) {
            (0, _) => None,
            (against, _) if against >= majority => Some(Doubt::Fenced),
            (_, agree) if agree >= majority => Some(Doubt::Others),
            _ => Some(Doubt::Disputed),
        };
        if self.doubt != Some(Doubt::Fenced) {
            self.doubt = doubt;
        }
    }

    /// The members whose state differs, each with the first slot at which that was seen.
    pub fn differing(&self) -> impl Iterator<Item = (NodeId, Slot)> + '_ {
        let differs = self.compared.iter().filter(|(_, compared)| !compared.same);
        differs.map(|(node, compared)| (*node, compared.slot))
    }
}

impl Replica {
    /// The state machine applied a slot.
    pub(super) fn on_applied(&mut self, now: Tick, digest: Digest, fx: &mut Effects) {
        self.digests.push(digest);
        let due = |pending: &BTreeMap<NodeId, (Digest, usize)>| {
            let due = pending.iter().find(|(_, (theirs, _))| theirs.slot <= digest.slot);
            due.map(|(node, (theirs, backed))| (*node, *theirs, *backed))
        };
        while let Some((node, theirs, backed)) = due(&self.digests.pending) {
            self.digests.pending.remove(&node);
            if theirs.slot == digest.slot {
                self.compare(now, node, (theirs, backed), digest, fx);
            }
        }
    }

    /// A peer's digest, which so many members share: compared now, or once its slot is applied
    /// here.
    pub(super) fn hear_digest(
        &mut self,
        now: Tick,
        from: NodeId,
        theirs: Option<Digest>,
        backed: usize,
        fx: &mut Effects,
    ) {
        let Some(theirs) = theirs else { return };
        if self.digests.last().is_none_or(|last| last.slot < theirs.slot) {
            self.digests.pending.entry(from).or_insert((theirs, backed));
        } else if let Some(own) = self.digests.at(theirs.slot) {
            self.compare(now, from, (theirs, backed), own, fx);
        }
    }

    fn compare(
        &mut self,
        now: Tick,
        with: NodeId,
        (theirs, backed): (Digest, usize),
        own: Digest,
        fx: &mut Effects,
    ) {
        let (slot, same) = (own.slot, theirs.state == own.state);
        let before = self.digests.compared.get(&with).copied();
        let first =
            before.filter(|before| !same && !before.same).map_or(slot, |before| before.slot);
        self.digests.compared.insert(with, Compared { slot: first, same, backed });
        let was = self.digests.doubt;
        self.digests.weigh(self.config.majority());
        if same {
            return;
        }
        if before.is_none_or(|before| before.same) {
            log::error!(
                "the state of node {with} after slot {slot} differs from this node's: {:#018x} \
                 there, {:#018x} here; see docs/OPERATIONS.md, \"Replicas differ\"",
                theirs.state,
                own.state
            );
        }
        if self.digests.doubt == Some(Doubt::Fenced) && was != self.digests.doubt {
            log::error!(
                "a majority of the members differs from this node's state: it votes, leads and \
                 serves no more until it is restarted"
            );
            if !matches!(self.role, Role::Follower) {
                self.become_follower(now, None, fx);
            }
            // The others learn of it, though this one answers no heartbeat any more.
            self.meet_due = true;
            self.meet_durable(fx);
        }
    }

    /// What the comparisons say against this replica's state, or against others'.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        self.digests.doubt
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
