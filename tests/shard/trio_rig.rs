//! Three shards that are each other's peers. Messages arrive at once, in order, unless a test cuts a node
//! off; jobs run at once unless it holds them back.

use crate::node::SEGMENT;
use paxosd::api::entries::EntriesLimit;
use paxosd::api::{Reply, Request};
use paxosd::checkpoint;
use paxosd::journal::invariants as journal_invariants;
use paxosd::journal::{Identity, Job, format};
use paxosd::limits;
use paxosd::paxos::{Config, Timing};
use paxosd::shard::invariants::check_state;
use paxosd::shard::{CutOptions, DiskJob, Input, Output, Shard, ShardOptions, execute};
use paxosd::storage::MemStorage;
use paxosd::types::{ClusterId, ConnId, Incarnation, NodeId, ShardId, Tick};
use paxosd::wire::peer::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Longer than any election takes.
const ELECTION_US: u64 = 20_000_000;

/// One of the three.
pub struct Member {
    pub shard: Shard,
    storage: MemStorage,
    /// While true, batches gather in `held`.
    pub hold: bool,
    /// While true, reads of the journal do.
    pub hold_reads: bool,
    held: VecDeque<DiskJob>,
    replies: BTreeMap<u64, Reply>,
}

/// The three, by number from 0.
pub struct Trio {
    pub members: Vec<Member>,
    now: Tick,
    /// Messages under way, by sender and receiver.
    links: BTreeMap<(usize, usize), VecDeque<Message>>,
    /// Nobody hears these, and they hear nobody: what they say is lost.
    cut: BTreeSet<usize>,
    next: u64,
}

fn identity(at: usize) -> Identity {
    let (node, incarnation) = (NodeId(at as u16 + 1), Incarnation(at as u64 + 11));
    Identity { cluster: ClusterId(7), node, incarnation, shards: 1 }
}

fn options(at: usize, timing: Timing) -> ShardOptions {
    let members = (1..=3).map(NodeId).collect();
    let Identity { node, incarnation, cluster, .. } = identity(at);
    let mut paxos = Config::new(node, incarnation, members);
    paxos.timing = timing;
    ShardOptions {
        shard: ShardId(0),
        shards: 1,
        cluster,
        paxos,
        addresses: (1..=3).map(|node| (NodeId(node), format!("node-{node}"))).collect(),
        append: EntriesLimit {
            entries_max: limits::APPEND_ENTRIES_MAX as u32,
            entry_bytes_max: 4096,
            bytes_max: 65_536,
        },
        stop_timeout_ms: 5_000,
        cuts: CutOptions::default(),
        version: "test".to_string(),
    }
}

impl Trio {
    /// Three fresh nodes of these times, connected, of which one leads.
    pub fn new(timing: Timing) -> Trio {
        let now = Tick(1_000_000);
        let mut trio = Trio {
            members: Vec::new(),
            now,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            next: 0,
        };
        for at in 0..3 {
            let storage = MemStorage::new();
            let (identity, mut out) = (identity(at), Vec::new());
            format(&storage, &identity, ShardId(0), &SEGMENT)
                .expect("a fresh disk takes a journal");
            let start = checkpoint::start(&storage, &identity, (ShardId(0), 1), &SEGMENT)
                .expect("the journal recovers");
            let shard = Shard::start(options(at, timing), start, now, &mut out);
            trio.members.push(Member {
                shard,
                storage,
                hold: false,
                hold_reads: false,
                held: VecDeque::new(),
                replies: BTreeMap::new(),
            });
            trio.carry_out(at, out);
        }
        for (a, b) in pairs() {
            trio.connect(a, b);
        }
        trio.leader();
        trio
    }

    fn connect(&mut self, at: usize, to: usize) {
        let Identity { node, incarnation, .. } = identity(to);
        self.step(at, Input::PeerUp { node, incarnation });
    }

    /// Lets time pass until somebody serves; says who.
    pub fn leader(&mut self) -> usize {
        let until = self.now.after(ELECTION_US);
        while self.now < until {
            let serves = |member: &Member| {
                let replica = member.shard.replica();
                replica.serving().is_some() && member.shard.applied_upto() == replica.chosen_upto()
            };
            if let Some(leader) = self.members.iter().position(serves) {
                return leader;
            }
            self.pass(10_000);
        }
        panic!("nobody is elected");
    }

    /// Cuts a node off from the others.
    pub fn cut_off(&mut self, at: usize) {
        self.cut.insert(at);
        for (a, b) in pairs().filter(|(a, b)| *a == at || *b == at) {
            self.links.remove(&(a, b));
            self.step(a, Input::PeerDown { node: identity(b).node });
        }
    }

    /// Connects a node with the others again.
    pub fn heal(&mut self, at: usize) {
        self.cut.remove(&at);
        for (a, b) in pairs().filter(|(a, b)| *a == at || *b == at) {
            if !self.cut.contains(&a) && !self.cut.contains(&b) {
                self.connect(a, b);
            }
        }
    }

    /// Moves leadership, by cutting off whoever else has it, until `at` leads again.
    pub fn lead_again(&mut self, at: usize) {
        for _ in 0..50 {
            let leader = self.leader();
            if leader == at {
                return;
            }
            self.cut_off(leader);
            self.pass(700_000);
            self.heal(leader);
        }
        panic!("node {at} does not come to lead again");
    }

    fn carry_out(&mut self, at: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Peer { node, message } => {
                    let to = usize::from(node.0) - 1;
                    if !self.cut.contains(&at) && !self.cut.contains(&to) {
                        self.links.entry((at, to)).or_default().push_back(message);
                    }
                }
                Output::Client { correlation, reply, .. } => {
                    let old = self.members[at].replies.insert(correlation, reply);
                    assert!(old.is_none(), "answered twice: {correlation}");
                }
                Output::Job(job) => self.members[at].held.push_back(job),
                Output::Stopped => {}
                Output::Fatal(fatal) => panic!("node {at} ends ({:?}): {fatal}", fatal.kind()),
            }
        }
        self.run_jobs(at);
    }

    /// Runs what is not to be held back.
    fn run_jobs(&mut self, at: usize) {
        let member = &mut self.members[at];
        let held = |job: &DiskJob| match job {
            DiskJob::Journal(Job::Read(_)) | DiskJob::Lookup(_) | DiskJob::ColdRead(_) => {
                member.hold_reads
            }
            DiskJob::Journal(_) | DiskJob::Checkpoint(_) => member.hold,
        };
        let Some(first) = member.held.iter().position(|job| !held(job)) else { return };
        let job = member.held.remove(first).expect("it was found just now");
        let done = execute(&member.storage, job).expect("the disk does not fail here");
        self.step(at, Input::Disk(done));
        self.run_jobs(at);
    }

    /// Runs what was held back.
    pub fn release(&mut self, at: usize) {
        (self.members[at].hold, self.members[at].hold_reads) = (false, false);
        self.run_jobs(at);
        self.settle();
    }

    fn step(&mut self, at: usize, input: Input) {
        let mut out = Vec::new();
        let shard = &mut self.members[at].shard;
        for input in [input, Input::Tick] {
            shard.step(self.now, input, &mut out);
            check_state(shard);
            journal_invariants::check_state(shard.journal());
            journal_invariants::check_index(shard.journal());
        }
        self.carry_out(at, out);
    }

    /// Delivers what is under way.
    fn settle(&mut self) {
        while let Some(((from, to), message)) = self.arrival() {
            self.step(to, Input::Peer { node: identity(from).node, message });
        }
    }

    fn arrival(&mut self) -> Option<((usize, usize), Message)> {
        let (link, queue) = self.links.iter_mut().find(|(_, queue)| !queue.is_empty())?;
        Some((*link, queue.pop_front()?))
    }

    /// Lets time pass, with everything that falls due in it.
    pub fn pass(&mut self, micros: u64) {
        let until = self.now.after(micros);
        self.settle();
        while self.now < until {
            let next = self.members.iter().map(|member| member.shard.next_deadline(self.now)).min();
            self.now = next.unwrap_or(until).min(until).max(self.now.after(1));
            for at in 0..3 {
                if self.members[at].shard.next_deadline(self.now) <= self.now.after(1_000) {
                    self.step(at, Input::Tick);
                }
            }
            self.settle();
        }
    }

    /// Sends a request on the one connection of a node; returns its number.
    pub fn send(&mut self, at: usize, request: Request) -> u64 {
        self.next += 1;
        let correlation = self.next;
        self.step(at, Input::Client { conn: ConnId(1), correlation, request });
        self.settle();
        correlation
    }

    pub fn take(&mut self, at: usize, correlation: u64) -> Option<Reply> {
        self.members[at].replies.remove(&correlation)
    }

    /// Sends a request and returns its answer, which comes at once.
    pub fn ask(&mut self, at: usize, request: Request) -> Reply {
        let correlation = self.send(at, request);
        self.take(at, correlation).expect("answered at once")
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..3).flat_map(|a| (0..3).map(move |b| (a, b))).filter(|(a, b)| a != b)
}
