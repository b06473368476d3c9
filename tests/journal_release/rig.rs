//! Journals of which segments are released.

use crate::journal_rig::{IDENTITY, OPTIONS, Rig, SHARD, Taken, assert_sizes, ballot, read};
use paxosd::journal::invariants::{check_index, check_state};
use paxosd::journal::{
    FullSegment, Journal, JournalStart, OpenError, ReadDamage, ReadResult, Recovered, recover,
};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Record, SegmentId, Slot, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn segment_name(segment: u64) -> String {
    format!("segment-{segment:020}.wal")
}

/// The numbers of the files with this beginning and end.
pub fn numbers(storage: &MemStorage, prefix: &str, suffix: &str) -> Vec<u64> {
    let names = storage.list().unwrap();
    let middle = |name: &String| {
        name.strip_prefix(prefix)?.strip_suffix(suffix).map(|digits| digits.parse().unwrap())
    };
    names.iter().filter_map(middle).collect()
}

pub fn segments(storage: &MemStorage) -> Vec<u64> {
    numbers(storage, "segment-", ".wal")
}

pub fn start(storage: &MemStorage, taken: &Taken) -> Result<(Journal, Recovered), OpenError> {
    let (journal, recovered) = recover(storage, &IDENTITY, SHARD, &OPTIONS, taken.from())?;
    check_state(&journal);
    check_index(&journal);
    assert_sizes(storage, &journal);
    Ok((journal, recovered))
}

pub fn learned(slot: u64) -> Record {
    let value = Value::new(vec![slot as u8 | 1; 2000]);
    Record::Learned { slot: Slot(slot), ballot: ballot(1), value }
}

pub fn push_each(rig: &mut Rig, records: impl IntoIterator<Item = Record>) {
    for record in records {
        rig.push(vec![record]);
        rig.settle().unwrap();
    }
}

/// A checkpoint at this slot, behind which places leave memory.
pub fn checkpoint(rig: &mut Rig, slot: u64) -> Taken {
    let taken = rig.checkpoint(Slot(slot)).unwrap();
    rig.journal.spill_upto(Slot(slot));
    rig.settle().unwrap();
    taken
}

pub fn releasable(journal: &Journal, start: &JournalStart) -> Vec<FullSegment> {
    journal.releasable(start).collect()
}

/// Pushes the record by which these segments go.
pub fn release(rig: &mut Rig, segments: &[u64]) {
    let segments: Vec<_> = segments.iter().map(|id| SegmentId(*id)).collect();
    let released = rig.journal.release(&segments);
    rig.push(vec![Record::Released(Arc::new(released))]);
}

/// Slots 1 to 200 are learned, with checkpoints at 150 and 200.
pub fn two_checkpoints() -> (Rig, Taken, Taken) {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=150).map(learned));
    let older = checkpoint(&mut rig, 150);
    push_each(&mut rig, (151..=200).map(learned));
    let newer = checkpoint(&mut rig, 200);
    (rig, older, newer)
}

/// Where records of what was released begin: segment, and offset of the header.
pub fn release_records(storage: &MemStorage) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    for id in segments(storage) {
        let name = segment_name(id);
        let mut bytes = vec![0; storage.len(&name).unwrap() as usize];
        storage.read_at(&name, 0, &mut bytes).unwrap();
        let item = |at: &usize| bytes[*at..].starts_with(b"pxJ\x89") && bytes[at + 6] == 5;
        // Its own offset says which is the header and which the descriptor.
        let home = |at: &usize| bytes[at + 56..at + 64] == (*at as u64).to_le_bytes();
        let heads = (4096..bytes.len() - 128).step_by(8).filter(item).filter(home);
        found.extend(heads.map(|at| (id, at as u64)));
    }
    found
}

/// Both copies of the header of every record of what was released rot.
pub fn rot_release_records(storage: &MemStorage) {
    for id in segments(storage) {
        let name = segment_name(id);
        let mut bytes = vec![0; storage.len(&name).unwrap() as usize];
        storage.read_at(&name, 0, &mut bytes).unwrap();
        let is_one = |at: &usize| bytes[*at..].starts_with(b"pxJ\x89") && bytes[at + 6] == 5;
        for at in (4096..bytes.len() - 127).step_by(8).filter(is_one) {
            storage.rot(&name, at as u64..at as u64 + 128, |bytes| bytes.fill(0x5a));
        }
    }
}

pub fn ids(full: &[FullSegment]) -> Vec<u64> {
    full.iter().map(|full| full.segment.0).collect()
}

/// Two checkpoints, and everything released that can be.
pub fn all_released() -> (Rig, Taken, Taken, Vec<u64>) {
    let (mut rig, older, newer) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    release(&mut rig, &gone);
    rig.settle().unwrap();
    (rig, older, newer, gone)
}

pub fn is_released(result: &ReadResult) -> bool {
    matches!(result, Err(ReadDamage::Released { .. }))
}

/// What of a journal is read that is not released.
pub fn values(storage: &MemStorage, journal: &mut Journal, upto: u64) -> BTreeMap<Slot, Value> {
    let found = read(storage, journal, 1, upto).into_iter();
    found.filter_map(|(slot, result)| Some((slot, result.ok()?.1))).collect()
}
