//! Released segments: their files go, and nothing that is needed goes with them (C26, R08).

#![allow(clippy::unwrap_used)]

mod journal_rig;

use journal_rig::{IDENTITY, OPTIONS, Rig, SHARD, Taken, assert_sizes, ballot, read};
use paxosd::journal::invariants::{check_index, check_state};
use paxosd::journal::{
    FullSegment, Journal, JournalStart, OpenError, ReadDamage, Recovered, recover,
};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Record, SegmentId, Slot, Value};
use std::sync::Arc;

/// The numbers of the files with this beginning and end.
fn numbers(storage: &MemStorage, prefix: &str, suffix: &str) -> Vec<u64> {
    let names = storage.list().unwrap();
    let middle = |name: &String| {
        name.strip_prefix(prefix)?.strip_suffix(suffix).map(|digits| digits.parse().unwrap())
    };
    names.iter().filter_map(middle).collect()
}

fn segments(storage: &MemStorage) -> Vec<u64> {
    numbers(storage, "segment-", ".wal")
}

fn start(storage: &MemStorage, taken: &Taken) -> Result<(Journal, Recovered), OpenError> {
    let (journal, recovered) = recover(storage, &IDENTITY, SHARD, &OPTIONS, taken.from())?;
    check_state(&journal);
    check_index(&journal);
    assert_sizes(storage, &journal);
    Ok((journal, recovered))
}

fn learned(slot: u64) -> Record {
    let value = Value::new(vec![slot as u8 | 1; 2000]);
    Record::Learned { slot: Slot(slot), ballot: ballot(1), value }
}

fn push_each(rig: &mut Rig, records: impl IntoIterator<Item = Record>) {
    for record in records {
        rig.push(vec![record]);
        rig.settle().unwrap();
    }
}

/// A checkpoint at this slot, behind which places leave memory.
fn checkpoint(rig: &mut Rig, slot: u64) -> Taken {
    let taken = rig.checkpoint(Slot(slot)).unwrap();
    rig.journal.spill_upto(Slot(slot));
    rig.settle().unwrap();
    taken
}

fn releasable(journal: &Journal, start: &JournalStart) -> Vec<FullSegment> {
    journal.releasable(start).collect()
}

/// Pushes the record by which these segments go.
fn release(rig: &mut Rig, segments: &[u64]) {
    let segments: Vec<_> = segments.iter().map(|id| SegmentId(*id)).collect();
    let released = rig.journal.release(&segments);
    rig.push(vec![Record::Released(Arc::new(released))]);
}

/// Slots 1 to 200 are learned, with checkpoints at 150 and 200.
fn two_checkpoints() -> (Rig, Taken, Taken) {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=150).map(learned));
    let older = checkpoint(&mut rig, 150);
    push_each(&mut rig, (151..=200).map(learned));
    let newer = checkpoint(&mut rig, 200);
    (rig, older, newer)
}

/// C26: what lies before the older checkpoint's start can be released; its files go when the record is
/// durable, and starts from either checkpoint go on without them.
#[test]
fn c26_released_segments_go_and_starts_do_without() {
    let (mut rig, older, newer) = two_checkpoints();
    let from = older.start.unwrap();
    let full = releasable(&rig.journal, &from);
    let ids: Vec<u64> = full.iter().map(|full| full.segment.0).collect();
    assert_eq!(ids, (1..from.segment.0).collect::<Vec<_>>());
    assert!(ids.len() > 3, "{ids:?}");
    assert_eq!(full[0].slots.unwrap().0, Slot(1));
    assert!(full.iter().all(|full| full.bytes == OPTIONS.segment_bytes));
    let (count, bytes) = (rig.journal.segments(), rig.journal.disk_bytes());
    let gone = &ids[..ids.len() - 1];
    release(&mut rig, gone);
    assert!(rig.journal.is_releasing());
    assert_eq!((rig.journal.segments(), rig.journal.released_upto()), (count, Slot(0)));
    rig.settle().unwrap();
    assert!(!rig.journal.is_releasing());
    let upto = full[gone.len() - 1].slots.unwrap().1;
    assert_eq!(rig.journal.released_upto(), upto);
    assert_eq!(rig.journal.released_segments(), gone.len() as u64);
    assert_eq!(rig.journal.disk_bytes(), bytes - gone.len() as u64 * OPTIONS.segment_bytes);
    assert_sizes(&rig.storage, &rig.journal);
    assert_eq!(segments(&rig.storage)[0], gone.len() as u64 + 1);
    assert_eq!(numbers(&rig.storage, "places-", ".idx")[0], gone.len() as u64 + 1);
    assert_eq!(releasable(&rig.journal, &from), full[gone.len()..]);
    for taken in [older, newer] {
        let storage = rig.storage.duplicate();
        let (mut journal, recovered) = start(&storage, &taken).unwrap();
        assert_eq!((journal.released_upto(), recovered.chosen_upto), (upto, Slot(200)));
        assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
        assert_eq!(releasable(&journal, &from), full[gone.len()..]);
        let found = read(&storage, &mut journal, 1, 200);
        for (slot, result) in found {
            let is_released = matches!(result, Err(ReadDamage::Released { .. }));
            assert_eq!(is_released, slot <= upto, "slot {slot}: {result:?}");
            assert_eq!(result.is_ok(), slot > upto, "slot {slot}: {result:?}");
        }
    }
}
