//! Handing leadership over without a gap (rule C17).

use super::effects::{Effect, Effects, Plain};
use super::replica::{Replica, Role};
use crate::types::{Ballot, NodeId, Tick};
use crate::wire::peer::{HandOver, Release};

/// How long a lone member waits for its own disk before it gives its leadership up, in election
/// timeouts.
const LONE_ELECTIONS: u64 = 10;

/// A leadership that this replica gave up, while nobody is known to have taken it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GivenUp {
    ballot: Ballot,
    /// Who was called last.
    asked: NodeId,
    /// Whom to call if that one is about to stop, or gone; the best one last.
    others: Vec<NodeId>,
}

/// A call to succeed a leader that has renounced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SuccessionRequest {
    released: Ballot,
    /// Nobody waits for an answer after this.
    until: Tick,
}

impl Replica {
    /// Stops proposing; hands over once what is in flight is chosen, or after a while. A lone member
    /// has nobody who could find out for it what became of that: it waits longer for its disk.
    pub(super) fn on_hand_over_wanted(&mut self, now: Tick, effects: &mut Effects) {
        let elections = if self.is_single() { LONE_ELECTIONS } else { 1 };
        let by = now.after(elections * self.config.timing.election_us);
        if let Role::Leader(leadership) = &mut self.role {
            leadership.hand_over_by.get_or_insert(by);
        }
        self.hand_over_when_drained(now, effects);
    }

    /// The node is about to stop: it gives up what leadership it has, and takes none any more. Its
    /// votes count as before until it is gone. A campaign that has begun is finished first: its
    /// prepares are on their way, whoever promises waits for it, and a leader can hand over, while a
    /// candidate cannot.
    pub(super) fn on_leave(&mut self, now: Tick, effects: &mut Effects) {
        self.leaving = true;
        self.asked_to_succeed = None;
        match &self.role {
            Role::Follower | Role::Candidate(_) => {}
            Role::Canvassing(_) => self.become_follower(now, None, effects),
            Role::Leader(_) => self.on_hand_over_wanted(now, effects),
        }
    }

    pub(super) fn hand_over_when_drained(&mut self, now: Tick, effects: &mut Effects) {
        let Role::Leader(leadership) = &self.role else { return };
        let Some(by) = leadership.hand_over_by else { return };
        let drained = leadership.next_slot == self.chosen_upto.next();
        if drained || now >= by {
            self.hand_over(now, effects);
        }
    }

    /// Renounces first: with the leadership goes its lease, for good, since no ballot is led twice;
    /// grants that arrive late find no leader. Only then are the grantors released and the successor
    /// called.
    fn hand_over(&mut self, now: Tick, effects: &mut Effects) {
        let chosen_upto = self.chosen_upto;
        let Role::Leader(leadership) = &self.role else { return };
        let ballot = leadership.ballot;
        let mut others = self.successors();
        let asked = others.pop();
        self.become_follower(now, None, effects);
        effects.push(Effect::HandedOver(asked));
        for node in self.others() {
            if Some(node) == asked {
                effects.send(node, Plain::HandOver(HandOver { ballot, chosen_upto }));
            } else {
                effects.send(node, Plain::Release(Release { ballot }));
            }
        }
        self.given_up = asked.map(|asked| GivenUp { ballot, asked, others });
        // The successor goes first.
        self.election_at = self.election_at.after(2 * self.config.timing.election_us);
    }

    /// The member that was called does not come: calls the next one. Should both campaign, the
    /// higher ballot wins, as ever.
    pub(super) fn ask_next_successor(&mut self, gone: NodeId, effects: &mut Effects) {
        let chosen_upto = self.chosen_upto;
        let Some(given_up) = self.given_up.as_mut().filter(|given_up| given_up.asked == gone)
        else {
            return;
        };
        let fit = |node: &NodeId| {
            self.peers.get(node).is_some_and(|peer| peer.is_linked() && !peer.eligibility.leaving)
        };
        while let Some(node) = given_up.others.pop() {
            if fit(&node) {
                given_up.asked = node;
                effects.push(Effect::HandedOver(Some(node)));
                let ballot = given_up.ballot;
                return effects.send(node, Plain::HandOver(HandOver { ballot, chosen_upto }));
            }
        }
        self.given_up = None;
    }

    /// The leader of the promised ballot calls this replica to succeed it: no canvass, for it asked.
    pub(super) fn on_hand_over(
        &mut self,
        now: Tick,
        from: NodeId,
        h: &HandOver,
        effects: &mut Effects,
    ) {
        if h.ballot.node != from || h.ballot != self.hard.promised {
            return;
        }
        self.on_release(now, from, &Release { ballot: h.ballot });
        self.heard_chosen(from, h.chosen_upto);
        self.observe_chosen(now, h.ballot, h.chosen_upto, effects);
        self.advance_marked(effects);
        // One that is leaving has said so: whoever calls learns it, and calls another.
        if !self.leaving {
            let until = now.after(self.config.timing.election_us);
            self.asked_to_succeed = Some(SuccessionRequest { released: h.ballot, until });
        }
    }

    /// A leader is known, and has said that what it found when it was elected is chosen: it no longer
    /// needs this replica's votes to begin to serve.
    #[must_use]
    pub fn is_succeeded(&self) -> bool {
        let (marked_in, marked_upto) = self.learner.mark;
        let run = self.acceptor.stream.as_ref().filter(|stream| stream.ballot == marked_in);
        self.leader.is_some()
            && marked_in == self.hard.promised
            && run.is_some_and(|run| marked_upto >= run.serving_from)
    }

    /// Campaigns as called, as soon as it may: what it promised last can be on its way to the disk.
    pub(super) fn campaign_if_asked(&mut self, now: Tick, effects: &mut Effects) {
        let Some(SuccessionRequest { released, until }) = self.asked_to_succeed else { return };
        if now >= until || self.hard.promised != released {
            self.asked_to_succeed = None;
        } else if self.may_campaign(now, released) {
            self.asked_to_succeed = None;
            self.campaign(now, released, effects);
        }
    }

    /// The leader of `released` has given up its lease. If that ballot is as high as any that was
    /// promised here, nothing that an earlier life granted is in force: its own lease is renounced,
    /// and the lease of a lower ballot had ended before it was elected, by a quorum that meets the
    /// lower one's grantors. So there is nothing left to wait for (C15).
    pub(super) fn earlier_grants_end(&mut self, now: Tick, released: Ballot) {
        if !released.is_zero() && released >= self.hard.promised {
            self.boot_wait_until = self.boot_wait_until.min(now);
        }
    }
}
