//! Snapshots of the machine's state: what a node that begins with one must have of it (C23, C24).

use paxosd::api::AttributeChanges;
use paxosd::api::Retention;
use paxosd::api::entries::Entries;
use paxosd::machine::{
    AppliedSlot, CutCommand, LogCommand, Machine, Restore, SnapshotStep, ValueBuilder,
};
use paxosd::types::{Ballot, FormatLevel, Index, LogId, NodeId, ShardId, Value};

const SHARD: ShardId = ShardId(0);
const OURS: Ballot = Ballot { round: 1, node: NodeId(1) };
const THEIRS: Ballot = Ballot { round: 1, node: NodeId(2) };

fn log(counter: u64) -> LogId {
    LogId::new(SHARD, counter)
}

fn value(commands: &[LogCommand<'_>], leadership: Ballot, is_first: bool) -> Value {
    let mut builder = ValueBuilder::new();
    for command in commands {
        builder.push(command);
    }
    builder.build(leadership, is_first, 1000)
}

fn apply(machine: &mut Machine, value: &Value) -> AppliedSlot {
    let slot = machine.applied_upto().next();
    machine.apply(slot, value).expect("values of this node are understood")
}

/// What is left of a snapshot, in steps of one log each.
fn rest(machine: &mut Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    while machine.snapshot_step(1, &mut bytes) == SnapshotStep::More {}
    bytes
}

fn restored(bytes: &[u8]) -> Machine {
    let mut restore = Restore::new(SHARD, 1, FormatLevel::KNOWN);
    restore.take(bytes).expect("what a machine wrote is understood");
    restore.finish().expect("what a machine wrote is whole")
}

/// Five logs: filled, trimmed, with retention, sealed, and one without entries; and a cut.
fn machine() -> Machine {
    let mut machine = Machine::new(SHARD, 1);
    let entries = Entries::from_slices(["x", "yy", "zzz"]).expect("three small entries");
    let entries = entries.as_ref();
    let put = |name| LogCommand::AppendCreate { name, created_ms: 77, expect: None, entries };
    let create =
        LogCommand::Create { name: "empty", created_ms: 78, retention: Retention::default() };
    let keep = AttributeChanges { retain_bytes: Some(5), ..AttributeChanges::default() };
    let seal = AttributeChanges { seal: true, ..AttributeChanges::default() };
    let commands = [
        put("filled"),
        put("trimmed"),
        put("kept"),
        put("sealed"),
        create,
        LogCommand::Trim { log: log(2), before: Index(2), bytes_before: 3 },
        LogCommand::SetAttributes { log: log(3), changes: keep },
        LogCommand::SetAttributes { log: log(4), changes: seal },
    ];
    apply(&mut machine, &value(&commands, OURS, true));
    let mut cut = ValueBuilder::new();
    cut.push(CutCommand);
    apply(&mut machine, &cut.build(OURS, false, 1001));
    machine
}

/// C23: the leadership whose values take effect is part of the state. What is void behind the cut is void on
/// a node that begins with the snapshot, and what takes effect takes effect there, too.
#[test]
fn c23_a_snapshot_holds_the_leaderships_run() {
    for (leadership, takes_effect) in [(OURS, true), (THEIRS, false)] {
        let mut machine = machine();
        machine.begin_snapshot();
        let mut copy = restored(&rest(&mut machine));
        let create =
            LogCommand::Create { name: "next", created_ms: 0, retention: Retention::default() };
        let next = value(&[create], leadership, false);
        assert_eq!(apply(&mut copy, &next), apply(&mut machine, &next));
        assert_eq!(copy.logs().resolve("next").is_some(), takes_effect, "{leadership:?}");
        assert_eq!(copy.digest(), machine.digest());
    }
}

/// C23: a machine made of a snapshot is the machine it was taken of, field by field.
#[test]
fn c23_a_snapshot_holds_all_of_the_state() {
    let mut machine = machine();
    machine.begin_snapshot();
    let copy = restored(&rest(&mut machine));
    assert_eq!(copy, machine);
    assert_eq!((copy.cuts().last(), copy.cuts().count()), (copy.applied_upto(), 1));
}

/// C24: what is applied while a snapshot is taken is no part of it, wherever the encoding has come to:
/// appends, trims, attributes, and logs that are new.
#[test]
fn c24_what_changes_meanwhile_is_in_a_snapshot_as_it_was() {
    let entries = Entries::from_slices(["later"]).expect("one small entry");
    let entries = entries.as_ref();
    let changes = AttributeChanges { seal: true, ..AttributeChanges::default() };
    let later = (1..=5).flat_map(|counter| {
        let log = log(counter);
        [
            LogCommand::Append { log, expect: None, entries },
            LogCommand::Trim { log, before: Index(1), bytes_before: 1 },
            LogCommand::SetAttributes { log, changes },
        ]
    });
    let create =
        |name| LogCommand::Create { name, created_ms: 99, retention: Retention::default() };
    let new = ["a", "middle", "z"].map(create);
    changed_meanwhile(&later.chain(new).collect::<Vec<_>>());
}

/// C24: a log is deleted and created anew between cut and cursor. The snapshot has the old one, with all that
/// it had, and nothing of the new one.
#[test]
fn c24_a_log_deleted_and_created_anew_is_in_a_snapshot_as_it_was() {
    let entries = Entries::from_slices(["anew"]).expect("one small entry");
    let entries = entries.as_ref();
    let names = ["filled", "trimmed", "kept", "sealed", "empty"];
    let later = (1..).zip(names).flat_map(|(counter, name)| {
        let put = LogCommand::AppendCreate { name, created_ms: 99, expect: None, entries };
        [LogCommand::Delete { log: log(counter) }, put, put]
    });
    changed_meanwhile(&later.collect::<Vec<_>>());
}

/// Applies these commands after every number of steps, and holds the snapshot against one in one go.
fn changed_meanwhile(commands: &[LogCommand<'_>]) {
    let fixed = machine();
    let mut still = fixed.clone();
    still.begin_snapshot();
    let reference = rest(&mut still);
    for steps in 0..=5 {
        let mut machine = fixed.clone();
        machine.begin_snapshot();
        let mut bytes = Vec::new();
        for _ in 0..steps {
            assert_eq!(machine.snapshot_step(1, &mut bytes), SnapshotStep::More);
        }
        apply(&mut machine, &value(commands, THEIRS, true));
        bytes.extend(rest(&mut machine));
        assert!(bytes == reference, "changed behind {steps} steps");
        assert_eq!(restored(&bytes), fixed);
    }
}
