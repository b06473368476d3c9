//! The learner: what is known to be chosen, and how a replica that is behind catches up.

use super::campaign::GIVE_UP_TIMEOUTS;
use super::digests::Doubt;
use super::effects::{Effect, Effects, Plain, Stop, Vote};
use super::replica::{Replica, Role};
use crate::limits::LEARN_SLOTS_MAX;
use crate::types::{Ballot, NodeId, Record, Released, Slot, Tick, Value};
use crate::wire::peer::{ChosenUpto, Fetch, FetchOutcome, Fetched, Learn, Learned};
use std::collections::{BTreeMap, BTreeSet};

/// A fact that is not yet on disk goes there after this, so that a restart forgets little.
const CHOSEN_RECORD_US: u64 = 1_000_000;

/// What a learner knows and what it has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Learner {
    /// This node lacks entries, as its driver says (C29).
    pub(super) lacks_entries: bool,
    /// Chosen slots whose value is damaged here, each with a ballot in which it was chosen.
    holes: BTreeMap<Slot, Ballot>,
    /// The highest ballot whose leader sent a watermark, and that watermark (C9).
    pub(super) mark: (Ballot, Slot),
    /// Somebody knows that slots up to here are chosen.
    target: Slot,
    /// After what comes next behind the watermark.
    forward: CatchUp,
    /// After the first hole.
    repair: CatchUp,
    /// Peers whose copy of the first hole is damaged too.
    unrepairable_on: BTreeSet<NodeId>,
    /// The next slot is chosen in this ballot, said a peer whose own copy is damaged (C7).
    identified: Option<(Slot, Ballot)>,
    /// The highest slot that is known to be chosen from the leader's watermark or from acknowledgements: that it is
    /// chosen has no record of its own, as what is learned has.
    by_mark: Slot,
    /// The watermark that the last `Chosen` record held, and when.
    recorded: (Slot, Tick),
    /// The journal had no space for what was to be learned: nothing is asked until it has more.
    blocked_on_disk: bool,
}

/// One line of enquiry: one peer after another is asked, until somebody can serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct CatchUp {
    asking: Option<Asking>,
    /// Peers that did not serve in this round, by their answer or by silence.
    refused: BTreeSet<NodeId>,
    /// Who served last: asked first, so that a silent peer slows down one request, not each.
    served: Option<NodeId>,
    /// When all were asked in vain, the next round begins no sooner.
    rest_until: Tick,
}

/// One request for chosen values under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asking {
    peer: NodeId,
    from: Slot,
    until: Tick,
}

impl CatchUp {
    fn asked(&self, peer: NodeId, from: Slot) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.peer == peer && asking.from == from)
    }

    fn lost(&mut self, node: NodeId) {
        if self.asking.as_ref().is_some_and(|asking| asking.peer == node) {
            self.asking = None;
        }
    }

    /// What was asked is answered, or late.
    fn over(&mut self, now: Tick) {
        if self.asking.as_ref().is_some_and(|asking| now >= asking.until) {
            self.refused.extend(self.asking.take().map(|asking| asking.peer));
        }
    }

    fn retry_at(&self) -> Tick {
        self.asking.as_ref().map_or(self.rest_until, |asking| asking.until)
    }
}

impl Learner {
    pub(super) fn remember(holes: BTreeMap<Slot, Ballot>, chosen_upto: Slot) -> Learner {
        let recorded = (chosen_upto, Tick(0));
        Learner { holes, target: chosen_upto, recorded, ..Learner::default() }
    }

    pub(super) fn holes(&self) -> &BTreeMap<Slot, Ballot> {
        &self.holes
    }

    /// What was damaged and is released now is not repaired any more: others may have released it, too.
    pub(super) fn forget_released(&mut self, released: &Released) {
        let first = self.first_hole();
        self.holes.retain(|slot, _| !released.covers(*slot));
        if self.first_hole() != first {
            self.unrepairable_on.clear(); // What peers said was of another one.
        }
    }

    pub(super) fn first_hole(&self) -> Option<Slot> {
        self.holes.first_key_value().map(|entry| *entry.0)
    }

    /// When to look at the enquiries again.
    pub(super) fn retry_at(&self, chosen_upto: Slot) -> Option<Tick> {
        let forward = (self.target > chosen_upto).then(|| self.forward.retry_at());
        let repair = (!self.holes.is_empty()).then(|| self.repair.retry_at());
        forward.into_iter().chain(repair).min()
    }

    /// Slots up to here are known to be chosen by somebody.
    pub(super) fn target(&self) -> Slot {
        self.target
    }

    /// The peer could not serve what comes next.
    pub(super) fn refused(&self, peer: NodeId) -> bool {
        self.forward.refused.contains(&peer)
    }

    pub(super) fn clear_refusals(&mut self) {
        self.forward.refused.clear();
    }

    /// The connection to a peer is gone, and what was asked there with it.
    pub(super) fn lost(&mut self, node: NodeId) {
        self.forward.lost(node);
        self.repair.lost(node);
    }

    /// Slots up to this one are no holes any more; returns them.
    pub(super) fn forget_holes(&mut self, upto: Slot) -> Vec<Slot> {
        let above = self.holes.split_off(&upto.next());
        let gone = std::mem::replace(&mut self.holes, above);
        if !gone.is_empty() {
            self.unrepairable_on.clear();
            self.repair = CatchUp::default();
        }
        gone.into_keys().collect()
    }

    /// A checkpoint stands for all slots up to this one.
    pub(super) fn installed(&mut self, now: Tick, slot: Slot) {
        self.forget_holes(slot);
        self.identified = None;
        self.target = self.target.max(slot);
        self.forward = CatchUp::default();
        // Its record says more than one of the watermark would.
        self.recorded = (self.recorded.0.max(slot), now);
    }

    pub(super) fn chosen_by_mark(&mut self, upto: Slot) {
        self.by_mark = upto;
    }

    pub(super) fn want(&mut self, upto: Slot) {
        self.target = self.target.max(upto);
    }
}

impl Replica {
    /// A leader of `ballot` said that everything up to `upto` is chosen. What the ballot before said
    /// goes to disk first: no accept of the new one will carry it, and a restart would find more
    /// open slots than C4 allows.
    pub(super) fn observe_chosen(
        &mut self,
        now: Tick,
        ballot: Ballot,
        upto: Slot,
        effects: &mut Effects,
    ) {
        if ballot > self.learner.mark.0 {
            self.record_mark(now, effects);
            self.learner.mark = (ballot, upto);
        } else if ballot == self.learner.mark.0 {
            self.learner.mark.1 = self.learner.mark.1.max(upto);
        }
        self.learner.want(upto);
    }

    /// Writes down up to where this node knows what is chosen, and in which ballot, if no record says so yet. For a cut:
    /// the records in front of it are about to leave the memory, and no later record says of them that they are chosen.
    pub fn record_chosen(&mut self, now: Tick, effects: &mut Effects) {
        if !self.is_ending() {
            self.record_mark(now, effects);
        }
    }

    fn record_mark(&mut self, now: Tick, effects: &mut Effects) {
        let (ballot, slot) = self.learner.mark;
        if slot > self.learner.recorded.0 {
            self.learner.recorded = (slot.min(self.chosen_upto), now);
            self.persist(Record::Chosen { ballot, slot }, effects);
        }
    }

    pub(super) fn on_chosen_upto(
        &mut self,
        now: Tick,
        from: NodeId,
        mark: &ChosenUpto,
        effects: &mut Effects,
    ) {
        // The leader's watermark is no reason to promise: only accepts and heartbeats show that a leader is alive.
        if mark.ballot.node != from || mark.ballot != self.hard.promised {
            return;
        }
        self.observe_chosen(now, mark.ballot, mark.chosen_upto, effects);
        self.advance_marked(effects);
        self.learn_more(now, effects);
    }

    /// Marks chosen what the mark covers and was accepted here in *exactly* its ballot (C9).
    pub(super) fn advance_marked(&mut self, effects: &mut Effects) {
        let (ballot, upto) = self.learner.mark;
        while self.chosen_upto < upto {
            let slot = self.chosen_upto.next();
            match self.acceptor.accepted.get(&slot) {
                Some((held, value)) if *held == ballot => {
                    let value = value.clone();
                    self.choose(slot, ballot, value, effects);
                    self.learner.chosen_by_mark(slot);
                }
                Some(_) | None => break,
            }
        }
    }

    /// The slot is chosen. The only function that raises the watermark.
    pub(super) fn choose(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        value: Value,
        effects: &mut Effects,
    ) {
        let next = self.chosen_upto.next();
        assert_eq!(slot, next, "chosen out of order: slot={slot} next={next}");
        self.chosen_upto = slot;
        self.chosen_sums.push(slot, ballot, &value);
        self.learner.identified = None;
        self.released.progressed();
        self.acceptor.accepted.remove(&slot);
        self.acceptor.forget_chosen(slot);
        effects.push(Effect::Chosen { slot, ballot, value });
    }

    /// Serves a peer's request, clipped to what is known here; the shard reads the values. No peer asks
    /// for slot 0, which holds nothing, or for less than one slot (R37).
    pub(super) fn on_learn(&mut self, from: NodeId, mut learn: Learn, effects: &mut Effects) {
        // What this replica takes for chosen may be wrong, where its state is (R23).
        let is_fenced = self.doubt() == Some(Doubt::Fenced);
        if learn.from == Slot(0) || learn.from > learn.upto || is_fenced {
            return;
        }
        let last = learn.from.plus(LEARN_SLOTS_MAX - 1);
        learn.upto = learn.upto.min(last).min(self.chosen_upto);
        effects.push(Effect::Serve { to: from, learn });
    }

    /// Asks for what is missing, unless a request is under way. A leader learns nothing new: what it
    /// knows as chosen in its ballot it decided itself (C9).
    pub(super) fn learn_more(&mut self, now: Tick, effects: &mut Effects) {
        if self.is_learning_blocked() {
            return; // The disk first: `resume_accepting` goes on.
        }
        let (from, upto) = (self.chosen_upto.next(), self.learner.target);
        if from <= upto && !matches!(self.role, Role::Leader(_)) {
            // A candidate goes without what nobody serves, rather than ask in circles (C7).
            let rounds = !matches!(self.role, Role::Candidate(_));
            let mut catch_up = std::mem::take(&mut self.learner.forward);
            self.enquire(now, &mut catch_up, Learn { from, upto }, rounds, effects);
            self.learner.forward = catch_up;
        }
        if let Some(hole) = self.learner.first_hole() {
            let mut catch_up = std::mem::take(&mut self.learner.repair);
            self.enquire(now, &mut catch_up, Learn { from: hole, upto: hole }, true, effects);
            self.learner.repair = catch_up;
        }
    }

    fn enquire(
        &mut self,
        now: Tick,
        catch_up: &mut CatchUp,
        learn: Learn,
        rounds: bool,
        effects: &mut Effects,
    ) {
        catch_up.over(now);
        if catch_up.asking.is_some() {
            return;
        }
        let mut peer = self.source(catch_up);
        if peer.is_none() && !catch_up.refused.is_empty() {
            self.nobody_serves(); // Perhaps a checkpoint is to be installed.
        }
        if peer.is_none() && rounds && !catch_up.refused.is_empty() && now >= catch_up.rest_until {
            catch_up.refused.clear();
            catch_up.rest_until = now.after(self.config.timing.retry_us);
            peer = self.source(catch_up);
        }
        let Some(peer) = peer else { return };
        let until = now.after(self.config.timing.election_us);
        catch_up.asking = Some(Asking { peer, from: learn.from, until });
        effects.send(peer, Plain::Learn(learn));
    }

    fn may_serve(&self, catch_up: &CatchUp, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.up) && !catch_up.refused.contains(&node)
    }

    /// The peer to learn from: the last that served, the leader, or any other that is up, in turn.
    fn source(&self, catch_up: &CatchUp) -> Option<NodeId> {
        let fit = |node: &NodeId| self.may_serve(catch_up, *node);
        let ahead = |node: &NodeId| {
            fit(node) && self.peers.get(node).is_some_and(|p| p.chosen_upto > self.chosen_upto)
        };
        let known = catch_up.served.filter(fit).or_else(|| self.leader.filter(fit));
        known.or_else(|| self.others().find(ahead)).or_else(|| self.others().find(fit))
    }

    /// Chosen values arrived. Each gets a record of its own before it counts as held (C9).
    pub(super) fn on_learned(
        &mut self,
        now: Tick,
        from: NodeId,
        l: Learned,
        effects: &mut Effects,
    ) {
        self.heard_chosen(from, l.chosen_upto);
        let (slot, damaged, released) = (l.from, l.damaged, l.released);
        let forward = self.learner.forward.asked(from, slot);
        let repair = self.learner.repair.asked(from, slot);
        if !forward && !repair {
            return; // An answer that came too late: another was asked meanwhile.
        }
        // What is learned is known after a restart only if all below it is.
        if self.learner.by_mark > self.learner.recorded.0 && !l.values.is_empty() {
            self.record_mark(now, effects);
        }
        let mut progress = false;
        for (slot, ballot, value) in l.values {
            if self.is_contradicted(from, slot, Ballot::MAX, &value, effects) {
                return;
            }
            progress |= self.learn_value(slot, ballot, value, effects);
            if self.learner.blocked_on_disk {
                break; // Not this one, and so none behind it.
            }
        }
        if let Some(ballot) = damaged.filter(|_| !progress && forward) {
            progress = self.learn_identified(slot, ballot, effects);
        }
        if let Some(checkpoint) = released.filter(|_| !progress) {
            self.hear_released(from, checkpoint);
        }
        let catch_up = if forward { &mut self.learner.forward } else { &mut self.learner.repair };
        catch_up.asking = None;
        if progress {
            catch_up.served = Some(from);
        } else if !self.learner.blocked_on_disk {
            catch_up.refused.insert(from);
        }
        if repair && !progress && !self.learner.blocked_on_disk {
            self.repair_refused(from, slot, damaged.is_some(), effects);
        }
        self.advance_marked(effects);
        self.learn_more(now, effects);
        match &mut self.role {
            Role::Candidate(campaign) => {
                if progress {
                    campaign.give_up_at =
                        now.after(GIVE_UP_TIMEOUTS * self.config.timing.election_us);
                }
                self.campaign_step(now, effects);
            }
            Role::Follower if progress => self.send_progress(now, effects),
            Role::Follower | Role::Canvassing(_) | Role::Leader(_) => {}
        }
    }

    fn learn_value(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        value: Value,
        effects: &mut Effects,
    ) -> bool {
        if self.learner.holes.contains_key(&slot) {
            if self.block_if_no_space(&value) {
                return false;
            }
            self.learner.holes.remove(&slot);
            self.learner.unrepairable_on.clear();
            self.persist(Record::Learned { slot, ballot, value: value.clone() }, effects);
            effects.push(Effect::Repaired { slot, ballot, value });
            return true;
        }
        if slot != self.chosen_upto.next() || matches!(self.role, Role::Leader(_)) {
            return false;
        }
        if self.block_if_no_space(&value) {
            return false;
        }
        self.persist(Record::Learned { slot, ballot, value: value.clone() }, effects);
        self.choose(slot, ballot, value, effects);
        true
    }

    /// The journal has no space for the value (R11).
    fn block_if_no_space(&mut self, value: &Value) -> bool {
        self.learner.blocked_on_disk = !self.has_room_to_learn(value.len());
        self.learner.blocked_on_disk
    }

    /// This replica is behind, and its journal has no space for what it would learn next (R11).
    #[must_use]
    pub fn lacks_room_to_learn(&self) -> bool {
        self.learner.blocked_on_disk && !matches!(self.role, Role::Leader(_))
    }

    /// The disk is behind, or full: what is learned now would only wait for it.
    pub(super) fn is_learning_blocked(&self) -> bool {
        self.is_sync_backlog_full() || self.learner.blocked_on_disk
    }

    /// The journal has more space than before, or it is taken from the reserve.
    pub(super) fn unblock_learner(&mut self) {
        self.learner.blocked_on_disk = false;
    }

    /// The next slot is chosen in exactly `ballot`, but damaged where it was asked for: a copy that
    /// was accepted in that ballot is as good, here or elsewhere (C7).
    fn learn_identified(&mut self, slot: Slot, ballot: Ballot, effects: &mut Effects) -> bool {
        if slot != self.chosen_upto.next() || ballot.is_zero() {
            return false;
        }
        let own = self.acceptor.accepted.get(&slot).filter(|held| held.0 == ballot);
        if let Some(value) = own.map(|held| held.1.clone()) {
            return self.learn_value(slot, ballot, value, effects);
        }
        self.learner.identified = Some((slot, ballot));
        self.fetch_copy(slot, ballot, effects);
        false
    }

    fn fetch_copy(&self, slot: Slot, of: Ballot, effects: &mut Effects) {
        self.broadcast(&Plain::Fetch(Fetch { ballot: self.hard.promised, slot, of }), effects);
    }

    /// A copy of a chosen slot, accepted in the very ballot in which it was chosen.
    pub(super) fn learn_copy(&mut self, now: Tick, f: &Fetched, effects: &mut Effects) {
        let FetchOutcome::Held(value) = &f.outcome else { return };
        let identified = self.learner.identified == Some((f.slot, f.of));
        let hole = self.learner.holes.get(&f.slot) == Some(&f.of);
        if (identified || hole) && self.learn_value(f.slot, f.of, value.clone(), effects) {
            self.advance_marked(effects);
            self.learn_more(now, effects);
        }
    }

    /// A peer cannot serve the first hole. One that does not know it as chosen may still hold a
    /// copy; when it is damaged at every other member too, the node must end.
    fn repair_refused(&mut self, from: NodeId, slot: Slot, damaged: bool, effects: &mut Effects) {
        let Some(ballot) = self.learner.holes.get(&slot).copied() else { return };
        if damaged {
            self.learner.unrepairable_on.insert(from);
        } else if !ballot.is_zero() {
            effects
                .send(from, Plain::Fetch(Fetch { ballot: self.hard.promised, slot, of: ballot }));
        }
        if self.others().all(|node| self.learner.unrepairable_on.contains(&node)) {
            self.stop(Stop::Unrepairable { slot }, effects);
        }
    }

    /// Reports to the leader how far this follower came, so that it sends what was held back, or
    /// what was refused here because it lay behind the gap that is closed now.
    fn send_progress(&mut self, now: Tick, effects: &mut Effects) {
        let Some(leader) = self.leader.filter(|leader| *leader == self.hard.promised.node) else {
            return;
        };
        let promised = self.hard.promised;
        let streams = self.acceptor.stream.as_ref().is_some_and(|s| s.ballot == promised);
        let upto = if streams { self.stream_upto() } else { Slot(0) };
        let accepted = self.accepted_upto(leader, upto);
        effects.send_after(self.last_lsn(), leader, Vote::Accepted(accepted));
        let missed = self.acceptor.stream.as_ref().is_some_and(|s| s.resend_asked.is_some());
        if streams && missed && self.chosen_upto >= self.learner.target {
            self.ask_resend(now, leader, promised, upto.next(), effects);
        }
    }

    /// The value of a chosen slot turned out to be unreadable here: fetch it again from a peer.
    pub fn report_lost(&mut self, now: Tick, slot: Slot, ballot: Ballot, effects: &mut Effects) {
        let chosen_upto = self.chosen_upto;
        assert!(slot > Slot(0), "lost slot 0, which holds nothing: chosen_upto={chosen_upto}");
        assert!(slot <= chosen_upto, "lost {slot} above chosen_upto={chosen_upto}");
        if self.stopped || self.learner.holes.insert(slot, ballot).is_some() {
            return;
        }
        if self.learner.first_hole() == Some(slot) {
            self.learner.unrepairable_on.clear(); // What peers said was of another one.
        }
        self.stop_if_unrepairable(effects);
        self.learn_more(now, effects);
    }

    pub(super) fn heard_chosen(&mut self, from: NodeId, chosen_upto: Slot) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.chosen_upto = peer.chosen_upto.max(chosen_upto);
        }
    }

    /// Repeats what went unanswered, and writes down what is known when no accept does.
    pub(super) fn learn_tick(&mut self, now: Tick, effects: &mut Effects) {
        self.learn_more(now, effects);
        let (_, at) = self.learner.recorded;
        if self.chosen_upto >= self.learner.mark.1 && now.since(at) >= CHOSEN_RECORD_US {
            self.record_mark(now, effects);
        }
    }
}
