//! Spans: which logs a range of slots has entries of, and files that are rotten, cut short or lost.

use crate::rig::{OWNER, Row, Shard, log, write, write_all};
use paxosd::index::{
    EntryIndex, PartsOfRuns, RunError, Span, SpanPart, SpanRow, SpanSpec, merge,
    parse_span_file_name, span_file_name, write_span,
};
use paxosd::storage::{MemStorage, Storage, StorageError};
use paxosd::types::{FileOwner, FormatLevel, Index, LogId, NodeId, Random, RunId, Slot};
use std::collections::BTreeMap;

const BLOCK: u64 = 4096;

fn spec(after: u64, upto: Slot) -> SpanSpec {
    SpanSpec { owner: OWNER, after: Slot(after), upto }
}

/// What a span of the slots above `after` up to `upto` is to have, by a plain model.
fn expected(rows: &[Row], after: Slot, upto: Slot) -> Vec<SpanPart> {
    let mut parts: BTreeMap<LogId, SpanPart> = BTreeMap::new();
    for (log, extent) in rows.iter().filter(|(_, row)| after < row.slot && row.slot <= upto) {
        let last = Index(extent.end().0 - 1);
        let new = SpanRow { log: *log, last, entries: 0 };
        let fresh = SpanPart { row: new, slots: (extent.slot, extent.slot) };
        let part = parts.entry(*log).or_insert(fresh);
        part.row.entries += u64::from(extent.count);
        part.row.last = part.row.last.max(last);
        part.slots.1 = part.slots.1.max(extent.slot);
    }
    parts.into_values().collect()
}

fn write_parts(
    storage: &dyn Storage,
    spec: &SpanSpec,
    parts: &[SpanPart],
) -> Result<Span, RunError> {
    write_span(storage, (spec, FormatLevel::FIRST), &mut parts.iter().map(|part| Ok(*part)))
}

fn read_all(storage: &dyn Storage, span: &Span) -> Result<Vec<SpanRow>, RunError> {
    let (mut rows, mut before) = (Vec::new(), None);
    for block in 0..span.blocks() {
        rows.extend(span.read_block(storage, block, before)?);
        before = rows.last().map(|row: &SpanRow| row.log);
    }
    Ok(rows)
}

fn rows_of(parts: &[SpanPart]) -> Vec<SpanRow> {
    parts.iter().map(|part| part.row).collect()
}

/// A span of many logs, which takes some blocks.
fn large_span() -> (MemStorage, Span, Vec<SpanPart>) {
    let part = |number: u64| {
        let row = SpanRow { log: log(1 + 7 * number), last: Index(number * 1_000), entries: 1 };
        SpanPart { row, slots: (Slot(11 + number % 5), Slot(20 + number % 9)) }
    };
    let parts: Vec<SpanPart> = (0..2_500).map(part).collect();
    let storage = MemStorage::new();
    let span = write_parts(&storage, &spec(10, Slot(30)), &parts).unwrap();
    assert!(span.blocks() >= 3, "{} blocks", span.blocks());
    (storage, span, parts)
}

/// C26: a span of what is frozen has one row for each log, with its last index, and it comes back as it
/// was written; so does one that is made of the runs of its slots.
#[test]
fn c26_a_span_has_each_log_once_with_its_last_index() {
    for seed in 0..40 {
        let storage = MemStorage::new();
        let mut shard = Shard::new(seed);
        let mut index = EntryIndex::default();
        let (mut all, mut parts) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let after = shard.slot;
            let rows = shard.go_on(60);
            let mut in_order = rows.clone();
            in_order.sort_by_key(|(_, extent)| (extent.slot, extent.offset));
            index.record(&in_order);
            let upto = shard.slot;
            let Some(frozen) = index.freeze(upto) else { continue };
            let of_span = expected(&rows, after, upto);
            let span = write_span(
                &storage,
                (&spec(after.0, upto), FormatLevel::FIRST),
                &mut frozen.span_parts(),
            )
            .unwrap();
            assert_eq!(read_all(&storage, &span).unwrap(), rows_of(&of_span), "seed {seed}");
            let lowest = of_span.iter().map(|part| part.slots.0).min();
            let highest = of_span.iter().map(|part| part.slots.1).max();
            assert_eq!(span.slots(), lowest.zip(highest), "seed {seed}");
            let entries: u64 = of_span.iter().map(|part| part.row.entries).sum();
            assert_eq!((span.rows(), span.entries()), (of_span.len() as u64, entries));
            let opened = Span::open(&storage, &span_file_name(upto), &OWNER).unwrap();
            assert_eq!(opened, span, "seed {seed}");
            index.run_written(write(&storage, 1 + parts.len() as u64, after, upto, &rows)).unwrap();
            all.extend(rows);
            parts.push((after, upto));
        }
        all.sort_by_key(|(log, extent)| (*log, extent.first));
        // Any range of slots, be it that of a span that was lost or of several.
        for (after, upto) in [parts[0], parts[1], (parts[1].0, parts[3].1)] {
            let spec = spec(after.0, upto);
            let mut made = PartsOfRuns::open(&storage, index.runs().runs(), &spec).unwrap();
            let span = write_span(&storage, (&spec, FormatLevel::FIRST), &mut made).unwrap();
            let of_span = rows_of(&expected(&all, after, upto));
            assert_eq!(read_all(&storage, &span).unwrap(), of_span, "seed {seed}");
        }
    }
}

/// C26: of runs that were merged a span lacks only what is dead: every live entry of its slots is in it.
#[test]
fn c26_a_span_made_of_merged_runs_has_all_that_is_live() {
    for seed in 0..40 {
        let storage = MemStorage::new();
        let mut shard = Shard::new(seed);
        let parts: Vec<(Slot, Vec<Row>)> = (0..4)
            .map(|_| {
                let rows = shard.go_on(60);
                (shard.slot, rows)
            })
            .collect();
        let set = write_all(&storage, &parts);
        let mut live = shard.live.iter().map(|(log, first)| (*log, *first));
        let merged =
            merge(&storage, &OWNER, set.runs(), (RunId(9), FormatLevel::FIRST), &mut live).unwrap();
        let (after, upto) = (parts[0].0, parts[2].0);
        let (spec, merged) = (spec(after.0, upto), [merged.into()]);
        let mut made = PartsOfRuns::open(&storage, &merged, &spec).unwrap();
        let span = write_span(&storage, (&spec, FormatLevel::FIRST), &mut made).unwrap();
        let found = read_all(&storage, &span).unwrap();
        let mut all: Vec<Row> = parts.into_iter().flat_map(|(_, rows)| rows).collect();
        all.sort_by_key(|(log, extent)| (*log, extent.first));
        for part in expected(&all, after, upto) {
            let log = part.row.log;
            let is_live = shard.live.get(&log).is_some_and(|first| *first <= part.row.last);
            let last = found.iter().find(|row| row.log == log).map(|row| row.last);
            assert!(!is_live || last == Some(part.row.last), "seed {seed}: {part:?}, {last:?}");
        }
    }
}

/// A span without a row is whole, and says that it has no slot.
#[test]
fn an_empty_span_has_no_slots() {
    let storage = MemStorage::new();
    let span = write_parts(&storage, &spec(3, Slot(9)), &[]).unwrap();
    let opened = Span::open(&storage, span.name(), &OWNER).unwrap();
    assert_eq!((opened.slots(), opened.blocks(), opened.rows()), (None, 0, 0));
    opened.verify(&storage).unwrap();
}

/// C26: no flipped bit is believed. One in the header or the footer is noticed when the span is opened,
/// one in the rows when they are read: a row that is not read as it was written might hide a live entry.
#[test]
fn c26_every_flipped_bit_of_a_span_is_noticed() {
    let (storage, span, parts) = large_span();
    let bytes = span.file_bytes();
    let mut random = Random::new(4);
    for at in 0..bytes {
        let one = random.below(8);
        for bit in if at % BLOCK < 64 { 0..8 } else { one..one + 1 } {
            let flip = |bytes: &mut [u8]| bytes[0] ^= 1 << bit;
            storage.rot(span.name(), at..at + 1, flip);
            let found = Span::open(&storage, span.name(), &OWNER);
            let outside = at < BLOCK || at >= bytes - BLOCK;
            let found = if outside { found.map(drop) } else { read_all(&storage, &span).map(drop) };
            let Err(RunError::Damaged(damage)) = found else {
                panic!("bit {bit} of byte {at}: {found:?}")
            };
            let block = at / BLOCK * BLOCK;
            assert_eq!((damage.file.as_str(), damage.offset), (span.name(), block));
            storage.rot(span.name(), at..at + 1, flip);
        }
    }
    assert_eq!(read_all(&storage, &span).unwrap(), rows_of(&parts));
}

/// A span of another owner, under another name, or cut short, is not believed.
#[test]
fn c26_a_span_of_another_place_is_refused() {
    let (storage, span, _) = large_span();
    let other = FileOwner { node: NodeId(3), ..OWNER };
    assert!(Span::open(&storage, span.name(), &other).is_err());
    let moved = span_file_name(Slot(31));
    storage.rename(span.name(), &moved).unwrap();
    assert!(Span::open(&storage, &moved, &OWNER).is_err());
    assert!(Span::open(&storage, span.name(), &OWNER).is_err(), "the file is missing");
    let mut whole = vec![0; span.file_bytes() as usize];
    storage.read_at(&moved, 0, &mut whole).unwrap();
    for bytes in [0, 1, 2, 3, 4].map(|blocks| blocks * BLOCK) {
        let cut = MemStorage::new();
        cut.create_empty(span.name()).unwrap();
        cut.extend(span.name(), &whole[..bytes as usize]).unwrap();
        assert!(Span::open(&cut, span.name(), &OWNER).is_err(), "cut to {bytes} bytes");
    }
}

/// Whatever a crash leaves of a span that is written, one that has its name is whole; and the next
/// attempt writes it, whatever lies there (R07).
#[test]
fn c26_a_crash_leaves_no_span_or_a_whole_one() {
    let (_, _, parts) = large_span();
    let spec = spec(10, Slot(30));
    let storage = MemStorage::new();
    let whole = write_parts(&storage, &spec, &parts).unwrap();
    let steps = storage.steps();
    let (mut none, mut good) = (0, 0);
    for (halt, seed) in (1..=steps).flat_map(|halt| (0..12).map(move |seed| (halt, seed))) {
        let context = format!("halt at {halt} of {steps}, seed {seed}");
        let storage = MemStorage::new();
        storage.halt_at(halt);
        if write_parts(&storage, &spec, &parts).is_ok() {
            continue;
        }
        let mut random = Random::new(seed);
        storage.crash(&mut || random.draw());
        let names = storage.list().unwrap();
        match names.iter().any(|name| parse_span_file_name(name).is_some()) {
            true => {
                whole.verify(&storage).unwrap_or_else(|error| panic!("{context}: {error}"));
                good += 1;
            }
            false => none += 1,
        }
        let again = write_parts(&storage, &spec, &parts).unwrap();
        assert_eq!(again, whole, "{context}");
        assert_eq!(storage.list().unwrap(), [whole.name().to_string()], "{context}");
    }
    assert!(none > 10 && good > 2, "{none} without a span, {good} with one");
}

/// On a full disk a span is not written, and leaves nothing that takes space.
#[test]
fn a_span_that_finds_no_space_leaves_nothing() {
    let (_, _, parts) = large_span();
    let storage = MemStorage::new();
    storage.set_free_bytes(2 * BLOCK);
    match write_parts(&storage, &spec(10, Slot(30)), &parts) {
        Err(RunError::Storage(StorageError { source, .. })) => {
            assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(storage.list().unwrap(), Vec::<String>::new());
}
