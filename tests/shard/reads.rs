//! Stories about reads.

use crate::node::{Node, append, code, create, log, read, texts};
use paxosd::api::error::ErrorCode;
use paxosd::api::{Consistency, Reply, Request, Stat};
use paxosd::shard::invariants::check_state;
use paxosd::shard::{Input, Output};
use paxosd::types::{ConnId, FailureKind, Index, SegmentId};

/// A read past the end is empty and reports the next index.
#[test]
fn past_the_end_is_empty() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.ask(Request::Append(append("a", "x")));
    match node.ask(read("a", 9, 0)) {
        Reply::ReadDone(done) => {
            assert_eq!((done.entries.count(), done.next), (0, Index(1)));
        }
        other => panic!("{other:?}"),
    }
}

/// A long poll at the tail answers when an entry comes, or empty when its time is over.
#[test]
fn a_long_poll_waits_for_an_entry() {
    let mut node = Node::new();
    node.ask(create("a"));
    let waits = node.send(1, read("a", 0, 500));
    node.tick();
    assert!(node.take(1, waits).is_none());
    node.send(2, Request::Append(append("a", "x")));
    node.tick();
    assert_eq!(texts(node.take(1, waits)), ["x"]);
    let waits = node.send(1, read("a", 1, 500));
    node.pass(400_000);
    assert!(node.take(1, waits).is_none());
    node.pass(200_000);
    assert!(texts(node.take(1, waits)).is_empty());
}

/// A long poll on a log that is deleted ends with an error.
#[test]
fn a_long_poll_ends_with_its_log() {
    let mut node = Node::new();
    node.ask(create("a"));
    let waits = node.send(1, read("a", 0, 60_000));
    let log = crate::node::log("a");
    node.send(2, Request::Delete(paxosd::api::Delete { log }));
    node.tick();
    assert_eq!(code(&node.take(1, waits).expect("answered")), Some(ErrorCode::UnknownLog));
}

/// Old entries come back from the journal, with those in memory behind them.
#[test]
fn old_entries_come_from_the_journal() {
    let mut node = Node::new();
    node.ask(create("a"));
    for i in 0..500 {
        node.ask(Request::Append(append("a", &format!("{i}"))));
    }
    let mut node = Node::open(node.storage.duplicate());
    let (mut from, mut all) = (0, Vec::new());
    while from < 500 {
        let id = node.send(1, read("a", from, 0));
        node.tick();
        let part = texts(node.take(1, id));
        assert!(!part.is_empty(), "no progress at {from}");
        from += part.len() as u64;
        all.extend(part);
    }
    assert_eq!(all, (0..500).map(|i| i.to_string()).collect::<Vec<_>>());
}

/// C19, R08: a damaged entry is an error, never the end of the log; alone, the node ends with the
/// place of the damage.
#[test]
fn c19_damage_is_not_the_end_of_the_log() {
    let mut node = Node::new();
    node.ask(create("a"));
    for i in 0..500 {
        node.ask(Request::Append(append("a", &format!("{i}"))));
    }
    let mut node = Node::open(node.storage.duplicate());
    let segment = format!("segment-{:020}.wal", SegmentId(1));
    node.storage.rot(&segment, 4096..400_000, |bytes| bytes.fill(0x55));
    let id = node.send(1, read("a", 0, 0));
    node.tick();
    match node.take(1, id) {
        Some(reply) => assert_eq!(code(&reply), Some(ErrorCode::Damaged)),
        None => assert!(node.fatal.is_some()),
    }
    let (kind, text) = node.fatal.clone().expect("a lone node cannot go on");
    assert_eq!(kind, FailureKind::Data);
    assert!(text.contains("damaged"), "{text}");
}

/// A leader that has not applied all that it knows to be chosen is not ready, for what a leader alone
/// does; local answers, Status and Map come from what it has so far, and Status says that it is behind.
#[test]
fn a_node_that_still_replays_answers_what_it_can() {
    let mut node = Node::new();
    node.ask(create("a"));
    for i in 0..50 {
        node.ask(Request::Append(append("a", &format!("{i}"))));
    }
    assert!(node.shard.shard_status(node.now).caught_up);
    node.storage.restart_process();
    let mut node = Node::open_without_reads(node.storage.duplicate());
    let stat = |consistency| Request::Stat(Stat { log: log("a"), consistency });
    let refused = [
        Request::Append(append("a", "x")),
        create("b"),
        stat(Consistency::Linearizable),
        read("a", 0, 0),
    ];
    for request in refused {
        let reply = node.ask(request);
        assert_eq!(code(&reply), Some(ErrorCode::NotReady), "{reply:?}");
    }
    let reply = node.ask(stat(Consistency::Local));
    assert_eq!(code(&reply), Some(ErrorCode::UnknownLog), "nothing is applied yet: {reply:?}");
    assert!(matches!(node.ask(Request::Map), Reply::Map(_)));
    assert_eq!(node.ask(Request::Ping), Reply::Pong);
    let Reply::Status(status) = node.ask(Request::Status) else { panic!("a Status") };
    assert!(!status.shard.caught_up && status.shard.applied_upto < status.shard.chosen_upto);
    node.release();
    node.pass(10_000);
    assert!(matches!(node.ask(stat(Consistency::Linearizable)), Reply::Stated(_)));
    assert!(node.shard.shard_status(node.now).caught_up);
}

/// Two requests under way with one correlation are two requests: docs/PROTOCOL.md promises a reply to each,
/// also where both wait at a tail until the same moment (R39).
#[test]
fn r39_waits_with_one_correlation_end_each() {
    let mut node = Node::new();
    node.ask(create("a"));
    for _ in 0..2 {
        let (conn, correlation, request) = (ConnId(1), 77, read("a", 0, 500));
        node.input(Input::Client { conn, correlation, request });
    }
    node.now = node.now.after(600_000);
    let mut out = Vec::new();
    node.shard.step(node.now, Input::Tick, &mut out);
    let answers = |output: &&Output| matches!(output, Output::Client { correlation: 77, .. });
    assert_eq!(out.iter().filter(answers).count(), 2);
    check_state(&node.shard);
}
