//! Snapshots: of the slot they began at, whatever is applied meanwhile, and all that the next slot needs.

use super::model::{self, Model, Op, SHARD, SHARDS, op, values};
use super::{KNOWN, Rig, entries_of, new_machine};
use crate::api::AttributeChanges;
use crate::api::Retention;
use crate::machine::invariants::check_state;
use crate::machine::{
    AppliedSlot, CutCommand, LevelCommand, LogCommand, Machine, RecordFault, Restore,
    SnapshotError, SnapshotStep, ValueBuilder,
};
use crate::types::{Ballot, FormatLevel, Index, LogId, NodeId, ShardId, Value};
use proptest::prelude::*;

/// One slot: a no-op where there are no operations, no cut and no level.
#[derive(Clone, Debug)]
struct Plan {
    ops: Vec<Op>,
    is_cut: bool,
    /// The format level that the slot raises.
    level: Option<FormatLevel>,
    round: u64,
    is_first: bool,
    stamp_ms: u64,
}

impl Plan {
    fn value(&self) -> Value {
        let mut builder = ValueBuilder::new();
        for op in &self.ops {
            let entries = op.entries();
            builder.push(op.command(&entries));
        }
        if self.is_cut {
            builder.push(CutCommand);
        }
        if let Some(level) = self.level {
            builder.push(LevelCommand { level });
        }
        if builder.is_empty() {
            return Value::noop();
        }
        builder.build(Ballot::new(self.round, NodeId(1)), self.is_first, self.stamp_ms)
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let ops = prop::collection::vec(op(), 0..10);
    // Some values are void: they are no first ones, and another leadership was before them.
    let level = prop::option::weighted(0.2, (1..=KNOWN.0).prop_map(FormatLevel));
    (ops, prop::bool::weighted(0.2), level, 1u64..3, prop::bool::weighted(0.7), 0u64..1000)
        .prop_map(|(ops, is_cut, level, round, is_first, stamp_ms)| Plan {
            ops,
            is_cut,
            level,
            round,
            is_first,
            stamp_ms,
        })
}

fn apply(machine: &mut Machine, value: &Value) -> AppliedSlot {
    let slot = machine.applied_upto().next();
    let applied = machine.apply(slot, value).expect("our own commands are known");
    check_state(machine);
    applied
}

/// A value of these commands, by a leadership that goes on.
fn commands(commands: &[LogCommand<'_>]) -> Value {
    let mut builder = ValueBuilder::new();
    for command in commands {
        builder.push(command);
    }
    builder.build(Ballot::ZERO, true, 0)
}

/// What is left of the snapshot under way, in pieces of at most so many bytes.
fn rest(machine: &mut Machine, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while machine.snapshot_step(bytes_max, &mut bytes) == SnapshotStep::More {}
    bytes
}

/// A snapshot in one go, of a machine that goes on without one.
fn whole(machine: &Machine) -> Vec<u8> {
    let mut machine = machine.clone();
    machine.drop_snapshot();
    machine.begin_snapshot();
    rest(&mut machine, usize::MAX)
}

/// A machine of these bytes. A survey of them says the same of it, or the same of what is wrong (C25).
fn restored(bytes: &[u8]) -> Result<Machine, SnapshotError> {
    let mut restore = Restore::new(SHARD, SHARDS, KNOWN);
    let machine = restore.take(bytes).and_then(|()| restore.finish());
    let mut restore = Restore::survey_only(SHARD, SHARDS, KNOWN);
    let survey = restore.take(bytes).and_then(|()| restore.survey());
    match (&machine, &survey) {
        (Ok(machine), Ok(survey)) => {
            let (upto, digest) = (machine.applied_upto(), machine.digest());
            assert_eq!((survey.applied_upto, survey.digest), (upto, digest));
            assert_eq!(survey.first_indexes.len(), machine.logs().count());
            assert!(survey.first_indexes.is_sorted_by(|(one, _), (other, _)| one < other));
            let is_first =
                |(log, first): &(LogId, Index)| machine.logs().first_index(*log) == Some(*first);
            assert!(survey.first_indexes.iter().all(is_first));
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?}, and as a survey {other:?}"),
    }
    machine
}

/// Logs of all kinds: fresh, filled, trimmed, sealed, with retention, deleted, created anew.
fn colourful() -> Machine {
    let mut machine = new_machine(SHARD, SHARDS);
    let entries = entries_of(&["x", "yy"]);
    let entries = entries.as_ref();
    let log = |counter| LogId::new(SHARD, counter);
    let names = ["a", "ab", "abc", "a/1", "a/2", "a/3", "b", "c", "d", "e", "f", "g"];
    let ours = names.iter().filter(|name| ShardId::of_name(name, SHARDS) == SHARD);
    let create = |name| LogCommand::AppendCreate { name, created_ms: 7, expect: None, entries };
    let creates: Vec<_> = ours.map(|name| create(name)).collect();
    assert!(creates.len() >= 4, "{} names are this shard's", creates.len());
    apply(&mut machine, &commands(&creates));
    let changes = AttributeChanges { retain_entries: Some(3), ..AttributeChanges::default() };
    let seal = AttributeChanges { seal: true, ..AttributeChanges::default() };
    let mut builder = ValueBuilder::new();
    builder.push(LogCommand::Trim { log: log(1), before: Index(1), bytes_before: 1 });
    builder.push(LogCommand::SetAttributes { log: log(2), changes });
    builder.push(LogCommand::SetAttributes { log: log(3), changes: seal });
    builder.push(LogCommand::Delete { log: log(4) });
    builder.push(CutCommand);
    builder.push(LevelCommand { level: FormatLevel(3) });
    apply(&mut machine, &builder.build(Ballot::new(3, NodeId(2)), true, 99));
    machine
}

proptest! {
    #![proptest_config(super::generated(256))]

    // C24: whatever is applied between the steps of a snapshot, and however large they are, it is that of
    // the slot it began at, byte for byte. C23: a machine made of it goes on as the others do.
    #[test]
    fn c24_a_snapshot_is_of_the_slot_it_began_at(
        plans in prop::collection::vec(plan(), 1..16),
        at in any::<prop::sample::Index>(),
        paces in prop::collection::vec((0usize..4, 0usize..300), 16),
        cut_at in any::<prop::sample::Index>(),
    ) {
        let values: Vec<Value> = plans.iter().map(Plan::value).collect();
        let (before, behind) = values.split_at(at.index(values.len() + 1));
        let mut machine = new_machine(SHARD, SHARDS);
        before.iter().for_each(|value| drop(apply(&mut machine, value)));
        let (fixed, reference) = (machine.clone(), whole(&machine));

        machine.begin_snapshot();
        prop_assert_eq!(machine.snapshot_digest(), Some(fixed.digest()));
        let mut bytes = Vec::new();
        for (value, (steps, bytes_max)) in behind.iter().zip(paces) {
            for _ in 0..steps {
                if machine.snapshot_digest().is_some() {
                    machine.snapshot_step(bytes_max, &mut bytes);
                }
            }
            apply(&mut machine, value);
        }
        if machine.snapshot_digest().is_some() {
            bytes.extend(rest(&mut machine, 100));
        }
        prop_assert_eq!(&bytes, &reference);
        prop_assert_eq!(machine.snapshot_overlay_bytes(), 0);

        let (one, other) = bytes.split_at(cut_at.index(bytes.len() + 1));
        let mut restore = Restore::new(SHARD, SHARDS, KNOWN);
        restore.take(one).unwrap();
        restore.take(other).unwrap();
        let mut copy = restore.finish().unwrap();
        check_state(&copy);
        prop_assert_eq!(&copy, &fixed);
        let mut original = fixed;
        for value in behind {
            prop_assert_eq!(apply(&mut copy, value), apply(&mut original, value));
            prop_assert_eq!(copy.digest(), original.digest());
        }
        prop_assert_eq!(&copy, &machine);
    }

    // C23: a machine that goes through snapshots, at any slots, is the naive model as any other.
    #[test]
    fn c23_a_restored_machine_is_the_naive_model(
        values in values(),
        restores in prop::collection::vec(any::<bool>(), 12),
    ) {
        let (mut rig, mut model) = (Rig::of(SHARD, SHARDS), Model::default());
        for (ops, is_restored) in values.iter().zip(restores) {
            prop_assert_eq!(model::apply(&mut rig, ops), model.apply(ops));
            if is_restored {
                rig.machine = restored(&whole(&rig.machine)).unwrap();
            }
            model::assert_same(&rig, &model);
        }
    }

    // R37: no bytes make a restore panic.
    #[test]
    fn r37_any_bytes_are_restored_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..100),
        from in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        prop_assert!(restored(&bytes).is_err());
        // The beginning of a good one with any end, and a good one with several bytes changed.
        let good = whole(&colourful());
        let cut = from.index(good.len());
        bytes.splice(0..0, good[..cut].iter().copied());
        prop_assert!(restored(&bytes).is_err());
        let mut changed = good.clone();
        for (at, byte) in changes {
            let at = at.index(good.len());
            changed[at] = byte;
        }
        prop_assert!(changed == good || restored(&changed).is_err());
    }
}

// R37: whichever bit of a snapshot flips, it is noticed; so is a missing end, and bytes behind it.
#[test]
fn r37_every_flipped_bit_of_a_snapshot_is_noticed() {
    let machine = colourful();
    let good = whole(&machine);
    assert_eq!(restored(&good), Ok(machine));
    for bit in 0..8 * good.len() {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let found = restored(&bad);
        assert!(found.is_err(), "bit {bit} of {}: {found:?}", 8 * good.len());
    }
    for end in 0..good.len() {
        let found = restored(&good[..end]);
        assert_eq!(found, Err(SnapshotError::Incomplete { bytes: end as u64 }));
    }
    for byte in [0, 1, 4] {
        assert!(restored(&[&good[..], &[byte]].concat()).is_err(), "a byte {byte} behind the end");
    }
}

// C24: a step is bounded by what it may encode: neither many logs nor many younger ones make it longer,
// and every piece that is cut off a snapshot keeps its bound.
#[test]
fn c24_no_step_grows_with_the_number_of_logs() {
    let mut machine = new_machine(ShardId(0), 1);
    let create = |machine: &mut Machine, prefix: &str| {
        let names: Vec<String> = (0..2000).map(|nth| format!("{prefix}{nth:05}")).collect();
        let create =
            |name| LogCommand::Create { name, created_ms: 0, retention: Retention::default() };
        let creates: Vec<_> = names.iter().map(|name| create(name)).collect();
        apply(machine, &commands(&creates));
    };
    create(&mut machine, "b");
    machine.begin_snapshot();
    create(&mut machine, "a");
    let (mut empty, mut steps) = (0, 0);
    loop {
        let mut piece = Vec::new();
        let step = machine.snapshot_step(1000, &mut piece);
        assert!(piece.len() <= 1000, "a piece of {} bytes", piece.len());
        empty += usize::from(piece.is_empty());
        steps += 1;
        if step == SnapshotStep::Done {
            break;
        }
    }
    // A log of an empty name takes 60 bytes, so a step visits 17 at most.
    assert!(empty >= 2000 / 17 - 1, "{empty} pieces without a log, passing over 2000");
    assert!((2 * 2000 / 17..2 * 2000 / 10).contains(&steps), "{steps} steps");
}

// C24: what is kept for a snapshot is what was changed ahead of it, once; it is gone as it is encoded, or
// as the snapshot is dropped.
#[test]
fn c24_what_is_kept_for_a_snapshot_is_bounded_by_what_changed() {
    let mut machine = colourful();
    let entries = entries_of(&["x"]);
    let append = |counter| {
        let log = LogId::new(SHARD, counter);
        commands(&[LogCommand::Append { log, expect: None, entries: entries.as_ref() }])
    };
    apply(&mut machine, &append(1));
    assert_eq!(machine.snapshot_overlay_bytes(), 0, "no snapshot, nothing kept");
    machine.begin_snapshot();
    apply(&mut machine, &append(1));
    let one = machine.snapshot_overlay_bytes();
    assert!(one > 0);
    apply(&mut machine, &append(1));
    assert_eq!(machine.snapshot_overlay_bytes(), one, "once is enough");
    apply(&mut machine, &append(2));
    assert!(machine.snapshot_overlay_bytes() > one);
    machine.drop_snapshot();
    assert_eq!((machine.snapshot_overlay_bytes(), machine.snapshot_digest()), (0, None));
    machine.begin_snapshot();
    let again = std::panic::catch_unwind(move || machine.begin_snapshot());
    assert!(again.is_err(), "two snapshots at once");
}

// The encoding is a disk format: these bytes, field by field, are what a snapshot looks like.
#[test]
fn the_snapshots_encoding_is_fixed() {
    let mut machine = new_machine(ShardId(0), 1);
    let log = LogId::new(ShardId(0), 1);
    let changes = AttributeChanges { retain_bytes: Some(9), ..AttributeChanges::default() };
    let mut builder = ValueBuilder::new();
    builder.push(LogCommand::Create {
        name: "b",
        created_ms: 0x0102,
        retention: Retention::default(),
    });
    builder.push(LogCommand::Create { name: "a", created_ms: 3, retention: Retention::default() });
    builder.push(LogCommand::SetAttributes { log, changes });
    builder.push(CutCommand);
    builder.push(LevelCommand { level: FormatLevel(2) });
    apply(&mut machine, &builder.build(Ballot::new(5, NodeId(6)), true, 7));
    let number = |number: u64| number.to_le_bytes();
    let log = |id, created_ms| [id, 0, 0, 0, 0, created_ms, 0].map(number).concat();
    let expected: Vec<u8> = [
        &[42, 0, 1][..],
        b"PAXSTATE\x02\x00\x00\x00\x01\x00",
        &number(1),
        &[1],
        &number(5),
        &[6, 0],
        &number(7),
        &[14, 0, 2, 3, 1, 0, 2, 0],
        &number(1),
        &[20, 0, 2, 1, 1, 0],
        &[number(1), number(1)].concat(),
        &[12, 0, 2, 4, 1, 0],
        &number(0),
        &[20, 0, 2, 2, 1, 0],
        &[number(2), number(2)].concat(),
        &[59, 0, 3],
        &log(2, 3),
        b"\x00a",
        &[91, 0, 3],
        &log(1, 0x0102),
        &[1],
        &[number(1), number(9), number(0), number(0)].concat(),
        b"b",
        &[9, 0, 4],
        &number(machine.digest()),
    ]
    .concat();
    assert_eq!(whole(&machine), expected);
}

// What a newer node wrote, and what another shard wrote, is refused as such.
#[test]
fn what_is_of_another_version_or_shard_is_refused_as_such() {
    let good = whole(&colourful());
    let fault = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        match restored(&bytes) {
            Err(SnapshotError::Record { offset, fault }) => (offset, fault),
            other => panic!("byte {at} was changed: {other:?}"),
        }
    };
    assert_eq!(fault(11, 3), (0, RecordFault::Version { found: 3, known: 2 }));
    let (shard, shards) = (ShardId(1), SHARDS);
    assert_eq!(fault(13, 1), (0, RecordFault::WrongShard { shard, shards }));
    assert_eq!(fault(44 + 4, 2), (44, RecordFault::Version { found: 2, known: 1 }));
    assert_eq!(fault(44 + 3, 9), (44, RecordFault::Section { feature: 9 }));
    assert_eq!(fault(44 + 2, 1), (44, RecordFault::Order { kind: 1 }));
    assert_eq!(fault(44, 0), (44, RecordFault::Length { bytes: 0, max: 1024 }));
}

// A machine that applied nothing has a snapshot, too.
#[test]
fn an_empty_machine_has_a_snapshot() {
    let machine = new_machine(SHARD, SHARDS);
    assert_eq!(restored(&whole(&machine)), Ok(machine));
}
