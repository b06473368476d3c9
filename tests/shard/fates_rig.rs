//! Three nodes of one shard, their disks and the connections between them, all by hand.

use crate::node::{SEGMENT, identity_of, options_of};
use paxosd::api::{Reply, Request};
use paxosd::checkpoint;
use paxosd::journal::{Job, format};
use paxosd::paxos::{Replica, Role};
use paxosd::shard::invariants::check_state;
use paxosd::shard::{DiskJob, Input, Output, Shard, ShardOptions, execute};
use paxosd::storage::MemStorage;
use paxosd::types::{ConnId, FormatLevel, NodeId, ShardId, Tick, Witness};
use paxosd::wire::peer::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const NODES: [u16; 3] = [1, 2, 3];

pub struct Trio {
    shards: BTreeMap<u16, Shard>,
    storages: BTreeMap<u16, MemStorage>,
    now: Tick,
    queues: BTreeMap<(u16, u16), VecDeque<Message>>,
    /// Connected pairs, the lower number first.
    links: BTreeSet<(u16, u16)>,
    /// What these say to those waits until it is delivered by hand.
    pub slow: BTreeSet<(u16, u16)>,
    /// Jobs of disks that are held back.
    held: BTreeMap<u16, VecDeque<DiskJob>>,
    replies: BTreeMap<(u16, u64), Reply>,
    pub stopped: BTreeSet<u16>,
    stop_timeout_ms: u64,
    /// What the others say of their states is not what this node has.
    pub differs: Option<u16>,
    /// Reads of the journal of this node wait in `held_reads`.
    pub hold_reads: Option<u16>,
    held_reads: Vec<DiskJob>,
    next: u64,
}

impl Trio {
    /// Three nodes, of which the first leads.
    pub fn new() -> Trio {
        Trio::with_stops_within(5_000)
    }

    /// Likewise, with that `stop_timeout_ms`.
    pub fn with_stops_within(stop_timeout_ms: u64) -> Trio {
        let mut trio = Trio {
            shards: BTreeMap::new(),
            storages: BTreeMap::new(),
            now: Tick(1_000_000),
            queues: BTreeMap::new(),
            links: BTreeSet::new(),
            slow: BTreeSet::new(),
            held: BTreeMap::new(),
            replies: BTreeMap::new(),
            stopped: BTreeSet::new(),
            stop_timeout_ms,
            differs: None,
            hold_reads: None,
            held_reads: Vec::new(),
            next: 1,
        };
        for node in NODES {
            let storage = MemStorage::new();
            format(&storage, &identity_of(node), ShardId(0), &SEGMENT).expect("a fresh disk");
            trio.storages.insert(node, storage);
            trio.start(node);
        }
        NODES.iter().for_each(|node| trio.heal(*node));
        trio.settle();
        trio.pass_until_leads(1);
        trio
    }

    /// Lets time pass, to which only this node looks, until it leads.
    pub fn pass_until_leads(&mut self, node: u16) {
        for _ in 0..500 {
            if self.leads(node) {
                return;
            }
            self.pass_only(&[node], 10_000);
        }
        panic!("node {node} cannot be elected");
    }

    /// Starts a node over what is on its disk; says whether a torn tail was cut off.
    fn start(&mut self, node: u16) -> bool {
        let (storage, identity) = (&self.storages[&node], identity_of(node));
        let start =
            checkpoint::start(storage, &identity, (ShardId(0), 1), FormatLevel::KNOWN, &SEGMENT)
                .expect("it recovers");
        let torn = start.recovered.torn.is_some();
        let mut out = Vec::new();
        let (stop_timeout_ms, options) = (self.stop_timeout_ms, options_of(node, &NODES));
        let options = ShardOptions { stop_timeout_ms, ..options };
        let shard = Shard::start(options, start, self.now, &mut out);
        self.shards.insert(node, shard);
        self.carry_out(node, out);
        torn
    }

    /// Power fails at a node as it begins to write the batch that is held back, of which the first
    /// sector is on the disk afterwards. The node starts again without that torn tail, and is connected.
    pub fn tear(&mut self, node: u16) {
        self.cut(node);
        let mut jobs = self.held.remove(&node).expect("its disk is held back");
        let batch = jobs.pop_front().expect("a batch is held back");
        let storage = &self.storages[&node];
        storage.halt_at(storage.steps() + 1);
        execute(storage, batch).expect_err("the machine stops");
        let mut survivors = 1;
        storage.crash(&mut || std::mem::take(&mut survivors));
        assert!(self.start(node), "nothing was torn");
        self.heal(node);
    }

    /// Nothing that the journal can give back stays in a node's memory.
    pub fn forget_values(&mut self, node: u16) {
        self.shards.get_mut(&node).expect("one of the three").set_cache_bytes(0);
    }

    pub fn replica(&self, node: u16) -> &Replica {
        self.shards[&node].replica()
    }

    /// Slots whose values may be missing on a node.
    pub fn absent_slots(&self, node: u16) -> u64 {
        self.shards[&node].absent_slots()
    }

    pub fn leads(&self, node: u16) -> bool {
        matches!(self.shards[&node].replica().role(), Role::Leader(_))
            && self.shards[&node].replica().serving().is_some()
    }

    /// What the disk of a node says that others acknowledged.
    pub fn witnessed(&self, node: u16) -> Vec<(NodeId, Witness)> {
        let (storage, identity) = (&self.storages[&node], identity_of(node));
        let start =
            checkpoint::start(storage, &identity, (ShardId(0), 1), FormatLevel::KNOWN, &SEGMENT)
                .expect("it recovers");
        start.recovered.witnessed
    }

    pub fn leader(&self) -> Option<u16> {
        NODES.into_iter().find(|node| self.leads(*node))
    }

    pub fn input(&mut self, node: u16, input: Input) {
        let mut out = Vec::new();
        if self.stopped.contains(&node) {
            return; // Its process has ended. What it sent is on its way.
        }
        if let Some(shard) = self.shards.get_mut(&node) {
            shard.step(self.now, input, &mut out);
            check_state(shard);
        }
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: u16, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Peer { node: to, message } => {
                    if self.links.contains(&pair(node, to.0)) {
                        self.queues.entry((node, to.0)).or_default().push_back(message);
                    }
                }
                Output::Client { correlation, reply, .. } => {
                    let old = self.replies.insert((node, correlation), reply);
                    assert!(old.is_none(), "answered twice: {node} {correlation}");
                }
                Output::Job(
                    job @ (DiskJob::Journal(Job::Read(_))
                    | DiskJob::Lookup(_)
                    | DiskJob::ColdRead(_)
                    | DiskJob::Compaction(_)),
                ) if self.hold_reads == Some(node) => {
                    self.held_reads.push(job);
                }
                Output::Job(job) => match self.held.get_mut(&node) {
                    Some(held) => held.push_back(job),
                    None => self.run(node, job),
                },
                Output::Stopped => assert!(self.stopped.insert(node), "stopped twice"),
                Output::Fatal(fatal) => panic!("node {node} ends ({:?}): {fatal}", fatal.kind()),
            }
        }
    }

    fn run(&mut self, node: u16, job: DiskJob) {
        let done = execute(&self.storages[&node], job).expect("the disk works");
        self.input(node, Input::Disk(done));
        self.input(node, Input::Tick);
    }

    /// Has a disk do nothing until it is released.
    pub fn hold(&mut self, node: u16) {
        self.held.entry(node).or_default();
    }

    /// The disk does what was held back.
    pub fn release(&mut self, node: u16) {
        for job in self.held.remove(&node).unwrap_or_default() {
            self.run(node, job);
        }
    }

    /// Runs the reads of the journal that were held back; says how many.
    pub fn release_reads(&mut self) -> usize {
        let Some(node) = self.hold_reads.take() else { return 0 };
        let held = std::mem::take(&mut self.held_reads);
        let count = held.len();
        held.into_iter().for_each(|job| self.run(node, job));
        count
    }

    /// Delivers what is under way in one direction.
    pub fn deliver(&mut self, from: u16, to: u16) -> bool {
        let messages = std::mem::take(self.queues.entry((from, to)).or_default());
        let any = !messages.is_empty();
        for mut message in messages {
            if self.differs == Some(to) {
                alter_digest(&mut message);
            }
            self.input(to, Input::Peer { node: NodeId(from), message });
            self.input(to, Input::Tick);
        }
        any
    }

    /// Delivers until nothing is under way but what is slow.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut pairs: Vec<(u16, u16)> = self.queues.keys().copied().collect();
            pairs.retain(|pair| !self.slow.contains(pair));
            let mut any = false;
            for (from, to) in pairs {
                any |= self.deliver(from, to);
            }
            if !any {
                return;
            }
        }
        panic!("they talk for ever");
    }

    /// All connections of a node break, with what is under way on them.
    pub fn cut(&mut self, node: u16) {
        for other in NODES.into_iter().filter(|other| *other != node) {
            self.part(node, other);
        }
    }

    /// The connection of two nodes breaks, with what is under way on it.
    pub fn part(&mut self, node: u16, other: u16) {
        if self.links.remove(&pair(node, other)) {
            self.queues.remove(&(node, other));
            self.queues.remove(&(other, node));
            self.input(node, Input::PeerDown { node: NodeId(other) });
            self.input(other, Input::PeerDown { node: NodeId(node) });
        }
    }

    /// A node is connected with all others.
    pub fn heal(&mut self, node: u16) {
        for other in NODES.into_iter().filter(|other| *other != node) {
            if self.links.insert(pair(node, other)) {
                for (a, b) in [(node, other), (other, node)] {
                    let incarnation = identity_of(b).incarnation;
                    self.input(a, Input::PeerUp { node: NodeId(b), incarnation });
                }
            }
        }
    }

    /// Lets time pass; these nodes look at their clocks.
    pub fn pass_only(&mut self, nodes: &[u16], micros: u64) {
        let until = self.now.after(micros);
        while self.now < until {
            let next = nodes.iter().map(|node| self.shards[node].next_deadline(self.now)).min();
            self.now = next.unwrap_or(until).max(self.now.after(1)).min(until);
            for node in nodes {
                self.input(*node, Input::Tick);
            }
            self.settle();
        }
    }

    pub fn pass(&mut self, micros: u64) {
        self.pass_only(&NODES, micros);
    }

    /// Sends a request and ends the turn; nothing is delivered between nodes.
    pub fn send(&mut self, node: u16, request: Request) -> u64 {
        self.next += 1;
        let correlation = self.next;
        self.input(node, Input::Client { conn: ConnId(1), correlation, request });
        self.input(node, Input::Tick);
        correlation
    }

    pub fn answer(&mut self, node: u16, correlation: u64) -> Option<Reply> {
        self.replies.remove(&(node, correlation))
    }

    /// Sends a request to whoever leads, and waits for its answer.
    pub fn ask(&mut self, request: Request) -> Reply {
        for _ in 0..200 {
            if let Some(leader) = self.leader() {
                let id = self.send(leader, request);
                self.settle();
                return self.answer(leader, id).expect("answered");
            }
            self.pass(10_000);
        }
        panic!("nobody leads");
    }
}

/// The digest of another state.
fn alter_digest(message: &mut Message) {
    let digest = match message {
        Message::Announce(announce) => &mut announce.digest,
        Message::Heartbeat(heartbeat) => &mut heartbeat.digest,
        Message::Grant(grant) => &mut grant.digest,
        _ => return,
    };
    if let Some(digest) = digest {
        digest.state ^= 1;
    }
}

fn pair(a: u16, b: u16) -> (u16, u16) {
    (a.min(b), a.max(b))
}
