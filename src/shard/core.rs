//! What all parts of a shard work on: the replica, its journal and its machine, and what stands
//! between them and the clients.

use super::budget::Budget;
use super::cache::Cache;
use super::conns::Conns;
use super::counters::Tally;
use super::deferred_drop::DeferredDrop;
use super::doubt::{Healing, doubt_text};
use super::held::{HeldAnswers, ReadProof};
use super::install::Absent;
use super::journal_reads::JournalReads;
use super::keeping::Keeping;
use super::lookup;
use super::options::ShardOptions;
use super::peer_clocks::{HeldBack, PeerClocks};
use super::spans::Spans;
use crate::api::error::{Detail, ErrorCode, Leader, RequestError};
use crate::api::status::InstallProgress;
use crate::api::{Consistency, LogRef, ReplyHeader, ShardLeader};
use crate::checkpoint::RestoredState;
use crate::index::{EntryIndex, RunDamage, RunSet};
use crate::journal::{FactsToRepeat, Journal};
use crate::limits;
use crate::machine::{Machine, is_remnant};
use crate::paxos::{self, Doubt, Effect, Effects, Memory, Replica};
use crate::storage::BlockCache;
use crate::types::{
    Ballot, FormatLevel, LogId, Lsn, NodeId, Nodes, Released, Slot, SlotRanges, Tick, Value,
};
use crate::wire::peer;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What all parts of a shard work on.
#[derive(Debug)]
pub struct Core {
    /// What the shard was given at its start.
    pub(super) options: ShardOptions,
    /// Takes part in consensus; its effects gather in `effects`.
    pub(super) replica: Replica,
    effects: Effects,
    /// Keeps records, and reads them back.
    pub(super) journal: Journal,
    /// What the chosen values have built.
    pub(super) machine: Machine,
    /// Where the logs' entries lie.
    pub(super) index: EntryIndex,
    /// Slots that are chosen and applied, and whose values may not be here.
    pub(super) absent: Absent,
    /// Slots that a peer's checkpoint stands for: of their values only those are here that were fetched.
    pub(super) installed: SlotRanges,
    /// The slot of the newest checkpoint.
    pub(super) checkpointed_upto: Slot,
    /// In which slots entries are live.
    pub(super) spans: Spans,
    /// What the journal keeps, and why.
    pub(super) keeping: Keeping,
    /// How far the checkpoint of a peer is that is being taken over.
    pub(super) installing: Option<InstallProgress>,
    /// Plain appends are taken while the state is disputed.
    pub(super) appends_in_dispute: bool,
    /// What a node that fenced itself does about it.
    pub(super) healing: Healing,
    /// A run of the index is damaged: a peer's checkpoint is to take its place (C31).
    pub(super) is_index_damaged: bool,
    /// Blocks that lookups on disk have read.
    pub(super) block_cache: Arc<BlockCache>,
    /// Chosen values in memory.
    pub(super) cache: Cache,
    cache_bytes_max: usize,
    /// The clients' connections.
    pub(super) conns: Conns,
    /// The memory for answers.
    pub(super) budget: Budget,
    /// Answers that wait for proof of leadership.
    pub(super) held: HeldAnswers,
    /// Reads of the journal under way.
    pub(super) journal_reads: JournalReads,
    /// Peers that refuse this node, or are refused by it.
    pub(super) refusing: BTreeSet<NodeId>,
    /// What was done since the start.
    pub(super) tally: Tally,
    /// The wall clock, as the driver set it.
    pub(super) wall_ms: u64,
    /// The members' wall clocks.
    pub(super) clocks: PeerClocks,
    /// What is to be dropped on another thread at the end of the turn.
    pub(super) drops: Vec<DeferredDrop>,
    /// The node stops: what is not done by then is not waited for.
    pub(super) stop_by: Option<Tick>,
    /// The process must end: nothing is done any more.
    pub(super) failed: bool,
}

impl Core {
    /// Over what the journal recovered; the effects of the replica's start are to be carried out.
    pub(super) fn start(
        options: ShardOptions,
        mut journal: Journal,
        memory: Memory,
        restored: RestoredState,
        now: Tick,
    ) -> Core {
        let mut effects = Effects::new();
        let replica = Replica::start(options.paxos.clone(), memory, now, &mut effects);
        let members = options.paxos.members.len();
        let RestoredState { mut machine, runs, spans, installed, absent, .. } = restored;
        machine.set_known_level(options.paxos.known_level);
        let checkpointed_upto = machine.applied_upto();
        journal.believe_known_only(&installed);
        let block_cache = Arc::new(BlockCache::new(limits::BLOCK_CACHE_BYTES));
        Core {
            options,
            replica,
            effects,
            journal,
            machine,
            spans: Spans::start(spans, runs.upto().unwrap_or(Slot(0))),
            index: EntryIndex::over(runs.cached(Arc::clone(&block_cache))),
            absent: Absent::start(absent),
            installed,
            checkpointed_upto,
            keeping: Keeping::default(),
            installing: None,
            appends_in_dispute: false,
            healing: Healing::default(),
            is_index_damaged: false,
            block_cache,
            cache: Cache::default(),
            cache_bytes_max: limits::CACHE_BYTES_MAX,
            conns: Conns::default(),
            budget: Budget::default(),
            held: HeldAnswers::default(),
            journal_reads: JournalReads::default(),
            refusing: BTreeSet::new(),
            tally: Tally::default(),
            wall_ms: 0,
            clocks: PeerClocks::new(members, limits::CLOCK_SKEW_MS_DEFAULT),
            drops: Vec::new(),
            stop_by: None,
            failed: false,
        }
    }

    /// Gives the replica an input.
    pub(super) fn feed(&mut self, now: Tick, input: paxos::Input) {
        self.replica.step(now, input, &mut self.effects);
    }

    /// Proposes a value; the window must have space for it.
    pub(super) fn propose(&mut self, now: Tick, value: Value) -> Slot {
        self.replica.propose(now, value, &mut self.effects)
    }

    /// What this node saw others acknowledge is written down; false where that is no news.
    pub(super) fn record_evidence(&mut self) -> bool {
        self.replica.record_evidence(&mut self.effects)
    }

    /// Facts that a start from a checkpoint would not find are written down again.
    pub(super) fn repeat_facts(&mut self, facts: FactsToRepeat) {
        let released = facts.released.then(|| Arc::clone(self.journal.last_released()));
        let FactsToRepeat { hard_state, witnessed, .. } = facts;
        self.replica.repeat_facts(hard_state, witnessed, released, &mut self.effects);
    }

    /// Writes down what is known to be chosen.
    pub(super) fn record_chosen(&mut self, now: Tick) {
        self.replica.record_chosen(now, &mut self.effects);
    }

    /// The checkpoint at a slot is durable: notes it in the journal.
    pub(super) fn record_checkpoint(&mut self, slots: (Slot, Slot), digest: u64) -> Lsn {
        self.replica.record_checkpoint(slots, digest, &mut self.effects)
    }

    /// A checkpoint is about to take the place of the state: this node leads no more.
    pub(super) fn before_install(&mut self, now: Tick) {
        self.replica.before_install(now, &mut self.effects);
    }

    /// The checkpoint at a slot takes the place of the state, of the index and of all values up to there.
    pub(super) fn install(&mut self, now: Tick, slot: Slot, machine: Machine, runs: RunSet) {
        self.installed.add(self.machine.applied_upto().next(), slot);
        self.journal.believe_known_only(&self.installed);
        if slot < self.machine.applied_upto() {
            self.drop_cached(); // What is behind the slot is applied again.
        }
        self.replace_state(machine, runs);
        self.is_index_damaged = false;
        self.cache.drop_upto(slot);
        self.replica.installed(now, slot, &mut self.effects);
        let digest = peer::Digest { slot, state: self.machine.digest() };
        self.feed(now, paxos::Input::Applied(digest));
    }

    /// Puts another state and its index in the place of the present ones, which are dropped later.
    fn replace_state(&mut self, machine: Machine, runs: RunSet) {
        let runs = runs.cached(Arc::clone(&self.block_cache));
        let machine = std::mem::replace(&mut self.machine, machine);
        let index = std::mem::replace(&mut self.index, EntryIndex::over(runs));
        self.drops.push(DeferredDrop::State(Box::new((machine, index))));
    }

    /// A job found a run of the index damaged. False where that is a run of the index no more: while the job was
    /// under way others took its place, and they may be whole.
    pub(super) fn note_damage(&mut self, damage: &RunDamage) -> bool {
        let is_current = self.index.runs().runs().iter().any(|run| run.name() == damage.file);
        self.is_index_damaged |= is_current;
        is_current
    }

    /// These members have the state of the checkpoint at this slot, too, which was installed here.
    pub(super) fn shares_checkpoint(&mut self, now: Tick, slot: Slot, members: &[NodeId]) {
        self.replica.shares_checkpoint(now, slot, members, &mut self.effects);
    }

    /// Drops all values from memory that the journal can give back.
    fn drop_cached(&mut self) {
        let Core { cache, machine, journal, .. } = self;
        let applied = machine.applied_upto();
        cache.trim(0, |slot, ballot| slot <= applied && journal.is_durable_in(slot, ballot));
    }

    /// The state is that after a slot once more, as a checkpoint of this node's own has it. What is chosen
    /// behind it comes from the journal, as far as it is there.
    pub(super) fn rebuild(&mut self, now: Tick, slot: Slot, machine: Machine, runs: RunSet) {
        self.drop_cached();
        self.replace_state(machine, runs);
        self.machine.set_known_level(self.options.paxos.known_level);
        self.checkpointed_upto = slot;
        self.replica.rebuilt(now, slot, &mut self.effects);
        if slot == Slot(0) {
            return; // Nobody has a digest of that.
        }
        let digest = peer::Digest { slot, state: self.machine.digest() };
        self.feed(now, paxos::Input::Applied(digest));
    }

    /// The checkpoint at a slot is durable: what is damaged of slots up to there is no hole (C29).
    pub(super) fn checkpointed(&mut self, slot: Slot) {
        self.checkpointed_upto = slot;
        self.journal.spill_upto(slot);
        for hole in self.replica.forget_holes(slot) {
            self.absent.want(hole);
        }
    }

    /// The highest slot that this node or a peer knows to be chosen.
    pub(super) fn known_chosen(&self) -> Slot {
        self.replica.chosen_upto().plus(self.replica.lag_slots())
    }

    /// What is left of values may be written down, and is taken from peers: every member's program knows it (C32c).
    pub(super) fn allows_remnants(&self) -> bool {
        self.machine.levels().level() >= FormatLevel::REMNANTS
    }

    /// Whether everything that anybody is known to hold as chosen is applied here, and the leader, or leading a
    /// quorum, was heard within the last lease. Without that nobody knows how much is missing.
    pub(super) fn is_caught_up(&self, now: Tick) -> bool {
        now < self.replica.assured_until()
            && self.replica.lag_slots() == 0
            && self.machine.applied_upto() >= self.replica.chosen_upto()
    }

    /// Keeps a value that a checkpoint stands for, or what is left of it; false where the disk has no space for it.
    pub(super) fn keep_value(&mut self, slot: Slot, ballot: Ballot, value: Value) -> bool {
        let Core { replica, effects, .. } = self;
        match is_remnant(&value) {
            true => replica.keep_remnant(slot, ballot, value, effects),
            false => replica.keep_value(slot, ballot, value, effects),
        }
    }

    /// A chosen value whose record cannot be read here is in memory: it is written down once more, in no lower ballot
    /// than that of the record. False where it is not in memory. Without space it is written down the next time.
    pub(super) fn keep_cached(&mut self, slot: Slot, over: Ballot) -> bool {
        let Some((ballot, value)) = self.cache.get(slot).cloned() else { return false };
        if !self.replica.is_doubtful() && self.keep_value(slot, ballot.max(over), value) {
            let shard = self.options.shard;
            log::warn!(
                "shard {shard}: slot {slot} is written down once more, from memory: its record cannot be read"
            );
        }
        true
    }

    /// Segments go: notes it in the journal, which removes them once that is durable.
    pub(super) fn record_released(&mut self, released: Released) {
        self.replica.release_upto(released.upto());
        self.replica.record_released(released, &mut self.effects);
    }

    /// A chosen value cannot be read here any more: it is fetched from a peer.
    pub(super) fn lost(&mut self, now: Tick, slot: Slot, ballot: Ballot, why: &str) {
        log::error!("shard {}: {why}; fetching it from a peer", self.options.shard);
        self.replica.report_lost(now, slot, ballot, &mut self.effects);
    }

    /// The effects that were not carried out yet, oldest first.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        self.effects.drain().collect()
    }

    /// Effects wait to be carried out.
    pub(super) fn has_effects(&self) -> bool {
        !self.effects.items().is_empty()
    }

    /// Bounds the chosen values kept in memory.
    pub(super) fn set_cache_bytes(&mut self, bytes_max: usize) {
        self.cache_bytes_max = bytes_max;
    }

    /// Drops values from memory that the journal can give back.
    pub(super) fn trim_cache(&mut self) {
        let Core { cache, machine, journal, .. } = self;
        cache.trim(self.cache_bytes_max, |slot, ballot| {
            // A record of a lower ballot may hold what was not chosen.
            slot <= machine.applied_upto() && journal.is_durable_in(slot, ballot)
        });
    }

    /// The stamp of a value that is built now (C28).
    pub(super) fn stamp_ms(&mut self, now: Tick) -> u64 {
        let last_ms = self.machine.stamp_ms();
        let (stamp_ms, held_back) = self.clocks.stamp(now, self.wall_ms, last_ms);
        self.complain(held_back);
        stamp_ms
    }

    /// The time, in ms since 1970, as far as others bear it out; 0 where nobody does yet (C28).
    pub(super) fn time_ms(&mut self, now: Tick) -> u64 {
        let (time_ms, held_back) = self.clocks.time_ms(now, self.wall_ms);
        self.complain(held_back);
        time_ms
    }

    /// Holds the own clock against those of others now and then, so that a jump of it is seen as one.
    pub(super) fn look_at_clock(&mut self, now: Tick) {
        let held_back = self.clocks.look(now, self.wall_ms);
        self.complain(held_back);
    }

    fn complain(&self, held_back: Option<HeldBack>) {
        if let Some(held_back) = held_back {
            log::warn!("shard {}: the clock is held back: {held_back}", self.options.shard);
        }
    }

    /// The journal, though no further segment can be prepared, takes in what frees space.
    pub(super) fn has_room_to_free(&self) -> bool {
        self.journal.value_room().new_values >= limits::FREEING_ROOM_BYTES
    }

    /// The journal takes in copies that need so much space. Where no further segment can be prepared, some is
    /// left for what makes their segments go: cuts, and what is recorded at them.
    pub(super) fn has_room_to_copy(&self, room_bytes: u64) -> bool {
        let left = self.journal.value_room().new_values;
        self.journal.has_room() || left >= room_bytes.saturating_add(2 * limits::FREEING_ROOM_BYTES)
    }

    /// The node is stopping.
    pub(super) fn is_leaving(&self) -> bool {
        self.stop_by.is_some()
    }

    /// Stands in front of every reply.
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
            return Err(self.in_doubt());
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

    /// The state is disputed, and plain appends are taken all the same: they depend on nothing that it says but
    /// which logs there are (C32).
    pub(super) fn takes_plain_appends(&self) -> bool {
        self.appends_in_dispute && self.replica.doubt() == Some(Doubt::Disputed)
    }

    /// Why no plain append is taken, if none is.
    pub(super) fn may_append(&self) -> Result<(), RequestError> {
        let goes_on = self.takes_plain_appends() && !self.is_leaving();
        if goes_on
            && self.replica.leads()
            && self.machine.applied_upto() == self.replica.chosen_upto()
        {
            return Ok(());
        }
        self.serving().map(drop)
    }

    /// With whom this node differs, and what follows; empty when it differs from nobody.
    pub(super) fn doubt_text(&self) -> String {
        doubt_text(&self.replica, (self.healing, self.takes_plain_appends()))
    }

    /// Why nothing is answered from a state that may be wrong (R23).
    pub(super) fn in_doubt(&self) -> RequestError {
        RequestError::new(ErrorCode::NotReady, self.doubt_text())
    }

    /// Who is to be asked instead, as far as this node can say.
    pub(super) fn not_leader(&self) -> RequestError {
        if self.replica.is_doubtful() {
            return self.in_doubt();
        }
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

    /// Why nobody can lead: the cluster has not formed, and for whom it waits, as far as this node
    /// knows. Nothing once it has. A node that was wiped has met nobody either: its refusal is the
    /// reason then, and the cluster may have formed long ago.
    pub(super) fn unformed(&self) -> Option<RequestError> {
        let unmet = (!self.replica.is_formed()).then(|| self.replica.unmet())?;
        let refusing: Vec<NodeId> =
            unmet.iter().copied().filter(|node| self.refusing.contains(node)).collect();
        if !refusing.is_empty() {
            let text = format!(
                "no link with {}: one side refuses the other, for the reason in this node's log; it \
                 serves nothing before that is mended",
                Nodes(&refusing)
            );
            return Some(RequestError::new(ErrorCode::NoQuorum, text));
        }
        let error = RequestError::new(ErrorCode::NoQuorum, unformed(&unmet));
        Some(error.with_detail(Detail::Unformed(unmet)))
    }

    /// Who leads this shard, as this node knows.
    pub(super) fn leader(&self) -> ShardLeader {
        ShardLeader {
            shard: self.options.shard,
            epoch: self.replica.promised(),
            node: self.replica.leader(),
        }
    }

    /// The log that a request means.
    pub(super) fn find(&self, log: &LogRef) -> Result<LogId, RequestError> {
        lookup::find(&self.machine, log, self.options.shards)
    }

    /// What makes an answer computed now as fresh as asked for.
    pub(super) fn read_proof(
        &self,
        consistency: Consistency,
    ) -> Result<Option<ReadProof>, RequestError> {
        match consistency {
            Consistency::Local if self.replica.is_doubtful() => Err(self.in_doubt()),
            Consistency::Local => Ok(None),
            Consistency::Linearizable => {
                let ballot = self.serving()?;
                Ok(Some(ReadProof { ballot, stamp: self.replica.read_stamp() }))
            }
        }
    }

    /// True: the answer may leave. False: proof is still to come. None: the leadership is gone.
    pub(super) fn is_proven(&self, now: Tick, proof: ReadProof) -> Option<bool> {
        if self.replica.serving() != Some(proof.ballot) {
            return None;
        }
        Some(self.replica.lease_valid(now) || self.replica.confirmed_after(proof.stamp))
    }
}

/// Says for whom a cluster that has not formed waits.
fn unformed(unmet: &[NodeId]) -> String {
    let whom = match unmet {
        [] => "its members to have met each other".to_string(),
        nodes => Nodes(nodes).to_string(),
    };
    format!(
        "the cluster has not formed: it waits for {whom}; a new cluster serves once all its members \
         have met each other, and from then on a quorum is enough"
    )
}
