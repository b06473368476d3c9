//! A journal under test: a storage in memory, a seeded workload that an acceptor could produce,
//! and an oracle that says what must be there.

#![allow(dead_code, clippy::unwrap_used)] // Each test file uses its part of the rig.

use paxosd::journal::invariants::{JournalSummary, check_index, check_state, check_step};
use paxosd::journal::{
    Done, Fill, Identity, Job, JobError, Journal, JournalEvent, JournalOptions, JournalStart,
    OpenError, ReadResult, Recovered, execute, format, recover,
};
use paxosd::storage::{MemStorage, Storage, StorageError};
use paxosd::types::{
    Ballot, ClusterId, Cut, Damage, HardState, Incarnation, Life, LifeId, Lsn, NodeId, Random,
    Record, ShardId, Slot, Value, Witness,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const IDENTITY: Identity =
    Identity { cluster: ClusterId(77), node: NodeId(2), incarnation: Incarnation(5), shards: 3 };
pub const SHARD: ShardId = ShardId(1);
pub const OPTIONS: JournalOptions = JournalOptions { segment_bytes: 64 << 10, min_free_bytes: 0 };

/// The only source of chance.
#[derive(Clone)]
pub struct Rng(Random);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(Random::new(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0.draw()
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub fn ballot(round: u64) -> Ballot {
    Ballot::new(round, NodeId(round as u16 % 3 + 1))
}

/// What a list of records adds up to, worked out the simplest way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub promised: Ballot,
    pub boots: u64,
    /// What the last record of it says that others were seen to acknowledge.
    pub witnessed: Vec<(NodeId, Witness)>,
    pub chosen_upto: Slot,
    /// Values of the slots up to `chosen_upto`.
    pub chosen: BTreeMap<Slot, Value>,
    pub open: BTreeMap<Slot, (Ballot, Value)>,
}

pub fn add_up(records: &[Record]) -> Expected {
    let mut marks: BTreeMap<Ballot, Slot> = BTreeMap::new();
    let mut held: BTreeMap<Slot, Vec<(Ballot, Value, bool)>> = BTreeMap::new();
    let (mut promised, mut boots) = (Ballot::ZERO, 0);
    let mut witnessed = Vec::new();
    for record in records {
        match record {
            Record::HardState(hard) => {
                promised = promised.max(hard.promised);
                boots = boots.max(hard.boots);
            }
            Record::Accepted { slot, ballot, chosen_upto, value } => {
                promised = promised.max(*ballot);
                let mark = marks.entry(*ballot).or_default();
                *mark = (*mark).max(*chosen_upto);
                held.entry(*slot).or_default().push((*ballot, value.clone(), false));
            }
            Record::Learned { slot, ballot, value } => {
                held.entry(*slot).or_default().push((*ballot, value.clone(), true));
            }
            Record::Chosen { ballot, slot } => {
                let mark = marks.entry(*ballot).or_default();
                *mark = (*mark).max(*slot);
            }
            Record::Witnessed(table) => witnessed.clone_from(table),
            // Of a remnant nothing follows.
            Record::Checkpoint { .. } | Record::Released(_) | Record::Remnant { .. } => {}
        }
    }
    let known = |slot: Slot, b: &Ballot| marks.get(b).is_some_and(|mark| slot <= *mark);
    let mut expected = Expected {
        promised,
        boots,
        witnessed,
        chosen_upto: Slot(0),
        chosen: BTreeMap::new(),
        open: BTreeMap::new(),
    };
    for (slot, held) in &held {
        let chosen = held.iter().filter(|(b, _, learned)| *learned || known(*slot, b));
        let chosen = chosen.max_by_key(|(ballot, _, _)| *ballot);
        let best = chosen.or_else(|| held.iter().max_by_key(|(ballot, _, _)| *ballot));
        let (_, value, _) = best.unwrap();
        // A value that is known to be chosen is that of every higher ballot, too.
        let ballot = held.iter().map(|(ballot, _, _)| ballot).max().unwrap();
        if chosen.is_some() && *slot == expected.chosen_upto.next() {
            expected.chosen_upto = *slot;
            expected.chosen.insert(*slot, value.clone());
        } else {
            expected.open.insert(*slot, (*ballot, value.clone()));
        }
    }
    expected
}

/// Produces what an acceptor that obeys the rules would write.
#[derive(Clone)]
pub struct Workload {
    pub rng: Rng,
    round: u64,
    boots: u64,
    chosen: u64,
    next: u64,
    /// Accepted in the current ballot above `chosen`.
    current: BTreeMap<u64, Value>,
    /// Largest value.
    pub value_bytes_max: usize,
}

impl Workload {
    pub fn new(seed: u64) -> Workload {
        Workload {
            rng: Rng::new(seed),
            round: 1,
            boots: 0,
            chosen: 0,
            next: 1,
            current: BTreeMap::new(),
            value_bytes_max: 20_000,
        }
    }

    /// Goes on after a recovery that kept this much.
    pub fn resume(&mut self, kept: &Expected) {
        self.chosen = kept.chosen_upto.0;
        self.next = kept.open.keys().next_back().map_or(self.chosen, |slot| slot.0) + 1;
        self.round = self.round.max(kept.promised.round) + 1;
        self.current.clear();
    }

    fn value(&mut self) -> Value {
        let max = self.value_bytes_max as u64;
        let bytes = match self.rng.below(10) {
            0 => 0,
            1..=6 => self.rng.below(300.min(max)),
            7 | 8 => self.rng.below(5000.min(max)),
            _ => self.rng.below(max),
        };
        let tag = self.rng.next();
        let mut bytes: Vec<u8> = (0..bytes).map(|at| (tag >> (at % 8 * 8)) as u8 | 1).collect();
        if self.rng.percent(40) && !bytes.is_empty() {
            // Stretches of zeros, so that a zero sector is not always a lost one.
            let from = self.rng.below(bytes.len() as u64) as usize;
            let upto = from + self.rng.below((bytes.len() - from) as u64 + 1) as usize;
            bytes[from..upto].fill(0);
        }
        Value::new(bytes)
    }

    fn accept(&mut self, slot: u64, out: &mut Vec<Record>) {
        let value = self.value();
        self.current.insert(slot, value.clone());
        let chosen_upto = self.chosen + self.rng.below(2) * self.rng.below(slot - self.chosen);
        // A watermark may cover only what is accepted in this very ballot.
        let mut upto = self.chosen;
        while upto < chosen_upto && self.current.contains_key(&(upto + 1)) {
            upto += 1;
        }
        out.push(Record::Accepted {
            slot: Slot(slot),
            ballot: ballot(self.round),
            chosen_upto: Slot(upto),
            value,
        });
        self.advance(upto);
    }

    fn advance(&mut self, upto: u64) {
        self.chosen = upto;
        self.current = self.current.split_off(&(upto + 1));
    }

    pub fn hard_state(&mut self) -> Record {
        self.boots += 1;
        let incarnations = (1..=3).map(|n| (NodeId(n), Incarnation(self.boots))).collect();
        Record::HardState(Box::new(HardState {
            promised: ballot(self.round),
            lease_longest_us: 7,
            boots: self.boots,
            incarnations,
            formed: true,
            lives: vec![self.life()],
            cuts: self.cuts(),
            ..HardState::default()
        }))
    }

    /// A cut that nobody has spoken of yet, in every other life.
    fn cuts(&self) -> Vec<Cut> {
        let damage = Damage { ballot_max: ballot(self.round), upto: Slot(9), suspect: false };
        let cut = Cut { life: self.life().id, upto: Lsn(self.next), damage };
        if self.boots.is_multiple_of(2) { vec![cut] } else { Vec::new() }
    }

    fn life(&self) -> Life {
        let id = LifeId { boots: self.boots, nonce: self.boots.rotate_left(40) };
        Life { id, start: Lsn(self.next), accounted: Lsn(self.next) }
    }

    pub fn witnessed(&mut self) -> Record {
        let seen = Witness { life: self.life().id, durable: Lsn(self.rng.below(1 << 40)) };
        Record::Witnessed(vec![(NodeId(2), seen), (NodeId(3), Witness::default())])
    }

    /// The records of one burst; none asks for an idle mark.
    pub fn burst(&mut self) -> Vec<Record> {
        let mut out = Vec::new();
        match self.rng.below(20) {
            0..=10 => {
                for _ in 0..1 + self.rng.below(4) {
                    let slot = self.next;
                    self.next += 1;
                    self.accept(slot, &mut out);
                }
            }
            11 => out.push(self.witnessed()),
            12 | 13 => {
                let mut upto = self.chosen;
                while self.current.contains_key(&(upto + 1)) {
                    upto += 1;
                }
                out.push(Record::Chosen { ballot: ballot(self.round), slot: Slot(upto) });
                self.advance(upto);
            }
            14 | 15 => {
                self.round += 1;
                self.current.clear();
                if self.rng.percent(70) {
                    out.push(self.hard_state());
                }
                for slot in self.chosen + 1..self.next {
                    self.accept(slot, &mut out);
                }
            }
            16 if self.next == self.chosen + 1 => {
                for _ in 0..1 + self.rng.below(3) {
                    let (slot, ballot) = (Slot(self.next), ballot(self.round));
                    out.push(Record::Learned { slot, ballot, value: self.value() });
                    self.next += 1;
                    self.chosen += 1;
                }
            }
            17 => {
                // What is left of any value, be it chosen or not: nothing may be concluded from it.
                let slot = Slot(1 + self.rng.below(self.next));
                let ballot = ballot(1 + self.rng.below(self.round));
                out.push(Record::Remnant { slot, ballot, value: self.value() });
            }
            _ => {}
        }
        out
    }
}

/// A journal over a storage, and everything that was ever pushed to it.
pub struct Rig {
    pub storage: MemStorage,
    pub journal: Journal,
    /// All records pushed; the record of LSN n is at n - 1.
    pub records: Vec<Record>,
    /// How many of them were reported durable.
    pub durable: usize,
    /// How many records were durable before the last batch that held any.
    pub durable_before: usize,
    /// The highest promised ballot and count of boots ever pushed, kept or not: the hard-state
    /// file is written ahead of the batch.
    pub hard_max: (Ballot, u64),
    /// How segments were filled, in turn.
    pub fills: Vec<Fill>,
    /// Segments are prepared only when nothing else can be done.
    pub prepares_late: bool,
}

impl Rig {
    pub fn new(storage: MemStorage) -> Rig {
        format(&storage, &IDENTITY, SHARD, &OPTIONS).unwrap();
        let (journal, recovered) = recover(&storage, &IDENTITY, SHARD, &OPTIONS, None).unwrap();
        assert_eq!(recovered.next_lsn, Lsn(1));
        assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
        Rig::going_on(storage, journal, Vec::new(), (Ballot::ZERO, 0))
    }

    /// Goes on with a recovered journal, which kept these records.
    pub fn going_on(
        storage: MemStorage,
        journal: Journal,
        records: Vec<Record>,
        hard_max: (Ballot, u64),
    ) -> Rig {
        check_state(&journal);
        check_index(&journal);
        let durable = journal.durable_upto().0 as usize;
        Rig {
            storage,
            journal,
            records,
            durable,
            durable_before: durable,
            hard_max,
            fills: Vec::new(),
            prepares_late: false,
        }
    }

    pub fn push(&mut self, records: Vec<Record>) {
        for record in records {
            let one = add_up(std::slice::from_ref(&record));
            self.hard_max.0 = self.hard_max.0.max(one.promised);
            self.hard_max.1 = self.hard_max.1.max(one.boots);
            self.records.push(record.clone());
            self.journal.push(Lsn(self.records.len() as u64), record);
            check_state(&self.journal);
        }
    }

    /// Runs jobs until there are none.
    pub fn settle(&mut self) -> Result<(), StorageError> {
        let mut held = None;
        loop {
            let before = JournalSummary::of(&self.journal);
            let job = match self.journal.next_job() {
                Some(job @ Job::Prepare(_)) if self.prepares_late => {
                    held = Some(job);
                    continue;
                }
                Some(job) => job,
                None => match held.take() {
                    Some(job) => job,
                    None => return Ok(()),
                },
            };
            check_state(&self.journal);
            if let Job::Prepare(prepare) = &job {
                self.fills.push(prepare.fill());
            }
            let done = execute(&self.storage, job).map_err(|error| match error {
                JobError::Fatal(error) | JobError::Short { error, .. } => error,
            })?;
            if let Some(JournalEvent::Durable(lsn)) = self.journal.done(done) {
                self.durable_before = self.durable;
                self.durable = lsn.0 as usize;
                assert_eq!(self.journal.durable_upto(), lsn);
            }
            check_state(&self.journal);
            check_index(&self.journal);
            check_step(&before, &JournalSummary::of(&self.journal));
        }
    }

    /// So many bursts, group commit now and then, and a mark at the end if `close`.
    pub fn run(
        &mut self,
        workload: &mut Workload,
        bursts: u64,
        close: bool,
    ) -> Result<(), StorageError> {
        for _ in 0..bursts {
            let records = workload.burst();
            if records.is_empty() {
                self.journal.idle_mark();
            }
            self.push(records);
            if workload.rng.percent(70) {
                self.settle()?;
            }
        }
        self.settle()?;
        if close {
            self.journal.idle_mark();
            self.settle()?;
        }
        assert_sizes(&self.storage, &self.journal);
        Ok(())
    }

    pub fn reopen(storage: &MemStorage) -> Result<(Journal, Recovered), OpenError> {
        recover(storage, &IDENTITY, SHARD, &OPTIONS, None)
    }

    pub fn expected(&self) -> Expected {
        add_up(&self.records)
    }

    /// A checkpoint at this slot, as a shard takes it: facts that stand only in early segments are
    /// written again, and then its record.
    pub fn checkpoint(&mut self, slot: Slot) -> Result<Taken, StorageError> {
        let repeat = self.journal.facts_to_repeat(slot);
        let last = |fits: fn(&Record) -> bool| self.records.iter().rev().find(|r| fits(r)).cloned();
        let hard = repeat.hard_state.then(|| last(|r| matches!(r, Record::HardState(_)))).flatten();
        let seen = repeat.witnessed.then(|| last(|r| matches!(r, Record::Witnessed(_)))).flatten();
        let last = self.journal.last_released();
        let gone = repeat.released.then(|| Record::Released(Arc::clone(last)));
        self.push(hard.into_iter().chain(seen).chain(gone).collect());
        self.settle()?;
        let start = self.journal.start_for(slot);
        self.push(vec![Record::Checkpoint { slot, applied_upto: slot, digest: slot.0 ^ 0xd1 }]);
        self.settle()?;
        Ok(Taken { slot, start })
    }
}

/// A checkpoint that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub slot: Slot,
    /// Nothing where not even one batch was durable.
    pub start: Option<JournalStart>,
}

impl Taken {
    /// What a start with it begins from.
    pub fn from(&self) -> Option<(Slot, JournalStart)> {
        self.start.map(|start| (self.slot, start))
    }
}

/// What the journal says that it takes on disk is what is there.
pub fn assert_sizes(storage: &MemStorage, journal: &Journal) {
    let mut names = storage.list().unwrap();
    names.retain(|name| name.starts_with("segment-"));
    let bytes: u64 = names.iter().map(|name| storage.len(name).unwrap()).sum();
    assert_eq!((journal.segments(), journal.disk_bytes()), (names.len() as u64, bytes));
}

/// Reads a range of slots through a read job.
pub fn read(
    storage: &MemStorage,
    journal: &mut Journal,
    from: u64,
    upto: u64,
) -> BTreeMap<Slot, ReadResult> {
    let mut all = BTreeMap::new();
    let mut from = from;
    while from <= upto {
        let job = journal.read(9, Slot(from), Slot(upto), 30_000);
        let Done::Read(done) = execute(storage, job).unwrap() else { panic!("not a read") };
        assert_eq!(done.token, 9);
        let first = done.values.first().unwrap().0;
        assert_eq!(first, Slot(from));
        from += done.values.len() as u64;
        all.extend(done.values);
    }
    all
}
