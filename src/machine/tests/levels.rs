//! Stories of the format level: who may propose what, and who may apply it (C32c, C44d).

use super::{Rig, new_machine};
use crate::machine::feature::FeatureCommand;
use crate::machine::invariants::check_state;
use crate::machine::{
    CommandError, CommandKind, CutCommand, LevelCommand, LogCommand, LoseCommand, LostExtent,
    Machine, MachineOutcome, RecordFault, Restore, SnapshotError, SnapshotStep, ValueBuilder,
};
use crate::types::{Ballot, FormatLevel, Index, LogId, LostRange, NodeId, ShardId, Slot, Value};
use std::panic::catch_unwind;

/// A value of one command, first of its leadership or behind others.
fn value(round: u64, level: u16, is_first: bool) -> Value {
    let mut builder = ValueBuilder::new();
    builder.push(LevelCommand { level: FormatLevel(level) });
    builder.build(Ballot::new(round, NodeId(1)), is_first, 0)
}

/// A command of a later program.
struct LaterCommand;

impl FeatureCommand for LaterCommand {
    fn kind_number(&self) -> u8 {
        200
    }

    fn needed_level(&self) -> FormatLevel {
        FormatLevel(2)
    }

    fn encode_body(&self, _out: &mut Vec<u8>) {}

    fn check_limits(&self) {}
}

// The level rises by what takes effect, and never falls.
#[test]
fn c32c_the_level_only_rises() {
    let mut machine = new_machine(ShardId(0), 1);
    let mut levels = vec![(machine.levels().level().0, machine.levels().since().0, None)];
    let values = [
        value(1, 1, true),
        value(1, 3, false),
        value(1, 2, false),
        value(2, 4, false),
        value(2, 4, true),
    ];
    for (slot, value) in (1..).map(Slot).zip(&values) {
        let outcomes = machine.apply(slot, value).unwrap().outcomes;
        check_state(&machine);
        let raised =
            outcomes.first().map(|outcome| *outcome == MachineOutcome::Level { raised: true });
        levels.push((machine.levels().level().0, machine.levels().since().0, raised));
    }
    let (raised, kept) = (Some(true), Some(false));
    let expected =
        [(1, 0, None), (1, 0, kept), (3, 2, raised), (3, 2, kept), (3, 2, None), (4, 5, raised)];
    assert_eq!(
        levels, expected,
        "level, since, and whether the slot raised it; the fourth slot is void"
    );
}

// C44d: a value that raises the level past what the program knows changes nothing, not even by the commands
// in front of the raise; a void one concerns nobody.
#[test]
fn c44d_a_level_that_is_not_known_is_refused_before_anything_of_it() {
    let rig = Rig::new();
    let mut builder = ValueBuilder::new();
    builder.push(CutCommand);
    builder.push(LevelCommand { level: FormatLevel(8) });
    builder.push(LogCommand::Delete { log: LogId(1) });
    let (ballot, mut machine) = (Ballot::new(1, NodeId(1)), rig.machine.clone());
    let value = builder.build(ballot, true, 9);
    let error = machine.apply(Slot(1), &value).unwrap_err();
    let (found, known) = (FormatLevel(8), FormatLevel(7));
    assert_eq!(error.source, CommandError::Level { found, known });
    let text = error.to_string();
    assert!(
        text.contains("slot 1 cannot be applied") && text.contains("it needs an upgrade"),
        "{text}"
    );
    assert_eq!(machine, rig.machine);

    builder.push(LevelCommand { level: FormatLevel(8) });
    let void = builder.build(ballot, false, 9);
    assert_eq!(machine.apply(Slot(1), &void).unwrap().outcomes, []);
    machine.set_known_level(FormatLevel(8));
    machine.apply(Slot(2), &value).unwrap();
    assert_eq!(machine.levels().level(), FormatLevel(8));
}

// C44d: no value is built with a command that the cluster's level does not allow.
#[test]
fn c44d_a_kind_is_not_proposed_below_its_level() {
    let push = |level: u16| {
        let mut builder = ValueBuilder::new();
        builder.set_level(FormatLevel(level));
        builder.push_feature(&LaterCommand)
    };
    assert!(catch_unwind(|| push(1)).is_err(), "proposed at level 1");
    assert_eq!([push(2), push(3)], [0, 0]);
    let mut builder = ValueBuilder::new();
    builder.set_level(FormatLevel(2));
    builder.set_level(FormatLevel(1));
    assert_eq!(builder.push_feature(&LaterCommand), 0, "a level does not fall");
}

// C44d: all kinds that this program proposes are known at the level of a new cluster, or there is a higher
// one that this program knows.
#[test]
fn c44d_every_kind_has_a_level_that_this_program_knows() {
    let kinds: Vec<u8> =
        (0..=u8::MAX).filter(|kind| CommandKind::from_number(*kind).is_some()).collect();
    assert_eq!(
        kinds,
        (1..=10).collect::<Vec<u8>>(),
        "a new kind needs a level that is not reached yet"
    );
    let cut = CutCommand.needed_level();
    let raise = LevelCommand { level: FormatLevel(9) }.needed_level();
    let log = LogCommand::Delete { log: LogId(1) }.needed_level();
    assert_eq!([cut, raise, log], [FormatLevel::FIRST; 3]);
    let range = LostRange { from: Index(1), before: Index(2) };
    let lose = LoseCommand { log: LogId(1), extent: LostExtent { range, bytes: (0, 0) } };
    assert_eq!(lose.needed_level(), FormatLevel(2));
    assert!(lose.needed_level() <= FormatLevel::KNOWN);
}

// C32c: what is written at a level is what all members that know it can read.
#[test]
fn c32c_a_value_has_the_version_of_the_clusters_level() {
    let mut builder = ValueBuilder::new();
    for level in [FormatLevel::FIRST, FormatLevel::KNOWN] {
        builder.set_level(level);
        builder.push(CutCommand);
        let value = builder.build(Ballot::ZERO, true, 0);
        assert_eq!(value.bytes()[2..4], level.versions().value.to_le_bytes());
        assert!(Machine::new(ShardId(0), 1).apply(Slot(1), &value).is_ok());
    }
}

// C32c: a state of a level that the program does not know is refused as such, before all that follows it.
#[test]
fn c32c_a_state_of_a_level_that_is_not_known_is_refused_as_such() {
    let mut machine = new_machine(ShardId(0), 1);
    machine.apply(Slot(1), &value(1, 3, true)).unwrap();
    machine.begin_snapshot();
    let mut bytes = Vec::new();
    assert_eq!(machine.snapshot_step(usize::MAX, &mut bytes), SnapshotStep::Done);
    let restore = |known| {
        let mut restore = Restore::new(ShardId(0), 1, FormatLevel(known));
        restore.take(&bytes).and_then(|()| restore.finish())
    };
    assert!(restore(3).is_ok());
    let (found, known) = (FormatLevel(3), FormatLevel(2));
    let fault = RecordFault::Level { found, known };
    assert_eq!(restore(2), Err(SnapshotError::Record { offset: 44, fault }));
}
