//! Stories of lost entries: what a declaration does to the state, and what undoes nothing of it (C32b).

use super::{Rig, entries_of};
use crate::limits::LOST_RANGES_MAX;
use crate::machine::invariants::check_state;
use crate::machine::{
    LevelCommand, LogCommand, LoseCommand, LostExtent, LostOutcome, Machine, MachineOutcome,
    RecordFault, Restore, SnapshotError, SnapshotStep, ValueBuilder,
};
use crate::types::{Ballot, FormatLevel, Index, LogId, LostRange, NodeId, ShardId, Slot};
use std::panic::catch_unwind;

/// A log of entries of ten bytes, one in each slot, in a cluster at the level of lost entries.
fn rig(entries: u64) -> (Rig, LogId) {
    let mut rig = Rig::new();
    raise(&mut rig.machine);
    let log = rig.create("a");
    for _ in 0..entries {
        rig.apply(&[LogCommand::Append {
            log,
            expect: None,
            entries: entries_of(&["0123456789"]).as_ref(),
        }]);
    }
    (rig, log)
}

fn raise(machine: &mut Machine) {
    let mut builder = ValueBuilder::new();
    builder.push(LevelCommand { level: FormatLevel::LOST_ENTRIES });
    let value = builder.build(Ballot::new(1, NodeId(1)), true, 0);
    machine.apply(machine.applied_upto().next(), &value).unwrap();
}

fn range(from: u64, before: u64) -> LostRange {
    LostRange { from: Index(from), before: Index(before) }
}

fn command(log: LogId, from: u64, before: u64) -> LoseCommand {
    let extent = LostExtent { range: range(from, before), bytes: (10 * from, 10 * before) };
    LoseCommand { log, extent }
}

/// Applies a declaration, and checks the state.
fn lose(machine: &mut Machine, log: LogId, from: u64, before: u64) -> LostOutcome {
    let mut builder = ValueBuilder::new();
    builder.set_level(FormatLevel::LOST_ENTRIES);
    builder.push(command(log, from, before));
    let value = builder.build(Ballot::new(9, NodeId(1)), true, 0);
    let outcomes = machine.apply(machine.applied_upto().next(), &value).unwrap().outcomes;
    check_state(machine);
    let [MachineOutcome::Lost(outcome)] = outcomes[..] else { panic!("{outcomes:?}") };
    outcome
}

fn ranges(machine: &Machine, log: LogId) -> Vec<(u64, u64)> {
    let losses = machine.lost().of(log);
    losses.map_or(Vec::new(), |losses| losses.ranges().map(|r| (r.from.0, r.before.0)).collect())
}

fn snapshot(machine: &mut Machine) -> Vec<u8> {
    machine.begin_snapshot();
    let mut bytes = Vec::new();
    while machine.snapshot_step(usize::MAX, &mut bytes) == SnapshotStep::More {}
    bytes
}

fn restored(bytes: &[u8]) -> Result<Machine, SnapshotError> {
    let mut restore = Restore::new(ShardId(0), 1, FormatLevel(7));
    restore.take(bytes).and_then(|()| restore.finish())
}

// C32b: neighbours become one range, so that the state is small, and indexes stay where they are.
#[test]
fn c32b_ranges_that_touch_are_one() {
    let (mut rig, log) = rig(20);
    let machine = &mut rig.machine;
    let declared = |from, before| LostOutcome::Declared { log, range: range(from, before) };
    assert_eq!(lose(machine, log, 4, 6), declared(4, 6));
    assert_eq!(lose(machine, log, 10, 12), declared(10, 12));
    assert_eq!(ranges(machine, log), [(4, 6), (10, 12)]);
    assert_eq!(lose(machine, log, 6, 8), declared(6, 8));
    assert_eq!(ranges(machine, log), [(4, 8), (10, 12)]);
    assert_eq!(lose(machine, log, 5, 11), declared(5, 11));
    assert_eq!(ranges(machine, log), [(4, 12)]);
    assert_eq!(lose(machine, log, 4, 12), declared(4, 12), "asking twice is asking once");
    assert_eq!(ranges(machine, log), [(4, 12)]);
    assert_eq!(machine.logs().next_index(log), Some(Index(20)));
    let at = |index| machine.lost().at(log, Index(index));
    assert_eq!(
        (at(3), at(4), at(11), at(12)),
        (None, Some(range(4, 12)), Some(range(4, 12)), None)
    );
    assert_eq!(machine.live_bytes(), 120, "lost bytes do not count");
    assert!(
        machine.is_live(log, Index(11), Index(13)) && !machine.is_live(log, Index(5), Index(12))
    );
}

// C32b: a declaration means what is there when it takes effect: trimmed entries are passed over, and a log that
// is gone, or created anew under the same name, is not meant.
#[test]
fn c32b_a_declaration_means_what_is_left() {
    let (mut rig, log) = rig(10);
    rig.apply(&[LogCommand::Trim { log, before: Index(3), bytes_before: 30 }]);
    let machine = &mut rig.machine;
    let declared = LostOutcome::Declared { log, range: range(3, 5) };
    assert_eq!(lose(machine, log, 1, 5), declared);
    let out = LostOutcome::OutOfRange { log, first: Index(3), next: Index(10) };
    assert_eq!([lose(machine, log, 0, 3), lose(machine, log, 9, 11)], [out; 2]);
    assert_eq!(ranges(machine, log), [(3, 5)]);
    rig.apply(&[LogCommand::Delete { log }]);
    assert!(rig.machine.lost().is_empty());
    let again = rig.create("a");
    assert_eq!(lose(&mut rig.machine, log, 3, 5), LostOutcome::UnknownLog);
    assert_eq!(ranges(&rig.machine, again), []);
}

// C32b: what is trimmed is lost no more, it is gone: the state does not grow with what is behind it.
#[test]
fn c32b_trims_pass_over_lost_entries() {
    let (mut rig, log) = rig(10);
    lose(&mut rig.machine, log, 2, 4);
    lose(&mut rig.machine, log, 6, 9);
    let live = |rig: &Rig| rig.machine.live_bytes();
    assert_eq!(live(&rig), 50);
    rig.apply(&[LogCommand::Trim { log, before: Index(5), bytes_before: 50 }]);
    assert_eq!((ranges(&rig.machine, log), live(&rig)), (vec![(6, 9)], 20));
    rig.apply(&[LogCommand::Trim { log, before: Index(7), bytes_before: 70 }]);
    assert_eq!((ranges(&rig.machine, log), live(&rig)), (vec![(7, 9)], 10));
    rig.apply(&[LogCommand::Trim { log, before: Index(9), bytes_before: 90 }]);
    assert_eq!((ranges(&rig.machine, log), live(&rig)), (vec![], 10));
    assert_eq!(rig.machine.lost().ranges(), 0);
}

// C32b, R23: two states that differ in a lost entry have different digests; once it is trimmed they are those of
// states in which none was ever lost.
#[test]
fn c32b_the_digest_has_what_is_lost() {
    let (rig, log) = rig(10);
    let with = |ranges: &[(u64, u64)]| {
        let mut machine = rig.machine.clone();
        for (from, before) in ranges {
            lose(&mut machine, log, *from, *before);
        }
        machine.apply(Slot(machine.applied_upto().0 + 1), &crate::types::Value::noop()).unwrap();
        machine
    };
    let (one, other) = (with(&[(2, 4), (6, 7)]), with(&[(6, 7), (2, 5)]));
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest(), with(&[(6, 7), (2, 4)]).digest(), "whatever came first");
}

// C23: a checkpoint has what is lost, byte for byte the same on all nodes, and a restored state is the one that
// was written.
#[test]
fn c23_a_checkpoint_has_lost_entries() {
    let (mut rig, log) = rig(10);
    let other = rig.create("b");
    rig.apply(&[LogCommand::Append {
        log: other,
        expect: None,
        entries: entries_of(&["x"]).as_ref(),
    }]);
    for (log, from, before) in [(other, 0, 1), (log, 2, 4), (log, 7, 8)] {
        lose(&mut rig.machine, log, from, before);
    }
    let bytes = snapshot(&mut rig.machine);
    let mut again = restored(&bytes).unwrap();
    check_state(&again);
    assert_eq!(again, rig.machine);
    assert_eq!(snapshot(&mut again), bytes);
}

// C32c: below the level of lost entries a state is written as programs write it that know of none.
#[test]
fn c32c_the_first_level_has_no_section_of_lost_entries() {
    let mut rig = Rig::new();
    rig.create("a");
    let first = snapshot(&mut rig.machine);
    assert_eq!(first[11..13], 1u16.to_le_bytes(), "the format of the state");
    raise(&mut rig.machine);
    let raised = snapshot(&mut rig.machine);
    assert_eq!(raised[11..13], 2u16.to_le_bytes());
    assert_eq!(raised.len(), first.len() + 2 + 1 + 3 + 8, "the head of an empty section");
    let mut mixed = raised;
    mixed[11] = 1;
    let fault = restored(&mixed).unwrap_err();
    let newer = RecordFault::Version { found: 1, known: 2 };
    assert!(matches!(&fault, SnapshotError::Record { fault, .. } if *fault == newer), "{fault:?}");
}

// C44d: no value has the command before every member knows it.
#[test]
fn c44d_nothing_is_declared_lost_below_its_level() {
    let push = || ValueBuilder::new().push(command(LogId(1), 0, 1));
    assert!(catch_unwind(push).is_err(), "proposed at level 1");
}

// R38: the state stays small: beyond the bound nothing is declared, but neighbours still join.
#[test]
fn c32b_the_lost_ranges_of_a_shard_are_bounded() {
    let most = LOST_RANGES_MAX as u64;
    let (mut rig, log) = rig(2 * most + 2);
    for nth in 0..most {
        let declared = lose(&mut rig.machine, log, 2 * nth, 2 * nth + 1);
        assert!(matches!(declared, LostOutcome::Declared { .. }), "{nth}: {declared:?}");
    }
    assert_eq!(lose(&mut rig.machine, log, 2 * most, 2 * most + 1), LostOutcome::TooMany);
    assert_eq!(rig.machine.lost().ranges(), LOST_RANGES_MAX);
    assert!(matches!(lose(&mut rig.machine, log, 1, 2), LostOutcome::Declared { .. }));
    assert_eq!(rig.machine.lost().ranges(), LOST_RANGES_MAX - 1);
    let bytes = snapshot(&mut rig.machine);
    assert_eq!(restored(&bytes).unwrap().digest(), rig.machine.digest());
}

// C32b: an answer to a read ends in front of what is lost, and has none of it, also where it was declared while
// the answer was made.
#[test]
fn c32b_an_answer_ends_in_front_of_what_is_lost() {
    let (mut rig, log) = rig(10);
    let mut begun = rig.machine.reading(log, Index(2), 0, 0).unwrap();
    lose(&mut rig.machine, log, 4, 6);
    let mut reading = rig.machine.reading(log, Index(2), 0, 0).unwrap();
    assert_eq!(reading.entries_left(), 2);
    for reading in [&mut begun, &mut reading] {
        for index in 2..10 {
            if reading.wants().is_none() {
                break;
            }
            let extent = *rig.extents(log, index).next().unwrap();
            let value = &rig.values[&extent.slot];
            reading.take(&extent, extent.slot, value.bytes()).unwrap();
        }
    }
    assert_eq!((begun.next(), reading.next()), (Index(10), Index(4)));
    begun.end_before(Index(4));
    assert_eq!(begun.finish().count(), 2);
    let behind = rig.machine.reading(log, Index(6), 0, 0).unwrap();
    assert!(behind.entries_left() > 100);
}
