//! Reading entries out of values, and what is damaged there.

use super::{Rig, entries_of, texts, value_of};
use crate::machine::{CommandError, EntryDamage, LogCommand, Unverified};
use crate::types::{Extent, Index, LogId, Slot, Value};

const A: LogId = LogId(1);
const B: LogId = LogId(2);

/// Two logs whose appends lie between each other, in three values.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.create("a");
    rig.create("b");
    let append = |log, expect: Option<u64>, entries| LogCommand::Append {
        log,
        expect: expect.map(Index),
        entries,
    };
    let (a01, a2, a3) = (entries_of(&["a0", "a1"]), entries_of(&["a2"]), entries_of(&["a3"]));
    let (b0, no) = (entries_of(&["b0"]), entries_of(&["no"]));
    rig.apply(&[
        append(B, None, b0.as_ref()),
        append(A, None, a01.as_ref()),
        append(B, None, b0.as_ref()),
        LogCommand::AppendCreate { name: "a", created_ms: 9, expect: None, entries: a2.as_ref() },
        append(A, Some(0), no.as_ref()),
        append(A, Some(3), a3.as_ref()),
    ]);
    rig.apply(&[]);
    rig.append(A, None, &["a4", "a5-is-longer", "a6"]);
    rig
}

const SLOT: Slot = Slot(3);

// A read returns a log's entries and no other's, from anywhere, across commands and slots; entries
// of refused appends are not among them.
#[test]
fn a_read_returns_the_logs_own_entries_in_order() {
    let rig = rig();
    let expected = ["a0", "a1", "a2", "a3", "a4", "a5-is-longer", "a6"];
    for from in 0..=7 {
        let found = rig.read(A, from, 0, 0);
        assert_eq!(texts(&found), expected[from as usize..], "from {from}");
    }
    assert_eq!(texts(&rig.read(B, 0, 0, 0)), ["b0", "b0"]);
    assert!(rig.read(A, 8, 0, 0).is_empty() && rig.read(A, u64::MAX, 0, 0).is_empty());
    // Two extents in the first value, parted by the refused append, and one in the last.
    assert_eq!(rig.extents(A, 0).count(), 3);
}

// A read stops at its limits, in the middle of a command too; one entry is answered whatever its
// size.
#[test]
fn a_read_keeps_its_limits() {
    let rig = rig();
    let read = |from, entries, bytes| rig.read(A, from, entries, bytes).len();
    for entries in 1..=7 {
        assert_eq!(read(0, entries, 0), entries as usize);
    }
    let small = 8 + 2; // An entry of two bytes and its prefix.
    assert_eq!(read(0, 0, 1), 1, "one whatever its size");
    assert_eq!(read(0, 0, 2 * small - 1), 1);
    assert_eq!(read(0, 0, 2 * small), 2);
    assert_eq!(read(0, 0, 3 * small), 3, "across commands");
    assert_eq!(read(0, 0, 5 * small), 5, "across slots");
    assert_eq!(read(0, 0, 5 * small + 19), 5, "the longer one does not fit");
    assert_eq!(read(0, 0, 5 * small + 20), 6);
    assert_eq!(read(5, 0, 1), 1);
    assert_eq!(read(3, 2, 3 * small), 2, "whichever limit comes first");
}

// A reading outlives the log's deletion and the machine's progress: it took along what it needs.
#[test]
fn a_reading_does_not_need_the_machine_any_more() {
    let mut rig = rig();
    let mut reading = rig.machine.reading(A, Index(1), 0, 0).unwrap();
    let extents: Vec<_> = rig.extents(A, 1).copied().collect();
    rig.apply(&[
        LogCommand::Delete { log: A },
        LogCommand::Create {
            name: "a",
            created_ms: 0,
            retention: crate::api::Retention::default(),
        },
    ]);
    for extent in extents {
        assert_eq!(reading.wants(), Some(extent.first.max(Index(1))));
        reading.take(&extent, extent.slot, rig.values[&extent.slot].bytes()).unwrap();
    }
    assert_eq!((reading.log(), reading.from(), reading.next()), (A, Index(1), Index(7)));
    assert_eq!(reading.finish().count(), 6);
}

/// Reads log A from the start, with the first value of appends replaced.
fn read_with(rig: &Rig, value: Value) -> (Vec<String>, Option<(Index, EntryDamage)>) {
    let mut values = rig.values.clone();
    values.insert(SLOT, value);
    let (entries, damaged) = rig.read_from(&values, A, 0, 0, 0);
    let damage = damaged.map(|damaged| {
        assert_eq!((damaged.log, damaged.slot), (A, SLOT));
        (damaged.index, damaged.damage)
    });
    (texts(&entries).into_iter().map(str::to_string).collect(), damage)
}

// C19: a damaged entry is an error at its index, what lies before it is served, and it is never
// taken for the end of the log.
#[test]
fn c19_a_damaged_entry_is_an_error_not_the_end() {
    let rig = rig();
    let good = rig.values[&SLOT].bytes().to_vec();
    for (nth, text) in ["a0", "a1", "a2", "a3"].into_iter().enumerate() {
        let data = good.windows(2).position(|bytes| bytes == text.as_bytes()).unwrap();
        for at in [data, data + 1, data - 4, data - 1] {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            let (entries, damage) = read_with(&rig, Value::new(bytes));
            assert_eq!(entries.len(), nth, "byte {at} of {text}");
            let (index, damage) = damage.unwrap();
            assert_eq!(index, Index(nth as u64));
            assert!(matches!(damage, EntryDamage::Checksum { .. }), "{damage:?}");
        }
    }
}

// C19: an intact value in the wrong place is damage: another slot's, another log's, another count.
#[test]
fn c19_a_read_verifies_slot_log_and_index() {
    let rig = rig();
    let entries = entries_of(&["a0", "a1"]);
    let append = |log| LogCommand::Append { log, expect: None, entries: entries.as_ref() };
    let extent = *rig.extents(A, 0).next().unwrap();
    let mut reading = rig.machine.reading(A, Index(0), 0, 0).unwrap();
    let error = reading.take(&extent, Slot(5), rig.values[&SLOT].bytes()).unwrap_err();
    assert_eq!((error.index, error.slot), (Index(0), SLOT));
    assert_eq!(error.damage, EntryDamage::Slot { found: Slot(5) });

    // The same shape with the logs exchanged: bytes and checksums are fine, the log is not.
    let exchanged = value_of(&[append(B), append(B)]);
    let first = rig.extents(B, 0).next().unwrap().offset;
    assert_eq!(first, 28);
    let mut reading = rig.machine.reading(A, Index(0), 0, 0).unwrap();
    let at_start = Extent { offset: 28, ..extent };
    let error = reading.take(&at_start, SLOT, exchanged.bytes()).unwrap_err();
    assert_eq!(error.damage, EntryDamage::OtherLog { offset: 28 });

    // Fewer entries of this log than the extent says, and more.
    for (commands, found) in [(1, Index(2)), (2, Index(4))] {
        let value = value_of(&vec![append(A); commands]);
        let mut reading = rig.machine.reading(A, Index(0), 0, 0).unwrap();
        let error = reading.take(&at_start, SLOT, value.bytes()).unwrap_err();
        assert_eq!(error.damage, EntryDamage::Extent { found, expected: Index(3) });
        assert_eq!(error.index, Index(2), "only the first command's entries were believed");
    }
}

// A value that is not one, or ends too early, is damage.
#[test]
fn c19_a_value_that_cannot_be_decoded_is_damage() {
    let rig = rig();
    let good = rig.values[&SLOT].bytes();
    for end in 0..good.len() {
        let (entries, damage) = read_with(&rig, Value::new(&good[..end]));
        let (index, damage) = damage.unwrap_or_else(|| panic!("{end} bytes were enough"));
        assert_eq!(index, Index(entries.len() as u64));
        assert!(entries.len() < 4, "cut at {end}: {entries:?}");
        assert!(matches!(damage, EntryDamage::Value(_) | EntryDamage::Extent { .. }), "{damage:?}");
    }
    let mut bytes = good.to_vec();
    let offset = rig.extents(A, 0).next().unwrap().offset;
    bytes[offset as usize] = 99;
    let unknown = CommandError::UnknownKind { offset, kind: 99 };
    assert_eq!(read_with(&rig, Value::new(bytes)).1, Some((Index(0), EntryDamage::Value(unknown))));
}

/// What log A reads of its first extent out of a part of the value, with the chain values around it.
fn read_part(rig: &Rig, part: &[u8]) -> Result<Vec<String>, Unverified> {
    let extents: Vec<_> = rig.extents(A, 0).copied().collect();
    let mut reading = rig.machine.reading(A, Index(1), 0, 0).unwrap();
    reading.take_part(&extents[0], part, extents[1].chain)?;
    let entries = reading.finish();
    Ok(entries.iter().map(|entry| String::from_utf8(entry.data.to_vec()).unwrap()).collect())
}

// C19, C31: a part of a value is believed only if its entries lead from one chain value to the next:
// whatever is wrong with it, no other entry is served. Zeros, which pass for an entry without bytes, and
// entries that are intact and in another order are among that.
#[test]
fn c19_a_part_is_held_against_the_chain() {
    let rig = rig();
    let extents: Vec<_> = rig.extents(A, 0).copied().collect();
    let value = rig.values[&SLOT].bytes();
    let part = &value[extents[0].offset as usize..extents[1].offset as usize];
    let good = ["a1", "a2"].map(str::to_string).to_vec();
    assert_eq!(read_part(&rig, part), Ok(good.clone()));
    assert_eq!(read_part(&rig, &value[extents[0].offset as usize..]), Ok(good.clone()));
    let mut refused = 0;
    let mut try_one = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = part.to_vec();
        change(&mut bytes);
        let found = read_part(&rig, &bytes);
        refused += usize::from(found.is_err());
        assert!(found == Err(Unverified) || found == Ok(good.clone()), "{found:?}");
    };
    for at in 0..part.len() {
        (0..8).for_each(|bit| try_one(&|bytes| bytes[at] ^= 1 << bit));
        try_one(&|bytes| bytes.truncate(at));
        (at..part.len()).for_each(|end| try_one(&|bytes| bytes[at..end].fill(0)));
    }
    assert!(refused > 1000, "{refused}");
    // Two entries of one size change places, each with its checksum.
    let entry = |text: &[u8]| part.windows(2).position(|bytes| bytes == text).unwrap() - 8;
    let (first, second) = (entry(b"a0"), entry(b"a1"));
    let mut swapped = part.to_vec();
    swapped[first..first + 10].copy_from_slice(&part[second..second + 10]);
    swapped[second..second + 10].copy_from_slice(&part[first..first + 10]);
    assert_eq!(read_part(&rig, &swapped), Err(Unverified));
}

// R39: what there is no memory for is not taken, and how large it is can be asked.
#[test]
fn r39_a_reading_keeps_to_its_memory() {
    let rig = rig();
    let extents: Vec<_> = rig.extents(A, 5).copied().collect();
    let value = rig.values[&extents[0].slot].bytes();
    let mut reading = rig.machine.reading(A, Index(5), 0, 0).unwrap();
    reading.set_room(15);
    reading.take(&extents[0], extents[0].slot, value).unwrap();
    assert_eq!((reading.lacks(), reading.wants(), reading.bytes_taken()), (Some(20), None, 0));
    reading.set_room(20);
    reading.take(&extents[0], extents[0].slot, value).unwrap();
    assert_eq!((reading.lacks(), reading.bytes_taken()), (None, 20));
}
