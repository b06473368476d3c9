//! A node of a one-member cluster, whose jobs run at once unless a test holds them back.

use paxosd::api::entries::{Entries, EntriesLimit};
use paxosd::api::error::ErrorCode;
use paxosd::api::name::LogName;
use paxosd::api::{Append, Consistency, LogRef, Read, Reply, Request};
use paxosd::checkpoint;
use paxosd::journal::invariants as journal_invariants;
use paxosd::journal::{Identity, Job, JournalOptions, format};
use paxosd::limits;
use paxosd::paxos::Config;
use paxosd::shard::invariants::check_state;
use paxosd::shard::{CutOptions, DiskDone, DiskJob, Input, Output, Shard, ShardOptions, execute};
use paxosd::storage::MemStorage;
use paxosd::types::{
    ClusterId, ConnId, FailureKind, Incarnation, Index, NodeId, ShardId, Slot, Tick,
};
use std::collections::{BTreeMap, BTreeSet};

pub struct Node {
    pub shard: Shard,
    pub storage: MemStorage,
    pub now: Tick,
    /// While true, jobs gather in `held`.
    pub hold: bool,
    /// While true, reads of the journal gather there, and all else is done at once.
    pub hold_reads: bool,
    held: Vec<DiskJob>,
    replies: BTreeMap<(u64, u64), Reply>,
    /// Correlations in the order in which they were answered.
    pub answered: Vec<u64>,
    pub fatal: Option<(FailureKind, String)>,
    /// Bytes of answers that its clients do not take.
    pub unsent: usize,
    /// Reads of the journal that it asked for, and the bytes of files that they read.
    pub cold_reads: usize,
    pub cold_bytes: usize,
    /// Bytes that the last of them had read ahead.
    pub ahead_bytes: usize,
    /// Lookups in the runs of the index that it asked for.
    pub lookups: usize,
    /// Records that its start read.
    pub replayed: u64,
    /// The checkpoint that it began from, if any.
    pub from: Option<Slot>,
    /// What its start did not believe.
    pub faults: Vec<String>,
    /// The machine may stop in the middle of a job.
    pub may_halt: bool,
    next: u64,
}

pub const SEGMENT: JournalOptions = JournalOptions { segment_bytes: 1 << 20, min_free_bytes: 0 };

fn identity() -> Identity {
    identity_of(1)
}

pub fn identity_of(node: u16) -> Identity {
    let incarnation = Incarnation(10 + u64::from(node));
    Identity { cluster: ClusterId(7), node: NodeId(node), incarnation, shards: 1 }
}

fn options() -> ShardOptions {
    options_of(1, &[1])
}

pub fn options_of(node: u16, members: &[u16]) -> ShardOptions {
    let members: BTreeSet<NodeId> = members.iter().copied().map(NodeId).collect();
    let address = |node: &NodeId| (*node, format!("127.0.0.1:{}", 7420 + node.0));
    let addresses = members.iter().map(address).collect();
    let paxos = Config::new(NodeId(node), identity_of(node).incarnation, members);
    ShardOptions {
        shard: ShardId(0),
        shards: 1,
        cluster: ClusterId(7),
        paxos,
        addresses,
        append: EntriesLimit {
            entries_max: limits::APPEND_ENTRIES_MAX as u32,
            entry_bytes_max: 4096,
            bytes_max: 65_536,
        },
        stop_timeout_ms: 5_000,
        cuts: CutOptions::default(),
        catchup_bytes: 0,
        version: "test".to_string(),
    }
}

impl Node {
    /// A fresh node that leads.
    pub fn new() -> Node {
        let storage = MemStorage::new();
        format(&storage, &identity(), ShardId(0), &SEGMENT).expect("a fresh disk takes a journal");
        Node::open(storage)
    }

    /// A node over what the disk holds, given time to lead.
    pub fn open(storage: MemStorage) -> Node {
        Node::open_with(storage, false)
    }

    /// The same, with cuts as often as this.
    pub fn open_with_cuts(storage: MemStorage, cuts: CutOptions) -> Node {
        Node::open_as(storage, ShardOptions { cuts, ..options() }, false)
    }

    /// A fresh node that leads, with cuts as often as this.
    pub fn with_cuts(cuts: CutOptions) -> Node {
        Node::with_options(ShardOptions { cuts, ..options() })
    }

    /// A fresh node that leads, with these options.
    pub fn with_options(options: ShardOptions) -> Node {
        let storage = MemStorage::new();
        format(&storage, &identity(), ShardId(0), &SEGMENT).expect("a fresh disk takes a journal");
        Node::open_as(storage, options, false)
    }

    /// Likewise, but reads of the journal are held back from the start.
    pub fn open_without_reads(storage: MemStorage) -> Node {
        Node::open_with(storage, true)
    }

    fn open_with(storage: MemStorage, hold_reads: bool) -> Node {
        Node::open_as(storage, options(), hold_reads)
    }

    /// The same, with these options.
    pub fn open_as(storage: MemStorage, options: ShardOptions, hold_reads: bool) -> Node {
        Node::begin(storage, options, (hold_reads, false))
    }

    /// The same, of a machine that may stop in the middle of a job.
    pub fn open_to_halt(storage: MemStorage, options: ShardOptions) -> Node {
        Node::begin(storage, options, (false, true))
    }

    fn begin(
        storage: MemStorage,
        options: ShardOptions,
        (hold_reads, may_halt): (bool, bool),
    ) -> Node {
        let (place, known) = ((ShardId(0), 1), options.paxos.known_level);
        let start = checkpoint::start(&storage, &identity(), place, known, &SEGMENT)
            .expect("the journal recovers");
        let (now, mut out) = (Tick(1_000_000), Vec::new());
        let (replayed, from) = (start.recovered.stats.records, start.restored.from);
        let faults = start.restored.faults.clone();
        let shard = Shard::start(options, start, now, &mut out);
        let mut node = Node {
            shard,
            storage,
            now,
            hold: false,
            hold_reads,
            held: Vec::new(),
            replies: BTreeMap::new(),
            answered: Vec::new(),
            fatal: None,
            unsent: 0,
            cold_reads: 0,
            cold_bytes: 0,
            ahead_bytes: 0,
            lookups: 0,
            replayed,
            from: from.map(|(slot, _)| slot),
            faults,
            may_halt,
            next: 1,
        };
        node.run(out);
        node.pass(1_000_000);
        node
    }

    /// Lets time pass, with everything that falls due in it.
    pub fn pass(&mut self, micros: u64) {
        let until = self.now.after(micros);
        while self.now < until {
            self.tick();
            self.now = self.shard.next_deadline(self.now).min(until).max(self.now.after(1));
        }
        self.tick();
    }

    pub fn tick(&mut self) {
        self.shard.begin_turn(self.unsent);
        self.input(Input::Tick);
    }

    fn run(&mut self, out: Vec<Output>) {
        journal_invariants::check_state(self.shard.journal());
        journal_invariants::check_index(self.shard.journal());
        for output in out {
            match output {
                Output::Client { conn, correlation, reply, .. } => {
                    self.answered.push(correlation);
                    let old = self.replies.insert((conn.0, correlation), reply);
                    assert!(old.is_none(), "answered twice: {conn} {correlation}");
                }
                Output::Job(
                    job @ (DiskJob::Journal(Job::Read(_))
                    | DiskJob::Lookup(_)
                    | DiskJob::ColdRead(_)),
                ) if self.hold_reads => self.held.push(job),
                Output::Job(job) if self.hold => self.held.push(job),
                Output::Job(job) => self.execute(job),
                Output::Peer { .. } | Output::Stopped => {}
                Output::Fatal(fatal) => self.fatal = Some((fatal.kind(), fatal.to_string())),
            }
        }
    }

    fn execute(&mut self, job: DiskJob) {
        self.lookups += match &job {
            DiskJob::Lookup(_) => 1,
            DiskJob::ColdRead(read) => usize::from(read.looks_up()),
            DiskJob::Journal(_)
            | DiskJob::Compaction(_)
            | DiskJob::Loss(_)
            | DiskJob::Drop(_)
            | DiskJob::Checkpoint(_)
            | DiskJob::Span(_)
            | DiskJob::Install(_) => 0,
        };
        let done = match execute(&self.storage, job) {
            Ok(done) => done,
            Err(_) if self.may_halt => return,
            Err(error) => panic!("the disk does not fail here: {error}"),
        };
        if let DiskDone::ColdRead(read) = &done {
            self.cold_reads += 1;
            self.cold_bytes += read.file_bytes;
            self.ahead_bytes = read.ahead_bytes;
        }
        let mut out = self.step(Input::Disk(done));
        out.extend(self.step(Input::Tick));
        self.run(out);
    }

    /// Runs what was held back.
    pub fn release(&mut self) {
        (self.hold, self.hold_reads) = (false, false);
        while !self.held.is_empty() {
            let job = self.held.remove(0);
            self.execute(job);
        }
        self.tick();
    }

    /// Runs the first batch that was held back, and nothing else.
    pub fn finish_a_batch(&mut self) {
        let first = self.held.iter().position(|job| matches!(job, DiskJob::Journal(Job::Batch(_))));
        let job = self.held.remove(first.expect("a batch was held back"));
        self.execute(job);
    }

    /// Runs the first of a kind that was held back.
    pub fn run_one(&mut self, is_wanted: impl Fn(&DiskJob) -> bool) -> bool {
        let Some(at) = self.held.iter().position(is_wanted) else { return false };
        let job = self.held.remove(at);
        self.execute(job);
        true
    }

    /// Runs the jobs that were held back up to the first of a kind, which stays.
    pub fn release_until(&mut self, is_wanted: impl Fn(&DiskJob) -> bool) {
        while let Some(job) = self.held.first() {
            if is_wanted(job) {
                return;
            }
            let job = self.held.remove(0);
            self.execute(job);
        }
        panic!("no such job was held back");
    }

    /// Sends a request without a turn's end; returns its number.
    pub fn send(&mut self, conn: u64, request: Request) -> u64 {
        self.next += 1;
        let correlation = self.next;
        self.input(Input::Client { conn: ConnId(conn), correlation, request });
        correlation
    }

    pub fn take(&mut self, conn: u64, correlation: u64) -> Option<Reply> {
        self.replies.remove(&(conn, correlation))
    }

    /// Sends a request, ends the turn, returns the answer.
    pub fn ask(&mut self, request: Request) -> Reply {
        let correlation = self.send(1, request);
        self.tick();
        self.take(1, correlation).expect("answered at once")
    }

    pub fn input(&mut self, input: Input) {
        let out = self.step(input);
        self.run(out);
    }

    /// One step, and the checks that follow every step.
    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.shard.step(self.now, input, &mut out);
        check_state(&self.shard);
        out
    }
}

pub fn name(text: &str) -> LogName {
    LogName::new(text).expect("a good name")
}

pub fn log(text: &str) -> LogRef {
    LogRef::Name(name(text))
}

pub fn create(text: &str) -> Request {
    let retention = paxosd::api::Retention::default();
    Request::Create(paxosd::api::Create { name: name(text), retention })
}

pub fn append(text: &str, entry: &str) -> Append {
    let entries = Entries::from_slices([entry]).expect("a small entry");
    Append { log: log(text), expect: None, chain: 0, create: false, entries }
}

pub fn read(text: &str, from: u64, wait_ms: u32) -> Request {
    Request::Read(Read {
        log: log(text),
        from: Index(from),
        max_entries: 0,
        max_bytes: 0,
        wait_ms,
        consistency: Consistency::Linearizable,
    })
}

pub fn code(reply: &Reply) -> Option<ErrorCode> {
    match reply {
        Reply::Error(error) => Some(error.code),
        _ => None,
    }
}

/// The index of an acknowledged append.
pub fn first(reply: Option<Reply>) -> u64 {
    match reply {
        Some(Reply::Appended(appended)) => appended.first.0,
        other => panic!("not an acknowledgement: {other:?}"),
    }
}

/// The entries of an answered read, as text.
pub fn texts(reply: Option<Reply>) -> Vec<String> {
    match reply {
        Some(Reply::ReadDone(done)) => {
            done.entries.iter().map(|e| String::from_utf8_lossy(e.data).into_owned()).collect()
        }
        other => panic!("not an answer to a read: {other:?}"),
    }
}
