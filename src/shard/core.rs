//! The shard itself: what happened in, what is to be done out.

use super::budget::Budget;
use super::cache::Cache;
use super::conns::Conns;
use super::counters::{SyncTally, Tally};
use super::disk_full::DiskFull;
use super::fates::Fates;
use super::leaving::Leaving;
use super::notes::log_note;
use super::outbox::Outbox;
use super::reads::Reads;
use super::repair_log::RepairLog;
use super::serve::JournalRead;
use super::writes::Writes;
use super::{Input, Output};
use crate::api::entries::EntriesLimit;
use crate::api::error::{ErrorCode, Leader, RequestError};
use crate::api::{DiskSpace, Reply, ReplyHeader, ShardLeader};
use crate::journal::{self, Journal, JournalEvent, Recovered};
use crate::limits;
use crate::machine::Machine;
use crate::paxos::{self, Effect, Effects, Memory, Replica};
use crate::types::{Ballot, ClusterId, ConnId, Incarnation, NodeId, ShardId, Slot, Tick, Value};
use std::collections::BTreeMap;

/// An idle journal writes a durability mark after this (C11).
const MARK_IDLE_US: u64 = 50_000;
/// A segment that could not be prepared for want of space is tried again after this.
pub(super) const PREPARE_RETRY_US: u64 = 1_000_000;

/// What a shard is given at its start.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// The shard.
    pub shard: ShardId,
    /// Shards of the cluster.
    pub shards: u16,
    /// The cluster.
    pub cluster: ClusterId,
    /// The replica's configuration.
    pub paxos: paxos::Config,
    /// Where each member listens for clients, as it advertises it.
    pub addresses: BTreeMap<NodeId, String>,
    /// What one append may hold.
    pub append: EntriesLimit,
    /// A clean stop of the node takes no longer than this.
    pub stop_timeout_ms: u64,
    /// The program's version, for status.
    pub version: String,
}

/// One shard on one node. See the module's documentation.
#[derive(Debug)]
pub struct Shard {
    pub(super) options: ShardOptions,
    pub(super) replica: Replica,
    effects: Effects,
    pub(super) journal: Journal,
    pub(super) machine: Machine,
    pub(super) cache: Cache,
    pub(super) cache_bytes_max: usize,
    outbox: Outbox,
    pub(super) conns: Conns,
    pub(super) writes: Writes,
    /// Commands of lost leaderships.
    pub(super) fates: Fates,
    pub(super) reads: Reads,
    pub(super) budget: Budget,
    /// Reads of the journal under way, by token.
    pub(super) cold: BTreeMap<u64, JournalRead>,
    pub(super) next_token: u64,
    /// A read of the journal for applying is under way.
    pub(super) replaying: bool,
    /// A read waits for proof of leadership.
    pub(super) confirm_wanted: bool,
    /// Damaged places found at the start, for the message with which the node may have to end.
    pub(super) findings: Vec<String>,
    pub(super) leaders: BTreeMap<ShardId, ShardLeader>,
    pub(super) tally: Tally,
    pub(super) syncs: SyncTally,
    pub(super) wall_ms: u64,
    pub(super) started: Tick,
    /// The node's stop, as far as it is.
    pub(super) leaving: Leaving,
    pub(super) failed: bool,
    repair_log: RepairLog,
    mark_at: Option<Tick>,
    pub(super) prepare_at: Option<Tick>,
    pub(super) disk_full: DiskFull,
    /// Why there is no link with a peer, as the driver reported.
    pub(super) troubles: BTreeMap<NodeId, String>,
    /// The disk of the data, as the driver reported.
    pub(super) disk: DiskSpace,
}

impl Shard {
    /// A shard over what its journal recovered.
    #[must_use]
    pub fn start(
        options: ShardOptions,
        journal: Journal,
        recovered: Recovered,
        now: Tick,
        out: &mut Vec<Output>,
    ) -> Shard {
        let mut effects = Effects::new();
        let findings = recovered.findings.iter().map(ToString::to_string).collect();
        let memory = Memory {
            hard: recovered.hard,
            next_lsn: recovered.next_lsn,
            chosen_upto: recovered.chosen_upto,
            open: recovered.open,
            holes: recovered.holes,
            reports: recovered.reports,
            damage: recovered.damage,
            witnessed: recovered.witnessed,
            cut: recovered.torn.map(|torn| (torn.last_lsn, torn.damage)),
        };
        let replica = Replica::start(options.paxos.clone(), memory, now, &mut effects);
        let machine = Machine::new(options.shard, options.shards);
        let mut shard = Shard {
            replica,
            effects,
            journal,
            machine,
            cache: Cache::default(),
            cache_bytes_max: limits::CACHE_BYTES_MAX,
            outbox: Outbox::default(),
            conns: Conns::default(),
            writes: Writes::default(),
            fates: Fates::default(),
            reads: Reads::default(),
            budget: Budget::default(),
            cold: BTreeMap::new(),
            next_token: 1,
            replaying: false,
            confirm_wanted: false,
            findings,
            leaders: BTreeMap::new(),
            tally: Tally::default(),
            syncs: SyncTally::default(),
            wall_ms: 0,
            started: now,
            leaving: Leaving::default(),
            failed: false,
            repair_log: RepairLog::default(),
            mark_at: None,
            prepare_at: None,
            disk_full: DiskFull::default(),
            troubles: BTreeMap::new(),
            disk: DiskSpace::default(),
            options,
        };
        shard.settle(now, out);
        shard
    }

    /// Advances the shard by one input at `now`, which never goes back.
    pub fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Output>) {
        if self.failed {
            return;
        }
        self.update_room(now);
        match input {
            Input::Tick => self.tick(now, out),
            Input::PeerUp { node, incarnation } => {
                self.feed(now, paxos::Input::PeerUp(node, incarnation));
            }
            Input::PeerDown { node } => self.feed(now, paxos::Input::PeerDown(node)),
            Input::Peer { node, message } => {
                self.say_who_leaves(node, &message);
                let before = self.replica.damaged_slots();
                self.feed(now, paxos::Input::Message(node, message));
                if before > 0 {
                    self.settle(now, out);
                    let left = self.replica.damaged_slots();
                    if let Some(text) = self.repair_log.settled(before, left, node) {
                        log::info!("shard {}: {text}", self.options.shard);
                    }
                }
            }
            Input::Client { conn, correlation, request } => {
                self.conns.begin(conn);
                self.request(now, conn, correlation, request, out);
            }
            Input::ChainFailed { conn, log, chain } => self.conns.refuse_chain(conn, &log, chain),
            Input::ClientDown { conn } => {
                self.conns.drop_conn(conn);
                self.drop_reads(conn);
                self.writes.drop_conn(conn);
            }
            Input::Disk(done) => {
                if let Some(event) = self.journal.done(done) {
                    self.disk_event(now, event, out);
                }
            }
            Input::HandOver => self.leave(now, out),
            Input::Resumed => self.feed(now, paxos::Input::Resumed),
        }
        self.settle(now, out);
    }

    /// What this node saw others acknowledge is written down, where that is news.
    pub(super) fn record_evidence(&mut self) {
        self.replica.record_evidence(&mut self.effects);
    }

    pub(super) fn report_lost(&mut self, now: Tick, slot: Slot, ballot: Ballot) {
        self.replica.report_lost(now, slot, ballot, &mut self.effects);
    }

    pub(super) fn propose(&mut self, now: Tick, value: Value) -> Slot {
        self.replica.propose(now, value, &mut self.effects)
    }

    pub(super) fn feed(&mut self, now: Tick, input: paxos::Input) {
        self.replica.step(now, input, &mut self.effects);
    }

    fn tick(&mut self, now: Tick, out: &mut Vec<Output>) {
        self.feed(now, paxos::Input::Tick);
        self.settle(now, out);
        self.look_for_room(out);
        self.flush_writes(now, out);
        self.expire_reads(now, out);
        self.expire_fates(now, out);
        self.admit_reads(now, out);
        if std::mem::take(&mut self.confirm_wanted) {
            self.feed(now, paxos::Input::Confirm);
        }
        if self.mark_at.is_some_and(|at| now >= at) {
            self.mark_at = None;
            // A record of what was witnessed carries the mark, too.
            if !self.replica.record_evidence(&mut self.effects) {
                self.journal.idle_mark();
            }
            self.settle(now, out);
        }
        if self.prepare_at.is_some_and(|at| now >= at) {
            // Once more after this, until there is room: only the first failure is an event.
            self.prepare_at = (!self.journal.has_room()).then(|| now.after(PREPARE_RETRY_US));
            self.journal.retry_prepare();
        }
        self.cache.trim(self.cache_bytes_max, |slot, ballot| {
            // A record of a lower ballot may hold what was not chosen.
            let durable = |at: journal::Location| at.ballot >= ballot;
            slot <= self.machine.applied_upto() && self.journal.locate(slot).is_some_and(durable)
        });
        self.settle(now, out);
        // Only here, so that all that arrived in one burst shares one batch (group commit).
        while let Some(job) = self.journal.next_job() {
            out.push(Output::Job(job));
        }
    }

    fn disk_event(&mut self, now: Tick, event: JournalEvent, out: &mut Vec<Output>) {
        match event {
            JournalEvent::Durable(lsn) => {
                self.feed(now, paxos::Input::Durable(lsn));
                // What no vote rests on may be lost without a mark.
                if self.journal.marked_upto() < lsn.min(self.replica.binding()) {
                    self.mark_at = Some(now.after(MARK_IDLE_US));
                }
            }
            JournalEvent::NoRoom(why) => self.room_ends(now, &why),
            JournalEvent::Room => log::info!("shard {}: space is back", self.options.shard),
            JournalEvent::Read(done) => self.cold_done(now, done, out),
        }
    }

    /// Carries out effects until none are left, and applies what can be applied.
    pub(super) fn settle(&mut self, now: Tick, out: &mut Vec<Output>) {
        loop {
            self.carry_out(now, out);
            self.apply_ready(now, out);
            // What was applied may have shown that replicas differ (R23).
            if self.effects.items().is_empty() {
                break;
            }
        }
        self.release_reads(now, out);
        self.end_if_done(now, out);
    }

    fn carry_out(&mut self, now: Tick, out: &mut Vec<Output>) {
        loop {
            let effects: Vec<Effect> = self.effects.drain().collect();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.effect(now, effect, out);
            }
        }
        // A replica that must not vote any more sends nothing that it held back, either.
        if !self.replica.is_ending() {
            for (node, vote) in self.outbox.release(self.journal.durable_upto()) {
                out.push(Output::Peer { node, message: vote.into() });
            }
        }
    }

    fn effect(&mut self, now: Tick, effect: Effect, out: &mut Vec<Output>) {
        match effect {
            Effect::Persist(lsn, record) => self.journal.push(lsn, record),
            Effect::Send(node, plain) => out.push(Output::Peer { node, message: plain.into() }),
            Effect::SendAfter(lsn, node, vote) => self.outbox.hold(lsn, node, vote),
            Effect::Chosen { slot, ballot, value } => self.cache.insert(slot, ballot, value),
            Effect::Repaired { slot, ballot, value } => {
                self.repair_log.repaired(slot);
                self.cache.insert(slot, ballot, value);
            }
            Effect::Serve { to, learn } => self.serve(now, to, learn, out),
            Effect::Leading(Some(ballot)) => {
                self.tally.elections += 1;
                log::info!("shard {}: leads in ballot {ballot}", self.options.shard);
            }
            Effect::Leading(None) => {
                log::info!("shard {}: no longer leads", self.options.shard);
                // What was chosen before is answered as such, not as unknown.
                self.apply_cached(now, out);
                self.void_writes(now, out);
                self.void_reads(out);
            }
            Effect::Stalled(micros) => log::warn!(
                "shard {}: the disk has made nothing durable for {} ms: leadership is handed over",
                self.options.shard,
                micros / 1000
            ),
            Effect::HandedOver(called) => self.handed_over(now, called),
            Effect::Yields => log::warn!(
                "shard {}: this disk is full and others are not: leadership is handed over",
                self.options.shard
            ),
            Effect::Note(note) => log_note(&note),
            Effect::Stop(stop) => self.stop(&stop, out),
        }
    }

    pub(super) fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Answers a request, if its connection is still there.
    pub(super) fn reply(&mut self, conn: ConnId, id: u64, reply: Reply, out: &mut Vec<Output>) {
        if self.conns.end(conn) {
            let header = self.header();
            self.budget.hand(&reply);
            out.push(Output::Client { conn, correlation: id, header, reply });
            for behind in self.conns.answered(conn, id) {
                self.refuse_prior(conn, behind, out);
            }
        }
    }

    pub(super) fn refuse(&mut self, conn: ConnId, id: u64, e: RequestError, out: &mut Vec<Output>) {
        self.reply(conn, id, Reply::Error(e), out);
    }

    pub(super) fn header(&self) -> ReplyHeader {
        ReplyHeader {
            shard: self.options.shard,
            epoch: self.replica.promised(),
            applied_upto: self.machine.applied_upto(),
        }
    }

    /// The ballot in which requests are served, or why they are not.
    pub(super) fn serving(&self) -> Result<Ballot, RequestError> {
        if self.is_leaving() {
            return Err(RequestError::new(ErrorCode::ShuttingDown, "the node is stopping"));
        }
        if self.replica.is_doubtful() {
            return Err(RequestError::new(ErrorCode::NotReady, self.doubt_text()));
        }
        let Some(ballot) = self.replica.serving() else { return Err(self.not_leader()) };
        if self.machine.applied_upto() < self.replica.chosen_upto() {
            let text = format!(
                "applied up to slot {} of {}",
                self.machine.applied_upto(),
                self.replica.chosen_upto()
            );
            return Err(RequestError::new(ErrorCode::NotReady, text));
        }
        Ok(ballot)
    }

    pub(super) fn not_leader(&self) -> RequestError {
        match self.replica.leader() {
            Some(node) if node == self.options.paxos.me => {
                RequestError::new(ErrorCode::NotReady, "elected, and settling what was open before")
            }
            Some(node) => {
                let address = self.options.addresses.get(&node).cloned().unwrap_or_default();
                RequestError::not_leader(Some(Leader { node, address }))
            }
            None => {
                let nobody = "nobody is known to lead the shard";
                let formed = || RequestError::new(ErrorCode::NoQuorum, nobody);
                self.unformed().unwrap_or_else(formed)
            }
        }
    }
}

/// What a driver may ask of its shard.
impl Shard {
    /// The time of the next [`Input::Tick`], unless something happens before.
    #[must_use]
    pub fn next_deadline(&self, now: Tick) -> Tick {
        let mut at = self.replica.next_deadline(now);
        let others = [
            self.mark_at,
            self.prepare_at,
            self.reads.next_deadline(),
            self.fates.next_deadline(),
            self.leaving.next_deadline(now),
        ];
        for other in others.into_iter().flatten() {
            at = at.min(other);
        }
        at
    }

    /// True while no more requests should be read from clients: the window and the queue are full.
    #[must_use]
    pub fn congested(&self) -> bool {
        self.writes.queued_bytes() >= limits::QUEUE_BYTES_MAX
    }

    /// Whether a node of this incarnation may speak for the member `node` (C13).
    ///
    /// # Errors
    /// The incarnation by which the member is known; `None` when it is no other member.
    pub fn admits(&self, node: NodeId, as_of: Incarnation) -> Result<(), Option<Incarnation>> {
        self.replica.admits(node, as_of)
    }

    /// The replica, for status and for the simulator's checks.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The journal, for checks in tests and the simulator.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The machine, for status and for the simulator's checks.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// A chosen value that is still in memory, and a ballot in which it was chosen.
    #[must_use]
    pub fn recent(&self, slot: Slot) -> Option<&(Ballot, Value)> {
        self.cache.get(slot)
    }

    /// Slots applied.
    #[must_use]
    pub fn applied_upto(&self) -> Slot {
        self.machine.applied_upto()
    }
}
