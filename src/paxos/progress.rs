//! How the other members stand, as far as this replica knows it first-hand: for status and metrics.
//! No decision rests on it.

use super::replica::{Replica, Role};
use crate::types::{NodeId, Slot, Tick};

/// What a follower said of itself counts for so many election timeouts after the heartbeat that it
/// answered: longer than a lost packet, far shorter than anybody's patience.
const FRESH_TIMEOUTS: u64 = 4;

impl Replica {
    /// True once every member has met every other one: before that nobody leads.
    #[must_use]
    pub fn is_formed(&self) -> bool {
        self.hard().formed
    }

    /// The members that a cluster which has not formed waits for: those that this replica has not
    /// met in its present life, and those that a member it has met does not know yet. Empty once it
    /// is formed, and for the moment in which the last record of that becomes durable.
    #[must_use]
    pub fn unmet(&self) -> Vec<NodeId> {
        if self.is_formed() {
            return Vec::new();
        }
        let met = |node: &NodeId| self.peers().get(node).and_then(|peer| peer.met.as_ref());
        let others = || self.others();
        let knows = |by: NodeId, node: NodeId| {
            met(&by).is_none_or(|meet| meet.known.iter().any(|(known, _)| *known == node))
        };
        let lacks = |node: &NodeId| met(node).is_none() || !others().all(|by| knows(by, *node));
        others().filter(lacks).collect()
    }

    /// How far a member has come, if this replica leads and hears of it: followers hear nothing of
    /// each other, and what they once heard would only grow old.
    #[must_use]
    pub fn progress_of(&self, node: NodeId, now: Tick) -> Option<Slot> {
        let Role::Leader(leadership) = self.role() else { return None };
        let follower = leadership.followers().get(&node)?;
        let fresh_us = FRESH_TIMEOUTS * self.config().timing.election_us;
        let up = self.peers().get(&node).is_some_and(|peer| peer.up);
        let heard = follower.confirmed_at > Tick(0) && now.since(follower.confirmed_at) <= fresh_us;
        (up && heard).then_some(follower.chosen_upto)
    }
}
