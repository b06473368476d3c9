//! Stories about a node without peers whose records do not serve: what its own journal has beside them is found, and what
//! nobody has holds up nothing else (C29, C30, C32b).

use crate::compaction::{options, with_rare_entries};
use crate::large_entries::{check_entries, fill, text_of, trim};
use crate::node::{Node, code, log, read, texts};
use crate::remnant_records::{has, nothing_left, rewrite};
use crate::stored_text::{copies, rot};
use paxosd::api::error::ErrorCode;
use paxosd::api::{Consistency, DeclareLost, Read, Reply, Request};
use paxosd::journal::Job;
use paxosd::shard::DiskJob;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Ballot, Index, Record};

/// Entries of the log that has one in each segment.
const RARE: u64 = 20;
/// Longer than it takes to look everywhere.
const WHILE_US: u64 = 60_000_000;

/// A read of one entry of that log.
fn one(number: u64) -> Request {
    let (log, from, consistency) = (log("rare"), Index(number), Consistency::Local);
    let (max_entries, max_bytes, wait_ms) = (1, 0, 0);
    Request::Read(Read { log, from, max_entries, max_bytes, wait_ms, consistency })
}

/// The record of an entry that counts becomes one that has nothing of it, in a higher ballot.
fn hide(storage: &MemStorage, number: u64) {
    let hidden = rewrite(storage, 0, |slot, ballot, value| {
        let ballot = Ballot::new(ballot.round + 1_000, ballot.node);
        let is_it = has(value, &text_of(number));
        is_it.then(|| Record::Remnant { slot, ballot, value: nothing_left(value) })
    });
    assert!(!hidden.is_empty(), "entry {number} is nowhere");
}

/// A node of which one entry was found to have rotted.
fn without_one(number: u64) -> Node {
    let mut node = with_rare_entries(RARE, 1 << 40);
    node.shard.set_cache_bytes(0);
    node.pass(WHILE_US);
    assert!(rot(&node.storage, &text_of(number)) > 0, "entry {number} is nowhere");
    assert_eq!(code(&node.ask(one(number))), Some(ErrorCode::NotReady));
    node.pass(WHILE_US);
    assert_eq!(node.shard.absent_slots(), 1);
    node
}

/// C30: an entry that another record here has is being looked for when it is asked for once more. It is found all the
/// same: nobody else could give it.
#[test]
fn c30_a_second_read_does_not_end_the_search_here() {
    let storage = with_rare_entries(RARE, 1 << 40).storage.duplicate();
    hide(&storage, 5);
    let mut node = Node::open_as(storage, options(1 << 40), false);
    node.shard.set_cache_bytes(0);
    node.hold_reads = true;
    let is_cold = |job: &DiskJob| matches!(job, DiskJob::ColdRead(_));
    let first = node.send(1, one(5));
    node.tick();
    while node.run_one(is_cold) {}
    assert_eq!(texts(node.take(1, first)), [text_of(5)]);
    assert_eq!(node.shard.absent_slots(), 1);
    node.send(1, one(5));
    node.tick();
    while node.run_one(is_cold) {}
    assert!(node.run_one(|job| matches!(job, DiskJob::Journal(Job::Read(_)))));
    node.pass(WHILE_US);
    assert_eq!(node.shard.absent_slots(), 0, "one look is enough");
    node.release();
    assert_eq!(texts(Some(node.ask(one(5)))), [text_of(5)]);
}

/// C29: what rotted is absent as long as somebody may ask for it. Once it is trimmed nobody does.
#[test]
fn c29_what_nobody_has_is_needed_until_it_is_trimmed() {
    let mut node = without_one(5);
    check_entries(&mut node, "rare", 6..RARE);
    trim(&mut node, "rare", 6);
    node.pass(WHILE_US);
    assert_eq!(node.shard.absent_slots(), 0);
}

/// C29: a disk fails to read the only copy of an entry for a while. What could not be read is looked at again, until it is
/// here.
#[test]
fn c29_what_could_not_be_read_is_looked_at_again() {
    let mut node = with_rare_entries(RARE, 1 << 40);
    node.shard.set_cache_bytes(0);
    node.pass(WHILE_US);
    let mut sectors = Vec::new();
    for (name, at) in copies(&node.storage, &text_of(5)) {
        let mut sector = vec![0; 512];
        node.storage.read_at(&name, at, &mut sector).expect("it is read");
        node.storage.make_unreadable(&name, at..at + 512);
        sectors.push((name, at, sector));
    }
    assert_eq!(code(&node.ask(one(5))), Some(ErrorCode::NotReady));
    node.pass(WHILE_US);
    assert_eq!(node.shard.absent_slots(), 1);
    for (name, at, sector) in sectors {
        node.storage.write_at(&name, at, &sector).expect("it is written");
    }
    node.pass(WHILE_US);
    assert_eq!(node.shard.absent_slots(), 0);
    assert_eq!(texts(Some(node.ask(one(5)))), [text_of(5)]);
}

/// C32b: an entry that nobody has is declared lost; then nothing is absent any more.
#[test]
fn c32b_what_nobody_has_can_be_declared_lost() {
    let mut node = without_one(5);
    let (from, before) = (Index(5), Index(6));
    let reply = node.ask(Request::DeclareLost(DeclareLost { log: log("rare"), from, before }));
    assert!(matches!(reply, Reply::DeclaredLost(_)), "{reply:?}");
    node.pass(WHILE_US);
    assert_eq!(node.shard.absent_slots(), 0);
    assert_eq!(texts(Some(node.ask(read("rare", 6, 0)))).len() as u64, RARE - 6);
}

/// C30: one entry has rotted, and another one is found in the own journal. Both are settled as far as they can be:
/// compaction goes on as it does where nothing has rotted.
#[test]
fn c30_what_nobody_has_does_not_stop_compaction() {
    let segments_of = |rotten: Option<u64>| {
        let storage = with_rare_entries(RARE, 1 << 40).storage.duplicate();
        hide(&storage, 5);
        rotten.into_iter().for_each(|number| assert!(rot(&storage, &text_of(number)) > 0));
        let mut node = Node::open_as(storage, options(0), true);
        while node.run_one(|job| matches!(job, DiskJob::Journal(Job::Read(_)))) {}
        node.shard.set_cache_bytes(0);
        for number in [7, 5] {
            node.send(1, one(number));
            node.tick();
            while node.run_one(|job| matches!(job, DiskJob::ColdRead(_))) {}
        }
        node.release();
        node.pass(WHILE_US);
        for round in RARE..60 {
            fill(&mut node, "rare", round..round + 1);
            fill(&mut node, "a", 100 * round..100 * round + 100);
            trim(&mut node, "a", 100 * round + 90);
        }
        node.pass(10 * WHILE_US);
        check_entries(&mut node, "rare", 8..60);
        (node.shard.tally().compaction.segments, node.shard.journal().segments())
    };
    let (whole, rotten) = (segments_of(None), segments_of(Some(7)));
    assert!(whole.0 > 10 && rotten.0 > 10, "segments compacted, and left: {whole:?}, {rotten:?}");
    // The segment of the rotten entry stays, as does what is pinned with it.
    assert!(rotten.1 <= whole.1 + 3, "segments compacted, and left: {whole:?}, {rotten:?}");
}
