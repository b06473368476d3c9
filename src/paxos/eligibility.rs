//! What members know of each other's fitness to lead, so that a hand-over goes to one that can take
//! it (rule C17).

use super::effects::{Effects, Plain};
use super::progress::FollowerProgress;
use super::replica::{Peer, Replica, Role};
use crate::types::{NodeId, Slot, Tick};
use crate::wire::peer::Eligibility;

/// How well a member would succeed a leader; the highest is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fitness {
    /// It could campaign at once.
    ready: bool,
    /// No live entry is absent on its disk (C29).
    is_complete: bool,
    /// One whose disk is full could take no appends.
    has_room: bool,
    /// It reaches a quorum without the leader that goes.
    reaches: bool,
    /// What it lacks it would have to learn first.
    upto: Slot,
    chosen_upto: Slot,
    node: NodeId,
}

impl Replica {
    /// What this replica is fit for.
    fn eligibility(&self, now: Tick) -> Eligibility {
        let linked = self.peers.values().filter(|peer| peer.is_linked()).count();
        Eligibility {
            leaving: self.leaving,
            ready: self.hard.formed && self.damaged_slots() == 0 && self.may_vote(now),
            linked: u16::try_from(linked).unwrap_or(u16::MAX),
            lacks_entries: self.learner.lacks_entries,
        }
    }

    /// Whether a member said last, on its present connection, that it lacks entries.
    #[must_use]
    pub fn peer_lacks_entries(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.eligibility.lacks_entries)
    }

    /// Whether this node lacks entries: live ones are absent, or it takes over a checkpoint and has not caught up
    /// since. Its driver knows (C29).
    pub fn set_lacks_entries(&mut self, lacks_entries: bool) {
        self.learner.lacks_entries = lacks_entries;
    }

    /// Says so to every member that was sent something else on its present connection.
    pub(super) fn send_eligibility(&mut self, now: Tick, effects: &mut Effects) {
        let eligibility = self.eligibility(now);
        for (node, peer) in &mut self.peers {
            if peer.up && peer.sent_eligibility != eligibility {
                peer.sent_eligibility = eligibility;
                effects.send(*node, Plain::Eligibility(eligibility));
            }
        }
    }

    pub(super) fn on_eligibility(
        &mut self,
        from: NodeId,
        eligibility: Eligibility,
        effects: &mut Effects,
    ) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.eligibility = eligibility;
        }
        if eligibility.leaving {
            self.ask_next_successor(from, effects);
        }
    }

    /// The members that this leader may call to succeed it, the best one last. One that is about to
    /// stop is none of them.
    pub(super) fn successors(&self) -> Vec<NodeId> {
        let Role::Leader(leadership) = &self.role else { return Vec::new() };
        let fitness = |(node, progress): (&NodeId, &FollowerProgress)| {
            let peer = self.peers.get(node).filter(|peer| peer.is_linked())?;
            let Eligibility { leaving, ready, linked, lacks_entries } = peer.eligibility;
            // Of those that it is linked with, one is this leader; in its place it counts itself.
            let reaches = self.voters().suffice_to_lead(usize::from(linked));
            let (has_room, upto, chosen_upto) =
                (!progress.is_full(), progress.upto(), progress.chosen_upto());
            (!leaving).then_some(Fitness {
                ready,
                is_complete: !lacks_entries,
                has_room,
                reaches,
                upto,
                chosen_upto,
                node: *node,
            })
        };
        let mut fit: Vec<Fitness> = leadership.followers.iter().filter_map(fitness).collect();
        fit.sort_unstable();
        fit.into_iter().map(|fitness| fitness.node).collect()
    }
}

impl Peer {
    /// A connection is open, and it has said on it who it is.
    pub(super) fn is_linked(&self) -> bool {
        self.up && self.met.is_some()
    }
}
