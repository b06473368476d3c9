//! A lookup reads few blocks, however many logs there are and however long one is.

use crate::rig::{Row, Shard, log, write_all};
use paxosd::index::{RunSet, Search};
use paxosd::storage::MemStorage;
use paxosd::types::{Extent, Index, Random, Slot};

/// Blocks that a lookup reads at most, on average over many, and at its worst.
fn cost(set: &RunSet, count: u64, mut lookup: impl FnMut(u64)) -> (f64, u64) {
    let (start, mut worst) = (set.blocks_read(), 0);
    for number in 0..count {
        let before = set.blocks_read();
        lookup(number);
        worst = worst.max(set.blocks_read() - before);
    }
    ((set.blocks_read() - start) as f64 / count as f64, worst)
}

/// C31: one log among a hundred thousand, with a row in each of three runs: its newest row costs one
/// block, or two where it begins one; all of its rows cost a few; and a log that is not there hardly any.
#[test]
fn c31_a_lookup_does_not_cost_more_among_many_logs() {
    const LOGS: u64 = 100_000;
    let storage = MemStorage::new();
    let mut shard = Shard::new(1);
    for _ in 0..LOGS {
        shard.create();
    }
    let mut parts: Vec<(Slot, Vec<Row>)> = Vec::new();
    for _ in 0..3 {
        shard.slot = shard.slot.next();
        let rows = (1..=LOGS).map(|counter| shard.append(log(counter), 16, counter as u32));
        parts.push((Slot(0), rows.collect()));
        parts.last_mut().unwrap().0 = shard.slot;
    }
    let set = write_all(&storage, &parts);
    assert!(set.runs().iter().all(|run| run.logs() == LOGS));
    let memory: usize = set.runs().iter().map(|run| run.memory_bytes()).sum();
    assert!(memory < 3 * 150_000, "{memory} bytes of memory for {} rows", 3 * LOGS);
    let mut random = Random::new(2);
    let mut some_log = || log(1 + random.below(LOGS));
    let newest = cost(&set, 500, |_| {
        let row = set.search(&storage, some_log(), Search::Index(Index(33))).unwrap().unwrap();
        assert_eq!((row.first, row.count), (Index(32), 16));
    });
    assert!(newest.0 < 1.1 && newest.1 <= 2, "the newest row: {newest:?}");
    let all = cost(&set, 500, |_| {
        let rows = set.extents_from(&storage, some_log(), Index(0), 99).unwrap();
        assert_eq!(rows.len(), 3);
    });
    assert!(all.0 < 6.5 && all.1 <= 9, "all rows: {all:?}");
    let absent = cost(&set, 2_000, |number| {
        let log = log(LOGS + 1 + number);
        assert_eq!(set.search(&storage, log, Search::Stamp(0)).unwrap(), None);
    });
    assert!(absent.0 < 0.1 && absent.1 <= 3, "a log that is absent: {absent:?}");
}

/// One row of log 1, with sixteen entries, in each slot and each millisecond.
pub fn row_of_long_log(number: u64) -> Row {
    let extent = Extent {
        first: Index(16 * number),
        count: 16,
        offset: 8,
        slot: Slot(number + 1),
        bytes_before: 1_600 * number,
        stamp_ms: 1_700_000_000_000 + number,
        chain: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    };
    (log(1), extent)
}

/// C31: in one log of a million rows, by index, by bytes and by time: no more blocks than its number of
/// blocks can be halved.
#[test]
fn c31_a_lookup_does_not_cost_more_in_a_long_log() {
    const ROWS: u64 = 1_000_000;
    let storage = MemStorage::new();
    let parts: Vec<(Slot, Vec<Row>)> = [0..600_000, 600_000..900_000, 900_000..ROWS]
        .into_iter()
        .map(|range: std::ops::Range<u64>| (Slot(range.end), range.map(row_of_long_log).collect()))
        .collect();
    let set = write_all(&storage, &parts);
    let blocks: u64 = set.runs().iter().map(|run| run.file_bytes() / 4096).sum();
    assert!(blocks > 3_000, "{blocks} blocks");
    let mut random = Random::new(3);
    let mut some_row = || row_of_long_log(random.below(ROWS)).1;
    let by_index = cost(&set, 300, |_| {
        let row = some_row();
        let by = Search::Index(Index(row.first.0 + 15));
        assert_eq!(set.search(&storage, log(1), by).unwrap(), Some(row));
    });
    assert!(by_index.1 <= 5, "by index: {by_index:?}");
    let by_bytes = cost(&set, 300, |_| {
        let row = some_row();
        let by = Search::BytesBefore(row.bytes_before + 1);
        assert_eq!(set.search(&storage, log(1), by).unwrap(), Some(row));
    });
    assert!(by_bytes.1 <= 3 * 14, "by bytes: {by_bytes:?}");
    let by_stamp = cost(&set, 300, |_| {
        let row = some_row();
        let by = Search::Stamp(row.stamp_ms);
        assert_eq!(set.search(&storage, log(1), by).unwrap(), Some(row));
    });
    assert!(by_stamp.1 <= 3 * 14, "by time: {by_stamp:?}");
    let part = cost(&set, 100, |_| {
        let row = some_row();
        let rows = set.extents_from(&storage, log(1), row.first, 10).unwrap();
        assert_eq!(rows[0], row);
    });
    assert!(part.1 <= 7, "ten rows: {part:?}");
}
