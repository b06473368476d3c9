//! Stories about compaction: what is live in mostly dead segments is written down again, and they go (C30).

use crate::large_entries::{check_entries, fill, segment_files, text_of, trim};
use crate::node::{Node, SEGMENT, append, code, create, identity_of, log, options_of, read, texts};
use crate::stored_text::rot_first;
use crate::trio_rig::Trio;
use paxosd::api::error::ErrorCode;
use paxosd::api::{Consistency, Read, Reply, Request, Trim};
use paxosd::checkpoint;
use paxosd::paxos::Timing;
use paxosd::shard::{CutOptions, ShardOptions};
use paxosd::types::{FormatLevel, Index, Random, ShardId, Slot};

/// A cut every fifty slots, and five seconds after the last one where there is a reason.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 50, extents: 1 << 20, idle_us: 5_000_000, gap_us: 0 };

/// Appends one entry to `rare` for every hundred to `a`, of which the last ones stay alone.
fn append_rounds(node: &mut Node, rounds: std::ops::Range<u64>) {
    for round in rounds {
        fill(node, "rare", round..round + 1);
        fill(node, "a", 100 * round..100 * round + 100);
        trim(node, "a", 100 * round + 90);
    }
}

/// What a node without peers is, of which this many bytes stay for others.
pub fn options(catchup_bytes: u64) -> ShardOptions {
    ShardOptions { cuts: OFTEN, catchup_bytes, ..options_of(1, &[1]) }
}

/// A node with a log that was never trimmed, and that has an entry in each segment.
pub fn with_rare_entries(rounds: u64, catchup_bytes: u64) -> Node {
    let mut node = Node::with_options(options(catchup_bytes));
    node.ask(create("a"));
    node.ask(create("rare"));
    append_rounds(&mut node, 0..rounds);
    node
}

/// C30: a log that is never trimmed, with one entry in each segment, does not pin the disk. All its entries
/// are read as before, also after a restart, and it goes on.
#[test]
fn c30_one_entry_in_each_segment_does_not_pin_the_disk() {
    let mut node = with_rare_entries(60, 0);
    node.pass(20_000_000);
    let tally = node.shard.tally().compaction;
    let (segments, stays) =
        (node.shard.journal().segments(), node.shard.shard_status(node.now).kept_for);
    assert!(tally.segments > 10 && tally.values >= 40, "{tally:?}, {segments} segments: {stays}");
    // Copies of copies are few: what was copied once fills a good part of its segment.
    assert!(tally.values < 200, "{tally:?}");
    assert!(segments < 12, "{segments} segments are left: {stays}");
    assert_eq!(segment_files(&node.storage) as u64, segments);
    check_entries(&mut node, "rare", 0..60);
    check_entries(&mut node, "a", 5_990..6_000);
    let mut again = Node::open_with_cuts(node.storage.duplicate(), OFTEN);
    check_entries(&mut again, "rare", 0..60);
    check_entries(&mut again, "a", 5_990..6_000);
    append_rounds(&mut again, 60..120);
    again.pass(20_000_000);
    let segments = again.shard.journal().segments();
    assert!(segments < 12, "{segments} segments are left");
    check_entries(&mut again, "rare", 0..120);
}

/// C30: wherever the machine stops while segments are compacted and go, each live entry is there afterwards,
/// and the segments go in the end.
#[test]
fn c30_a_crash_at_any_write_loses_no_live_entry() {
    let node = with_rare_entries(16, 1 << 40);
    let (before, storage) = (segment_files(&node.storage), node.storage);
    let opened = storage.duplicate();
    checkpoint::start(&opened, &identity_of(1), (ShardId(0), 1), FormatLevel::KNOWN, &SEGMENT)
        .expect("it starts");
    let first = opened.steps();
    let mut whole = Node::open_as(storage.duplicate(), options(0), false);
    whole.pass(30_000_000);
    let (after, last) = (segment_files(&whole.storage), whole.storage.steps());
    assert!(after + 3 < before, "{before} segments, then {after}");
    let (steps, mut tried, mut unfinished) = (last - first, 0, 0);
    for step in (first + 1..last).step_by(steps.div_ceil(50) as usize) {
        let mut random = Random::new(step);
        let copy = storage.duplicate();
        copy.halt_at(step);
        let mut node = Node::open_to_halt(copy, options(0));
        node.pass(30_000_000);
        node.storage.crash(&mut || random.draw());
        let mut again = Node::open_as(node.storage, options(0), false);
        assert!(again.fatal.is_none(), "step {step}: {:?}", again.fatal);
        tried += 1;
        unfinished += u64::from(segment_files(&again.storage) > after);
        check_entries(&mut again, "rare", 0..16);
        again.pass(30_000_000);
        check_entries(&mut again, "rare", 0..16);
        check_entries(&mut again, "a", 1_590..1_600);
        let left = segment_files(&again.storage);
        let (tally, stays) = (again.shard.tally(), again.shard.shard_status(again.now).kept_for);
        assert!(left <= after + 1, "step {step}: {left} left, not {after}: {tally:?} {stays}");
    }
    assert!(2 * unfinished > tried, "{unfinished} of {tried} stopped before the end");
}

/// C30: a read that was planned before the segment of its entry went looks again, and finds the copy.
#[test]
fn c30_a_read_under_way_finds_the_copy() {
    let mut node = Node::with_options(options(0));
    node.shard.set_cache_bytes(0);
    node.ask(create("a"));
    node.ask(create("rare"));
    append_rounds(&mut node, 0..6);
    let held: Vec<u64> = (0..4).map(|from| node.send(1, read("rare", from, 0))).collect();
    node.hold_reads = true;
    node.tick();
    let planned: Vec<u64> = (0..4).map(|from| node.send(2 + from, read("rare", from, 0))).collect();
    node.tick();
    held.into_iter().for_each(|asked| drop(node.take(1, asked)));
    append_rounds(&mut node, 6..30);
    node.pass(20_000_000);
    let upto = node.shard.journal().released_upto();
    assert!(upto > Slot(600), "released up to {upto}: {:?}", node.shard.tally());
    node.release();
    for (from, asked) in planned.into_iter().enumerate() {
        let found = texts(node.take(2 + from as u64, asked));
        assert_eq!(found[0], text_of(from as u64));
    }
    assert_eq!(node.shard.absent_slots(), 0);
}

/// C30, R11: a disk that is full of segments which few live entries keep comes back by itself.
#[test]
fn c30_a_disk_full_of_mostly_dead_segments_comes_back() {
    let storage = with_rare_entries(30, 1 << 40).storage;
    storage.set_free_bytes(6 << 20);
    let mut node = Node::open_as(storage, options(1 << 40), false);
    let mut fill = || code(&node.ask(Request::Append(append("a", &text_of(0)))));
    let refused = (0..2_000).find_map(|_| fill());
    assert_eq!(refused, Some(ErrorCode::DiskFull));
    let before = segment_files(&node.storage);
    node.pass(60_000_000);
    let (after, tally) = (segment_files(&node.storage), node.shard.tally().compaction);
    assert!(after + 5 < before, "{before} segments, then {after}: {tally:?}");
    check_entries(&mut node, "rare", 0..30);
    let reply = node.ask(Request::Append(append("a", &text_of(0))));
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
}

/// C30: a live value that rotted is fetched from a peer before its segment goes.
#[test]
fn c30_a_rotten_value_is_repaired_first() {
    let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
    let leader = trio.leader();
    let at = (leader + 1) % 3;
    trio.members[at].hold_reads = true;
    trio.members[at].shard.set_cache_bytes(0);
    for text in ["a", "rare"] {
        trio.ask(leader, create(text));
    }
    for round in 0..16 {
        trio.ask(leader, Request::Append(append("rare", &rare_text(round))));
        for number in 100 * round..100 * round + 100 {
            trio.ask(leader, Request::Append(append("a", &text_of(number))));
        }
        trio.ask(leader, Request::Trim(Trim { log: log("a"), before: Index(100 * round + 90) }));
    }
    trio.pass(5_000_000);
    let before = segment_files(&trio.members[at].storage);
    rot_first(&trio.members[at].storage, &rare_text(2));
    trio.release(at);
    trio.pass(60_000_000);
    let (member, tally) = (&trio.members[at], trio.members[at].shard.tally());
    let after = segment_files(&member.storage);
    assert!(after + 3 < before, "{before} segments, then {after}: {tally:?}");
    assert!(tally.fetched_values > 0, "{tally:?}");
    assert_eq!(member.shard.absent_slots(), 0);
    let mut next = 0;
    while next < 16 {
        let consistency = Consistency::Local;
        let (max_entries, max_bytes, wait_ms) = (0, 0, 0);
        let (log, from) = (log("rare"), Index(next));
        let read = Read { log, from, max_entries, max_bytes, wait_ms, consistency };
        for found in texts(Some(trio.ask(at, Request::Read(read)))) {
            assert_eq!(found, rare_text(next), "entry {next}");
            next += 1;
        }
    }
}

/// An entry that no other log has.
fn rare_text(number: u64) -> String {
    text_of(number).replace('x', "r")
}
