//! The learner: what is known to be chosen, and how a replica that is behind catches up.

use super::effects::{Effect, Effects, Plain, Stop, Vote};
use super::replica::{Replica, Role};
use crate::limits::LEARN_SLOTS_MAX;
use crate::types::{Ballot, NodeId, Record, Slot, Tick, Value};
use crate::wire::peer::{Learn, Learned, Mark};
use std::collections::{BTreeMap, BTreeSet};

/// A fact that is not yet on disk goes there after this, so that a restart forgets little.
const CHOSEN_RECORD_US: u64 = 1_000_000;

/// What a learner knows and what it has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Learner {
    /// Chosen slots whose value is damaged here, each with a ballot in which it was chosen.
    holes: BTreeMap<Slot, Ballot>,
    /// The highest ballot whose leader told a watermark, and that watermark (C9).
    mark: (Ballot, Slot),
    /// Somebody knows that slots up to here are chosen.
    target: Slot,
    asking: Option<Asking>,
    /// Peers that could not serve the slot wanted next.
    refused: BTreeSet<NodeId>,
    /// The watermark that the last `Chosen` record told, and when.
    recorded: (Slot, Tick),
}

/// One request for chosen values under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asking {
    peer: NodeId,
    from: Slot,
    until: Tick,
}

impl Learner {
    pub(super) fn remember(holes: BTreeMap<Slot, Ballot>, chosen_upto: Slot) -> Learner {
        let recorded = (chosen_upto, Tick(0));
        Learner { holes, target: chosen_upto, recorded, ..Learner::default() }
    }

    pub(super) fn holes(&self) -> &BTreeMap<Slot, Ballot> {
        &self.holes
    }

    pub(super) fn first_hole(&self) -> Option<Slot> {
        self.holes.first_key_value().map(|entry| *entry.0)
    }

    pub(super) fn retry_at(&self) -> Option<Tick> {
        self.asking.as_ref().map(|asking| asking.until)
    }

    pub(super) fn refused(&self, peer: NodeId) -> bool {
        self.refused.contains(&peer)
    }

    pub(super) fn forgive(&mut self) {
        self.refused.clear();
    }

    /// The connection to a peer is gone, and what was asked there with it.
    pub(super) fn lost(&mut self, node: NodeId) {
        if self.asking.as_ref().is_some_and(|asking| asking.peer == node) {
            self.asking = None;
        }
    }

    pub(super) fn want(&mut self, upto: Slot) {
        self.target = self.target.max(upto);
    }
}

impl Replica {
    /// A leader of `ballot` said that everything up to `upto` is chosen.
    pub(super) fn note_mark(&mut self, ballot: Ballot, upto: Slot) {
        let learner = &mut self.learner;
        if ballot > learner.mark.0 {
            learner.mark = (ballot, upto);
        } else if ballot == learner.mark.0 {
            learner.mark.1 = learner.mark.1.max(upto);
        }
        learner.want(upto);
    }

    pub(super) fn on_mark(&mut self, now: Tick, from: NodeId, mark: &Mark, fx: &mut Effects) {
        // A mark is no reason to promise: only accepts and heartbeats speak for a live leader.
        if mark.ballot.node != from || mark.ballot != self.hard.promised {
            return;
        }
        self.note_mark(mark.ballot, mark.chosen_upto);
        self.advance_marked(fx);
        self.learn_more(now, fx);
    }

    /// Marks chosen what the mark covers and was accepted here in *exactly* its ballot (C9).
    pub(super) fn advance_marked(&mut self, fx: &mut Effects) {
        let (ballot, upto) = self.learner.mark;
        while self.chosen_upto < upto {
            let slot = self.chosen_upto.next();
            match self.acceptor.accepted.get(&slot) {
                Some((held, value)) if *held == ballot => {
                    let value = value.clone();
                    self.choose(slot, ballot, value, fx);
                }
                Some(_) | None => break,
            }
        }
    }

    /// The slot is chosen: the one door through which the watermark rises.
    pub(super) fn choose(&mut self, slot: Slot, ballot: Ballot, value: Value, fx: &mut Effects) {
        assert_eq!(slot, self.chosen_upto.next(), "slots are chosen in order");
        self.chosen_upto = slot;
        self.acceptor.accepted.remove(&slot);
        self.acceptor.settle(slot);
        fx.push(Effect::Chosen { slot, ballot, value });
    }

    /// Serves a peer's request, clipped to what is known here; the shard reads the values.
    pub(super) fn on_learn(&mut self, from: NodeId, mut learn: Learn, fx: &mut Effects) {
        let last = learn.from.plus(LEARN_SLOTS_MAX - 1);
        learn.upto = learn.upto.min(last).min(self.chosen_upto);
        fx.push(Effect::Serve { to: from, learn });
    }

    /// Asks for what is missing, unless a request is under way. A leader learns nothing: what it
    /// knows as chosen in its ballot it decided itself (C9).
    pub(super) fn learn_more(&mut self, now: Tick, fx: &mut Effects) {
        if let Some(asking) = &self.learner.asking {
            if now < asking.until {
                return;
            }
            self.learner.refused.insert(asking.peer);
            self.learner.asking = None;
        }
        let (from, upto) = match (self.learner.first_hole(), &self.role) {
            (Some(hole), _) => (hole, hole),
            (None, Role::Leader(_)) => return,
            (None, Role::Follower | Role::Canvassing(_) | Role::Candidate(_)) => {
                (self.chosen_upto.next(), self.learner.target)
            }
        };
        if from > upto {
            return;
        }
        let Some(peer) = self.teacher() else { return };
        let until = now.after(self.config.timing.election_us);
        self.learner.asking = Some(Asking { peer, from, until });
        fx.send(peer, Plain::Learn(Learn { from, upto }));
    }

    /// The peer to learn from: the leader, or any other that is up, in turn.
    fn teacher(&self) -> Option<NodeId> {
        let fit = |node: &NodeId| {
            self.peers.get(node).is_some_and(|peer| peer.up) && !self.learner.refused(*node)
        };
        let ahead = |node: &NodeId| {
            fit(node) && self.peers.get(node).is_some_and(|p| p.chosen_upto > self.chosen_upto)
        };
        let leader = self.leader.filter(fit);
        leader
            .or_else(|| self.config.others().find(ahead))
            .or_else(|| self.config.others().find(fit))
    }

    /// Chosen values arrived. Each gets a record of its own before it counts as held (C9).
    pub(super) fn on_learned(&mut self, now: Tick, from: NodeId, l: Learned, fx: &mut Effects) {
        self.heard_chosen(from, l.chosen_upto);
        let asked = self.learner.asking.as_ref();
        if !asked.is_some_and(|asking| asking.peer == from && asking.from == l.from) {
            return; // An answer that came too late: another was asked meanwhile.
        }
        self.learner.asking = None;
        let mut progress = false;
        for (slot, ballot, value) in l.values {
            progress |= self.learn_value(slot, ballot, value, fx);
        }
        if progress {
            self.learner.forgive();
        } else {
            self.learner.refused.insert(from);
            self.give_up_unsettled(fx);
        }
        self.advance_marked(fx);
        self.learn_more(now, fx);
        match &self.role {
            Role::Candidate(_) => self.campaign_step(now, fx),
            Role::Follower if progress => self.tell_progress(fx),
            Role::Follower | Role::Canvassing(_) | Role::Leader(_) => {}
        }
    }

    fn learn_value(&mut self, slot: Slot, ballot: Ballot, value: Value, fx: &mut Effects) -> bool {
        if self.learner.holes.remove(&slot).is_some() {
            self.persist(Record::Learned { slot, ballot, value: value.clone() }, fx);
            fx.push(Effect::Repaired { slot, ballot, value });
            return true;
        }
        if slot != self.chosen_upto.next() || matches!(self.role, Role::Leader(_)) {
            return false;
        }
        self.persist(Record::Learned { slot, ballot, value: value.clone() }, fx);
        self.choose(slot, ballot, value, fx);
        true
    }

    /// Tells the leader how far this follower came, so that it sends what was held back.
    fn tell_progress(&mut self, fx: &mut Effects) {
        let Some(leader) = self.leader.filter(|leader| *leader == self.hard.promised.node) else {
            return;
        };
        let promised = self.hard.promised;
        let streams = self.acceptor.stream.as_ref().is_some_and(|s| s.ballot == promised);
        let upto = if streams { self.stream_upto() } else { Slot(0) };
        let accepted = self.accepted_upto(leader, upto);
        fx.send_after(self.last_lsn(), leader, Vote::Accepted(accepted));
    }

    /// A damaged chosen slot that every other member was asked for in vain ends the node.
    fn give_up_unsettled(&mut self, fx: &mut Effects) {
        let Some(slot) = self.learner.first_hole() else { return };
        if self.config.others().all(|node| self.learner.refused(node)) {
            self.stop(Stop::Unsettled { slot }, fx);
        }
    }

    /// The value of a chosen slot turned out to be unreadable here: fetch it again from a peer.
    pub fn report_lost(&mut self, now: Tick, slot: Slot, ballot: Ballot, effects: &mut Effects) {
        assert!(slot <= self.chosen_upto, "lost {slot} above chosen_upto={}", self.chosen_upto);
        if self.stopped || self.learner.holes.insert(slot, ballot).is_some() {
            return;
        }
        self.check_memory(effects);
        self.learn_more(now, effects);
    }

    pub(super) fn heard_chosen(&mut self, from: NodeId, chosen_upto: Slot) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.chosen_upto = peer.chosen_upto.max(chosen_upto);
        }
    }

    /// Repeats what went unanswered, and writes down what is known when no accept does.
    pub(super) fn learn_tick(&mut self, now: Tick, fx: &mut Effects) {
        let idle = self.learner.asking.is_none();
        let late = self.learner.asking.as_ref().is_some_and(|asking| now >= asking.until);
        if late || (idle && self.learner.first_hole().is_some()) {
            self.learn_more(now, fx);
            if self.learner.asking.is_none() && !self.learner.refused.is_empty() {
                self.learner.forgive(); // All were asked: begin anew.
            }
        }
        let (recorded, at) = self.learner.recorded;
        let (ballot, slot) = self.learner.mark;
        if slot > recorded && self.chosen_upto >= slot && now.since(at) >= CHOSEN_RECORD_US {
            self.learner.recorded = (slot, now);
            self.persist(Record::Chosen { ballot, slot }, fx);
        }
    }
}
