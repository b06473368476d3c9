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
use paxosd::types::{ClusterId, ConnId, FormatLevel, Incarnation, NodeId, ShardId, Tick};
use paxosd::wire::peer::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Longer than any election takes.
const ELECTION_US: u64 = 20_000_000;

/// One of the three.
pub struct Member {
    pub shard: Shard,
    pub storage: MemStorage,
    /// While true, jobs of the journal, of checkpoints, spans and installs wait in `held`.
    pub hold: bool,
    /// While true, batches of the journal wait there.
    pub hold_batches: bool,
    /// While true, reads and what else helpers do for them wait there.
    pub hold_reads: bool,
    /// While true, steps of checkpoints wait there.
    pub hold_checkpoints: bool,
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
    /// Sees each message before it is under way, and may change it; false loses it.
    tap: Option<Tap>,
    /// Sees each job of a node right before it runs.
    watch: Option<JobWatch>,
    cuts: CutOptions,
    next: u64,
}

type Tap = Box<dyn FnMut(usize, usize, &mut Message) -> bool>;
type JobWatch = Box<dyn FnMut(usize, &DiskJob, &MemStorage)>;

fn identity(at: usize) -> Identity {
    let (node, incarnation) = (NodeId(at as u16 + 1), Incarnation(at as u64 + 11));
    Identity { cluster: ClusterId(7), node, incarnation, shards: 1 }
}

fn options(at: usize, timing: Timing, cuts: CutOptions) -> ShardOptions {
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
        cuts,
        catchup_bytes: 0,
        version: "test".to_string(),
    }
}

/// A node over what its disk holds, of a program that knows this format level.
fn start(
    at: usize,
    (timing, cuts, known): (Timing, CutOptions, FormatLevel),
    now: Tick,
    storage: MemStorage,
) -> (Member, Vec<Output>) {
    let (identity, mut options) = (identity(at), options(at, timing, cuts));
    options.paxos.known_level = known;
    let start = checkpoint::start(&storage, &identity, (ShardId(0), 1), known, &SEGMENT)
        .expect("the journal recovers");
    let mut out = Vec::new();
    let shard = Shard::start(options, start, now, &mut out);
    let (held, replies) = (VecDeque::new(), BTreeMap::new());
    (
        Member {
            shard,
            storage,
            hold: false,
            hold_batches: false,
            hold_reads: false,
            hold_checkpoints: false,
            held,
            replies,
        },
        out,
    )
}

impl Trio {
    /// Three fresh nodes of these times, connected, of which one leads.
    pub fn new(timing: Timing) -> Trio {
        Trio::begin((timing, CutOptions::default()), [FormatLevel::KNOWN; 3])
    }

    /// The same, with cuts as often as this.
    pub fn with_cuts(timing: Timing, cuts: CutOptions) -> Trio {
        Trio::begin((timing, cuts), [FormatLevel::KNOWN; 3])
    }

    /// The same, of programs that know format levels up to these.
    pub fn of_programs(timing: Timing, known: [FormatLevel; 3]) -> Trio {
        Trio::begin((timing, CutOptions::default()), known)
    }

    /// Of programs that know format levels up to these, with cuts as often as this.
    pub fn of_programs_with_cuts(cuts: CutOptions, known: [FormatLevel; 3]) -> Trio {
        Trio::begin((Timing::default(), cuts), known)
    }

    fn begin((timing, cuts): (Timing, CutOptions), known: [FormatLevel; 3]) -> Trio {
        let mut trio = Trio {
            members: Vec::new(),
            now: Tick(1_000_000),
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            tap: None,
            watch: None,
            cuts,
            next: 0,
        };
        for (at, known) in known.into_iter().enumerate() {
            let storage = MemStorage::new();
            format(&storage, &identity(at), ShardId(0), &SEGMENT)
                .expect("a fresh disk takes a journal");
            let (member, out) = start(at, (timing, cuts, known), trio.now, storage);
            trio.members.push(member);
            trio.carry_out(at, out);
        }
        for (a, b) in pairs() {
            trio.connect(a, b);
        }
        trio.leader();
        trio
    }

    /// A node that is cut off ends, and starts again with a program that knows this format level.
    pub fn restart(&mut self, at: usize, (timing, known): (Timing, FormatLevel)) {
        assert!(self.cut.contains(&at), "node {at} is connected");
        let storage = self.members[at].storage.duplicate();
        let (member, out) = start(at, (timing, self.cuts, known), self.now, storage);
        self.members[at] = member;
        self.carry_out(at, out);
    }

    /// The disk of a node.
    pub fn storage(&self, at: usize) -> &MemStorage {
        &self.members[at].storage
    }

    /// Has each message seen, changed or lost, by sender and receiver, from now on.
    pub fn tap(&mut self, tap: impl FnMut(usize, usize, &mut Message) -> bool + 'static) {
        self.tap = Some(Box::new(tap));
    }

    /// Has each job seen right before it runs, with the node and its disk, from now on.
    pub fn watch_jobs(&mut self, watch: impl FnMut(usize, &DiskJob, &MemStorage) + 'static) {
        self.watch = Some(Box::new(watch));
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
                Output::Peer { node, mut message } => {
                    let to = usize::from(node.0) - 1;
                    let is_linked = !self.cut.contains(&at) && !self.cut.contains(&to);
                    if is_linked && self.tap.as_mut().is_none_or(|tap| tap(at, to, &mut message)) {
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
            DiskJob::Journal(Job::Read(_))
            | DiskJob::Lookup(_)
            | DiskJob::ColdRead(_)
            | DiskJob::Compaction(_)
            | DiskJob::Loss(_)
            | DiskJob::Drop(_) => member.hold_reads,
            DiskJob::Journal(Job::Batch(_)) => member.hold || member.hold_batches,
            DiskJob::Checkpoint(_) => member.hold || member.hold_checkpoints,
            DiskJob::Journal(_) | DiskJob::Span(_) | DiskJob::Install(_) => member.hold,
        };
        let Some(first) = member.held.iter().position(|job| !held(job)) else { return };
        let job = member.held.remove(first).expect("it was found just now");
        if let Some(watch) = &mut self.watch {
            watch(at, &job, &member.storage);
        }
        let done = execute(&member.storage, job).expect("the disk does not fail here");
        self.step(at, Input::Disk(done));
        self.run_jobs(at);
    }

    /// Runs what was held back.
    pub fn release(&mut self, at: usize) {
        let member = &mut self.members[at];
        (member.hold, member.hold_batches, member.hold_reads) = (false, false, false);
        member.hold_checkpoints = false;
        self.run_jobs(at);
        self.settle();
    }

    /// Runs the first job that was held back, and no other.
    pub fn release_one(&mut self, at: usize) {
        let member = &mut self.members[at];
        let job = member.held.pop_front().expect("a job is held back");
        let done = execute(&member.storage, job).expect("the disk does not fail here");
        self.step(at, Input::Disk(done));
        self.settle();
    }

    fn step(&mut self, at: usize, input: Input) {
        self.turn(at, [input]);
    }

    /// One turn of a node: it takes these in, and only then acts on them.
    fn turn(&mut self, at: usize, inputs: impl IntoIterator<Item = Input>) {
        let mut out = Vec::new();
        let shard = &mut self.members[at].shard;
        for input in inputs.into_iter().chain([Input::Tick]) {
            shard.step(self.now, input, &mut out);
            check_state(shard);
            journal_invariants::check_state(shard.journal());
            journal_invariants::check_index(shard.journal());
        }
        self.carry_out(at, out);
    }

    /// Gives a node an input of its driver.
    pub fn input(&mut self, at: usize, input: Input) {
        self.step(at, input);
        self.settle();
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

    /// Sends requests in one turn, so that what they change goes into one value; returns their numbers.
    pub fn send_together(&mut self, at: usize, requests: Vec<Request>) -> Vec<u64> {
        let numbers: Vec<u64> = (self.next + 1..).take(requests.len()).collect();
        self.next += requests.len() as u64;
        let inputs = numbers.iter().zip(requests).map(|(correlation, request)| Input::Client {
            conn: ConnId(1),
            correlation: *correlation,
            request,
        });
        self.turn(at, inputs);
        self.settle();
        numbers
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
