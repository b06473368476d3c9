//! Stories about reads of old entries, whose values have to come from the journal.

use crate::node::{Node, append, create, texts};
use crate::stored_text::copies;
use paxosd::api::error::{ErrorCode, Retry};
use paxosd::api::{Consistency, Read, Reply, Request};
use paxosd::limits::READ_EXTENT_BYTES_MAX;
use paxosd::shard::CutOptions;
use paxosd::storage::Storage;
use paxosd::types::Index;

/// Logs that share the shard.
const LOGS: u64 = 8;
/// Entries of each, every one in a slot of its own.
const ENTRIES: u64 = 250;

/// Logs whose entries take turns in the slots, on a node that was started anew.
fn restarted() -> Node {
    let mut node = Node::new();
    for log in 0..LOGS {
        node.ask(create(&format!("log-{log}")));
    }
    for entry in 0..ENTRIES {
        for log in 0..LOGS {
            node.ask(Request::Append(append(&format!("log-{log}"), &format!("{entry} of {log}"))));
        }
    }
    Node::open(node.storage.duplicate())
}

fn read(log: u64, from: u64, max_entries: u32, max_bytes: u32) -> Request {
    Request::Read(Read {
        log: crate::node::log(&format!("log-{log}")),
        from: Index(from),
        max_entries,
        max_bytes,
        wait_ms: 0,
        consistency: Consistency::Linearizable,
    })
}

fn ask(node: &mut Node, request: Request) -> Vec<String> {
    let id = node.send(1, request);
    node.tick();
    texts(node.take(1, id))
}

fn expected(log: u64, range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|entry| format!("{entry} of {log}")).collect()
}

/// One answer holds what is asked for, though other logs' slots lie between its entries, and the
/// journal is read in few jobs.
#[test]
fn an_answer_is_filled_across_slots() {
    let mut node = restarted();
    for log in [0, 3, 7] {
        let jobs = node.cold_reads;
        assert_eq!(ask(&mut node, read(log, 0, 0, 0)), expected(log, 0..ENTRIES));
        assert!(node.cold_reads - jobs <= 8, "{} jobs", node.cold_reads - jobs);
    }
}

/// What bounds an answer bounds what is read for it: one entry costs one read of its own value.
#[test]
fn no_more_is_read_than_is_asked_for() {
    let mut node = restarted();
    let (jobs, bytes) = (node.cold_reads, node.cold_bytes);
    assert_eq!(ask(&mut node, read(2, 40, 1, 0)), expected(2, 40..41));
    assert_eq!(node.cold_reads - jobs, 1);
    assert!(node.cold_bytes - bytes < 1000, "{} bytes", node.cold_bytes - bytes);
    let bytes = node.cold_bytes;
    assert_eq!(ask(&mut node, read(2, 40, 7, 0)), expected(2, 40..47));
    assert!(node.cold_bytes - bytes < READ_EXTENT_BYTES_MAX);
    let few = ask(&mut node, read(2, 0, 0, 64));
    assert!(!few.is_empty() && few.len() < 10, "{few:?}");
}

/// Old entries and those in memory make one answer.
#[test]
fn an_answer_goes_on_in_memory() {
    let mut node = restarted();
    node.ask(Request::Append(append("log-5", "fresh")));
    let mut all = expected(5, 0..ENTRIES);
    all.push("fresh".to_string());
    assert_eq!(ask(&mut node, read(5, 0, 0, 0)), all);
}

/// Appends that share a value.
const TOGETHER: u64 = 60;

/// What each of them appends: texts of one size.
fn long(entry: u64) -> String {
    format!("{entry:05}{}", "-".repeat(1000))
}

/// A log whose entries share large values, on a node that was started anew.
fn with_large_values() -> Node {
    let node = filled(Node::new());
    Node::open(node.storage.duplicate())
}

fn filled(mut node: Node) -> Node {
    node.ask(create("log-0"));
    for value in 0..3 {
        for entry in 0..TOGETHER {
            node.send(1, Request::Append(append("log-0", &long(value * TOGETHER + entry))));
        }
        node.tick();
    }
    node
}

/// Where the disk holds an entry: the file, and the place of its first byte.
fn place_of(node: &Node, entry: u64) -> (String, u64) {
    copies(&node.storage, &long(entry)).first().expect("it was appended").clone()
}

fn damaged(node: &mut Node, entry: u64) -> bool {
    let id = node.send(1, read(0, entry, 1, 0));
    node.tick();
    matches!(node.take(1, id), Some(Reply::Error(error)) if error.code == ErrorCode::Damaged)
}

/// C31: of a large value only a part is read for one entry, and what has rotten elsewhere in it does
/// not matter; all of it is read for all of its entries.
#[test]
fn c31_a_part_of_a_large_value_is_enough() {
    let mut node = with_large_values();
    for entry in [0, 7, 59, 60, 100, 179] {
        let bytes = node.cold_bytes;
        assert_eq!(ask(&mut node, read(0, entry, 1, 0)), [long(entry)]);
        let bytes = node.cold_bytes - bytes;
        assert!(bytes < 16 << 10, "{bytes} bytes for entry {entry}");
    }
    let bytes = node.cold_bytes;
    let all: Vec<String> = (0..3 * TOGETHER).map(long).collect();
    assert_eq!(ask(&mut node, read(0, 0, 0, 0)), all);
    assert!(node.cold_bytes - bytes < 2 * 180 * 1020, "{} bytes", node.cold_bytes - bytes);
    let (file, at) = place_of(&node, 100);
    node.storage.rot(&file, at..at + 1, |bytes| bytes[0] ^= 1);
    assert_eq!(ask(&mut node, read(0, 70, 1, 0)), [long(70)]);
    assert!(damaged(&mut node, 100));
}

/// C19, R09: another entry in the place of one, intact and of the same size, is never served: that is
/// what a write that went astray leaves behind. Nor are zeros, which pass for an entry without bytes.
#[test]
fn c19_an_intact_entry_in_another_place_is_not_served() {
    for zeros in [false, true] {
        for wanted in [100, 99] {
            let mut node = with_large_values();
            let (file, at) = place_of(&node, 100);
            let (_, other) = place_of(&node, 101);
            let mut content = vec![0; 8 + long(0).len()];
            if !zeros {
                node.storage.read_at(&file, other - 8, &mut content).expect("it can be read");
            }
            let range = at - 8..at - 8 + content.len() as u64;
            node.storage.rot(&file, range, |place| place.copy_from_slice(&content));
            assert_eq!(ask(&mut node, read(0, 70, 1, 0)), [long(70)]);
            // What shares the part with it is verified with the value as a whole, which is damaged.
            assert!(damaged(&mut node, wanted), "entry {wanted}, zeros: {zeros}");
        }
    }
}

/// Who reads on where the last answer ended has what comes next read ahead; who reads here and there has
/// not.
#[test]
fn what_is_read_in_order_is_read_ahead() {
    let mut node = with_large_values();
    let mut ahead = |from: u64| {
        assert_eq!(ask(&mut node, read(0, from, 2, 0)), [long(from), long(from + 1)]);
        node.ahead_bytes
    };
    assert_eq!([100, 7, 50, 20].map(&mut ahead), [0; 4]);
    let (first, second) = (ahead(22), ahead(24));
    assert!(first > 60_000 && second >= first, "{first}, then {second}");
    assert_eq!([90, 92, 6].map(&mut ahead)[2], 0);
    assert_eq!(ahead(178), 0);
}

/// C29: where a checkpoint stands for the slot of an entry that has rotten, the entry is absent, which is no
/// damage: its value is to be fetched, and the client is sent elsewhere, as often as it asks.
#[test]
fn c29_what_rots_behind_a_checkpoint_is_to_be_read_elsewhere() {
    let often =
        CutOptions { bytes: 1 << 30, slots: 5, extents: 1 << 30, idle_us: 1 << 60, gap_us: 0 };
    let mut node = filled(Node::with_cuts(often));
    for _ in 0..20 {
        node.ask(Request::Append(append("log-0", "behind")));
    }
    let mut node = Node::open_with_cuts(node.storage.duplicate(), often);
    let (file, at) = place_of(&node, 100);
    node.storage.rot(&file, at..at + 1, |bytes| bytes[0] ^= 1);
    for _ in 0..3 {
        let id = node.send(1, read(0, 100, 1, 0));
        node.tick();
        let Some(Reply::Error(error)) = node.take(1, id) else { panic!("it has rotten") };
        assert_eq!((error.code, error.retry), (ErrorCode::NotReady, Retry::Elsewhere), "{error}");
    }
    assert_eq!(ask(&mut node, read(0, 20, 1, 0)), [long(20)]);
    assert!(node.shard.shard_status(node.now).damaged_slots == 0 && node.fatal.is_none());
}
