//! Canvass and campaign: how a follower comes to lead (Paxos Made Simple, section 2.2, phase 1;
//! the scout of Paxos Made Moderately Complex; rules C5 to C8, C18).

use super::effects::{Effects, Plain, Stop, Vote};
use super::phase1_outcome::Phase1Outcome;
use super::pipeline::Leadership;
use super::progress::FollowerProgress;
use super::promise_pages::Pages;
use super::replica::{Replica, Role};
use crate::types::{Ballot, NodeId, Slot, Tick, Value};
use crate::wire::peer::{
    Canvass, CanvassAnswer, FetchOutcome, Fetched, LeaseRefusal, Nack, Prepare, Promise,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// No acceptor has accepted so far beyond what it knows as chosen (C4): a promise that says so is no
/// promise, and walking its slots would take for ever (R37).
const REPORTED_SLOTS_MAX: u64 = 1 << 16;

/// A campaign is given up after so many election timeouts in which nothing arrived that it needs. What
/// it lacks is asked of one member after another, and each that is silent costs a timeout: three of
/// them may be tried in vain.
pub(super) const GIVE_UP_TIMEOUTS: u64 = 4;

/// A prepare that was refused for a lease goes out again so much later than the acceptor named: where
/// the clock there runs a little slower, the grant has run out there too, and is not refused for again.
const LEASE_MARGIN_US: u64 = 1_000;

/// Asking whether to campaign; changes no acceptor's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Canvassing {
    pub(super) attempt: u64,
    pub(super) until: Tick,
    pub(super) yes: BTreeSet<NodeId>,
}

/// One attempt at phase 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Campaign {
    pub(super) ballot: Ballot,
    pub(super) released: Ballot,
    pub(super) retry_at: Tick,
    /// Without progress until then the campaign is given up.
    pub(super) give_up_at: Tick,
    pub(super) promises: BTreeMap<NodeId, Pages>,
    /// Promises that no longer count: the slots they report as chosen cannot be had (C7).
    pub(super) dropped: BTreeSet<NodeId>,
    /// Values fetched, each under the exact ballot that was asked for (C6).
    pub(super) fetched: BTreeMap<Slot, (Ballot, Value)>,
    pub(super) fetching: BTreeMap<Slot, (Ballot, NodeId, Tick)>,
    /// Who said not to hold what.
    pub(super) fetch_failed: BTreeSet<(Slot, Ballot, NodeId)>,
    /// Who did not answer in time: asked again when there is nobody else.
    pub(super) fetch_late: BTreeSet<(Slot, Ballot, NodeId)>,
}

impl Replica {
    /// This replica could serve if it were elected.
    pub(super) fn may_campaign(&self, now: Tick, released: Ballot) -> bool {
        !self.leaving
            && self.hard.formed
            && self.hard_lsn <= self.durable
            && self.holes().is_empty()
            && !self.is_install_wanted()
            && self.may_vote(now)
            && self.promise_wait(now, self.config.me, released) == 0
    }

    pub(super) fn follower_tick(&mut self, now: Tick, effects: &mut Effects) {
        if now < self.election_at {
            return;
        }
        if !self.may_campaign(now, Ballot::ZERO) {
            let wait = self.promise_wait(now, self.config.me, Ballot::ZERO);
            let jitter = self.random.below(self.config.timing.jitter_us + 1);
            self.election_at =
                now.after(wait.max(self.config.timing.heartbeat_us / 4)).after(jitter / 8);
            return;
        }
        self.canvass(now, effects);
    }

    /// Asks first, changing no state (C18).
    fn canvass(&mut self, now: Tick, effects: &mut Effects) {
        self.attempt += 1;
        self.leader = None;
        let (attempt, chosen_upto) = (self.attempt, self.chosen_upto);
        let until = now.after(self.config.timing.retry_us);
        let yes = BTreeSet::from([self.config.me]);
        self.role = Role::Canvassing(Canvassing { attempt, until, yes });
        self.broadcast(&Plain::Canvass(Canvass { attempt, chosen_upto }), effects);
        self.count_canvass(now, effects);
    }

    pub(super) fn canvass_tick(&mut self, now: Tick) {
        let Role::Canvassing(canvassing) = &self.role else { return };
        if now >= canvassing.until {
            self.role = Role::Follower;
            self.election_at = now.after(self.random.below(self.config.timing.jitter_us + 1));
        }
    }

    /// Yes only if no leader is alive here, and no value is missing that the candidate would have
    /// to learn from here.
    pub(super) fn on_canvass(
        &mut self,
        now: Tick,
        from: NodeId,
        c: &Canvass,
        effects: &mut Effects,
    ) {
        let silent = match &self.role {
            Role::Follower => {
                self.leader.is_none() || now.since(self.heard_at) >= self.config.timing.election_us
            }
            Role::Canvassing(_) => true,
            Role::Candidate(_) => true,
            Role::Leader(_) => false,
        };
        let granted = self.promise_wait(now, from, Ballot::ZERO) > 0;
        let serves = self.holes().range(c.chosen_upto.next()..).next().is_none()
            && self.released.own_upto() <= c.chosen_upto; // C27
        let yes = silent && !granted && serves && self.may_vote(now);
        let (promised, chosen_upto) = (self.hard.promised, self.chosen_upto);
        let answer = CanvassAnswer { attempt: c.attempt, yes, promised, chosen_upto };
        effects.send(from, Plain::CanvassAnswer(answer));
    }

    pub(super) fn on_canvass_answer(
        &mut self,
        now: Tick,
        from: NodeId,
        answer: &CanvassAnswer,
        effects: &mut Effects,
    ) {
        self.heard_chosen(from, answer.chosen_upto);
        self.round_seen = self.round_seen.max(answer.promised.round);
        // Behind, perhaps because the leader cannot be heard here: whoever answers can serve what is
        // missing.
        self.learner.want(answer.chosen_upto);
        self.learn_more(now, effects);
        let Role::Canvassing(canvassing) = &mut self.role else { return };
        if answer.attempt == canvassing.attempt && answer.yes {
            canvassing.yes.insert(from);
            self.count_canvass(now, effects);
        }
    }

    fn count_canvass(&mut self, now: Tick, effects: &mut Effects) {
        let Role::Canvassing(canvassing) = &self.role else { return };
        // Who wins a small prepare quorum but reaches no accept quorum would lead nothing, and keep
        // those from leading that reach one (C18).
        let enough = self.voters().is_leading_quorum(|node| canvassing.yes.contains(&node));
        if enough && self.may_campaign(now, Ballot::ZERO) {
            self.campaign(now, Ballot::ZERO, effects);
        }
    }

    /// Begins phase 1 in a ballot never used before: above every round seen, durable before the
    /// first prepare leaves (C1, R15).
    pub(super) fn campaign(&mut self, now: Tick, released: Ballot, effects: &mut Effects) {
        let round = self.round_seen.max(self.hard.promised.round) + 1;
        let ballot = Ballot::new(round, self.config.me);
        self.become_follower(now, None, effects);
        self.promise_ballot(ballot, effects);
        self.learner.clear_refusals();
        self.unblock_learner();
        self.role = Role::Candidate(Campaign {
            ballot,
            released,
            retry_at: now.after(self.config.timing.retry_us),
            give_up_at: now.after(GIVE_UP_TIMEOUTS * self.config.timing.election_us),
            promises: BTreeMap::new(),
            dropped: BTreeSet::new(),
            fetched: BTreeMap::new(),
            fetching: BTreeMap::new(),
            fetch_failed: BTreeSet::new(),
            fetch_late: BTreeSet::new(),
        });
        self.send_prepares(effects);
    }

    fn send_prepares(&self, effects: &mut Effects) {
        for node in self.others() {
            self.send_prepare(node, effects);
        }
    }

    fn send_prepare(&self, node: NodeId, effects: &mut Effects) {
        let Role::Candidate(campaign) = &self.role else { return };
        if !campaign.promises.get(&node).is_some_and(|pages| pages.complete) {
            let (ballot, released) = (campaign.ballot, campaign.released);
            let prepare = Prepare { ballot, chosen_upto: self.chosen_upto, released };
            effects.send_after(self.hard_lsn, node, Vote::Prepare(prepare));
        }
    }

    /// A member is there again: what it was asked on an earlier connection is lost.
    pub(super) fn ask_again(&self, node: NodeId, effects: &mut Effects) {
        match &self.role {
            Role::Canvassing(canvassing) if !canvassing.yes.contains(&node) => {
                let (attempt, chosen_upto) = (canvassing.attempt, self.chosen_upto);
                effects.send(node, Plain::Canvass(Canvass { attempt, chosen_upto }));
            }
            Role::Candidate(_) => self.send_prepare(node, effects),
            Role::Canvassing(_) | Role::Follower | Role::Leader(_) => {}
        }
    }

    pub(super) fn campaign_tick(&mut self, now: Tick, effects: &mut Effects) {
        let retry_us = self.config.timing.retry_us;
        let Role::Candidate(campaign) = &mut self.role else { return };
        if now >= campaign.give_up_at {
            self.become_follower(now, None, effects);
            return;
        }
        if now >= campaign.retry_at {
            campaign.retry_at = now.after(retry_us);
            let late: Vec<Slot> = campaign
                .fetching
                .iter()
                .filter(|(_, (_, _, at))| now.since(*at) >= retry_us)
                .map(|(slot, _)| *slot)
                .collect();
            for slot in late {
                if let Some((of, node, _)) = campaign.fetching.remove(&slot) {
                    campaign.fetch_late.insert((slot, of, node));
                }
            }
            self.send_prepares(effects);
            self.campaign_step(now, effects);
        }
    }

    /// Phase 1b arrived: one page. It counts when all pages are here, under this very ballot.
    pub(super) fn on_promise(
        &mut self,
        now: Tick,
        from: NodeId,
        p: Promise,
        effects: &mut Effects,
    ) {
        self.heard_chosen(from, p.chosen_upto);
        self.witness(from, p.durable);
        let Role::Candidate(campaign) = &mut self.role else { return };
        let last = p.reports.iter().map(|report| report.0).max().unwrap_or_default();
        if p.ballot != campaign.ballot || last > p.chosen_upto.plus(REPORTED_SLOTS_MAX) {
            return;
        }
        let pages = campaign.promises.entry(from).or_default();
        if pages.complete {
            return;
        }
        if p.page == 0 {
            *pages = Pages::default();
        }
        if p.page != pages.next {
            return; // A page was lost: the repeated prepare begins anew.
        }
        pages.next += 1;
        pages.complete = p.last;
        pages.chosen_upto = p.chosen_upto;
        pages.released_upto = p.released_upto.min(p.chosen_upto);
        pages.damage = p.damage;
        pages.reports.extend(p.reports);
        if pages.complete {
            campaign.give_up_at = now.after(GIVE_UP_TIMEOUTS * self.config.timing.election_us);
            self.campaign_step(now, effects);
        }
    }

    pub(super) fn on_lease_refusal(&mut self, now: Tick, _from: NodeId, refusal: &LeaseRefusal) {
        let Role::Candidate(campaign) = &mut self.role else { return };
        if refusal.ballot == campaign.ballot {
            let wait_until = now.after(refusal.wait_us).after(LEASE_MARGIN_US);
            campaign.retry_at = campaign.retry_at.min(wait_until);
        }
    }

    /// A higher ballot was promised somewhere. A leader whose lease still runs has lost nobody but
    /// the one locked out, and campaigns higher at once (C18).
    pub(super) fn on_nack(&mut self, now: Tick, _from: NodeId, nack: &Nack, effects: &mut Effects) {
        self.round_seen = self.round_seen.max(nack.promised.round);
        match &self.role {
            Role::Leader(leadership) if leadership.ballot == nack.ballot => {
                let holds = self.lease_valid(now) && self.hard.promised == nack.ballot;
                if holds && leadership.hand_over_by.is_none() {
                    self.campaign(now, Ballot::ZERO, effects);
                } else {
                    self.become_follower(now, None, effects);
                }
            }
            Role::Candidate(campaign) if campaign.ballot == nack.ballot => {
                self.become_follower(now, None, effects);
                let jitter = self.random.below(2 * self.config.timing.jitter_us + 1);
                self.election_at = now.after(self.config.timing.heartbeat_us + jitter);
            }
            Role::Follower | Role::Canvassing(_) | Role::Candidate(_) | Role::Leader(_) => {}
        }
    }

    /// The value for exactly (slot, ballot), or why not (C6).
    pub(super) fn on_fetched(
        &mut self,
        now: Tick,
        from: NodeId,
        f: Fetched,
        effects: &mut Effects,
    ) {
        self.learn_copy(now, &f, effects);
        let Role::Candidate(campaign) = &mut self.role else { return };
        if f.ballot != campaign.ballot {
            return;
        }
        let asked = campaign.fetching.get(&f.slot).is_some_and(|x| x.0 == f.of && x.1 == from);
        if asked {
            campaign.fetching.remove(&f.slot);
        }
        match f.outcome {
            FetchOutcome::Held(value) => {
                campaign.fetched.insert(f.slot, (f.of, value));
                campaign.give_up_at = now.after(GIVE_UP_TIMEOUTS * self.config.timing.election_us);
            }
            FetchOutcome::Damaged => {
                campaign.fetch_failed.insert((f.slot, f.of, from));
            }
            // It promised this very value: it has accepted another since, in a higher ballot.
            FetchOutcome::NotHeld if asked => return self.become_follower(now, None, effects),
            FetchOutcome::NotHeld => {}
            FetchOutcome::Chosen => {
                campaign.fetch_failed.insert((f.slot, f.of, from));
                self.heard_chosen(from, f.slot);
                self.learner.want(f.slot);
                self.learn_more(now, effects);
            }
        }
        self.campaign_step(now, effects);
    }

    /// Takes the campaign as far as what has arrived allows.
    pub(super) fn campaign_step(&mut self, now: Tick, effects: &mut Effects) {
        let Some(base) = self.campaign_base() else { return };
        if self.chosen_upto < base {
            return self.campaign_learn(now, base, effects);
        }
        match self.phase1_outcome(now, effects) {
            Phase1Outcome::Values(values) if self.has_room_to_propose(&values) => {
                self.become_leader(now, values, effects);
            }
            // Another may have the space that this disk lacks (R11).
            Phase1Outcome::Values(_) => self.become_follower(now, None, effects),
            Phase1Outcome::Incomplete => {}
            Phase1Outcome::Unrepairable(slot) => self.stop(Stop::Unrepairable { slot }, effects),
        }
    }

    /// The nodes whose promises count now, this one included once its own is durable.
    pub(super) fn counted(&self) -> Vec<NodeId> {
        let Role::Candidate(campaign) = &self.role else { return Vec::new() };
        let complete = |(node, pages): (&NodeId, &Pages)| pages.complete.then_some(*node);
        let mut counted: Vec<NodeId> = campaign.promises.iter().filter_map(complete).collect();
        let refuted = |node: &NodeId| self.peers.get(node).is_some_and(|peer| peer.refuted);
        counted.retain(|node| !campaign.dropped.contains(node) && !refuted(node));
        if self.hard_lsn <= self.durable {
            counted.push(self.config.me);
        }
        counted.sort_unstable();
        counted
    }

    /// The highest chosen watermark among the promises counted, once they are a prepare quorum.
    fn campaign_base(&self) -> Option<Slot> {
        let Role::Candidate(campaign) = &self.role else { return None };
        let counted = self.counted();
        if !self.voters().is_prepare_quorum(|node| counted.contains(&node)) {
            return None;
        }
        let watermark = |node: &NodeId| {
            campaign.promises.get(node).map_or(self.chosen_upto, |pages| pages.chosen_upto)
        };
        counted.iter().map(watermark).max()
    }

    /// Slots up to the base are learned, not proposed. If nobody can serve them, the promises that
    /// speak of them are dropped, and the quorum is completed with others (C7).
    fn campaign_learn(&mut self, now: Tick, base: Slot, effects: &mut Effects) {
        self.learner.want(base);
        self.learn_more(now, effects);
        let able = |node: NodeId| {
            self.peers.get(&node).is_some_and(|p| p.up && p.chosen_upto > self.chosen_upto)
                && !self.learner.refused(node)
        };
        if self.others().any(able) {
            return;
        }
        let chosen_upto = self.chosen_upto;
        let Role::Candidate(campaign) = &mut self.role else { return };
        if campaign.promises.values().any(|pages| pages.released_upto > chosen_upto) {
            // C27: a checkpoint stands for what nobody serves; it comes before any campaign.
            return self.become_follower(now, None, effects);
        }
        let ahead = campaign.promises.iter().filter(|(_, pages)| pages.chosen_upto > chosen_upto);
        let ahead: Vec<NodeId> = ahead.map(|(node, _)| *node).collect();
        campaign.dropped.extend(ahead);
        self.learner.clear_refusals();
        self.campaign_step(now, effects);
    }

    /// Phase 1 is won: every value found is proposed again, whatever its old ballot (C8). What is
    /// proposed is of this ballot, so that it is served once all of it is chosen (R17, R19); a
    /// leader that finds nothing proposes a no-op. One more behind the others would let the open
    /// range grow with every failed leadership (C4).
    fn become_leader(&mut self, now: Tick, mut values: Vec<Value>, effects: &mut Effects) {
        if values.is_empty() {
            values.push(Value::noop());
        }
        let Role::Candidate(campaign) = &self.role else { panic!("only a candidate is elected") };
        let ballot = campaign.ballot;
        assert_eq!(ballot, self.hard.promised, "elected in a ballot that is no longer promised");
        let counted = self.counted();
        let won = self.voters().is_prepare_quorum(|node| counted.contains(&node));
        assert!(won, "elected without a quorum: {counted:?} of {:?}", self.voters());
        if let Role::Candidate(campaign) = &self.role {
            let released = counted.iter().filter_map(|node| campaign.promises.get(node));
            let released_upto = released.map(|pages| pages.released_upto).max().unwrap_or_default();
            let chosen_upto = self.chosen_upto;
            assert!(
                released_upto <= chosen_upto,
                "elected at {chosen_upto}, below a released slot: {released_upto}"
            );
        }
        let first = self.chosen_upto.next();
        let follower = |node: NodeId| {
            let chosen_upto = self.peers.get(&node).map_or(Slot(0), |peer| peer.chosen_upto);
            (node, FollowerProgress::new(first, chosen_upto, now))
        };
        let followers = self.others().map(follower).collect();
        self.role = Role::Leader(Leadership {
            ballot,
            first,
            next_slot: first,
            serving_from: first.plus(values.len() as u64 - 1),
            own_upto: first.prev(),
            own_pending: VecDeque::new(),
            open_bytes: 0,
            followers,
            began_at: now,
            heartbeat_at: now,
            heartbeat_sent: Tick(0),
            chosen_upto_at: None,
            hand_over_by: None,
        });
        self.acceptor.stream = None;
        self.leader = Some(self.config.me);
        for value in values {
            self.propose_next(now, value, effects);
        }
        self.heartbeat(now, effects);
        self.send_all_open_slots(now, effects);
        if self.leaving {
            self.on_hand_over_wanted(now, effects);
        }
    }
}
