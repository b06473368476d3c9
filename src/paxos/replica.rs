//! The replica: one node's part in one shard's sequence of decisions.
//!
//! A value of (state, input, time) → (state, effects): no clock, no socket, no disk. One replica
//! plays proposer, acceptor and learner; leader, candidate and follower are its states. The rules
//! are those of Paxos Made Simple (section 2) and Paxos Made Moderately Complex (sections 2 to 4),
//! with the additions numbered C1 to C22 in docs/RULES.md.

use super::acceptor::Acceptor;
use super::agreement::ChosenSums;
use super::campaign::{Campaign, Canvassing};
use super::config::Config;
use super::configuration::Configurations;
use super::digests::{Digests, Doubt};
use super::disk_budget::DiskBudget;
use super::effects::{Effect, Effects, Plain, Stop};
use super::evidence::Evidence;
use super::handover::{GivenUp, SuccessionRequest};
use super::learner::Learner;
use super::lease::GrantHeld;
use super::pipeline::Leadership;
use super::released::ReleasedSlots;
use super::unsynced::Unsynced;
use crate::limits::value_room_bytes;
use crate::types::{
    Ballot, HardState, Incarnation, Lsn, NodeId, Random, Record, Slot, Tick, Witness,
};
use crate::wire::peer::{self, Message};
use std::collections::BTreeMap;

/// No tick is asked for sooner than this: the system's poll counts in milliseconds, so that an earlier
/// one would find the loop turning without rest.
const DEADLINE_MIN_US: u64 = 1_000;

/// What happens to a replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A connection to a peer of this incarnation is open.
    PeerUp(NodeId, Incarnation),
    /// The connection is gone, and with it whatever was in flight.
    PeerDown(NodeId),
    /// A message arrived.
    Message(NodeId, Message),
    /// Every record up to this LSN is durable.
    Durable(Lsn),
    /// A read waits for proof of leadership: start a quorum round now.
    Confirm,
    /// Hand leadership over, if it is held here.
    HandOver,
    /// The node is about to stop: hand leadership over, if it is held here, and take none any more.
    Leave,
    /// The process did not run until now: what is late by this clock was not late because of a disk.
    Resumed,
    /// The journal can take in so much.
    DiskBudget(DiskBudget),
    /// The state machine applied a slot, and has this digest since (R23).
    Applied(peer::Digest),
}

/// The states of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows the leader of `promised`, if it has one.
    Follower,
    /// Asks whether it may campaign.
    Canvassing(Canvassing),
    /// In phase 1.
    Candidate(Campaign),
    /// In phase 2.
    Leader(Leadership),
}

/// What a replica knows of another member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// A connection is open.
    pub up: bool,
    /// What it said last when it met this replica in its present life.
    pub met: Option<peer::Announce>,
    /// The most that it was seen to acknowledge.
    pub witnessed: Witness,
    /// What others saw it acknowledge in another life, which it has not accounted for here yet.
    pub unconfirmed: Witness,
    /// It lacks some of that: its votes do not count.
    pub refuted: bool,
    /// Its chosen watermark, as last heard.
    pub chosen_upto: Slot,
    /// What it is fit for, as it said on the present connection.
    pub eligibility: peer::Eligibility,
    /// What it was sent on the present connection of this replica's.
    pub(super) sent_eligibility: peer::Eligibility,
}

impl Peer {
    /// It lacks, or has not accounted for, some of what it was seen to acknowledge.
    pub(super) fn is_unaccounted(&self) -> bool {
        self.refuted || self.unconfirmed != Witness::default()
    }
}

/// One node's part in one shard. See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    pub(super) config: Config,
    /// Who votes on which slot.
    pub(super) configurations: Configurations,
    pub(super) random: Random,
    pub(super) hard: HardState,
    /// The record that made `hard` what it is: votes that rest on it leave after it.
    pub(super) hard_lsn: Lsn,
    /// LSN of the next record.
    pub(super) next_lsn: Lsn,
    /// Everything up to here is durable.
    pub(super) durable: Lsn,
    /// The last record that a vote may rest on.
    pub(super) last_vote_lsn: Lsn,
    /// Values that are not durable yet.
    pub(super) unsynced: Unsynced,
    /// What the journal still takes in.
    pub(super) budget: DiskBudget,
    /// The wall clock as it was last set; others learn it, and it is never gone by here.
    pub(super) wall_ms: u64,
    pub(super) acceptor: Acceptor,
    pub(super) learner: Learner,
    /// Every slot up to here is known to be chosen. Only rises.
    pub(super) chosen_upto: Slot,
    pub(super) chosen_sums: ChosenSums,
    /// Slots whose values were released, here and at the peers.
    pub(super) released: ReleasedSlots,
    pub(super) role: Role,
    /// The leader followed, and when it was last heard.
    pub(super) leader: Option<NodeId>,
    pub(super) heard_at: Tick,
    /// It takes no appends for want of space.
    pub(super) leader_full: bool,
    /// The grant that this acceptor gave last, running or not (C14).
    pub(super) grant: Option<GrantHeld>,
    /// No promise to others before this: the longest lease granted in an earlier life (C15).
    pub(super) boot_wait_until: Tick,
    /// No votes before this, unless every member has been met: a tail was cut (C11).
    pub(super) witness_wait_until: Tick,
    pub(super) election_at: Tick,
    /// The node is about to stop: no leadership is taken any more.
    pub(super) leaving: bool,
    /// The leadership that was handed over last, until another leader is followed.
    pub(super) given_up: Option<GivenUp>,
    /// The leader that renounced asks this replica to lead.
    pub(super) asked_to_succeed: Option<SuccessionRequest>,
    /// The process stood still until then.
    pub(super) resumed_at: Tick,
    pub(super) round_seen: u64,
    pub(super) attempt: u64,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    /// Incarnations or formation are to be sent to peers as soon as they are durable.
    pub(super) announce_due: bool,
    pub(super) announce_at: Tick,
    pub(super) evidence: Evidence,
    pub(super) digests: Digests,
    /// The replica ends as soon as its hard state is durable: it takes part in nothing more.
    pub(super) ending: Option<Stop>,
    pub(super) stopped: bool,
}

impl Replica {
    /// Advances the replica by one input at `now`, which never goes back.
    pub fn step(&mut self, now: Tick, input: Input, effects: &mut Effects) {
        if self.stopped || (self.is_ending() && !matches!(input, Input::Durable(_))) {
            return;
        }
        let busy = comes_with_every_append(&input);
        match input {
            Input::Tick => self.on_tick(now, effects),
            Input::PeerUp(node, incarnation) => self.on_peer_up(node, incarnation, effects),
            Input::PeerDown(node) => self.on_peer_down(now, node, effects),
            Input::Message(from, message) => self.on_message(now, from, message, effects),
            Input::Durable(lsn) => self.on_durable(now, lsn, effects),
            Input::Confirm => self.on_confirm(now, effects),
            Input::HandOver => self.on_hand_over_wanted(now, effects),
            Input::Leave => self.on_leave(now, effects),
            Input::Resumed => self.resumed_at = now,
            Input::DiskBudget(budget) => self.on_disk_budget(now, budget, effects),
            Input::Applied(digest) => self.on_applied(now, digest, effects),
        }
        self.campaign_if_asked(now, effects);
        // What comes with every append is followed by a tick, which is soon enough.
        if !busy {
            self.send_eligibility(now, effects);
        }
    }

    fn on_tick(&mut self, now: Tick, effects: &mut Effects) {
        self.announce_tick(now, effects);
        self.evidence_tick(now, effects);
        self.learn_tick(now, effects);
        match &self.role {
            Role::Follower => self.follower_tick(now, effects),
            Role::Canvassing(_) => self.canvass_tick(now),
            Role::Candidate(_) => self.campaign_tick(now, effects),
            Role::Leader(_) => self.leader_tick(now, effects),
        }
    }

    fn on_message(&mut self, now: Tick, from: NodeId, message: Message, effects: &mut Effects) {
        let Some(peer) = self.peers.get(&from).filter(|peer| peer.up) else {
            return; // Not a member, or a message of a connection that is gone.
        };
        // What a peer is fit for binds nobody, and may arrive before it has found its hard state durable.
        let plain = matches!(message, Message::Announce(_) | Message::Eligibility(_));
        if (peer.met.is_none() || peer.refuted) && !plain {
            // Witness first: what it saw of this node may forbid every vote, and what this node
            // saw of it may void its own (R13).
            return;
        }
        if !self.reaches_round(&message) {
            return;
        }
        match message {
            Message::Announce(announce) => {
                self.on_announce(now, from, announce, effects);
                self.ask_again(from, effects);
            }
            Message::Canvass(canvass) => self.on_canvass(now, from, &canvass, effects),
            Message::CanvassAnswer(answer) => self.on_canvass_answer(now, from, &answer, effects),
            Message::Prepare(prepare) => self.on_prepare(now, from, &prepare, effects),
            Message::Promise(promise) => self.on_promise(now, from, promise, effects),
            Message::LeaseRefusal(refusal) => self.on_lease_refusal(now, from, &refusal),
            Message::Nack(nack) => self.on_nack(now, from, &nack, effects),
            Message::Fetch(fetch) => self.on_fetch(from, &fetch, effects),
            Message::Fetched(fetched) => self.on_fetched(now, from, fetched, effects),
            Message::Accept(accept) => self.on_accept(now, from, accept, effects),
            Message::Accepted(accepted) => self.on_accepted(now, from, &accepted, effects),
            Message::Resend(resend) => self.on_resend(now, from, &resend, effects),
            Message::Heartbeat(heartbeat) => self.on_heartbeat(now, from, &heartbeat, effects),
            Message::Grant(grant) => self.on_grant(now, from, &grant, effects),
            Message::ChosenUpto(mark) => self.on_chosen_upto(now, from, &mark, effects),
            Message::Learn(learn) => self.on_learn(from, learn, effects),
            Message::Learned(learned) => self.on_learned(now, from, learned, effects),
            Message::HandOver(hand_over) => self.on_hand_over(now, from, &hand_over, effects),
            Message::Release(release) => self.on_release(now, from, &release),
            Message::Eligibility(eligibility) => self.on_eligibility(from, eligibility, effects),
            // The shard's: they are about files.
            Message::InstallFetch(_)
            | Message::InstallChunk(_)
            | Message::ValuesFetch(_)
            | Message::ValuesChunk(_)
            | Message::LossAsk(_)
            | Message::LossAnswer(_) => {}
        }
    }

    fn on_durable(&mut self, now: Tick, lsn: Lsn, effects: &mut Effects) {
        assert!(
            lsn < self.next_lsn,
            "durable past what was persisted: lsn={lsn} next={}",
            self.next_lsn
        );
        self.durable = self.durable.max(lsn);
        if let Some(stop) = self.ending.take_if(|_| self.hard_lsn <= self.durable) {
            return self.stop(stop, effects);
        }
        let flooded = self.is_sync_backlog_full();
        self.unsynced.synced(self.durable);
        if flooded {
            self.resume_accepting(now, effects);
        }
        self.announce_if_durable(effects);
        match &mut self.role {
            Role::Leader(_) => self.own_durable(now, effects),
            Role::Candidate(_) => self.campaign_step(now, effects),
            Role::Follower | Role::Canvassing(_) => {}
        }
    }

    /// The only function by which a leadership ends, and a campaign that was not won.
    pub(super) fn become_follower(
        &mut self,
        now: Tick,
        leader: Option<NodeId>,
        effects: &mut Effects,
    ) {
        let was = std::mem::replace(&mut self.role, Role::Follower);
        if let Role::Leader(_) = was {
            effects.push(Effect::Leading(None));
        }
        self.leader = leader;
        self.leader_full = false;
        self.given_up = None;
        self.heard_at = now;
        self.wait_for_silence(now);
    }

    /// Sets the time of the next canvass: a silence from now, randomised.
    pub(super) fn wait_for_silence(&mut self, now: Tick) {
        let jitter = self.random.below(self.config.timing.jitter_us + 1);
        self.election_at = now.after(self.config.timing.election_us + jitter);
    }

    /// Raises `promised`, durably before anything that rests on it leaves (C1, C2).
    pub(super) fn promise_ballot(&mut self, ballot: Ballot, effects: &mut Effects) {
        assert!(
            ballot > self.hard.promised,
            "promise below promised: ballot={ballot} promised={}",
            self.hard.promised
        );
        self.hard.promised = ballot;
        self.round_seen = self.round_seen.max(ballot.round);
        self.persist_hard(effects);
    }

    pub(super) fn persist_hard(&mut self, effects: &mut Effects) {
        let hard = self.hard.clone();
        self.hard_lsn = self.persist(Record::HardState(Box::new(hard)), effects);
    }

    pub(super) fn persist(&mut self, record: Record, effects: &mut Effects) -> Lsn {
        let lsn = self.next_lsn;
        self.next_lsn = lsn.next();
        match &record {
            Record::Accepted { value, .. } | Record::Learned { value, .. } => {
                self.unsynced.push(lsn, value.len());
                self.budget.take(value_room_bytes(value.len()));
                self.last_vote_lsn = lsn;
            }
            Record::Remnant { value, .. } => {
                self.unsynced.push(lsn, value.len());
                self.budget.take(value_room_bytes(value.len()));
            }
            Record::HardState(_) | Record::Chosen { .. } => self.last_vote_lsn = lsn,
            Record::Witnessed(_) | Record::Checkpoint { .. } | Record::Released(_) => {}
        }
        self.evidence.has_company |= !matches!(record, Record::Witnessed(_));
        effects.push(Effect::Persist(lsn, record));
        lsn
    }

    /// The last record persisted: a vote behind it claims only what is durable by then.
    pub(super) fn last_lsn(&self) -> Lsn {
        self.next_lsn.prev()
    }

    /// So much waits for the disk that nothing more may be taken in: a disk that is slow or full must
    /// not fill the memory, though the others have long chosen what waits (C4, R11). Twice the window, as
    /// for open slots (C4): one full window may be in the sync under way while the next one arrives.
    pub(super) fn is_sync_backlog_full(&self) -> bool {
        let Config { window_slots, window_bytes, .. } = self.config;
        self.unsynced.values() >= 2 * window_slots || self.unsynced.bytes() >= 2 * window_bytes
    }

    pub(super) fn broadcast(&self, plain: &Plain, effects: &mut Effects) {
        for node in self.others() {
            effects.send(node, plain.clone());
        }
    }

    pub(super) fn stop(&mut self, stop: Stop, effects: &mut Effects) {
        self.stopped = true;
        effects.push(Effect::Stop(stop));
    }

    /// This replica may send votes: the cluster is formed (C13), its state is not another than the
    /// others' (R23), and its memory is whole, or every member has been heard on it (C11).
    pub(super) fn may_vote(&self, now: Tick) -> bool {
        self.hard.formed
            && !self.is_ending()
            && self.doubt() != Some(Doubt::Fenced)
            && (self.has_met_everyone() || now >= self.witness_wait_until)
    }

    /// The replica must not go on, and ends once that is durable.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.is_some() || self.stopped
    }

    /// A replica with no peers has nobody to get damaged values from.
    pub(super) fn stop_if_unrepairable(&mut self, effects: &mut Effects) {
        if let Some(slot) = self.learner.first_hole().filter(|_| self.is_single()) {
            self.stop(Stop::Unrepairable { slot }, effects);
        }
    }
}

/// Inputs that each append brings.
fn comes_with_every_append(input: &Input) -> bool {
    match input {
        Input::Applied(_) | Input::Durable(_) => true,
        Input::Message(_, message) => {
            matches!(message, Message::Accept(_) | Message::Accepted(_) | Message::ChosenUpto(_))
        }
        Input::Tick
        | Input::PeerUp(..)
        | Input::PeerDown(_)
        | Input::Confirm
        | Input::HandOver
        | Input::Leave
        | Input::Resumed
        | Input::DiskBudget(_) => false,
    }
}

/// What a shard may ask of its replica.
impl Replica {
    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The role, for status.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The highest ballot promised.
    #[must_use]
    pub fn promised(&self) -> Ballot {
        self.hard.promised
    }

    /// The hard state as last persisted.
    #[must_use]
    pub fn hard(&self) -> &HardState {
        &self.hard
    }

    /// Every slot up to here is known to be chosen.
    #[must_use]
    pub fn chosen_upto(&self) -> Slot {
        self.chosen_upto
    }

    /// Everything up to here is durable.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// The LSN of the next record.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The other members.
    #[must_use]
    pub fn peers(&self) -> &BTreeMap<NodeId, Peer> {
        &self.peers
    }

    /// The node thought to lead, this one included.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(_) => Some(self.config.me),
            Role::Candidate(_) | Role::Canvassing(_) => None,
            Role::Follower => self.leader,
        }
    }

    /// Slots that somebody knows to be chosen and this replica does not yet: it catches up.
    #[must_use]
    pub fn lag_slots(&self) -> u64 {
        self.learner.target().0.saturating_sub(self.chosen_upto.0)
    }

    /// Slots that this replica knows to be damaged on its own disk.
    #[must_use]
    pub fn damaged_slots(&self) -> usize {
        self.learner.holes().len() + self.acceptor.damaged_slots()
    }

    /// Chosen slots whose value is not readable here yet.
    #[must_use]
    pub fn holes(&self) -> &BTreeMap<Slot, Ballot> {
        self.learner.holes()
    }

    /// The incarnation by which a member is known, if it was ever met.
    #[must_use]
    pub fn incarnation_of(&self, node: NodeId) -> Option<Incarnation> {
        self.hard.incarnations.get(&node).copied()
    }

    /// The last record that a vote may rest on; what is behind it needs no durability mark.
    #[must_use]
    pub fn last_vote_lsn(&self) -> Lsn {
        self.last_vote_lsn
    }

    /// The next time at which a tick may do something.
    #[must_use]
    pub fn next_deadline(&self, now: Tick) -> Tick {
        let mut at = match &self.role {
            Role::Follower => self.election_at,
            Role::Canvassing(canvassing) => canvassing.until,
            Role::Candidate(campaign) => campaign.retry_at,
            Role::Leader(leadership) => {
                let chosen_upto_at = leadership.chosen_upto_at.unwrap_or(leadership.heartbeat_at);
                leadership.heartbeat_at.min(chosen_upto_at)
            }
        };
        if !self.hard.formed {
            at = at.min(self.announce_at);
        }
        if let Some(retry_at) =
            self.learner.retry_at(self.chosen_upto).filter(|_| !self.is_learning_blocked())
        {
            at = at.min(retry_at);
        }
        // A deadline in the past means "as soon as possible", never a busy loop.
        at.max(now.after(DEADLINE_MIN_US))
    }
}
