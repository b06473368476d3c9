//! Lookups in runs find what a plain list of all rows has.

use crate::rig::{OWNER, Row, Shard, expected, expected_from, log, some_search, write, write_all};
use paxosd::index::{RunSet, Search, merge, plan_merge};
use paxosd::storage::{BlockCache, MemStorage};
use paxosd::types::{FormatLevel, Index, LogId, RunId, Slot};
use std::sync::Arc;

/// Rows in the order of the index, whatever run they are in.
fn sorted(parts: &[Vec<Row>]) -> Vec<Row> {
    let mut rows = parts.concat();
    rows.sort_by_key(|(log, extent)| (*log, extent.first));
    rows
}

/// Lookups find what the rows say; each is followed by what `also` does at its place.
fn check_lookups(
    (storage, set): (&MemStorage, &RunSet),
    rows: &[Row],
    shard: &mut Shard,
    context: &str,
    also: &mut dyn FnMut(&mut Shard, LogId, Index, usize),
) {
    for _ in 0..60 {
        let (log, search) = some_search(&mut shard.random, rows);
        let found = set.search(storage, log, search).unwrap();
        assert_eq!(found, expected(rows, log, search), "{context}: {search:?} of log {log}");
        let from = match search {
            Search::Index(index) => index,
            Search::BytesBefore(_) | Search::Stamp(_) | Search::Slot(_) => {
                Index(shard.random.below(300))
            }
        };
        let max = shard.random.below(12) as usize;
        let found = set.extents_from(storage, log, from, max).unwrap();
        let expected = expected_from(rows, log, from, max);
        assert_eq!(found, expected, "{context}: {max} rows from {from} of log {log}");
        also(shard, log, from, max);
    }
}

/// Lookups and scans from any place on find what the rows say.
fn check(storage: &MemStorage, set: &RunSet, rows: &[Row], shard: &mut Shard, context: &str) {
    let last = rows.iter().map(|row| row.1.slot.0).max().unwrap_or(0);
    let mut scan = |shard: &mut Shard, log, from, max: usize| {
        let upto = Slot(shard.random.below(1 + last));
        let mut found: Vec<Row> = Vec::new();
        let mut take = |log, extent: &_| {
            found.push((log, *extent));
            found.len() < max
        };
        set.rows_from(storage, (log, from), upto, &mut take).unwrap();
        let behind = rows.iter().filter(|(of, row)| (*of, row.first) >= (log, from));
        let behind = behind.filter(|(_, row)| row.slot <= upto).take(max.max(1));
        assert!(found.iter().eq(behind), "{context}: {max} rows from {log} {from} up to {upto}");
    };
    check_lookups((storage, set), rows, shard, context, &mut scan);
}

/// C31: a shard's life by chance, with a run at each cut and merges as they are planned: every lookup
/// finds what the rows say that are left, before and after each merge and each start.
#[test]
fn c31_lookups_find_what_was_written() {
    for seed in 0..40 {
        let storage = MemStorage::new();
        let mut shard = Shard::new(seed);
        let mut set = RunSet::default();
        let mut parts: Vec<Vec<Row>> = Vec::new();
        for run in 1..30 {
            let after = shard.slot;
            let slots = 1 + shard.random.below(120);
            let rows = shard.go_on(slots);
            set = set.with(write(&storage, run, after, shard.slot, &rows)).unwrap();
            parts.push(rows);
            if let Some(range) = plan_merge(&set) {
                let inputs = &set.runs()[range.clone()];
                let live = &mut shard.live.iter().map(|(log, first)| (*log, *first));
                let merged =
                    merge(&storage, &OWNER, inputs, (RunId(1_000 + run), FormatLevel::FIRST), live)
                        .unwrap();
                merged.read_back(&storage, &OWNER).unwrap();
                set = set.replaced(range.clone(), Arc::new(merged)).unwrap();
                let mut rows = sorted(&parts[range.clone()]);
                rows.retain(|(log, row)| shard.live.get(log).is_some_and(|at| *at < row.end()));
                parts.splice(range, [rows]);
            }
            let context = format!("seed {seed}, run {run}");
            assert_eq!(set.upto(), Some(shard.slot), "{context}");
            check(&storage, &set, &sorted(&parts), &mut shard, &context);
        }
    }
}

/// Rows of one log over many blocks and runs, with its neighbours in the same blocks: all of them come
/// from any index on, once each.
#[test]
fn c31_a_log_is_read_across_blocks_and_runs() {
    let storage = MemStorage::new();
    let mut shard = Shard::new(7);
    let logs = [shard.create(), shard.create(), shard.create()];
    let mut parts = Vec::new();
    for rows_of in [[10, 900, 3], [0, 500, 400], [2, 1, 0]] {
        let mut rows: Vec<Row> = Vec::new();
        for (log, count) in logs.into_iter().zip(rows_of) {
            for _ in 0..count {
                shard.slot = shard.slot.next();
                rows.push(shard.append(log, 3, 8));
            }
        }
        parts.push((shard.slot, rows));
    }
    let set = write_all(&storage, &parts);
    let rows = sorted(&parts.into_iter().map(|(_, rows)| rows).collect::<Vec<_>>());
    for log in logs {
        for from in (0..4_300).step_by(97) {
            let found = set.extents_from(&storage, log, Index(from), usize::MAX).unwrap();
            assert_eq!(found, expected_from(&rows, log, Index(from), usize::MAX), "from {from}");
        }
    }
}

/// No runs, a run without rows, and a log that no run has: nothing is found, and nothing fails.
#[test]
fn what_is_not_there_is_not_found() {
    let storage = MemStorage::new();
    let empty = RunSet::default();
    let without_rows = write_all(&storage, &[(Slot(5), Vec::new()), (Slot(5), Vec::new())]);
    assert_eq!(without_rows.runs()[0].rows(), 0);
    for set in [empty, without_rows] {
        assert_eq!(set.search(&storage, log(1), Search::Stamp(0)).unwrap(), None);
        assert!(set.extents_from(&storage, log(1), Index(0), 9).unwrap().is_empty());
        assert_eq!(set.blocks_read(), 0);
    }
}

/// A set has no run twice and lacks none in between: slots would be missing, or found in two runs.
#[test]
fn runs_of_a_set_lie_on_each_other() {
    let storage = MemStorage::new();
    let run = |number, after, upto| write(&storage, number, Slot(after), Slot(upto), &[]);
    let (first, second, third) = (run(1, 0, 10), run(2, 10, 20), run(3, 20, 30));
    let set = RunSet::new(vec![Arc::clone(&first), second]).unwrap();
    let apart = RunSet::new(vec![first, Arc::clone(&third)]).unwrap_err();
    assert_eq!((apart.upto, apart.after), (Slot(10), Slot(20)));
    assert!(set.with(run(4, 19, 30)).is_err());
    let set = set.with(third).unwrap();
    assert!(set.replaced(0..2, run(5, 0, 19)).is_err());
    assert_eq!(set.replaced(0..2, run(6, 0, 20)).unwrap().runs().len(), 2);
}

/// C31: with a cache, lookups find the same, and a block that is in it is not read again; whatever became
/// of the file, what was read is what verified.
#[test]
fn c31_blocks_in_the_cache_are_those_of_their_run() {
    let storage = MemStorage::new();
    let mut shard = Shard::new(11);
    let mut parts: Vec<(Slot, Vec<Row>)> = Vec::new();
    for _ in 0..5 {
        let rows = shard.go_on(400);
        parts.push((shard.slot, rows));
    }
    let rows: Vec<Vec<Row>> = parts.iter().map(|(_, rows)| rows.clone()).collect();
    let cache = Arc::new(BlockCache::new(1 << 20));
    let set = write_all(&storage, &parts).cached(Arc::clone(&cache));
    check_lookups((&storage, &set), &sorted(&rows), &mut shard, "first", &mut |_, _, _, _| {});
    check_lookups((&storage, &set), &sorted(&rows), &mut shard, "again", &mut |_, _, _, _| {});
    let blocks: u64 = set.runs().iter().map(|run| run.file_bytes() / 4096).sum();
    assert!(set.blocks_read() < blocks, "{} of {blocks} blocks", set.blocks_read());
    let stats = cache.stats();
    assert!(stats.hits > 100 && stats.misses == set.blocks_read(), "{stats:?}");
}
