//! A simulated journal of one replica: records become durable on command, a crash loses what is not,
//! and the replica's memory is rebuilt from durable records alone, in any order (C9).

use paxosd::paxos::Memory;
use paxosd::types::{Ballot, Damage, HardState, Lsn, Record, Slot, Value};
use paxosd::wire::peer::Report;
use std::collections::{BTreeMap, BTreeSet};

/// One node's disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    records: Vec<Record>,
    durable: usize,
    /// What the durable records say, for checks of votes that leave.
    pub picture: Picture,
    /// Records that no longer verify: of this slot, up to this LSN, reported so.
    lost: BTreeMap<Slot, (Lsn, Report)>,
    pub damage: Option<Damage>,
    /// The file of the hard state, where it is newer than its copies among the records.
    pub hard_file: HardState,
    /// Values of slots up to here were released: a checkpoint stands for them.
    pub released: Slot,
    /// The LSN up to which a tail was cut, and what it is if it was no torn one.
    pub cut: Option<(Lsn, Damage)>,
}

/// What durable records claim, whatever became of them since.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub hard: HardState,
    pub accepted: BTreeMap<Slot, BTreeSet<Ballot>>,
}

impl Picture {
    fn add(&mut self, record: &Record) {
        match record {
            Record::HardState(hard) => merge(&mut self.hard, hard),
            Record::Accepted { slot, ballot, .. } => {
                self.accepted.entry(*slot).or_default().insert(*ballot);
            }
            Record::Learned { .. }
            | Record::Remnant { .. }
            | Record::Chosen { .. }
            | Record::Witnessed(_)
            | Record::Checkpoint { .. }
            | Record::Released(_) => {}
        }
    }
}

/// Hard states only grow within the records of one disk.
fn merge(into: &mut HardState, hard: &HardState) {
    into.promised = into.promised.max(hard.promised);
    into.lease_longest_us = into.lease_longest_us.max(hard.lease_longest_us);
    if hard.boots >= into.boots {
        // The file of the hard state, of which these records are copies, holds the last of them.
        (into.boots, into.lives) = (hard.boots, hard.lives.clone());
        (into.cuts, into.cut_damage) = (hard.cuts.clone(), hard.cut_damage);
    }
    into.formed |= hard.formed;
    into.configuration = into.configuration.take().or_else(|| hard.configuration.clone());
    into.refuted = into.refuted.or(hard.refuted);
    into.incarnations.extend(hard.incarnations.iter().map(|(k, v)| (*k, *v)));
}

impl Disk {
    pub fn durable(&self) -> Lsn {
        Lsn(self.durable as u64)
    }

    pub fn last(&self) -> Lsn {
        Lsn(self.records.len() as u64)
    }

    pub fn append(&mut self, lsn: Lsn, record: Record) {
        assert_eq!(lsn, self.last().next(), "LSNs are dense");
        self.records.push(record);
    }

    /// Makes every record up to `lsn` durable, and returns those that were not before.
    pub fn sync(&mut self, lsn: Lsn) -> Vec<Record> {
        let upto = (lsn.0 as usize).min(self.records.len());
        let fresh: Vec<Record> = self.records[self.durable.min(upto)..upto].to_vec();
        self.durable = self.durable.max(upto);
        for record in &fresh {
            self.picture.add(record);
        }
        fresh
    }

    /// Power goes: what was not durable is gone, but for the first `kept` records of it. Returns
    /// those that turned out durable.
    pub fn crash(&mut self, kept: usize) -> Vec<Record> {
        let keep = (self.durable + kept).min(self.records.len());
        self.records.truncate(keep);
        self.sync(Lsn(keep as u64))
    }

    /// A disk that is older than what it acknowledged.
    pub fn roll_back(&mut self, records: usize) {
        let keep = self.records.len().saturating_sub(records);
        self.records.truncate(keep);
        self.durable = keep;
    }

    /// The last record says what was seen of other members.
    pub fn last_is_note(&self) -> bool {
        matches!(self.records.last(), Some(Record::Witnessed(_)))
    }

    /// How many records lie before the first such one.
    pub fn position(&self, fits: impl Fn(&Record) -> bool) -> Option<usize> {
        self.records.iter().position(fits)
    }

    /// The next start cuts off a tail of so many records, which looks torn.
    pub fn cut_tail(&mut self, records: u64) {
        let hi = self.recover().0.hard.promised;
        let damage = Damage { ballot_max: hi, upto: Slot(600), suspect: false };
        self.cut = Some((self.last().plus(records), damage));
    }

    /// The records of a slot no longer verify, and this is what the journal says of them.
    pub fn lose(&mut self, slot: Slot, report: Report) {
        self.lost.insert(slot, (self.last(), report));
    }

    /// The highest ballot in which the slot has a record.
    pub fn ballot_of(&self, slot: Slot) -> Option<Ballot> {
        let of = |record: &Record| match record {
            Record::Accepted { slot: s, ballot, .. } if *s == slot => Some(*ballot),
            Record::Accepted { .. }
            | Record::HardState(_)
            | Record::Learned { .. }
            | Record::Remnant { .. }
            | Record::Chosen { .. }
            | Record::Witnessed(_)
            | Record::Checkpoint { .. }
            | Record::Released(_) => None,
        };
        self.records.iter().filter_map(of).max()
    }

    /// What a replica remembers, and the values that it knows to be chosen. Facts only grow: the
    /// order of the records plays no part.
    pub fn recover(&self) -> (Memory, BTreeMap<Slot, (Ballot, Value)>) {
        let mut memory = Memory { next_lsn: self.last().next(), ..Memory::default() };
        memory.hard = self.hard_file.clone();
        let mut marks: BTreeMap<Ballot, Slot> = BTreeMap::new();
        let mut accepted: BTreeMap<Slot, BTreeMap<Ballot, (Lsn, Value)>> = BTreeMap::new();
        let mut chosen: BTreeMap<Slot, (Ballot, Lsn, Value)> = BTreeMap::new();
        for (at, record) in self.records.iter().enumerate() {
            let lsn = Lsn(at as u64 + 1);
            let mut mark = |ballot: Ballot, slot: Slot| {
                let upto = marks.entry(ballot).or_default();
                *upto = slot.max(*upto);
            };
            match record {
                Record::HardState(hard) => merge(&mut memory.hard, hard),
                Record::Accepted { slot, ballot, chosen_upto, value } => {
                    mark(*ballot, *chosen_upto);
                    let held = (lsn, value.clone());
                    accepted.entry(*slot).or_default().insert(*ballot, held);
                }
                Record::Learned { slot, ballot, value } => {
                    chosen.insert(*slot, (*ballot, lsn, value.clone()));
                }
                Record::Chosen { ballot, slot } => mark(*ballot, *slot),
                Record::Witnessed(table) => memory.witnessed.clone_from(table),
                Record::Checkpoint { .. } | Record::Released(_) | Record::Remnant { .. } => {}
            }
        }
        for (slot, held) in &accepted {
            // Exactly the mark's ballot, or the fact says nothing of this record (C9).
            let exact = |b: &&Ballot| marks.get(b).is_some_and(|upto| slot <= upto);
            if let Some(ballot) = held.keys().filter(exact).max() {
                let (lsn, value) = held[ballot].clone();
                let entry = chosen.entry(*slot).or_insert((*ballot, lsn, value.clone()));
                if self.is_lost(*slot, entry.1) {
                    *entry = (*ballot, lsn, value);
                }
            }
        }
        while chosen.contains_key(&memory.chosen_upto.next()) {
            memory.chosen_upto = memory.chosen_upto.next();
        }
        memory.released_upto = self.released;
        self.recover_open(&mut memory, accepted, chosen)
    }

    fn recover_open(
        &self,
        memory: &mut Memory,
        accepted: BTreeMap<Slot, BTreeMap<Ballot, (Lsn, Value)>>,
        chosen: BTreeMap<Slot, (Ballot, Lsn, Value)>,
    ) -> (Memory, BTreeMap<Slot, (Ballot, Value)>) {
        for (slot, held) in accepted.into_iter().filter(|entry| entry.0 > memory.chosen_upto) {
            let kept = held.into_iter().filter(|(_, (lsn, _))| !self.is_lost(slot, *lsn));
            if let Some((ballot, (_, value))) = kept.max_by_key(|entry| entry.0) {
                memory.open.insert(slot, (ballot, value));
            }
        }
        for (slot, (_, report)) in self.lost.range(memory.chosen_upto.next()..) {
            if memory.open.get(slot).is_none_or(|held| held.0 < report.ballot()) {
                memory.reports.insert(*slot, *report);
            }
        }
        let mut known = BTreeMap::new();
        for (slot, (ballot, lsn, value)) in chosen {
            if slot > memory.chosen_upto {
                break;
            }
            if self.is_lost(slot, lsn) {
                memory.holes.insert(slot, ballot);
            } else {
                known.insert(slot, (ballot, value));
            }
        }
        memory.damage = self.damage;
        memory.cut = self.cut;
        (memory.clone(), known)
    }

    fn is_lost(&self, slot: Slot, lsn: Lsn) -> bool {
        self.lost.get(&slot).is_some_and(|(upto, _)| lsn <= *upto)
    }
}
