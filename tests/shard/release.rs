//! Stories about the journal's release: what nobody can read any more leaves the disk (C26).

use crate::large_entries::{check_entries, fill, large, segment_files, trim};
use crate::node::{Node, code, create, log, name};
use crate::trio_rig::Trio;
use paxosd::api::error::ErrorCode;
use paxosd::api::{Delete, LogRef, Reply, Request, Trim};
use paxosd::checkpoint::checkpoint_file_name;
use paxosd::index::{parse_span_file_name, span_file_name};
use paxosd::paxos::Timing;
use paxosd::shard::CutOptions;
use paxosd::storage::Storage;
use paxosd::types::{Index, Slot};

/// A cut every fifty slots.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 50, extents: 1 << 20, idle_us: 1 << 40, gap_us: 0 };
/// A cut five seconds after the last one, where there is a reason.
const IDLE: CutOptions = CutOptions { slots: 1 << 40, idle_us: 5_000_000, ..OFTEN };

/// C26: of a log that is trimmed as it grows the disk holds a bounded part; what is not trimmed is read as
/// before, also after a start from either checkpoint.
#[test]
fn c26_the_journal_of_a_trimmed_log_stays_small() {
    let mut node = Node::with_cuts(OFTEN);
    node.ask(create("a"));
    for round in 0..12 {
        fill(&mut node, "a", 100 * round..100 * round + 100);
        trim(&mut node, "a", 100 * round + 60);
    }
    fill(&mut node, "a", 1_200..1_300);
    let (segments, released) = (node.shard.journal().segments(), released(&node));
    assert!(released > 8, "{released} segments released");
    assert!(segments < 9, "{segments} segments are left");
    assert_eq!(segment_files(&node.storage) as u64, segments);
    check_entries(&mut node, "a", 1_160..1_300);
    let digest = node.shard.machine().digest();

    let kept: Vec<Slot> = node.shard.checkpoints().iter().map(|kept| kept.slot).collect();
    let without_newest = node.storage.duplicate();
    without_newest.remove(&checkpoint_file_name(kept[1])).expect("it is there");
    for storage in [node.storage.duplicate(), without_newest] {
        let mut again = Node::open_with_cuts(storage, OFTEN);
        assert_eq!(again.shard.machine().digest(), digest, "from {:?}", again.from);
        check_entries(&mut again, "a", 1_160..1_300);
        // And it goes on.
        fill(&mut again, "a", 1_300..1_700);
        trim(&mut again, "a", 1_700);
        fill(&mut again, "a", 1_700..1_900);
        assert!(again.shard.journal().segments() < 9, "{}", again.shard.journal().segments());
        check_entries(&mut again, "a", 1_700..1_900);
    }
}

fn released(node: &Node) -> u64 {
    node.shard.tally().released_segments
}

/// C26: one entry that is live keeps its segment, and no other one.
#[test]
fn c26_a_live_entry_keeps_its_segment_alone() {
    let mut node = Node::with_cuts(OFTEN);
    node.ask(create("a"));
    node.ask(create("rare"));
    fill(&mut node, "a", 0..200);
    fill(&mut node, "rare", 0..1);
    fill(&mut node, "a", 200..600);
    trim(&mut node, "a", 600);
    fill(&mut node, "a", 600..800);
    trim(&mut node, "a", 780);
    fill(&mut node, "a", 800..900);
    assert!(released(&node) > 2, "{} released", released(&node));
    let segments = node.shard.journal().segments();
    assert!(segments < 10, "{segments} segments are left");
    check_entries(&mut node, "rare", 0..1);
    let mut again = Node::open_with_cuts(node.storage.duplicate(), OFTEN);
    check_entries(&mut again, "rare", 0..1);
    check_entries(&mut again, "a", 780..900);
    // Once it is gone as well, so is its segment.
    node.ask(Request::Delete(Delete { log: log("rare") }));
    fill(&mut node, "a", 900..1_100);
    let stays = node.shard.shard_status(node.now).kept_for;
    assert!(node.shard.journal().segments() <= segments + 2, "{stays}");
    let oldest =
        node.storage.list().expect("a directory").into_iter().find(|n| n.ends_with(".wal"));
    let before = segment_files(&node.storage);
    trim(&mut node, "a", 1_100);
    fill(&mut node, "a", 1_100..1_300);
    assert!(segment_files(&node.storage) < before + 1, "{oldest:?} stays: {stays}");
}

/// C26: a shard to which nothing is appended any more gets the cuts that its garbage waits for, and no more
/// of them once it is gone.
#[test]
fn c26_an_idle_shard_releases_what_was_trimmed() {
    let mut node = Node::with_cuts(IDLE);
    node.ask(create("a"));
    fill(&mut node, "a", 0..800);
    let before = node.shard.journal().disk_bytes();
    trim(&mut node, "a", 800);
    node.pass(60_000_000);
    let after = node.shard.journal().disk_bytes();
    let stays = node.shard.shard_status(node.now).kept_for;
    assert!(after <= before / 2 && after <= 5 << 20, "{before} bytes, then {after}: {stays}");
    let (taken, slot) = (node.shard.tally().checkpoints.taken, node.shard.applied_upto());
    node.pass(600_000_000);
    assert_eq!((node.shard.tally().checkpoints.taken, node.shard.applied_upto()), (taken, slot));
    assert_eq!(
        node.shard.shard_status(node.now).trimmed_upto,
        node.shard.journal().released_upto()
    );
}

/// C26, R11: a disk that is full of what is trimmed comes back by itself: cuts come at once, checkpoints
/// find the space that was kept for them, and segments go.
#[test]
fn c26_a_disk_full_of_what_is_trimmed_comes_back() {
    let mut node = Node::with_cuts(CutOptions { idle_us: 1 << 40, ..IDLE });
    node.ask(create("a"));
    node.storage.set_free_bytes(12 << 20);
    let mut next = 0;
    let refused = loop {
        match node.ask(Request::Append(large("a", next))) {
            Reply::Appended(_) => next += 1,
            other => break other,
        }
        if next % 50 == 0 {
            trim(&mut node, "a", next - 10);
        }
    };
    assert_eq!(code(&refused), Some(ErrorCode::DiskFull));
    assert!(next > 500, "full after {next} entries");
    assert_eq!(released(&node), 0);
    node.pass(20_000_000);
    let stays = node.shard.shard_status(node.now).kept_for;
    assert!(released(&node) > 3, "{} released, the oldest stays: {stays}", released(&node));
    fill(&mut node, "a", next..next + 300);
    check_entries(&mut node, "a", next - 10..next + 300);
}

/// C26: spans that are lost or damaged are made anew from the runs, and their segments go all the same; not
/// before that.
#[test]
fn c26_lost_spans_are_made_anew() {
    let mut node = Node::with_cuts(OFTEN);
    node.ask(create("a"));
    node.ask(create("rare"));
    fill(&mut node, "rare", 0..1);
    fill(&mut node, "a", 0..600);
    let storage = node.storage.duplicate();
    let names = storage.list().expect("a directory");
    let spans: Vec<Slot> = names.iter().filter_map(|name| parse_span_file_name(name)).collect();
    assert!(spans.len() > 8, "{} spans", spans.len());
    for (nth, slot) in spans.iter().enumerate() {
        let name = span_file_name(*slot);
        match nth % 3 {
            0 => storage.remove(&name).expect("it is there"),
            1 => storage.rot(&name, 5_000..5_001, |bytes| bytes[0] ^= 1),
            _ => {}
        }
    }
    let mut again = Node::open_with_cuts(storage, OFTEN);
    trim(&mut again, "a", 590);
    fill(&mut again, "a", 600..800);
    again.pass(30_000_000);
    let stays = again.shard.shard_status(again.now).kept_for;
    assert!(released(&again) > 2, "{} released: {stays}", released(&again));
    check_entries(&mut again, "rare", 0..1);
    check_entries(&mut again, "a", 590..800);
    let mut once_more = Node::open_with_cuts(again.storage.duplicate(), OFTEN);
    check_entries(&mut once_more, "rare", 0..1);
    check_entries(&mut once_more, "a", 590..800);
}

/// C26: what a member lacks that is away goes all the same. Once it is back it catches up, and segments go
/// everywhere.
#[test]
fn c26_segments_go_though_a_member_is_away() {
    let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    let away = (leader + 1) % 3;
    trio.cut_off(away);
    let append_all = |trio: &mut Trio, entries: std::ops::Range<u64>| {
        for number in entries {
            trio.ask(leader, Request::Append(large("a", number)));
        }
    };
    let trim = |trio: &mut Trio, before| {
        trio.ask(leader, Request::Trim(Trim { log: log("a"), before: Index(before) }));
        trio.pass(2_000_000);
    };
    append_all(&mut trio, 0..400);
    trim(&mut trio, 400);
    append_all(&mut trio, 400..600);
    trim(&mut trio, 600);
    let tally = |trio: &Trio, at: usize| trio.members[at].shard.tally().released_segments;
    assert!(tally(&trio, leader) > 1, "{} released", tally(&trio, leader));
    trio.heal(away);
    trio.pass(5_000_000);
    append_all(&mut trio, 600..800);
    trim(&mut trio, 800);
    append_all(&mut trio, 800..900);
    trio.pass(5_000_000);
    let applied: Vec<Slot> =
        trio.members.iter().map(|member| member.shard.applied_upto()).collect();
    assert!(applied.windows(2).all(|pair| pair[0] == pair[1]), "{applied:?}");
    let released: Vec<u64> = (0..3).map(|at| tally(&trio, at)).collect();
    assert!(released.iter().all(|released| *released > 1), "{released:?} released");
}

/// C26: spans that nothing needs any more are removed, so that their number stays small.
#[test]
fn c26_spans_go_with_their_segments() {
    let mut node = Node::with_cuts(OFTEN);
    node.ask(create("a"));
    for round in 0..20 {
        fill(&mut node, "a", 100 * round..100 * round + 100);
        trim(&mut node, "a", 100 * round + 90);
    }
    let names = node.storage.list().expect("a directory");
    let spans = names.iter().filter(|name| parse_span_file_name(name).is_some()).count();
    assert!(spans < 20, "{spans} spans are left of 40");
    let log = LogRef::Name(name("a"));
    let reply = node.ask(Request::Read(paxosd::api::Read {
        log,
        from: Index(5),
        max_entries: 0,
        max_bytes: 0,
        wait_ms: 0,
        consistency: paxosd::api::Consistency::Linearizable,
    }));
    assert_eq!(code(&reply), Some(ErrorCode::Trimmed));
}

/// C23, C26: nobody appends behind a large trim. The disk shrinks within a minute all the same; behind a small one it
/// waits for the cut that comes in any case.
#[test]
fn c26_a_large_trim_is_followed_by_cuts() {
    for (entries, goes) in [(0..600, true), (0..60, false)] {
        let bytes = 1 << 20;
        let idle_us = 300_000_000;
        let cuts = CutOptions { bytes, slots: 1 << 30, extents: 1 << 30, idle_us, gap_us: 0 };
        let mut node = Node::with_cuts(cuts);
        node.ask(create("a"));
        fill(&mut node, "a", 0..600);
        node.pass(2 * idle_us);
        let (before, taken) = (released(&node), node.shard.tally().checkpoints.taken);
        trim(&mut node, "a", entries.end);
        node.pass(60_000_000);
        let cuts = node.shard.tally().checkpoints.taken - taken;
        assert_eq!(released(&node) > before, goes, "{entries:?} trimmed: {cuts} checkpoints");
        assert!(cuts <= 4, "{cuts} checkpoints");
        // It does not go on for ever.
        node.pass(2 * idle_us);
        let all = node.shard.tally().checkpoints.taken - taken;
        assert!(all <= cuts + 3, "{cuts} checkpoints, then {all}");
    }
}

/// C26, R11: something else has filled the disk, so that less is free than is to be left alone. Checkpoints are taken of
/// it, and what was trimmed goes.
#[test]
fn c26_a_disk_that_something_else_filled_gets_space_by_a_trim() {
    let mut node = Node::with_cuts(OFTEN);
    node.ask(create("a"));
    fill(&mut node, "a", 0..600);
    let before = released(&node);
    node.shard.set_min_free_bytes(1 << 20);
    node.storage.set_free_bytes(700_000);
    let refused = |node: &mut Node, number| {
        code(&node.ask(Request::Append(large("a", number)))) == Some(ErrorCode::DiskFull)
    };
    let full = (600..3_000).find(|number| refused(&mut node, *number)).expect("the disk is full");
    trim(&mut node, "a", full);
    node.pass(60_000_000);
    assert!(released(&node) > before + 3, "{before} segments released, then {}", released(&node));
    assert!(!refused(&mut node, full), "what was trimmed goes, and nothing is taken in");
}
