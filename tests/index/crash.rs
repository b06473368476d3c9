//! A crash at any step of writing leaves no run, or a whole one.

use crate::rig::{OWNER, Row, Shard, spec, write, write_as};
use paxosd::index::{Run, RunError, is_unfinished_run, merge, run_file_name};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{FormatLevel, Random, RunId, Slot};
use std::sync::Arc;

/// Enough rows for several writes.
fn many_rows(seed: u64) -> (Shard, Vec<Row>) {
    let mut shard = Shard::new(seed);
    let log = shard.create();
    let rows = (0..20_000).map(|_| {
        shard.slot = shard.slot.next();
        shard.append(log, 5, 3)
    });
    let rows = rows.collect();
    (shard, rows)
}

/// C31: whatever a crash leaves, a run that has its name is whole; and the next attempt writes it,
/// whatever lies there.
#[test]
fn c31_a_crash_leaves_no_run_or_a_whole_one() {
    let (shard, rows) = many_rows(1);
    let spec = spec(1, Slot(0), shard.slot, &rows);
    let storage = MemStorage::new();
    let whole = write_as(&storage, &spec, &rows).unwrap();
    let steps = storage.steps();
    assert!(steps > 5, "{steps} steps");
    let (mut none, mut good) = (0, 0);
    for (halt, seed) in (1..=steps).flat_map(|halt| (0..12).map(move |seed| (halt, seed))) {
        let context = format!("halt at {halt} of {steps}, seed {seed}");
        let storage = MemStorage::new();
        storage.halt_at(halt);
        write_as(&storage, &spec, &rows).err().unwrap_or_else(|| panic!("{context}: no halt"));
        let mut random = Random::new(seed);
        storage.crash(&mut || random.draw());
        let names = storage.list().unwrap();
        assert!(names.iter().all(|name| name == whole.name() || is_unfinished_run(name)));
        if names.iter().any(|name| name == whole.name()) {
            whole.verify(&storage, &OWNER).unwrap_or_else(|error| panic!("{context}: {error}"));
            good += 1;
        } else {
            none += 1;
        }
        let again = write_as(&storage, &spec, &rows).unwrap();
        again.read_back(&storage, &OWNER).unwrap();
        assert_eq!(again.content(), whole.content(), "{context}");
        assert!(!storage.list().unwrap().iter().any(|name| is_unfinished_run(name)), "{context}");
    }
    assert!(none > 20 && good > 2, "{none} without a run, {good} with one");
}

/// C31: where a run is replaced by one of the same number, a crash leaves one of the two.
#[test]
fn c31_a_crash_while_a_run_is_replaced_leaves_one_of_both() {
    let (shard, rows) = many_rows(2);
    let before = MemStorage::new();
    let old = write(&before, 1, Slot(0), shard.slot, &rows[..100]);
    let spec = spec(1, Slot(0), shard.slot, &rows);
    let first = before.steps();
    let storage = before.duplicate();
    let new = write_as(&storage, &spec, &rows).unwrap();
    for (halt, seed) in (first + 1..=storage.steps()).flat_map(|at| (0..6).map(move |s| (at, s))) {
        let context = format!("halt at {halt}, seed {seed}");
        let storage = before.duplicate();
        storage.halt_at(halt);
        write_as(&storage, &spec, &rows).err().unwrap_or_else(|| panic!("{context}: no halt"));
        let mut random = Random::new(seed);
        storage.crash(&mut || random.draw());
        let found = Run::open(&storage, old.name(), &OWNER).unwrap();
        let is = if found.rows() == old.rows() { &*old } else { &new };
        is.verify(&storage, &OWNER).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
}

/// C31: a merge that was interrupted changes nothing, and is made again from the start.
#[test]
fn c31_an_interrupted_merge_is_made_again() {
    let before = MemStorage::new();
    let mut shard = Shard::new(3);
    let mut runs: Vec<Arc<Run>> = Vec::new();
    for number in 1..5 {
        let after = shard.slot;
        let rows = shard.go_on(200);
        runs.push(write(&before, number, after, shard.slot, &rows));
    }
    let first = before.steps();
    let join = |storage: &MemStorage| {
        let live = &mut shard.live.iter().map(|(log, first)| (*log, *first));
        merge(storage, &OWNER, &runs, (RunId(9), FormatLevel::FIRST), live)
    };
    let storage = before.duplicate();
    let merged = join(&storage).unwrap();
    for halt in first + 1..=storage.steps() {
        let storage = before.duplicate();
        storage.halt_at(halt);
        assert!(matches!(join(&storage), Err(RunError::Storage(_))), "halt at {halt}");
        let mut random = Random::new(halt);
        storage.crash(&mut || random.draw());
        for run in &runs {
            run.verify(&storage, &OWNER).unwrap();
        }
        let again = join(&storage).unwrap();
        again.read_back(&storage, &OWNER).unwrap();
        assert_eq!(again.content(), merged.content(), "halt at {halt}");
    }
}

/// R11: a run for which there is no space leaves nothing that takes up space, and can be written later.
#[test]
fn r11_a_run_without_space_leaves_nothing() {
    let (shard, rows) = many_rows(4);
    let spec = spec(1, Slot(0), shard.slot, &rows);
    let storage = MemStorage::new();
    storage.set_free_bytes(300_000);
    let error = write_as(&storage, &spec, &rows).err().unwrap();
    assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull, "{error}");
    storage.sync_dir().unwrap();
    assert!(storage.list().unwrap().is_empty());
    assert_eq!(storage.free_bytes().unwrap(), 300_000);
    storage.set_free_bytes(10_000_000);
    assert_eq!(write_as(&storage, &spec, &rows).unwrap().name(), run_file_name(RunId(1)));
}

/// R01: a sync that failed gives no run its name, whatever the page cache still shows.
#[test]
fn r01_a_failed_sync_gives_no_run_its_name() {
    let (shard, rows) = many_rows(5);
    let spec = spec(1, Slot(0), shard.slot, &rows);
    let storage = MemStorage::new();
    storage.fail_sync_at(1);
    let error = write_as(&storage, &spec, &rows).err().unwrap();
    assert!(!error.may_pass(), "{error}");
    assert!(storage.list().unwrap().iter().all(|name| is_unfinished_run(name)));
}
