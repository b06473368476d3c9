//! Handing leadership over without a gap (CONSENSUS C17).

use super::effects::{Effects, Plain};
use super::pipeline::Follower;
use super::replica::{Replica, Role};
use crate::types::{NodeId, Tick};
use crate::wire::peer::{HandOver, Release};

impl Replica {
    /// Stops proposing; hands over once what is in flight is chosen, or after a while.
    pub(super) fn on_hand_over_wanted(&mut self, now: Tick, fx: &mut Effects) {
        let by = now.after(self.config.timing.election_us);
        if let Role::Leader(leadership) = &mut self.role {
            leadership.hand_over_by.get_or_insert(by);
        }
        self.hand_over_when_drained(now, fx);
    }

    pub(super) fn hand_over_when_drained(&mut self, now: Tick, fx: &mut Effects) {
        let Role::Leader(leadership) = &self.role else { return };
        let Some(by) = leadership.hand_over_by else { return };
        let drained = leadership.next_slot == self.chosen_upto.next();
        if drained || now >= by {
            self.hand_over(now, fx);
        }
    }

    /// Renounces first: with the leadership goes its lease, for good, since no ballot is led twice;
    /// grants that arrive late find no leader. Only then are the grantors released and the successor
    /// called.
    fn hand_over(&mut self, now: Tick, fx: &mut Effects) {
        let chosen_upto = self.chosen_upto;
        let Role::Leader(leadership) = &self.role else { return };
        let ballot = leadership.ballot;
        let up = |node: &NodeId| self.peers.get(node).is_some_and(|peer| peer.up);
        // One whose disk is full could take no appends.
        let reach = |(node, f): (&NodeId, &Follower)| (!f.is_full(), f.upto, f.chosen_upto, *node);
        let successor = leadership.followers.iter().filter(|(node, _)| up(node)).map(reach).max();
        let successor = successor.map(|reached| reached.3);
        self.become_follower(now, None, fx);
        for node in self.config.others() {
            if Some(node) == successor {
                fx.send(node, Plain::HandOver(HandOver { ballot, chosen_upto }));
            } else {
                fx.send(node, Plain::Release(Release { ballot }));
            }
        }
        // The successor goes first.
        self.election_at = self.election_at.after(2 * self.config.timing.election_us);
    }

    /// The leader of the promised ballot calls this replica to succeed it: no canvass, for it asked.
    pub(super) fn on_hand_over(&mut self, now: Tick, from: NodeId, h: &HandOver, fx: &mut Effects) {
        if h.ballot.node != from || h.ballot != self.hard.promised {
            return;
        }
        self.on_release(&Release { ballot: h.ballot });
        self.heard_chosen(from, h.chosen_upto);
        self.note_mark(now, h.ballot, h.chosen_upto, fx);
        self.advance_marked(fx);
        if self.may_campaign(now, h.ballot) {
            self.campaign(now, h.ballot, fx);
        }
    }
}
