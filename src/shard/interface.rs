//! The shard as its driver sees it: what happened in, what is to be done out.

use super::checkpoints::Checkpoints;
use super::core::Core;
use super::counters::{Backlog, SyncTally, Tally};
use super::doubt::Healing;
use super::events::{Input, Output};
use super::heal::Healer;
use super::memory::MemoryAccounts;
use super::options::ShardOptions;
use super::router::Router;
use super::turn::Turn;
use crate::api::error::RequestError;
use crate::api::{ClusterMap, DiskSpace, ShardLeader, ShardStatus, StatusReply};
use crate::checkpoint::{Kept, Start};
use crate::journal::Journal;
use crate::limits;
use crate::machine::Machine;
use crate::paxos::{self, Memory, Replica};
use crate::types::{Ballot, ConnId, FileOwner, Incarnation, NodeId, Slot, Tick, Value};

/// One shard on one node. See the module's documentation.
#[derive(Debug)]
pub struct Shard {
    pub(super) core: Core,
    pub(super) router: Router,
}

impl Shard {
    /// A shard over what its directory gave back.
    #[must_use]
    pub fn start(options: ShardOptions, start: Start, now: Tick, out: &mut Vec<Output>) -> Shard {
        let Start { journal, recovered, mut restored } = start;
        let findings = recovered.findings.iter().map(ToString::to_string).collect();
        let memory = Memory {
            hard: recovered.hard,
            next_lsn: recovered.next_lsn,
            chosen_upto: recovered.chosen_upto,
            released_upto: journal.released_upto().max(restored.installed_upto()),
            open: recovered.open,
            holes: recovered.holes,
            reports: paxos::inexact_reports(&recovered.losses),
            damage: paxos::damage_of_unknown_slot(&recovered.losses),
            witnessed: recovered.witnessed,
            cut: recovered.torn.map(|torn| (torn.last_lsn, torn.damage)),
            is_fenced: Healer::is_fenced(restored.heal, restored.from.map(|(slot, _)| slot)),
        };
        let owner = FileOwner {
            cluster: options.cluster,
            node: options.paxos.me,
            incarnation: options.paxos.incarnation,
            shard: options.shard,
        };
        let (checkpoints, tried) = (Checkpoints::start(owner, &mut restored), restored.heal);
        let core = Core::start(options, journal, memory, restored, now);
        let healer = Healer::start(owner, tried, &core);
        let mut shard = Shard { core, router: Router::start(now, findings, checkpoints, healer) };
        shard.router.resume(&mut shard.core, now);
        shard.router.drain_effects(&mut Turn::new(now, &mut shard.core, out));
        shard
    }

    /// Advances the shard by one input at `now`, which never goes back.
    pub fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Output>) {
        if !self.core.failed {
            self.router.step(&mut Turn::new(now, &mut self.core, out), input);
        }
    }

    /// The time of the next [`Input::Tick`], unless something happens before.
    #[must_use]
    pub fn next_deadline(&self, now: Tick) -> Tick {
        let at = self.core.replica.next_deadline(now);
        self.router.next_deadline(now, &self.core).map_or(at, |other| other.min(at))
    }
}

/// What a driver says of its turns, and asks: how much it may read from clients (R39).
impl Shard {
    /// A turn of the driver's loop begins, in which so many bytes of answers wait on connections.
    /// Reads are answered as far as that leaves memory, and as many in one turn as leave time for
    /// the peers and the disk. To be said before each burst of inputs.
    pub fn begin_turn(&mut self, unsent_bytes: usize) {
        self.core.budget.begin_turn(unsent_bytes);
    }

    /// True while what was read from disk should wait for the next turn.
    #[must_use]
    pub fn turn_is_spent(&self) -> bool {
        self.core.budget.is_spent()
    }

    /// True while no more requests should be taken in this turn.
    #[must_use]
    pub fn turn_is_full(&self) -> bool {
        self.core.budget.is_full()
    }

    /// True while no more requests should be read from clients: the window and the queue are full.
    #[must_use]
    pub fn congested(&self) -> bool {
        self.router.requests.writes.queued_bytes() >= limits::QUEUE_BYTES_MAX
    }

    /// Reads wait that the next turn can answer: the driver must not sleep.
    #[must_use]
    pub fn can_answer_more(&self) -> bool {
        self.router.requests.reads.can_go_on(&self.core)
    }

    /// Reads wait, and none of them can be answered before clients take what they are owed.
    #[must_use]
    pub fn wants_memory(&self) -> bool {
        self.router.requests.reads.waiting() > 0 && !self.can_answer_more()
    }

    /// Whether so many answers wait for a connection to take them that its reads wait.
    pub fn set_paused(&mut self, conn: ConnId, paused: bool) {
        self.core.conns.set_paused(conn, paused);
    }

    /// Bytes of memory that the reads of a connection wait for or use: its answers to be. With what
    /// it was answered and did not take, they say whether more requests are read from it.
    #[must_use]
    pub fn read_bytes_of(&self, conn: ConnId) -> usize {
        self.core.conns.read_bytes(conn)
    }

    /// A request of some client has no answer yet.
    #[must_use]
    pub fn has_requests(&self) -> bool {
        self.core.conns.has_requests()
    }
}

/// What a driver hands to its shard besides inputs: settings, and what only the driver can know.
impl Shard {
    /// The wall clock, for the creation times of logs, the stamps of values, and for peers. Set by the
    /// driver from time to time.
    pub fn set_wall_ms(&mut self, wall_ms: u64) {
        self.core.wall_ms = wall_ms;
        self.core.replica.set_wall_ms(wall_ms);
    }

    /// How far a stamp may be from the median of the members' clocks (C28);
    /// [`CLOCK_SKEW_MS_DEFAULT`](crate::limits::CLOCK_SKEW_MS_DEFAULT) unless set otherwise.
    pub fn set_clock_skew_max_ms(&mut self, skew_ms: u64) {
        self.core.clocks.set_skew_ms(skew_ms);
    }

    /// Bounds the chosen values kept in memory; [`CACHE_BYTES_MAX`](crate::limits::CACHE_BYTES_MAX)
    /// unless set otherwise.
    pub fn set_cache_bytes(&mut self, bytes_max: usize) {
        self.core.set_cache_bytes(bytes_max);
    }

    /// Free space that the journal leaves alone from now on; looked at when it next prepares a segment,
    /// and within a second where it waits for space.
    pub fn set_min_free_bytes(&mut self, bytes: u64) {
        self.core.journal.set_min_free_bytes(bytes);
    }

    /// Whether this node takes plain appends where it leads while members' states differ and no majority agrees
    /// with its own (C32); it does not unless set otherwise.
    pub fn set_appends_in_dispute(&mut self, takes: bool) {
        self.core.appends_in_dispute = takes;
    }

    /// What other shards of this node know of their leaders, for the cluster map.
    pub fn note_leaders(&mut self, leaders: impl IntoIterator<Item = ShardLeader>) {
        self.router.status.note_leaders(leaders);
    }

    /// What the batches of this shard's journal have cost so far, for its status: only the driver
    /// has a clock to measure it with.
    pub fn note_syncs(&mut self, syncs: SyncTally) {
        self.router.status.note_syncs(syncs);
    }

    /// What is known of the disk, for status: only the driver can ask for it.
    pub fn note_disk(&mut self, disk: DiskSpace) {
        self.router.status.note_disk(disk);
    }

    /// Why there is no link with a peer, for status; empty where nothing is wrong.
    pub fn note_trouble(&mut self, node: NodeId, text: String) {
        self.router.status.note_trouble(node, text);
    }

    /// Whether a peer refuses this node, or is refused by it.
    pub fn note_refusal(&mut self, node: NodeId, refused: bool) {
        match refused {
            true => self.core.refusing.insert(node),
            false => self.core.refusing.remove(&node),
        };
    }
}

/// What a driver may ask of its shard.
impl Shard {
    /// Whether a node of this incarnation may take part as the member `node` (C13).
    ///
    /// # Errors
    /// The incarnation by which the member is known; `None` when it is no other member.
    pub fn admits(&self, node: NodeId, as_of: Incarnation) -> Result<(), Option<Incarnation>> {
        self.core.replica.admits(node, as_of)
    }

    /// The replica, for status and for the simulator's checks.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.core.replica
    }

    /// The journal, for checks in tests and the simulator.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.core.journal
    }

    /// The machine, for status and for the simulator's checks.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.core.machine
    }

    /// Makes the state another one, as memory that fails would; false where there is nothing to change. For
    /// tests of what follows from that (C32).
    pub fn spoil_state(&mut self) -> bool {
        self.core.machine.spoil()
    }

    /// The checkpoints that count, the oldest first.
    #[must_use]
    pub fn checkpoints(&self) -> &[Kept] {
        self.router.checkpoints.kept()
    }

    /// The slot of the checkpoint that is being taken.
    #[must_use]
    pub fn taking_checkpoint(&self) -> Option<Slot> {
        self.router.checkpoints.taking()
    }

    /// A chosen value that is still in memory, and a ballot in which it was chosen.
    #[must_use]
    pub fn recent(&self, slot: Slot) -> Option<&(Ballot, Value)> {
        self.core.cache.get(slot)
    }

    /// The slot of the last checkpoint that was installed here, 0 for none.
    #[must_use]
    pub fn installed_upto(&self) -> Slot {
        self.core.installed.last().map_or(Slot(0), |(_, last)| last)
    }

    /// Slots that are applied, and whose values may be missing here.
    #[must_use]
    pub fn absent_slots(&self) -> u64 {
        self.core.absent.count()
    }

    /// Slots applied.
    #[must_use]
    pub fn applied_upto(&self) -> Slot {
        self.core.machine.applied_upto()
    }

    /// The state of this shard on this node.
    #[must_use]
    pub fn status(&self, now: Tick) -> StatusReply {
        self.router.status.node_status(now, &self.core)
    }

    /// The shard's part of it.
    #[must_use]
    pub fn shard_status(&self, now: Tick) -> ShardStatus {
        self.router.status.shard_status(now, &self.core)
    }

    /// Members, shards, leaders, as far as this node knows.
    #[must_use]
    pub fn map(&self) -> ClusterMap {
        self.router.status.map(&self.core)
    }

    /// Who leads this shard, as this node knows.
    #[must_use]
    pub fn leader(&self) -> ShardLeader {
        self.core.leader()
    }

    /// Why nobody can lead: the cluster has not formed, and for whom it waits, or who refuses this node.
    /// Nothing once it has.
    #[must_use]
    pub fn unformed(&self) -> Option<RequestError> {
        self.core.unformed()
    }

    /// With whom this replica differs, and what follows; empty when it differs from nobody.
    #[must_use]
    pub fn doubt_text(&self) -> String {
        self.core.doubt_text()
    }

    /// The state is another than that of the others, and nothing that the node tried has helped (C32).
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.core.healing == Healing::Failed
    }

    /// Where this node leads, or follows: why the shard takes no appends for want of space.
    #[must_use]
    pub fn want_of_room(&self) -> Option<String> {
        self.router.disk_full.want_of_room(&self.core)
    }

    /// What was done since the start.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            checkpoints: self.router.checkpoints.tally(),
            installs: self.router.receiver.tally(),
            fetched_values: self.core.absent.fetched(),
            heals: self.router.healer.healed(),
            compaction: self.router.compaction.tally(),
            ..self.core.tally
        }
    }

    fn slots_behind_checkpoint(&self) -> u64 {
        let newest = self.router.checkpoints.kept().last().map_or(Slot(0), |kept| kept.slot);
        self.applied_upto().0 - newest.0
    }

    /// What it keeps in memory.
    fn memory(&self) -> MemoryAccounts {
        let (core, requests) = (&self.core, &self.router.requests);
        let (places, journal) = core.journal.memory_bytes();
        MemoryAccounts {
            logs: core.machine.logs().memory_bytes() as u64,
            index: core.index.memory_bytes() as u64,
            places: places as u64,
            spans: core.spans.memory_bytes() as u64,
            journal: journal as u64,
            queue: requests.writes.queued_bytes() as u64,
            answers: core.budget.in_use() as u64,
            cache: core.cache.bytes() as u64,
            blocks: core.block_cache.stats().bytes,
        }
    }

    /// How much there is to do.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let (core, requests) = (&self.core, &self.router.requests);
        Backlog {
            slots_in_flight: core.replica.open_slots(),
            queue_bytes: requests.writes.queued_bytes() as u64,
            journal_bytes: core.journal.pending_bytes() as u64,
            cold_reads: core.journal_reads.len() as u64,
            waiting_reads: requests.reads.waiting() as u64,
            answer_bytes: core.budget.in_use() as u64,
            installing: u64::from(self.router.receiver.is_installing()),
            compacting: u64::from(self.router.compaction.segment().is_some()),
            absent_slots: self.absent_slots(),
            slots_behind_checkpoint: self.slots_behind_checkpoint(),
            extents_in_memory: core.index.extents_in_memory() as u64,
            places_in_memory: core.journal.places_in_memory() as u64,
            index_bytes: core.index.memory_bytes() as u64,
            memory: self.memory(),
            block_cache: core.block_cache.stats(),
            catch_up_slots: core.replica.lag_slots(),
            // A follower does not know of which of them nothing can go.
            logs_over_retention: if core.serving().is_ok() {
                requests.logs_over_retention() as u64
            } else {
                0
            },
        }
    }

    /// This node's clock is too far from those of its peers, or jumped: values would be stamped by
    /// those (C28).
    #[must_use]
    pub fn clock_is_held_back(&self) -> bool {
        self.core.clocks.holds_back()
    }
}
