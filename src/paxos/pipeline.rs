//! Phase 2, pipelined (Paxos Made Simple, section 2.2; Paxos Made Moderately Complex, section 2.3).

use super::effects::{Effect, Effects, Plain};
use super::progress::FollowerProgress;
use super::replica::{Replica, Role};
use crate::types::{Ballot, Lsn, NodeId, Record, Slot, Tick, Value};
use crate::wire::peer::{Accept, Accepted, ChosenUpto, Resend};
use std::collections::{BTreeMap, VecDeque};

/// A leader's state: one ballot, from its first slot to its last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leadership {
    /// The ballot that was won.
    pub ballot: Ballot,
    /// The first slot that this ballot proposes.
    pub(super) first: Slot,
    /// The slot of the next proposal.
    pub(super) next_slot: Slot,
    /// Commands and linearizable reads are served once this slot, of the leader's own ballot, is
    /// chosen (R17, R19).
    pub(super) serving_from: Slot,
    /// Every slot from `first` to here is durable on the leader's own disk.
    pub(super) own_upto: Slot,
    /// Own records that are not yet durable: LSN, slot, and when it was proposed.
    pub(super) own_pending: VecDeque<(Lsn, Slot, Tick)>,
    /// Bytes of values proposed and not yet chosen.
    pub(super) open_bytes: usize,
    pub(super) followers: BTreeMap<NodeId, FollowerProgress>,
    pub(super) began_at: Tick,
    pub(super) heartbeat_at: Tick,
    /// The stamp of the last heartbeat.
    pub(super) heartbeat_sent: Tick,
    /// The watermark is to be sent by then, if nothing else carries it.
    pub(super) chosen_upto_at: Option<Tick>,
    /// Hand over when the pipeline is empty, or at this time.
    pub(super) hand_over_by: Option<Tick>,
}

impl Leadership {
    /// The member has accepted the slot in this ballot, durably: the leader counts itself only for
    /// what is on its own disk.
    fn has_accepted(&self, node: NodeId, slot: Slot) -> bool {
        let own = (node == self.ballot.node).then_some(self.own_upto);
        let upto = own.or_else(|| self.followers.get(&node).map(FollowerProgress::upto));
        upto.is_some_and(|upto| slot <= upto)
    }

    /// What the follower acknowledged and granted counts no more.
    pub(super) fn forget(&mut self, node: NodeId) {
        if let Some(progress) = self.followers.get_mut(&node) {
            progress.refuted(self.first);
        }
    }
}

impl Replica {
    /// True when a value of this many bytes may be proposed now: the window has space in slots and
    /// bytes, this node's own disk has space and is not too far behind, and no hand-over has begun.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        let open = leadership.next_slot.prev().0.saturating_sub(self.chosen_upto.0);
        self.leads()
            && !self.is_sync_backlog_full()
            && self.has_room_to_accept(bytes, false)
            && leadership.hand_over_by.is_none()
            && open < self.config.window_slots
            && (leadership.open_bytes == 0
                || leadership.open_bytes + bytes <= self.config.window_bytes)
    }

    /// How many slots are proposed and not yet chosen.
    #[must_use]
    pub fn open_slots(&self) -> u64 {
        match &self.role {
            Role::Leader(l) => l.next_slot.prev().0.saturating_sub(self.chosen_upto.0),
            Role::Follower | Role::Canvassing(_) | Role::Candidate(_) => 0,
        }
    }

    /// The slot of the next proposal, where this replica leads.
    #[must_use]
    pub fn next_slot(&self) -> Option<Slot> {
        match &self.role {
            Role::Leader(leadership) => Some(leadership.next_slot),
            Role::Follower | Role::Canvassing(_) | Role::Candidate(_) => None,
        }
    }

    /// Proposes a value for the next slot, and says which.
    ///
    /// # Panics
    /// When [`Replica::has_room`] is false for it.
    pub fn propose(&mut self, now: Tick, value: Value, effects: &mut Effects) -> Slot {
        let (bytes, open) = (value.len(), self.open_slots());
        assert!(self.has_room(bytes), "proposed without room: {bytes} bytes, {open} open slots");
        let slot = self.propose_next(now, value, effects);
        if let Role::Leader(leadership) = &mut self.role {
            // The accepts of this slot carry the watermark; a follower that gets none hears it by heartbeat.
            leadership.chosen_upto_at = None;
        }
        self.send_all_open_slots(now, effects);
        slot
    }

    /// Gives the value the next slot: the leader's own accept, and the place in the pipeline.
    pub(super) fn propose_next(&mut self, now: Tick, value: Value, effects: &mut Effects) -> Slot {
        let Role::Leader(leadership) = &mut self.role else { panic!("only a leader proposes") };
        let (slot, ballot) = (leadership.next_slot, leadership.ballot);
        leadership.next_slot = slot.next();
        leadership.open_bytes += value.len();
        let chosen_upto = self.chosen_upto;
        let record = Record::Accepted { slot, ballot, chosen_upto, value: value.clone() };
        let lsn = self.persist(record, effects);
        self.acceptor.accepted.insert(slot, (ballot, value));
        self.acceptor.reports.remove(&slot);
        if let Role::Leader(leadership) = &mut self.role {
            leadership.own_pending.push_back((lsn, slot, now));
        }
        slot
    }

    pub(super) fn send_all_open_slots(&mut self, now: Tick, effects: &mut Effects) {
        let Role::Leader(leadership) = &self.role else { return };
        let nodes: Vec<NodeId> = leadership.followers.keys().copied().collect();
        for node in nodes {
            self.send_open_slots(now, node, effects);
        }
    }

    /// Sends a follower every open slot that it may take and was not sent: accepts leave before the
    /// leader's own write is durable, so that all disks work at the same time.
    pub(super) fn send_open_slots(&mut self, now: Tick, node: NodeId, effects: &mut Effects) {
        if !self.peers.get(&node).is_some_and(|peer| peer.up) {
            return;
        }
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(progress) = leadership.followers.get_mut(&node) else { return };
        let (proposed, window_slots) = (leadership.next_slot.prev(), self.config.window_slots);
        for slot in progress.send(now, self.chosen_upto, proposed, window_slots) {
            let Some((ballot, value)) = self.acceptor.accepted.get(&slot) else {
                panic!("an open slot of a leader has its value: slot={slot}");
            };
            assert_eq!(*ballot, leadership.ballot, "sends slot {slot} of another ballot");
            let accept = Accept {
                ballot: leadership.ballot,
                slot,
                first: leadership.first,
                serving_from: leadership.serving_from,
                chosen_upto: self.chosen_upto,
                value: value.clone(),
            };
            effects.send(node, Plain::Accept(accept));
        }
    }

    /// Phase 2b arrived: cumulative, for exactly this ballot (C3, R15).
    pub(super) fn on_accepted(
        &mut self,
        now: Tick,
        from: NodeId,
        a: &Accepted,
        effects: &mut Effects,
    ) {
        self.heard_chosen(from, a.chosen_upto);
        self.witness(from, a.durable);
        let Role::Leader(leadership) = &mut self.role else { return };
        if a.ballot != leadership.ballot {
            return;
        }
        let proposed = leadership.next_slot.prev();
        let Some(progress) = leadership.followers.get_mut(&from) else { return };
        progress.accepted(now, a, proposed);
        self.advance_leader(now, effects);
        self.send_open_slots(now, from, effects);
    }

    /// A follower misses accepts: send again from there.
    pub(super) fn on_resend(&mut self, now: Tick, from: NodeId, r: &Resend, effects: &mut Effects) {
        self.heard_chosen(from, r.chosen_upto);
        let Role::Leader(leadership) = &mut self.role else { return };
        if r.ballot != leadership.ballot {
            return;
        }
        let Some(progress) = leadership.followers.get_mut(&from) else { return };
        progress.misses(now, r);
        self.send_open_slots(now, from, effects);
    }

    /// The leader's own records became durable.
    pub(super) fn own_durable(&mut self, now: Tick, effects: &mut Effects) {
        let durable = self.durable;
        let Role::Leader(leadership) = &mut self.role else { return };
        while leadership.own_pending.front().is_some_and(|(lsn, ..)| *lsn <= durable) {
            if let Some((_, slot, _)) = leadership.own_pending.pop_front() {
                leadership.own_upto = slot;
            }
        }
        self.advance_leader(now, effects);
    }

    /// Marks chosen what an accept quorum of this very ballot holds (C9).
    pub(super) fn advance_leader(&mut self, now: Tick, effects: &mut Effects) {
        let before = self.chosen_upto;
        while let Role::Leader(leadership) = &self.role {
            let (slot, ballot) = (self.chosen_upto.next(), leadership.ballot);
            let voters = self.configurations.of(slot);
            if !voters.is_accept_quorum(|node| leadership.has_accepted(node, slot)) {
                break;
            }
            let Some((held, value)) = self.acceptor.accepted.get(&slot).cloned() else {
                panic!("an open slot of a leader has its value: slot={slot}");
            };
            assert_eq!(held, ballot, "chooses slot {slot} of another ballot");
            if let Role::Leader(leadership) = &mut self.role {
                leadership.open_bytes -= value.len();
            }
            self.choose(slot, ballot, value, effects);
        }
        if self.chosen_upto > before {
            self.after_advance(now, before, effects);
        }
    }

    fn after_advance(&mut self, now: Tick, before: Slot, effects: &mut Effects) {
        let (chosen_upto, chosen_upto_us) = (self.chosen_upto, self.config.timing.chosen_upto_us);
        let Role::Leader(leadership) = &mut self.role else { return };
        let ballot = leadership.ballot;
        if leadership.next_slot == chosen_upto.next() {
            leadership.chosen_upto_at.get_or_insert(now.after(chosen_upto_us));
        }
        if before < leadership.serving_from && chosen_upto >= leadership.serving_from {
            effects.push(Effect::Leading(Some(ballot)));
        }
        self.observe_chosen(now, ballot, chosen_upto, effects);
        self.learner.chosen_by_mark(chosen_upto);
        if chosen_upto_us == 0 {
            self.send_chosen_upto(effects);
        }
        self.hand_over_when_drained(now, effects);
    }

    fn send_chosen_upto(&mut self, effects: &mut Effects) {
        let chosen_upto = self.chosen_upto;
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.chosen_upto_at.take().is_some() {
            let mark = ChosenUpto { ballot: leadership.ballot, chosen_upto };
            self.broadcast(&Plain::ChosenUpto(mark), effects);
        }
    }

    /// Heartbeats, repeats, and the reasons for which a leader gives up.
    pub(super) fn leader_tick(&mut self, now: Tick, effects: &mut Effects) {
        let timing = self.config.timing;
        let Role::Leader(leadership) = &self.role else { return };
        let heard = self.confirmed_at(leadership).max(leadership.began_at);
        if now.since(heard) > 2 * timing.election_us {
            // Nobody answers: heartbeats without grants would only keep others from electing (C18).
            return self.become_follower(now, None, effects);
        }
        // A process that did not run says nothing of its disk.
        let since = |pending: &(Lsn, Slot, Tick)| now.since(pending.2.max(self.resumed_at));
        let stalled_us = leadership.own_pending.front().map_or(0, since);
        let stalled = timing.stall_us > 0 && stalled_us > timing.stall_us;
        let chosen_upto_due = leadership.chosen_upto_at.is_some_and(|at| now >= at);
        let heartbeat_due = now >= leadership.heartbeat_at;
        let stays = leadership.hand_over_by.is_none() && !self.is_single();
        if stalled && stays {
            effects.push(Effect::Stalled(stalled_us));
            self.on_hand_over_wanted(now, effects);
        } else if stays && self.should_yield() {
            effects.push(Effect::Yields);
            self.on_hand_over_wanted(now, effects);
        }
        if heartbeat_due {
            self.heartbeat(now, effects);
            self.resend_stalled(now, effects);
        } else if chosen_upto_due {
            self.send_chosen_upto(effects);
        }
        self.hand_over_when_drained(now, effects);
    }

    /// What was sent and not acknowledged for long goes out again: it may have been lost on its way.
    fn resend_stalled(&mut self, now: Tick, effects: &mut Effects) {
        // Four times what a lost message takes: a follower whose disk is slow has them all, and needs no
        // second copy.
        let retry_us = 4 * self.config.timing.retry_us;
        let Role::Leader(leadership) = &mut self.role else { return };
        let election = leadership.serving_from;
        let mut stalled = Vec::new();
        for (node, progress) in &mut leadership.followers {
            if progress.resend_if_stalled(now, retry_us, election) {
                stalled.push(*node);
            }
        }
        for node in stalled {
            self.send_open_slots(now, node, effects);
        }
    }
}
