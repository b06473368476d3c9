//! The encoding of values: fixed, exact, and safe against any bytes.

use super::{Rig, entries_of, value_of};
use crate::api::entries::{Entries, EntriesError};
use crate::api::{AttributeChanges, Retention};
use crate::limits::{APPEND_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_TARGET, VALUE_COMMANDS_MAX};
use crate::machine::invariants::check_state;
use crate::machine::{
    AppliedSlot, CommandError, Commands, LogCommand, MachineCommand, ValueBuilder,
};
use crate::types::{Ballot, Index, LogId, NodeId, Slot, Value};
use crate::wire::codec::DecodeError;
use proptest::prelude::*;

// The encoding is a disk format: these bytes, field by field, are what a value looks like.
#[test]
fn the_encoding_is_fixed() {
    let entries = entries_of(&["hi"]);
    let entries = entries.as_ref();
    let retention = Retention { bytes: 0x11, entries: 0x12, age_ms: 0x13 };
    let aged = AttributeChanges { retain_age_ms: Some(0x14), ..AttributeChanges::default() };
    let mut builder = ValueBuilder::new();
    for command in [
        LogCommand::Create { name: "ab", created_ms: 0x0102, retention },
        LogCommand::Delete { log: LogId(9) },
        LogCommand::Append { log: LogId(9), expect: Some(Index(5)), entries },
        LogCommand::AppendCreate { name: "ab", created_ms: 3, expect: None, entries },
        LogCommand::SetAttributes { log: LogId(9), changes: aged },
    ] {
        builder.push(command);
    }
    let value = builder.build(Ballot::new(0x0304, NodeId(7)), true, 0x0506);
    let crc = crc32c::crc32c(b"hi").to_le_bytes();
    let number = |number: u64| number.to_le_bytes();
    let entry = [&[2, 0, 0, 0][..], &crc, b"hi"].concat();
    let expected: Vec<u8> = [
        &b"PV\x01\x00\x05\x00\x00\x00"[..],
        &number(0x0304),
        &[7, 0, 1, 0],
        &number(0x0506),
        &[1, 1, 36, 0, 0, 0, 2, 0, b'a', b'b'],
        &number(0x0102),
        &number(0x11),
        &number(0x12),
        &number(0x13),
        &[2, 1, 8, 0, 0, 0],
        &number(9),
        &[3, 1, 31, 0, 0, 0],
        &number(9),
        &[1],
        &number(5),
        &[1, 0, 0, 0],
        &entry,
        &[4, 1, 27, 0, 0, 0, 2, 0, b'a', b'b'],
        &number(3),
        &[0, 1, 0, 0, 0],
        &entry,
        &[7, 1, 33, 0, 0, 0],
        &number(9),
        &[8],
        &number(0),
        &number(0),
        &number(0x14),
    ]
    .concat();
    assert_eq!(value.bytes(), expected);
}

// A builder's value comes apart into the same commands, and its offsets are where they begin.
#[test]
fn a_built_value_comes_apart_into_its_commands() {
    let entries = entries_of(&["", "x"]);
    let commands = [
        LogCommand::Delete { log: LogId(3) },
        LogCommand::Append { log: LogId(3), expect: None, entries: entries.as_ref() },
        LogCommand::Create { name: "é", created_ms: u64::MAX, retention: Retention::default() },
    ];
    let mut builder = ValueBuilder::new();
    assert!(builder.is_empty());
    let mut offsets = Vec::new();
    for (ordinal, command) in (0u32..).zip(&commands) {
        offsets.push(builder.byte_len() as u32);
        assert_eq!(builder.push(command), ordinal);
    }
    let bytes = builder.byte_len();
    let value = builder.build(Ballot::ZERO, true, 9);
    assert_eq!(value.len(), bytes);
    let found: Vec<_> = Commands::new(&value).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        found,
        offsets.into_iter().zip(commands.map(MachineCommand::Log)).collect::<Vec<_>>()
    );

    // Used again, the builder remembers nothing.
    builder.push(commands[0]);
    assert_eq!(builder.build(Ballot::ZERO, true, 0), value_of(&commands[..1]));
}

// R38: a batch that is not full takes the largest command there is, and full is said in time.
#[test]
fn r38_a_builder_that_is_not_full_takes_any_command() {
    let name = "n".repeat(NAME_BYTES_MAX);
    let largest = Entries::from_slices([vec![7u8; APPEND_BYTES_MAX - 8]]).unwrap();
    let small = Entries::from_slices([vec![7u8; 1000]]).unwrap();
    let put = |entries| LogCommand::AppendCreate {
        name: &name,
        created_ms: 1,
        expect: Some(Index(2)),
        entries,
    };
    let mut builder = ValueBuilder::new();
    while builder.byte_len() + 2000 < VALUE_BYTES_TARGET {
        builder.push(put(small.as_ref()));
    }
    assert!(!builder.is_full());
    builder.push(put(largest.as_ref()));
    assert!(builder.is_full());
    let value = builder.build(Ballot::ZERO, true, 9);
    assert!(Commands::check(&value).is_ok());

    for count in 0..VALUE_COMMANDS_MAX {
        assert!(!builder.is_full(), "full after {count} small commands");
        builder.push(LogCommand::Delete { log: LogId(1) });
    }
    assert!(builder.is_full());
}

// R38: what breaks a limit is never proposed, so that no peer ever has to refuse a chosen value.
#[test]
fn r38_a_builder_refuses_what_breaks_a_limit() {
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let large = Entries::from_slices([vec![7u8; APPEND_BYTES_MAX - 7]]).unwrap();
    let none = Entries::new();
    let append = |entries| LogCommand::Append { log: LogId(1), expect: None, entries };
    for command in [
        LogCommand::Create { name: &long, created_ms: 0, retention: Retention::default() },
        append(large.as_ref()),
        append(none.as_ref()),
    ] {
        let pushed = std::panic::catch_unwind(|| ValueBuilder::new().push(command));
        assert!(pushed.is_err(), "{command:?} was taken");
    }
}

// What a newer node may write is distinguished from damage, by number, and stops this one.
#[test]
fn what_a_newer_version_wrote_is_reported_as_such() {
    let good =
        value_of(&[LogCommand::Delete { log: LogId(1) }, LogCommand::Delete { log: LogId(2) }]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.bytes().to_vec();
        bytes[at] = byte;
        Commands::check(&Value::new(bytes)).unwrap_err()
    };
    let second = 28 + 14;
    assert_eq!(with(0, b'Q'), CommandError::Magic { found: 0x5651 });
    assert_eq!(with(2, 2), CommandError::ValueVersion { found: 2, known: 1 });
    assert_eq!(with(4, 3), CommandError::Count { stated: 3, found: 2 });
    assert_eq!(with(4, 1), CommandError::Count { stated: 1, found: 2 });
    assert_eq!(with(18, 3), CommandError::Flags { found: 3 });
    assert_eq!(with(28, 0), CommandError::UnknownKind { offset: 28, kind: 0 });
    assert_eq!(with(second, 11), CommandError::UnknownKind { offset: 42, kind: 11 });
    assert_eq!(
        with(second + 1, 2),
        CommandError::CommandVersion { offset: 42, kind: 2, found: 2, known: 1 }
    );
    // Longer by one: the first command swallows the second's kind.
    assert_eq!(
        with(28 + 2, 9),
        CommandError::Malformed { offset: 28, source: DecodeError::Trailing { bytes: 1 } }
    );
}

// A length that promises more than there is costs no memory and is an error.
#[test]
fn a_false_length_is_an_error() {
    let good = value_of(&[LogCommand::Delete { log: LogId(1) }]);
    let mut bytes = good.bytes().to_vec();
    bytes[30..34].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        Commands::check(&Value::new(bytes)),
        Err(CommandError::Malformed { offset: 28, .. })
    ));
    let mut bytes = good.bytes().to_vec();
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Commands::check(&Value::new(bytes)).unwrap_err();
    assert_eq!(error, CommandError::Count { stated: u32::MAX, found: 1 });
}

// An append has entries: one without any is no command, whoever encoded it.
#[test]
fn an_append_without_entries_is_malformed() {
    let log = 1u64.to_le_bytes();
    let header = [&b"PV\x01\x00\x01\x00\x00\x00"[..], &[0; 10], &[1, 0], &[0; 8]].concat();
    let bytes = [&header[..], &[3, 1, 13, 0, 0, 0], &log, &[0; 5]].concat();
    let source = DecodeError::Entries(EntriesError::Empty);
    let error = Commands::check(&Value::new(bytes)).unwrap_err();
    assert_eq!(error, CommandError::Malformed { offset: 28, source });
}

/// Bytes that look like a value for longer than chance allows.
fn nearly_a_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(0u8), 2 => 1u8..4, 1 => Just(b'a')];
    let command = (0u8..6, 0u8..3, 0u32..40, prop::collection::vec(byte, 0..40));
    prop::collection::vec(command, 0..4).prop_map(|commands| {
        let mut bytes = b"PV\x01\x00".to_vec();
        bytes.extend((commands.len() as u32).to_le_bytes());
        bytes.extend([0; 10]);
        bytes.extend([1, 0]);
        bytes.extend([0; 8]);
        for (kind, version, len, body) in commands {
            bytes.extend([kind, version]);
            let exact = len % 2 == 0;
            bytes.extend(if exact { body.len() as u32 } else { len }.to_le_bytes());
            bytes.extend(body);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(super::generated(512))]

    // R37: no bytes make a machine panic; what it refuses leaves it as it was.
    #[test]
    fn r37_any_bytes_are_applied_or_refused(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..80), nearly_a_value()],
    ) {
        let mut rig = Rig::new();
        rig.create("a");
        let mut machine = rig.machine.clone();
        let value = Value::new(bytes);
        match machine.apply(Slot(2), &value) {
            Ok(AppliedSlot { outcomes, .. }) => {
                check_state(&machine);
                let count = if value.is_noop() { 0 } else { Commands::check(&value).unwrap().0 };
                let void = Commands::new(&value).is_ok_and(|commands| !commands.is_first());
                prop_assert!(outcomes.len() == count as usize || void && outcomes.is_empty());
            }
            Err(_) => prop_assert_eq!(machine, rig.machine),
        }
    }

    // R37: a value with any one byte changed neither panics when applied nor when read.
    #[test]
    fn r37_a_changed_byte_never_panics(at in 0usize..200, to in any::<u8>()) {
        let mut rig = Rig::new();
        let log = rig.create("a");
        let (x, y) = (entries_of(&["xx", "yyy"]), entries_of(&["z"]));
        let (mut machine, other) = (rig.machine.clone(), LogId(77));
        rig.apply(&[
            LogCommand::Append { log, expect: None, entries: x.as_ref() },
            LogCommand::Append { log: other, expect: None, entries: x.as_ref() },
            LogCommand::AppendCreate { name: "a", created_ms: 1, expect: None, entries: y.as_ref() },
        ]);
        let mut bytes = rig.values[&Slot(2)].bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = to;
        let changed = Value::new(bytes);
        if machine.apply(Slot(2), &changed).is_ok() {
            check_state(&machine);
        }
        let mut values = rig.values.clone();
        values.insert(Slot(2), changed);
        let _ = rig.read_from(&values, log, 0, 0, 0);
    }
}
