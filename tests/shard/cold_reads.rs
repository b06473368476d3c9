//! Stories about reads of old entries, whose values have to come from the journal.

use crate::node::{Node, append, create, texts};
use paxosd::api::{Consistency, Read, Request};
use paxosd::limits::READ_EXTENT_BYTES_MAX;
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
        let jobs = node.journal_reads;
        assert_eq!(ask(&mut node, read(log, 0, 0, 0)), expected(log, 0..ENTRIES));
        assert!(node.journal_reads - jobs <= 8, "{} jobs", node.journal_reads - jobs);
    }
}

/// What bounds an answer bounds what is read for it: one entry costs one read of its own value.
#[test]
fn no_more_is_read_than_is_asked_for() {
    let mut node = restarted();
    let (jobs, bytes) = (node.journal_reads, node.journal_bytes);
    assert_eq!(ask(&mut node, read(2, 40, 1, 0)), expected(2, 40..41));
    assert_eq!(node.journal_reads - jobs, 1);
    assert!(node.journal_bytes - bytes < 1000, "{} bytes", node.journal_bytes - bytes);
    let bytes = node.journal_bytes;
    assert_eq!(ask(&mut node, read(2, 40, 7, 0)), expected(2, 40..47));
    assert!(node.journal_bytes - bytes < READ_EXTENT_BYTES_MAX);
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
