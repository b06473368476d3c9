//! The machine against a naive model: logs as lists of entries, found by looking at every one.

use super::{Rig, by_name, new_machine, value_of};
use crate::api::entries::Entries;
use crate::api::name::LogName;
use crate::api::{AttributeChanges, LogAttributes, LogRef, LogStat, Retention};
use crate::limits::ENTRY_PREFIX_BYTES;
use crate::machine::{LogCommand, LogOutcome, LookupError};
use crate::types::{Index, LogId, ShardId, Slot};
use proptest::prelude::*;

pub(super) const SHARD: ShardId = ShardId(0);
pub(super) const SHARDS: u16 = 2;
/// Names of both shards, prefixes of each other, and one that is none.
const NAMES: [&str; 8] = ["a", "ab", "abc", "a/1", "a/2", "é", "è", "bad\u{1}"];

/// A command that owns what it is made of.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Create(&'static str, u64, Retention),
    Delete(LogId),
    Append(LogId, Option<Index>, Vec<Vec<u8>>),
    AppendCreate(&'static str, u64, Option<Index>, Vec<Vec<u8>>),
    Trim(LogId, Index),
    Retain(LogId, u64, Index),
    Set(LogId, AttributeChanges),
}

impl Op {
    pub(super) fn entries(&self) -> Entries {
        match self {
            Op::Create(..) | Op::Delete(_) | Op::Trim(..) | Op::Retain(..) | Op::Set(..) => {
                Entries::new()
            }
            Op::Append(_, _, entries) | Op::AppendCreate(_, _, _, entries) => {
                Entries::from_slices(entries).unwrap()
            }
        }
    }

    pub(super) fn command<'a>(&self, entries: &'a Entries) -> LogCommand<'a> {
        let entries = entries.as_ref();
        match *self {
            Op::Create(name, created_ms, retention) => {
                LogCommand::Create { name, created_ms, retention }
            }
            Op::Delete(log) => LogCommand::Delete { log },
            Op::Append(log, expect, _) => LogCommand::Append { log, expect, entries },
            Op::AppendCreate(name, created_ms, expect, _) => {
                LogCommand::AppendCreate { name, created_ms, expect, entries }
            }
            Op::Trim(log, before) => LogCommand::Trim { log, before, bytes_before: 0 },
            Op::Retain(log, version, before) => {
                LogCommand::Retain { log, version, before, bytes_before: 0 }
            }
            Op::Set(log, changes) => LogCommand::SetAttributes { log, changes },
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ModelLog {
    id: LogId,
    name: &'static str,
    created_ms: u64,
    first: usize,
    attributes: LogAttributes,
    /// All of them, trimmed ones too.
    entries: Vec<Vec<u8>>,
}

impl ModelLog {
    fn next(&self) -> Index {
        Index(self.entries.len() as u64)
    }

    /// The entries that can be read.
    fn live(&self) -> &[Vec<u8>] {
        &self.entries[self.first..]
    }

    fn trim(&mut self, before: Index) -> LogOutcome {
        if before > self.next() {
            return LogOutcome::PastEnd { log: self.id, next: self.next() };
        }
        let entries = before.0.saturating_sub(self.first as u64);
        self.first = self.first.max(before.0 as usize);
        let (first, next) = (Index(self.first as u64), self.next());
        LogOutcome::Trimmed { log: self.id, first, next, entries, bytes: 0 }
    }

    /// What the machine says of the log. All of it counts as live: these commands say of no bytes that
    /// they are trimmed.
    fn stat(&self) -> LogStat {
        let bytes = self.entries.concat().len() as u64;
        LogStat {
            name: LogName::new(self.name).unwrap(),
            id: self.id,
            first_index: Index(self.first as u64),
            next_index: self.next(),
            bytes,
            created_ms: self.created_ms,
            attributes: self.attributes,
        }
    }
}

/// Everything that a machine means, as plainly as can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    logs: Vec<ModelLog>,
    created: u64,
    slots: u64,
    /// The last slot held commands, not a no-op.
    run: bool,
}

impl Model {
    pub(super) fn apply(&mut self, ops: &[Op]) -> Vec<LogOutcome> {
        self.slots += 1;
        self.run = !ops.is_empty();
        ops.iter().map(|op| self.execute(op)).collect()
    }

    fn execute(&mut self, op: &Op) -> LogOutcome {
        match op {
            Op::Create(name, created_ms, retention) => {
                if let Some(log) = self.logs.iter().find(|log| log.name == *name) {
                    return LogOutcome::Exists(log.id);
                }
                self.create(name, *created_ms, *retention)
            }
            Op::Delete(id) => match self.logs.iter().position(|log| log.id == *id) {
                Some(at) => LogOutcome::Deleted(self.logs.remove(at).id),
                None => self.missing(*id),
            },
            Op::Append(id, expect, entries) => match self.logs.iter().position(|l| l.id == *id) {
                Some(at) => self.append(at, *expect, entries),
                None => self.missing(*id),
            },
            Op::AppendCreate(name, created_ms, expect, entries) => {
                if let Some(at) = self.logs.iter().position(|log| log.name == *name) {
                    return self.append(at, *expect, entries);
                }
                let before = self.clone();
                match self.create(name, *created_ms, Retention::default()) {
                    LogOutcome::Created(_) => {}
                    refused => return refused,
                }
                let outcome = self.append(self.logs.len() - 1, *expect, entries);
                if let LogOutcome::ExpectMismatch { next, .. } = outcome {
                    *self = before;
                    return LogOutcome::ExpectMismatch { log: None, next };
                }
                outcome
            }
            Op::Trim(id, before) => self.change(*id, |log| log.trim(*before)),
            Op::Retain(id, version, before) => self.change(*id, |log| {
                let last = log.entries.len().saturating_sub(1) as u64;
                let stale = *version != log.attributes.version;
                log.trim(Index(if stale { 0 } else { before.0.min(last) }))
            }),
            Op::Set(id, changes) => self.change(*id, |log| {
                log.attributes = changes.applied_to(log.attributes);
                LogOutcome::AttributesSet(log.id)
            }),
        }
    }

    fn change(
        &mut self,
        id: LogId,
        change: impl FnOnce(&mut ModelLog) -> LogOutcome,
    ) -> LogOutcome {
        let missing = self.missing(id);
        self.logs.iter_mut().find(|log| log.id == id).map_or(missing, change)
    }

    fn create(&mut self, name: &'static str, created_ms: u64, retention: Retention) -> LogOutcome {
        if name.contains(char::is_control) {
            return LogOutcome::BadName;
        }
        if ShardId::of_name(name, SHARDS) != SHARD {
            return LogOutcome::WrongShard;
        }
        self.created += 1;
        let id = LogId::new(SHARD, self.created);
        let attributes = LogAttributes { retention, ..LogAttributes::default() };
        self.logs.push(ModelLog {
            id,
            name,
            created_ms,
            first: 0,
            attributes,
            entries: Vec::new(),
        });
        LogOutcome::Created(id)
    }

    fn append(&mut self, at: usize, expect: Option<Index>, entries: &[Vec<u8>]) -> LogOutcome {
        let log = &mut self.logs[at];
        let next = log.next();
        if log.attributes.sealed {
            return LogOutcome::Sealed { log: log.id, next };
        }
        if expect.is_some_and(|expect| expect != next) {
            return LogOutcome::ExpectMismatch { log: Some(log.id), next };
        }
        log.entries.extend_from_slice(entries);
        LogOutcome::Appended { log: log.id, first: next, count: entries.len() as u32 }
    }

    fn missing(&self, id: LogId) -> LogOutcome {
        if id.shard() == SHARD { LogOutcome::UnknownLog } else { LogOutcome::WrongShard }
    }

    fn list(&self, prefix: &str, after: &str, limit: usize) -> (Vec<&'static str>, bool) {
        let mut names: Vec<&str> = self
            .logs
            .iter()
            .filter(|log| log.name.starts_with(prefix) && log.name > after)
            .map(|log| log.name)
            .collect();
        names.sort_unstable();
        let more = names.len() > limit;
        names.truncate(limit);
        (names, more)
    }

    /// The same state whichever order its logs were made in.
    fn sorted(mut self) -> Model {
        self.logs.sort_by_key(|log| log.id);
        self
    }
}

fn entries() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0u8..3, 0..4), 1..4)
}

fn log_id() -> impl Strategy<Value = LogId> {
    prop_oneof![
        9 => (1u64..5).prop_map(|counter| LogId::new(SHARD, counter)),
        1 => (1u64..3).prop_map(|counter| LogId::new(ShardId(1), counter)),
    ]
}

fn expect() -> impl Strategy<Value = Option<Index>> {
    prop_oneof![3 => Just(None), 2 => (0u64..6).prop_map(|index| Some(Index(index)))]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let name = || prop::sample::select(&NAMES[..]);
    prop_oneof![
        2 => (name(), 0u64..3, retention())
            .prop_map(|(name, ms, retention)| Op::Create(name, ms, retention)),
        1 => log_id().prop_map(Op::Delete),
        6 => (log_id(), expect(), entries()).prop_map(|(id, at, data)| Op::Append(id, at, data)),
        3 => (name(), 0u64..3, expect(), entries())
            .prop_map(|(name, ms, at, data)| Op::AppendCreate(name, ms, at, data)),
        2 => (log_id(), 0u64..8).prop_map(|(id, before)| Op::Trim(id, Index(before))),
        1 => (log_id(), 0u64..3, 0u64..8)
            .prop_map(|(id, version, before)| Op::Retain(id, version, Index(before))),
        1 => (log_id(), changes()).prop_map(|(id, changes)| Op::Set(id, changes)),
    ]
}

fn retention() -> impl Strategy<Value = Retention> {
    (0u64..3, 0u64..3, 0u64..3).prop_map(|(bytes, entries, age_ms)| Retention {
        bytes,
        entries,
        age_ms,
    })
}

fn changes() -> impl Strategy<Value = AttributeChanges> {
    let limit = || prop::option::of(0u64..3);
    (limit(), limit(), limit(), prop::bool::weighted(0.2)).prop_map(
        |(retain_bytes, retain_entries, retain_age_ms, seal)| AttributeChanges {
            retain_bytes,
            retain_entries,
            retain_age_ms,
            seal,
        },
    )
}

/// Values of a few commands each; one without commands is a no-op.
pub(super) fn values() -> impl Strategy<Value = Vec<Vec<Op>>> {
    prop::collection::vec(prop::collection::vec(op(), 0..12), 1..12)
}

pub(super) fn apply(rig: &mut Rig, ops: &[Op]) -> Vec<LogOutcome> {
    let entries: Vec<Entries> = ops.iter().map(Op::entries).collect();
    let commands: Vec<_> = ops.iter().zip(&entries).map(|(op, data)| op.command(data)).collect();
    rig.apply(&commands)
}

/// The entries that a read must answer.
fn window(entries: &[Vec<u8>], from: usize, max_entries: u32, max_bytes: u32) -> Vec<Vec<u8>> {
    let (mut bytes, mut window) = (0, Vec::new());
    for entry in entries.iter().skip(from) {
        bytes += ENTRY_PREFIX_BYTES + entry.len();
        let over = max_bytes > 0 && bytes > max_bytes as usize && !window.is_empty();
        if over || max_entries > 0 && window.len() == max_entries as usize {
            break;
        }
        window.push(entry.clone());
    }
    window
}

pub(super) fn assert_same(rig: &Rig, model: &Model) {
    assert_eq!(rig.machine.applied_upto(), Slot(model.slots));
    assert_eq!(rig.machine.logs().count(), model.logs.len());
    for log in &model.logs {
        let stat = rig.machine.logs().stat(&LogRef::Id(log.id)).unwrap();
        assert_eq!(stat, log.stat());
        assert_eq!(rig.machine.logs().stat(&by_name(log.name)), Ok(stat));
        assert_eq!(rig.read(log.id, log.first as u64, 0, 0), log.live());
    }
    for counter in 1..=model.created + 1 {
        let id = LogId::new(SHARD, counter);
        if model.logs.iter().all(|log| log.id != id) {
            assert_eq!(rig.machine.logs().stat(&LogRef::Id(id)), Err(LookupError::UnknownLog));
        }
    }
}

proptest! {
    #![proptest_config(super::generated(256))]

    // R22: whatever is applied, outcomes, data, entries and lists are those of the naive model.
    #[test]
    fn r22_the_machine_is_the_naive_model(
        values in values(),
        reads in prop::collection::vec((0usize..24, 0u32..6, 0u32..60), 8),
        lists in prop::collection::vec(
            (prop::sample::select(&["", "a", "a/", "é", "z"][..]),
             prop::sample::select(&["", "a", "a/1", "aa", "b", "é"][..]), 0usize..4), 4),
    ) {
        let (mut rig, mut model) = (Rig::of(SHARD, SHARDS), Model::default());
        for ops in &values {
            prop_assert_eq!(apply(&mut rig, ops), model.apply(ops));
            assert_same(&rig, &model);
        }
        for log in &model.logs {
            for &(from, entries, bytes) in &reads {
                let from = from.max(log.first);
                let found = rig.read(log.id, from as u64, entries, bytes);
                prop_assert_eq!(found, window(&log.entries, from, entries, bytes));
            }
        }
        for (prefix, after, limit) in lists {
            let (stats, more) = rig.machine.logs().list(prefix, after, limit);
            let names: Vec<&str> = stats.iter().map(|stat| stat.name.as_str()).collect();
            let (wanted, more_wanted) = model.list(prefix, after, limit);
            prop_assert_eq!((names, more), (wanted, more_wanted));
        }
    }

    // R22, R23: a replica that replays the values later, in one go, arrives at the very same state.
    #[test]
    fn r23_a_replay_arrives_at_the_same_state(values in values()) {
        let mut rig = Rig::of(SHARD, SHARDS);
        values.iter().for_each(|ops| drop(apply(&mut rig, ops)));
        let mut replica = new_machine(SHARD, SHARDS);
        for (slot, value) in &rig.values {
            replica.apply(*slot, value).unwrap();
        }
        prop_assert_eq!(replica.digest(), rig.machine.digest());
        prop_assert_eq!(replica, rig.machine);
    }

    // R23: two replicas that part anywhere differ in their digests exactly when their states do.
    #[test]
    fn r23_digests_agree_exactly_when_states_do(
        values in values(),
        at in any::<prop::sample::Index>(),
        inside in any::<prop::sample::Index>(),
        other in op(),
        how in 0..4,
    ) {
        let mut parted = values.clone();
        let ops = &mut parted[at.index(values.len())];
        let inside = inside.index(ops.len() + 1);
        match how {
            0 => ops.insert(inside, other),
            1 if inside < ops.len() => ops[inside] = other,
            2 if inside < ops.len() => drop(ops.remove(inside)),
            _ => ops.rotate_left(inside),
        }
        let (mut one, mut model) = (Rig::of(SHARD, SHARDS), Model::default());
        let (mut two, mut parted_model) = (Rig::of(SHARD, SHARDS), Model::default());
        for (ops, parted_ops) in values.iter().zip(&parted) {
            apply(&mut one, ops);
            apply(&mut two, parted_ops);
            model.apply(ops);
            parted_model.apply(parted_ops);
            let same = model.clone().sorted() == parted_model.clone().sorted();
            prop_assert_eq!(one.machine.digest() == two.machine.digest(), same);
        }
    }
}

// The names above are worth their place: both shards, and prefixes, occur among them.
#[test]
fn the_models_names_cover_both_shards() {
    let ours = NAMES.iter().filter(|name| ShardId::of_name(name, SHARDS) == SHARD).count();
    assert!((3..=6).contains(&ours), "{ours} of {} names are this shard's", NAMES.len());
    assert!(value_of(&[]).is_noop());
}
