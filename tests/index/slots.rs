//! The rows of some slots are found among all, and in long logs without reading what lies between.

use crate::cost::row_of_long_log;
use crate::rig::{Row, Shard, write_all};
use paxosd::index::RunSet;
use paxosd::storage::MemStorage;
use paxosd::types::{Slot, SlotRanges};

fn rows_of(storage: &MemStorage, set: &RunSet, slots: &SlotRanges) -> Vec<Row> {
    let mut found = Vec::new();
    set.rows_of_slots(storage, slots, &mut |log, row| found.push((log, *row))).unwrap();
    found
}

/// C29: in shards that live by chance, whatever slots are asked for: exactly their rows are found, each once.
#[test]
fn c29_exactly_the_rows_of_the_slots_are_found() {
    for seed in 0..8 {
        let (storage, mut shard) = (MemStorage::new(), Shard::new(seed));
        let lengths = [8_000, 40, 900].map(|most| most / 2 + shard.random.below(most));
        let mut parts: Vec<(Slot, Vec<Row>)> = Vec::new();
        for slots in lengths {
            let rows = shard.go_on(slots);
            parts.push((shard.slot, rows));
        }
        let set = write_all(&storage, &parts);
        for _ in 0..60 {
            let ranges = 1 + shard.random.below(6);
            let ranges = (0..ranges).map(|_| {
                let first = 1 + shard.random.below(shard.slot.0 + 5);
                let most = [1, 8, 400][shard.random.below(3) as usize];
                (Slot(first), Slot(first + shard.random.below(most)))
            });
            let slots = SlotRanges::new(ranges.collect::<Vec<_>>());
            let rows = parts.iter().flat_map(|(_, rows)| rows).copied();
            let expected: Vec<Row> = rows.filter(|(_, row)| slots.contains(row.slot)).collect();
            assert_eq!(rows_of(&storage, &set, &slots), expected, "seed {seed}: {slots:?}");
        }
    }
}

/// C29: in a log of a million rows it costs no more than the blocks of those slots and those that lead there.
#[test]
fn c29_rows_of_slots_do_not_cost_a_scan() {
    const ROWS: u64 = 1_000_000;
    let storage = MemStorage::new();
    let set = write_all(&storage, &[(Slot(ROWS), (0..ROWS).map(row_of_long_log).collect())]);
    let blocks = set.runs()[0].file_bytes() / 4096;
    assert!(blocks > 3_000, "{blocks} blocks");
    for (first, count) in [(1, 10), (500_000, 10), (ROWS - 9, 10), (700_000, 16_384)] {
        let slots = SlotRanges::new([(Slot(first), Slot(first + count - 1))]);
        let before = set.blocks_read();
        let found = rows_of(&storage, &set, &slots);
        assert_eq!(found.len() as u64, count);
        let (read, has) = (set.blocks_read() - before, blocks * count / ROWS);
        assert!(read <= has + 80, "{read} blocks for {count} slots from {first} on, of {has}");
    }
    let scattered = (0..10).map(|nth| (Slot(7 + nth * 90_000), Slot(9 + nth * 90_000)));
    let before = set.blocks_read();
    assert_eq!(rows_of(&storage, &set, &SlotRanges::new(scattered)).len(), 30);
    let read = set.blocks_read() - before;
    assert!(read < 600, "{read} blocks for ten places");
}
