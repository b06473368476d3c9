//! Rotten, cut and exchanged files: each is noticed, or makes no difference.

use crate::rig::{
    OWNER, Row, Shard, expected, expected_from, some_search, spec, write, write_all, write_as,
};
use paxosd::index::{Run, RunDamage, RunError, RunFault, RunSet, RunSpec, merge, run_file_name};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{FileOwner, FormatLevel, Index, LogId, NodeId, Random, RunId, Slot};
use std::collections::BTreeSet;
use std::sync::Arc;

const BLOCK: u64 = 4096;

fn damage<T: std::fmt::Debug>(result: Result<T, RunError>, context: &str) -> RunDamage {
    match result {
        Err(RunError::Damaged(damage)) => damage,
        other => panic!("{context}: {other:?} is no damage"),
    }
}

/// A run of some blocks of rows, and its rows.
fn some_run(seed: u64, slots: u64) -> (MemStorage, Arc<Run>, Vec<Row>) {
    let storage = MemStorage::new();
    let mut shard = Shard::new(seed);
    let rows = shard.go_on(slots);
    let run = write(&storage, 1, Slot(0), shard.slot, &rows);
    (storage, run, rows)
}

fn logs(rows: &[Row]) -> BTreeSet<LogId> {
    rows.iter().map(|(log, _)| *log).collect()
}

/// Opens the run and reads all of its logs. All answers are right, or one of the steps is refused.
fn read_all(storage: &MemStorage, name: &str, rows: &[Row]) -> Result<(), RunError> {
    let set = RunSet::new(vec![Arc::new(Run::open(storage, name, &OWNER)?)]).unwrap();
    for log in logs(rows) {
        let found = set.extents_from(storage, log, Index(0), usize::MAX)?;
        assert_eq!(found, expected_from(rows, log, Index(0), usize::MAX), "log {log}");
    }
    Ok(())
}

/// C31: no flipped bit is believed, wherever it is. One in the header, the fences, the filter or the
/// footer is noticed when the run is opened, one in the rows when they are read.
#[test]
fn c31_every_flipped_bit_is_noticed() {
    let (storage, run, rows) = some_run(3, 400);
    let bytes = run.file_bytes();
    assert!(bytes / BLOCK >= 7, "{} blocks", bytes / BLOCK);
    let mut random = Random::new(4);
    let keys_at = bytes - 3 * BLOCK;
    for at in 0..bytes {
        // All bits where a block says what it is, and one bit of each other byte.
        let whole = at % BLOCK < 64;
        let one = random.below(8);
        for bit in if whole { 0..8 } else { one..one + 1 } {
            let flip = |bytes: &mut [u8]| bytes[0] ^= 1 << bit;
            storage.rot(run.name(), at..at + 1, flip);
            let opened = Run::open(&storage, run.name(), &OWNER);
            let context = format!("bit {bit} of byte {at}");
            let found = match opened {
                Ok(_) if at < BLOCK || at >= keys_at => panic!("{context} goes unnoticed"),
                Ok(opened) => damage(opened.verify(&storage, &OWNER), &context),
                Err(error) => damage::<()>(Err(error), &context),
            };
            let block = at / BLOCK * BLOCK;
            assert_eq!((found.file.as_str(), found.offset), (run.name(), block), "{context}");
            storage.rot(run.name(), at..at + 1, flip);
        }
    }
    read_all(&storage, run.name(), &rows).unwrap();
}

/// C31: whatever is written over a part of a run, by chance, the answers are right or refused, and
/// nothing panics, neither a start nor a lookup nor a merge.
#[test]
fn c31_no_answer_comes_from_rotten_bytes() {
    let mut refused = 0;
    for seed in 0..300 {
        let (storage, run, rows) = some_run(seed, 150);
        let mut random = Random::new(seed);
        let start = random.below(run.file_bytes());
        let end = (start + 1 + random.below(2 * BLOCK)).min(run.file_bytes());
        storage.rot(run.name(), start..end, |bytes| match random.below(3) {
            0 => bytes.fill(0),
            1 => bytes.iter_mut().for_each(|byte| *byte = random.draw() as u8),
            _ => bytes.rotate_left(1),
        });
        let set = RunSet::new(vec![Arc::clone(&run)]).unwrap();
        for _ in 0..20 {
            let (log, by) = some_search(&mut random, &rows);
            match set.search(&storage, log, by) {
                Ok(found) => assert_eq!(found, expected(&rows, log, by), "seed {seed}: {by:?}"),
                Err(RunError::Damaged(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        let all = logs(&rows);
        let live = &mut all.iter().map(|log| (*log, Index(0)));
        let merged =
            merge(&storage, &OWNER, &[Arc::clone(&run)], (RunId(2), FormatLevel::FIRST), live);
        let read = read_all(&storage, run.name(), &rows);
        if let Ok(merged) = merged {
            assert_eq!(merged.content(), run.content(), "seed {seed}");
        } else {
            assert!(read.is_err(), "seed {seed}");
            assert!(!storage.list().unwrap().contains(&run_file_name(RunId(2))), "seed {seed}");
        }
        refused += u32::from(read.is_err());
    }
    assert!(refused > 200, "{refused}");
}

/// C31: a file that was cut short anywhere, or got longer, is not opened.
#[test]
fn c31_a_file_of_another_length_is_refused() {
    let (storage, run, _) = some_run(5, 260);
    for bytes in (0..run.file_bytes()).step_by(512).chain([1, run.file_bytes() - 1]) {
        let cut = storage.duplicate();
        cut.truncate(run.name(), bytes);
        let context = format!("{bytes} bytes");
        damage(Run::open(&cut, run.name(), &OWNER), &context);
        damage(run.verify(&cut, &OWNER), &context);
    }
    for more in [1, 512, BLOCK as usize, 3 * BLOCK as usize] {
        let longer = storage.duplicate();
        longer.extend(run.name(), &vec![0; more]).unwrap();
        damage(Run::open(&longer, run.name(), &OWNER), &format!("{more} bytes more"));
    }
    storage.remove(run.name()).unwrap();
    let gone = damage(Run::open(&storage, run.name(), &OWNER), "a file that is gone");
    assert_eq!(gone.fault, RunFault::Missing);
}

fn copy_block(from: &MemStorage, at: u64, to: &MemStorage, place: u64, name: &str) {
    let mut block = vec![0; BLOCK as usize];
    from.read_at(name, at, &mut block).unwrap();
    to.rot(name, place..place + BLOCK, |bytes| bytes.copy_from_slice(&block));
}

/// C31: a block that verifies in its own place is good for nothing in another one, and neither is one
/// of another run of the same number, or of another node.
#[test]
fn c31_a_block_of_another_place_or_run_is_refused() {
    let (storage, run, rows) = some_run(6, 400);
    let moved = storage.duplicate();
    copy_block(&storage, 2 * BLOCK, &moved, BLOCK, run.name());
    let found = damage(read_all(&moved, run.name(), &rows), "a block twice");
    assert_eq!((found.offset, found.fault), (BLOCK, RunFault::Checksum));

    let of = |owner: FileOwner, upto: u64| {
        let other = MemStorage::new();
        let spec = RunSpec { owner, ..spec(1, Slot(0), Slot(run.upto().0 + upto), &rows) };
        let written = write_as(&other, &spec, &rows).unwrap();
        assert_eq!(written.content(), run.content(), "the rows are the same");
        other
    };
    for other in [of(FileOwner { node: NodeId(3), ..OWNER }, 0), of(OWNER, 1)] {
        for at in (0..run.file_bytes()).step_by(BLOCK as usize) {
            let mixed = storage.duplicate();
            copy_block(&other, at, &mixed, at, run.name());
            damage(read_all(&mixed, run.name(), &rows), &format!("the block at {at}"));
        }
    }
}

/// C31: a file that is whole, and another's: of another shard, or under a name that is not its own.
#[test]
fn c31_a_run_of_another_owner_or_name_is_refused() {
    let (storage, run, _) = some_run(8, 100);
    let other = FileOwner { node: NodeId(3), ..OWNER };
    let foreign = damage(Run::open(&storage, run.name(), &other), "another node");
    assert_eq!(foreign.fault, RunFault::Foreign(OWNER.to_string()));
    let name = run_file_name(RunId(2));
    storage.rename(run.name(), &name).unwrap();
    assert_eq!(damage(Run::open(&storage, &name, &OWNER), "renamed").fault, RunFault::Other);
    storage.rename(&name, "run-2").unwrap();
    assert_eq!(damage(Run::open(&storage, "run-2", &OWNER), "no run").fault, RunFault::Name);
}

/// C31: a sector that cannot be read is damage of the run that it belongs to, at its block; other runs
/// still answer.
#[test]
fn c31_an_unreadable_sector_is_damage_with_its_place() {
    let storage = MemStorage::new();
    let mut shard = Shard::new(9);
    let mut parts = Vec::new();
    for _ in 0..2 {
        let rows = shard.go_on(300);
        parts.push((shard.slot, rows));
    }
    let set = write_all(&storage, &parts);
    let old = &set.runs()[0];
    storage.make_unreadable(old.name(), BLOCK + 600..BLOCK + 601);
    let (log, first) = (parts[0].1[0].0, parts[0].1[0].1.first);
    let found = damage(set.extents_from(&storage, log, first, 1), "an old row");
    assert_eq!((found.file.as_str(), found.offset), (old.name(), BLOCK));
    assert!(matches!(found.fault, RunFault::Unreadable(_)), "{found}");
    let (log, row) = parts[1].1[0];
    assert_eq!(set.extents_from(&storage, log, row.first, 1).unwrap(), [row]);
    damage(old.verify(&storage, &OWNER), "all of it");
}

/// C31: a run that is good by itself, but is not the one that was written: its read-back notices.
#[test]
fn c31_an_exchanged_file_is_noticed_by_who_wrote_it() {
    let (storage, run, mut rows) = some_run(10, 100);
    rows.pop();
    write(&storage, 1, Slot(0), run.upto(), &rows);
    let found = damage(run.read_back(&storage, &OWNER), "other rows");
    assert_eq!(found.fault, RunFault::Other);
}
