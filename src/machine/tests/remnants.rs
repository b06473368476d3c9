//! What is left of a value: the appends of live extents, and nothing else (C30).

use super::{KNOWN, Rig, entries_of, texts, value_of};
use crate::machine::{
    CommandError, EntryDamage, LogCommand, Machine, NamedExtent, appended_logs, chain_behind,
    cut_down, has_extent, is_remnant,
};
use crate::types::{Ballot, Extent, Index, LogId, NodeId, ShardId, Slot, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A value with appends to several logs, some of which join each other's extents, and some large.
fn rig(appends: &[(u8, u8, bool)]) -> Rig {
    let mut rig = Rig::new();
    for log in 0..3 {
        rig.create(&format!("log-{log}"));
    }
    let names = ["log-0", "log-1", "log-2"];
    let large = "x".repeat(5_000);
    let texts = |(at, append): (usize, &(u8, u8, bool))| {
        let number = format!("{at}-{}", append.0);
        let texts = vec![if append.2 { number + &large } else { number }; 1 + append.1 as usize];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        entries_of(&texts)
    };
    let entries: Vec<_> = appends.iter().enumerate().map(texts).collect();
    let mut commands = Vec::new();
    for (append, entries) in appends.iter().zip(&entries) {
        let (log, entries) = (append.0 % 3, entries.as_ref());
        commands.push(match append.0 {
            0..3 => LogCommand::Append { log: LogId(1 + u64::from(log)), expect: None, entries },
            3..6 => {
                let (name, created_ms, expect) = (names[log as usize], 1, None);
                LogCommand::AppendCreate { name, created_ms, expect, entries }
            }
            // Refused: what comes behind begins an extent of its own.
            6..9 => {
                let (log, expect) = (LogId(1 + u64::from(log)), Some(Index(1 << 40)));
                LogCommand::Append { log, expect, entries }
            }
            _ => LogCommand::Trim {
                log: LogId(1 + u64::from(log)),
                before: Index(0),
                bytes_before: 0,
            },
        });
    }
    rig.apply(&commands);
    rig
}

const SLOT: Slot = Slot(4);

fn rows(rig: &Rig) -> Vec<(LogId, Extent)> {
    let of_log = |(log, extents): (&LogId, &Vec<Extent>)| {
        extents.iter().map(|extent| (*log, *extent)).collect::<Vec<_>>()
    };
    rig.extents.iter().flat_map(of_log).collect()
}

/// What is left of a value, when these of its rows are kept.
fn cut(rig: &Rig, value: &Value, kept: &[(LogId, Extent)]) -> Result<Option<Value>, EntryDamage> {
    let named =
        |(log, extent): &(LogId, Extent)| (*log, rig.machine.logs().name(*log).unwrap(), *extent);
    let live: Vec<NamedExtent<'_>> = kept.iter().map(named).collect();
    cut_down(value, &live)
}

/// The entries of a row, as a value or what is left of it gives them.
fn read(rig: &Rig, (log, extent): &(LogId, Extent), value: &Value) -> Result<Vec<Vec<u8>>, String> {
    let mut cursor = rig.machine.reading(*log, extent.first, extent.count, 0).unwrap();
    cursor.take(extent, SLOT, value.bytes()).map_err(|damaged| damaged.damage.to_string())?;
    Ok(cursor.finish().iter().map(|entry| entry.data.to_vec()).collect())
}

fn chain(rig: &Rig, (log, extent): &(LogId, Extent), value: &Value) -> Result<u64, EntryDamage> {
    chain_behind(value, (*log, rig.machine.logs().name(*log).unwrap()), extent)
}

/// Every kept row reads as it did, and every other one is an error.
fn check(rig: &Rig, whole: &Value, left: &Value, kept: &[(LogId, Extent)]) {
    assert!(is_remnant(left) && !is_remnant(whole));
    for row in rows(rig) {
        let (found, expected) = (read(rig, &row, left), read(rig, &row, whole));
        if kept.contains(&row) {
            assert_eq!(found, expected);
            assert_eq!(chain(rig, &row, left), chain(rig, &row, whole));
            assert!(has_extent(left, &row.1));
        } else {
            found.unwrap_err();
            chain(rig, &row, left).unwrap_err();
            assert!(!has_extent(left, &row.1));
        }
    }
    let names: BTreeMap<String, LogId> =
        (0..3).map(|n| (format!("log-{n}"), LogId(1 + n))).collect();
    let (ids, by_name) = appended_logs(left).unwrap();
    let found: BTreeSet<LogId> = ids.into_iter().chain(by_name.iter().map(|n| names[n])).collect();
    assert_eq!(found, kept.iter().map(|(log, _)| *log).collect());
}

proptest! {
    #![proptest_config(super::generated(256))]

    /// C30: whichever rows are kept, these and no others are read, with the very same entries; and so it is when
    /// what is left is cut down once more.
    #[test]
    fn c30_what_is_kept_is_read_and_nothing_else(
        appends in proptest::collection::vec((0u8..10, 0u8..3, any::<bool>()), 1..24),
        first in any::<u64>(),
        second in any::<u64>(),
    ) {
        let rig = rig(&appends);
        let whole = rig.values[&SLOT].clone();
        let keeps = |rows: Vec<(LogId, Extent)>, mask: u64| {
            let kept = rows.into_iter().enumerate().filter(|(at, _)| mask >> (at % 64) & 1 == 1);
            kept.map(|(_, row)| row).collect::<Vec<_>>()
        };
        let kept = keeps(rows(&rig), first);
        if let Some(left) = cut(&rig, &whole, &kept).unwrap() {
            prop_assert!(8 * left.len() <= 7 * whole.len());
            check(&rig, &whole, &left, &kept);
            let fewer = keeps(kept.clone(), second);
            let again = cut(&rig, &left, &fewer).unwrap().expect("of a remnant a remnant is left");
            check(&rig, &whole, &again, &fewer);
            if let Some(other) = rows(&rig).iter().find(|row| !kept.contains(row)) {
                cut(&rig, &left, &[*other]).unwrap_err();
            }
        }
    }

    /// C30: whatever bytes stand in the place of a remnant, nothing panics, and no row gives what the value did not.
    #[test]
    fn c30_a_spoilt_remnant_gives_nothing_wrong(
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        cut_at in any::<prop::sample::Index>(),
    ) {
        let rig = rig(&[(0, 1, false), (1, 0, true), (3, 2, false), (1, 0, true), (2, 0, false)]);
        let whole = rig.values[&SLOT].clone();
        let kept: Vec<_> = rows(&rig).into_iter().filter(|(log, _)| *log != LogId(2)).collect();
        let left = cut(&rig, &whole, &kept).unwrap().expect("most of it is dead");
        let mut flipped = left.bytes().to_vec();
        flipped[at.index(left.len())] ^= 1 << bit;
        let short = left.bytes()[..cut_at.index(left.len())].to_vec();
        for bytes in [flipped, short] {
            let spoilt = Value::new(bytes);
            let _fails_or_not = appended_logs(&spoilt);
            for row in rows(&rig) {
                if let Ok(entries) = read(&rig, &row, &spoilt) {
                    prop_assert_eq!(Ok(entries), read(&rig, &row, &whole));
                }
            }
        }
    }
}

// C30: each byte of a remnant stands where docs/JOURNAL.md says.
#[test]
fn c30_the_layout_of_a_remnant_is_fixed() {
    let mut rig = Rig::new();
    let (a, b) = (rig.create("a"), rig.create("b"));
    let mut builder = crate::machine::ValueBuilder::new();
    let (dead, one, two) =
        (entries_of(&["dead".repeat(50).as_str()]), entries_of(&["1"]), entries_of(&["22"]));
    for (log, entries) in [(b, &dead), (a, &one), (b, &dead), (a, &two)] {
        let entries = entries.as_ref();
        builder.push(LogCommand::Append { log, expect: None, entries });
    }
    let value = builder.build(Ballot::new(9, NodeId(2)), true, 0x1122);
    let applied = rig.machine.apply(Slot(3), &value).unwrap();
    let kept: Vec<_> = applied.extents.into_iter().filter(|(log, _)| *log == a).collect();
    assert_eq!(kept.len(), 1);
    let left = cut(&rig, &value, &kept).unwrap().unwrap();
    let number = |from: usize, len: usize| {
        let bytes = &left.bytes()[from..from + len];
        bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    // An append of one byte: header, log, no expectation, number of entries, length, checksum, byte.
    let (first, second) = (6 + 8 + 1 + 4 + 8 + 1, 6 + 8 + 1 + 4 + 8 + 2);
    let offset = kept[0].1.offset as usize;
    let header = [(0, 2, 0x5250), (2, 2, 1), (4, 4, 1), (8, 8, 9), (16, 2, 2), (18, 2, 1)];
    let rest = [(20, 8, 0x1122), (28, 4, value.len() as u64)];
    let row = [(32, 4, offset as u64), (36, 4, first as u64 + second as u64)];
    for (from, len, expected) in header.into_iter().chain(rest).chain(row) {
        assert_eq!(number(from, len), expected, "{len} bytes at {from}");
    }
    assert_eq!(left.bytes()[40..40 + first], value.bytes()[offset..offset + first]);
    assert_eq!(left.bytes()[40 + first..], value.bytes()[value.len() - second..]);
    assert_eq!(left.len(), 40 + first + second);
}

// C30: a remnant is never applied, and the error says what it is.
#[test]
fn c30_a_remnant_is_not_applied() {
    let rig = rig(&[(0, 0, false), (1, 0, true), (4, 0, true)]);
    let whole = rig.values[&SLOT].clone();
    let left = cut(&rig, &whole, &rows(&rig)[..1]).unwrap().unwrap();
    let mut machine = Machine::new(ShardId(0), 1);
    machine.set_known_level(KNOWN);
    let error = machine.apply(Slot(1), &left).unwrap_err();
    assert_eq!(error.source, CommandError::Remnant);
    assert!(error.to_string().contains("slot 1 cannot be applied: it is a remnant"), "{error}");
    assert_eq!(machine.applied_upto(), Slot(0));
}

// C30: where nearly all of a value lives, it is kept whole.
#[test]
fn c30_a_value_that_mostly_lives_stays_whole() {
    let rig = rig(&[(0, 0, true), (1, 0, true), (2, 0, false)]);
    let whole = rig.values[&SLOT].clone();
    let all = rows(&rig);
    assert_eq!(cut(&rig, &whole, &all).unwrap(), None);
    assert_eq!(cut(&rig, &whole, &all[..2]).unwrap(), None);
    let left = cut(&rig, &whole, &all[..1]).unwrap().unwrap();
    assert_eq!(read(&rig, &all[0], &left).unwrap().len(), 1);
    assert_eq!(value_of(&[]), Value::noop());
    assert_eq!(cut(&rig, &Value::noop(), &[]).unwrap(), None);
}

// C31: entries before the first index of a log stay, where they share an extent with one that lives.
#[test]
fn c31_an_extent_is_kept_as_a_whole() {
    let rig = rig(&[(0, 2, false), (1, 0, true), (0, 1, false)]);
    let all = rows(&rig);
    assert_eq!((all[0].0, all[0].1.count), (LogId(1), 5));
    let left = cut(&rig, &rig.values[&SLOT], &all[..1]).unwrap().unwrap();
    let mut values = rig.values.clone();
    values.insert(SLOT, left);
    let (entries, damaged) = rig.read_from(&values, LogId(1), 3, 0, 0);
    assert_eq!(damaged, None);
    assert_eq!(texts(&entries), ["2-0", "2-0"]);
}
