//! One run of several has what can still be read, and nothing else.

use crate::rig::{OWNER, Row, Shard, log, spec, write_all, write_as};
use paxosd::index::{RunSet, RunSpec, merge};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{FileOwner, FormatLevel, Index, LogId, NodeId, RunId, Slot};
use std::collections::BTreeMap;

fn merged(storage: &MemStorage, set: &RunSet, live: &[(LogId, Index)]) -> RunSet {
    let run = merge(
        storage,
        &OWNER,
        set.runs(),
        (RunId(100), FormatLevel::FIRST),
        &mut live.iter().copied(),
    )
    .unwrap();
    run.read_back(storage, &OWNER).unwrap();
    set.replaced(0..set.runs().len(), run.into()).unwrap()
}

/// Three runs in which each of four logs has two rows of ten entries.
fn three_runs(storage: &MemStorage) -> RunSet {
    let mut shard = Shard::new(1);
    let logs = [(); 4].map(|()| shard.create());
    let mut parts: Vec<(Slot, Vec<Row>)> = Vec::new();
    for _ in 0..3 {
        let mut rows = Vec::new();
        for log in logs {
            for _ in 0..2 {
                shard.slot = shard.slot.next();
                rows.push(shard.append(log, 10, 5));
            }
        }
        parts.push((shard.slot, rows));
    }
    write_all(storage, &parts)
}

/// C31: rows of a deleted log go, and rows that were trimmed as a whole; a row with one entry that is
/// left stays as it is, and so do all others.
#[test]
fn c31_a_merge_leaves_out_what_nobody_can_read() {
    let storage = MemStorage::new();
    let set = three_runs(&storage);
    let all = |set: &RunSet, number| {
        set.extents_from(&storage, log(number), Index(0), usize::MAX).unwrap()
    };
    let before = [1, 2, 3, 4].map(|number| all(&set, number));
    assert!(before.iter().all(|rows| rows.len() == 6));
    // Log 2 was deleted; log 3 has nothing below entry 29, log 4 nothing below 30.
    let live = [(log(1), Index(0)), (log(3), Index(29)), (log(4), Index(30)), (log(9), Index(0))];
    let set = merged(&storage, &set, &live);
    assert_eq!(all(&set, 1), before[0]);
    assert_eq!(all(&set, 2), []);
    assert_eq!(all(&set, 3), before[2][2..]);
    assert_eq!(all(&set, 4), before[3][3..]);
    assert_eq!((set.runs()[0].rows(), set.runs()[0].logs()), (13, 3));
    let set = merged(&storage, &set, &[]);
    assert_eq!((set.runs()[0].rows(), set.upto()), (0, Some(Slot(24))));
}

/// C31: the rows of a run are facts of the sequence: two nodes that hold the same rows in runs of other
/// lengths have the same content after a merge, though not the same files.
#[test]
fn c31_content_is_the_same_on_all_nodes() {
    for seed in 0..20 {
        let mut shard = Shard::new(seed);
        let (mut parts, mut rows) = (Vec::new(), BTreeMap::new());
        for _ in 0..5 {
            let part = shard.go_on(60);
            rows.extend(part.iter().map(|(log, row)| ((*log, row.first), *row)));
            parts.push((shard.slot, part));
        }
        let live: Vec<_> = shard.live.iter().map(|(log, first)| (*log, *first)).collect();
        rows.retain(|(log, _), row| shard.live.get(log).is_some_and(|first| *first < row.end()));
        let rows: Vec<Row> = rows.into_iter().map(|((log, _), row)| (log, row)).collect();
        let one = MemStorage::new();
        let set = merged(&one, &write_all(&one, &parts), &live);
        let other = MemStorage::new();
        let owner = FileOwner { node: NodeId(3), ..OWNER };
        let spec = RunSpec { owner, ..spec(3, Slot(0), shard.slot, &rows) };
        let direct = write_as(&other, &spec, &rows).unwrap();
        assert_eq!(set.runs()[0].content(), direct.content(), "seed {seed}");
        assert_eq!(set.runs()[0].rows(), direct.rows(), "seed {seed}");
        assert!(direct.verify(&other, &OWNER).is_err(), "seed {seed}: not its own run");
    }
}

/// A merge keeps its inputs: readers that have them go on, until the caller removes the files.
#[test]
fn a_merge_keeps_its_inputs() {
    let storage = MemStorage::new();
    let old = three_runs(&storage);
    merged(&storage, &old, &[]);
    for run in old.runs() {
        run.verify(&storage, &OWNER).unwrap();
    }
    assert_eq!(storage.list().unwrap().len(), 4);
}
