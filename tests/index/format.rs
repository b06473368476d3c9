//! A reader of runs made from docs/JOURNAL.md alone, held against what the writer writes.

use crate::rig::{OWNER, Row, Shard, write};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Extent, Index, LogId, Slot};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn leb128(bytes: &mut &[u8]) -> u64 {
    let len = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
}

/// The kind, the count and the content of block `at` of the file.
fn block(file: &[u8], seed: u64, at: usize) -> (u8, u64, &[u8]) {
    let block = &file[at * 4096..(at + 1) * 4096];
    let seed = seed.wrapping_add(at as u64);
    assert_eq!(number(&block[..8]), xxh3_64_with_seed(&block[8..], seed), "block {at}");
    let bytes = number(&block[10..12]) as usize;
    assert!(block[9] == 0 && block[16 + bytes..].iter().all(|byte| *byte == 0), "block {at}");
    (block[8], number(&block[12..16]), &block[16..16 + bytes])
}

/// The rows of one block's content, in a run of slots above `after`.
fn rows_of(content: &[u8], count: u64, after: u64) -> Vec<Row> {
    let (mut log, mut bytes) = (number(&content[..8]), &content[8..]);
    let (mut end, mut slot, mut before, mut stamp) = (0, after, 0, 0u64);
    let mut rows = Vec::new();
    for _ in 0..count {
        let first = match leb128(&mut bytes) {
            0 => end,
            1 => end + leb128(&mut bytes),
            further => {
                log += further - 1;
                (slot, before) = (after, 0);
                leb128(&mut bytes)
            }
        };
        let count = leb128(&mut bytes) as u32;
        let offset = leb128(&mut bytes) as u32;
        slot += leb128(&mut bytes);
        before += leb128(&mut bytes);
        let zigzag = leb128(&mut bytes);
        stamp = stamp.wrapping_add((zigzag >> 1) ^ (zigzag & 1).wrapping_neg());
        let chain = number(&bytes[..8]);
        bytes = &bytes[8..];
        end = first + u64::from(count);
        let (first, slot, bytes_before, stamp_ms) = (Index(first), Slot(slot), before, stamp);
        let extent = Extent { first, count, offset, slot, bytes_before, stamp_ms, chain };
        rows.push((LogId(log), extent));
    }
    assert!(bytes.is_empty());
    rows
}

/// The checksum of rows alone, as the page has it.
fn content_checksum(rows: &[Row]) -> u64 {
    let bytes = rows.iter().flat_map(|(log, row)| {
        let places = [row.count.to_le_bytes(), row.offset.to_le_bytes()].concat();
        let behind = [row.slot.0, row.bytes_before, row.stamp_ms, row.chain];
        let behind = behind.iter().flat_map(|word| word.to_le_bytes());
        let front = [log.0, row.first.0].into_iter().flat_map(u64::to_le_bytes);
        front.chain(places).chain(behind).collect::<Vec<u8>>()
    });
    xxh3_64(&bytes.collect::<Vec<u8>>())
}

/// C31: a stranger who knows the page alone finds the rows, and all that stands around them.
#[test]
fn c31_a_run_is_as_the_page_says() {
    let storage = MemStorage::new();
    let mut shard = Shard::new(11);
    shard.go_on(50);
    let after = shard.slot;
    let rows = shard.go_on(800);
    let run = write(&storage, 7, after, shard.slot, &rows);
    let mut file = vec![0; storage.len(run.name()).unwrap() as usize];
    storage.read_at("run-00000000000000000007.run", 0, &mut file).unwrap();

    assert_eq!(file[..4], [0x70, 0x78, 0x52, 0x89]);
    let fields = [(4, 2, 1), (8, 8, 7), (24, 8, 0), (48, 8, after.0), (56, 8, shard.slot.0)];
    for (at, bytes, value) in fields {
        assert_eq!(number(&file[at..at + bytes]), value, "at {at}");
    }
    let owner = [(16, 8, 77), (32, 8, OWNER.incarnation.0), (40, 2, 2), (42, 2, 1)];
    for (at, bytes, value) in owner {
        assert_eq!(number(&file[at..at + bytes]), value, "at {at}");
    }
    let seed = xxh3_64(&file[..120]);
    assert_eq!(number(&file[120..128]), seed);

    let last = file.len() / 4096 - 1;
    let (kind, count, footer) = block(&file, seed, last);
    assert_eq!((kind, count, footer.len()), (4, 0, 48));
    let footer: Vec<u64> = footer.chunks(8).map(number).collect();
    let (blocks, words) = (footer[2] as usize, footer[3] as usize);
    assert_eq!(last, 1 + blocks + blocks.div_ceil(255) + words.div_ceil(510));
    assert_eq!(footer[4], xxh3_64(&file[(1 + blocks) * 4096..last * 4096]));
    let (kind, count, fences) = block(&file, seed, 1 + blocks);
    assert_eq!((kind, count), (2, blocks as u64));
    let mut found = Vec::new();
    for at in 0..blocks {
        let (kind, count, content) = block(&file, seed, 1 + at);
        assert_eq!(kind, 1);
        let part = rows_of(content, count, after.0);
        let fence = &fences[16 * at..16 * at + 16];
        assert_eq!(number(&fence[..8]), part[0].0.0);
        assert_eq!(number(&fence[8..]), part[0].1.first.0);
        found.extend(part);
    }
    assert_eq!(found, rows);
    assert_eq!((footer[0], footer[5]), (rows.len() as u64, content_checksum(&rows)));

    let (kind, count, filter) = block(&file, seed, last - 1);
    assert_eq!((kind, count), (3, words as u64));
    for (log, _) in rows {
        let hash = xxh3_64(&log.0.to_le_bytes());
        for i in 0..7u64 {
            let step = (hash.rotate_left(32) | 1).wrapping_mul(i);
            let bit = (hash.wrapping_add(step) % (64 * words as u64)) as usize;
            let word = number(&filter[bit / 64 * 8..bit / 64 * 8 + 8]);
            assert!(word & 1 << (bit % 64) != 0, "log {log}, bit {bit}");
        }
    }
}
