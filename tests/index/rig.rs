//! Logs that grow by chance, and a plain model of where their entries lie.

use paxosd::index::{Run, RunSet, RunSpec, RunWriter, Search};
use paxosd::storage::{MemStorage, Storage, StorageError};
use paxosd::types::{
    ClusterId, Extent, FileOwner, FormatLevel, Incarnation, Index, LogId, NodeId, Random, RunId,
    ShardId, Slot,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub type Row = (LogId, Extent);

pub const OWNER: FileOwner = FileOwner {
    cluster: ClusterId(77),
    node: NodeId(2),
    incarnation: Incarnation(5),
    shard: ShardId(1),
};

pub fn log(counter: u64) -> LogId {
    LogId::new(OWNER.shard, counter)
}

/// The logs of a shard while entries are appended, and what is live of each.
pub struct Shard {
    pub random: Random,
    pub slot: Slot,
    stamp_ms: u64,
    created: u64,
    /// What comes next in each log that exists.
    next: BTreeMap<LogId, Extent>,
    /// The first index of each log that exists.
    pub live: BTreeMap<LogId, Index>,
}

impl Shard {
    pub fn new(seed: u64) -> Shard {
        Shard {
            random: Random::new(seed),
            slot: Slot(0),
            stamp_ms: 1_700_000_000_000,
            created: 0,
            next: BTreeMap::new(),
            live: BTreeMap::new(),
        }
    }

    pub fn create(&mut self) -> LogId {
        self.created += 1;
        let log = log(self.created);
        let next = Extent {
            first: Index(0),
            count: 1,
            offset: 0,
            slot: Slot(1),
            bytes_before: 0,
            stamp_ms: 0,
            chain: self.created,
        };
        self.next.insert(log, next);
        self.live.insert(log, Index(0));
        log
    }

    /// One of the logs that exist, by chance; few of them get most entries.
    fn some_log(&mut self) -> LogId {
        let count = self.next.len() as u64;
        let upto = 1 + self.random.below(count);
        let at = self.random.below(upto) as usize;
        *self.next.keys().nth(at).unwrap()
    }

    /// The row of the next append to a log, in the slot that the shard is at.
    pub fn append(&mut self, log: LogId, entries: u32, offset: u32) -> Row {
        let next = self.next.get_mut(&log).unwrap();
        let (slot, stamp_ms) = (self.slot, self.stamp_ms);
        let row = Extent { count: entries, offset, slot, stamp_ms, ..*next };
        next.first = row.end();
        next.bytes_before += u64::from(entries) * self.random.below(150);
        next.chain = self.random.draw();
        (log, row)
    }

    /// Goes on by so many slots, each with appends to some logs; now and then one is created, trimmed
    /// or deleted. Returns the new rows in order.
    pub fn go_on(&mut self, slots: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        for _ in 0..slots {
            self.slot = self.slot.next();
            self.stamp_ms += [0, 1, 7, 5_000][self.random.below(4) as usize];
            if self.next.is_empty() || self.random.below(10) == 0 {
                self.create();
            }
            let mut offset = 0;
            for _ in 0..self.random.below(4) {
                let (log, entries) = (self.some_log(), 1 + self.random.below(20) as u32);
                offset += 1 + self.random.below(3_000) as u32;
                rows.push(self.append(log, entries, offset));
            }
            self.end_some_logs();
        }
        rows.sort_by_key(|(log, extent)| (*log, extent.first));
        rows
    }

    fn end_some_logs(&mut self) {
        if self.random.below(8) == 0 {
            let log = self.some_log();
            let end = self.next[&log].first.0 + 1;
            let first = Index(self.random.below(end));
            let before = self.live[&log];
            self.live.insert(log, first.max(before));
        }
        if self.random.below(40) == 0 && self.next.len() > 1 {
            let log = self.some_log();
            self.next.remove(&log);
            self.live.remove(&log);
        }
    }
}

/// What a run of these rows is to be.
pub fn spec(run: u64, after: Slot, upto: Slot, rows: &[Row]) -> RunSpec {
    let logs: BTreeSet<LogId> = rows.iter().map(|(log, _)| *log).collect();
    let (run, logs_max, level) = (RunId(run), logs.len() as u64, FormatLevel::FIRST);
    RunSpec { owner: OWNER, run, after, upto, logs_max, level }
}

pub fn write_as(storage: &dyn Storage, spec: &RunSpec, rows: &[Row]) -> Result<Run, StorageError> {
    let mut writer = RunWriter::create(storage, spec)?;
    for (log, extent) in rows {
        writer.push(*log, extent)?;
    }
    writer.finish()
}

/// Writes a run and opens it again, as a start does.
pub fn write(storage: &MemStorage, run: u64, after: Slot, upto: Slot, rows: &[Row]) -> Arc<Run> {
    let written = write_as(storage, &spec(run, after, upto, rows), rows).unwrap();
    written.read_back(storage, &OWNER).unwrap();
    let opened = Run::open(storage, written.name(), &OWNER).unwrap();
    assert_eq!(opened.content(), written.content());
    assert_eq!(opened.rows(), rows.len() as u64);
    Arc::new(opened)
}

/// Runs of these rows each, and of so many slots each as the rows were made in.
pub fn write_all(storage: &MemStorage, parts: &[(Slot, Vec<Row>)]) -> RunSet {
    let mut after = Slot(0);
    let mut set = RunSet::default();
    for ((upto, rows), number) in parts.iter().zip(1..) {
        set = set.with(write(storage, number, after, *upto, rows)).unwrap();
        after = *upto;
    }
    set
}

/// The rows of a log among sorted ones.
fn of_log(rows: &[Row], log: LogId) -> impl DoubleEndedIterator<Item = Extent> {
    let start = rows.partition_point(|(of, _)| *of < log);
    let end = rows.partition_point(|(of, _)| *of <= log);
    rows[start..end].iter().map(|(_, extent)| *extent)
}

/// What a search is to find among all rows, which are sorted.
pub fn expected(rows: &[Row], log: LogId, by: Search) -> Option<Extent> {
    let mut rows = of_log(rows, log);
    match by {
        Search::Index(index) => rows.find(|row| row.first <= index && index < row.end()),
        Search::BytesBefore(bytes) => rows.rfind(|row| row.bytes_before <= bytes),
        Search::Stamp(ms) => rows.find(|row| row.stamp_ms >= ms),
        Search::Slot(slot) => rows.find(|row| row.slot >= slot),
    }
}

/// What is to be found from an index on.
pub fn expected_from(rows: &[Row], log: LogId, from: Index, max_rows: usize) -> Vec<Extent> {
    of_log(rows, log).filter(|row| row.end() > from).take(max_rows).collect()
}

/// A search of any kind, for something near the rows of a log or far from them.
pub fn some_search(random: &mut Random, rows: &[Row]) -> (LogId, Search) {
    let (log, near) = match rows.get(random.below(rows.len() as u64 + 1) as usize) {
        Some(row) => *row,
        None => return (log(1 + random.below(1_000)), Search::Index(Index(random.below(50)))),
    };
    let shift = random.below(5);
    let moved = |value: u64| (value + shift).saturating_sub(2);
    let search = match random.below(4) {
        0 => Search::Index(Index(moved(near.first.0))),
        1 => Search::BytesBefore(moved(near.bytes_before)),
        2 => Search::Slot(Slot(moved(near.slot.0))),
        _ => Search::Stamp(moved(near.stamp_ms)),
    };
    (log, search)
}
