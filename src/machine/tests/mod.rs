//! Stories of the state machine, and the rig that they run on.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod codec;
mod levels;
mod lost;
mod model;
mod reading;
mod remnants;
mod snapshot;
mod stories;

use super::{Damaged, LogCommand, LogOutcome, Machine, MachineOutcome, ValueBuilder, invariants};
use crate::api::entries::Entries;
use crate::api::name::LogName;
use crate::api::{LogRef, Retention};
use crate::types::{Ballot, Extent, FormatLevel, Index, LogId, ShardId, Slot, Value};
use proptest::test_runner::{Config, RngSeed};
use std::collections::BTreeMap;

/// What the program of these machines knows: more than levels in the stories rise to.
const KNOWN: FormatLevel = FormatLevel(7);

/// A machine without logs.
fn new_machine(shard: ShardId, shards: u16) -> Machine {
    let mut machine = Machine::new(shard, shards);
    machine.set_known_level(KNOWN);
    machine
}

/// A machine and the values that it applied: what a journal would keep for it.
#[derive(Clone, Debug)]
struct Rig {
    machine: Machine,
    values: BTreeMap<Slot, Value>,
    /// What an index would keep for it.
    extents: BTreeMap<LogId, Vec<Extent>>,
}

impl Rig {
    /// The only shard of a cluster.
    fn new() -> Rig {
        Rig::of(ShardId(0), 1)
    }

    fn of(shard: ShardId, shards: u16) -> Rig {
        let machine = new_machine(shard, shards);
        Rig { machine, values: BTreeMap::new(), extents: BTreeMap::new() }
    }

    /// Applies one value of these commands, or a no-op for none, and checks the state.
    fn apply(&mut self, commands: &[LogCommand<'_>]) -> Vec<LogOutcome> {
        let slot = self.machine.applied_upto().next();
        let value = value_of(commands);
        let applied = self.machine.apply(slot, &value).expect("our own commands are known");
        for (log, extent) in applied.extents {
            self.extents.entry(log).or_default().push(extent);
        }
        self.values.insert(slot, value);
        invariants::check_state(&self.machine);
        let outcomes = applied.outcomes.into_iter().map(|outcome| match outcome {
            MachineOutcome::Log(outcome) => outcome,
            MachineOutcome::Cut | MachineOutcome::Level { .. } | MachineOutcome::Lost(_) => {
                panic!("{outcome:?} among commands on logs")
            }
        });
        outcomes.collect()
    }

    /// Where a log's entries from `from` on lie.
    fn extents(&self, log: LogId, from: u64) -> impl Iterator<Item = &Extent> {
        let all = self.extents.get(&log).into_iter().flatten();
        all.filter(move |extent| extent.end() > Index(from))
    }

    /// Creates a log and returns its id.
    fn create(&mut self, name: &str) -> LogId {
        match self.apply(&[LogCommand::Create {
            name,
            created_ms: 7,
            retention: Retention::default(),
        }])[..]
        {
            [LogOutcome::Created(id)] => id,
            ref other => panic!("creating {name:?}: {other:?}"),
        }
    }

    fn append(&mut self, log: LogId, expect: Option<u64>, entries: &[&str]) -> LogOutcome {
        let entries = Entries::from_slices(entries).unwrap();
        let expect = expect.map(Index);
        self.apply(&[LogCommand::Append { log, expect, entries: entries.as_ref() }])[0]
    }

    /// Reads as a shard does, and returns the entries' bytes.
    fn read(&self, log: LogId, from: u64, entries: u32, bytes: u32) -> Vec<Vec<u8>> {
        let (entries, damaged) = self.read_from(&self.values, log, from, entries, bytes);
        assert_eq!(damaged, None);
        entries
    }

    /// As [`Rig::read`], out of other values than those applied; what was read before the damage.
    fn read_from(
        &self,
        values: &BTreeMap<Slot, Value>,
        log: LogId,
        from: u64,
        entries: u32,
        bytes: u32,
    ) -> (Vec<Vec<u8>>, Option<Damaged>) {
        let mut reading = self.machine.reading(log, Index(from), entries, bytes).unwrap();
        let mut damaged = None;
        while let Some(index) = reading.wants() {
            let Some(extent) = self.extents(log, index.0).next() else { break };
            if let Err(error) = reading.take(extent, extent.slot, values[&extent.slot].bytes()) {
                damaged = Some(error);
                break;
            }
        }
        (reading.finish().iter().map(|entry| entry.data.to_vec()).collect(), damaged)
    }
}

fn value_of(commands: &[LogCommand<'_>]) -> Value {
    if commands.is_empty() {
        return Value::noop();
    }
    let mut builder = ValueBuilder::new();
    for command in commands {
        builder.push(command);
    }
    builder.build(Ballot::ZERO, true, 0)
}

fn entries_of(entries: &[&str]) -> Entries {
    Entries::from_slices(entries).unwrap()
}

fn by_name(name: &str) -> LogRef {
    LogRef::Name(LogName::new(name).unwrap())
}

fn texts(entries: &[Vec<u8>]) -> Vec<&str> {
    entries.iter().map(|entry| std::str::from_utf8(entry).unwrap()).collect()
}

/// Generated stories are the same in every run, unless PROPTEST_RNG_SEED asks for others;
/// PROPTEST_CASES, 256 unless set, asks for more.
pub(in crate::machine) fn generated(cases: u32) -> Config {
    let asked = Config::default();
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        RngSeed::Fixed(seed) => RngSeed::Fixed(seed),
    };
    let cases = u32::max(1, cases * asked.cases / 256);
    Config { cases, rng_seed, failure_persistence: None, ..asked }
}
