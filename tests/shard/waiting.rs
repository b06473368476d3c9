//! Stories about reads that wait (R39): for memory that answers take, in order, and not for ever.

use crate::node::{Node, append, code, create, options_of, read, texts};
use paxosd::api::entries::{Entries, EntriesLimit};
use paxosd::api::error::{ErrorCode, Outcome};
use paxosd::api::{Append, Read, Reply, Request};
use paxosd::limits::{
    COLD_ENTRY_BYTES, CONN_OUTPUT_BYTES_MAX, READ_WAITING_MS, SHARD_ANSWER_BYTES_MAX,
    SMALL_READ_BYTES, TURN_ANSWER_BYTES_MAX,
};
use paxosd::shard::ShardOptions;
use paxosd::types::ConnId;

/// A node with a small log and one whose answers are large.
fn node() -> Node {
    let mut node = Node::new();
    node.ask(create("small"));
    node.ask(create("large"));
    node.ask(Request::Append(append("small", "x")));
    let entries = Entries::from_slices([[7; 4000]; 15]).expect("small entries");
    let append = Append { entries, ..append("large", "") };
    for _ in 0..=SMALL_READ_BYTES / 60_000 {
        node.ask(Request::Append(append.clone()));
    }
    node
}

fn is_answer(reply: Option<Reply>) -> bool {
    !texts(reply).is_empty()
}

/// R39: while clients leave unread what a shard may owe, reads wait, in order; they are answered
/// once there is room.
#[test]
fn r39_reads_wait_for_memory() {
    let mut node = node();
    node.unsent = SHARD_ANSWER_BYTES_MAX;
    node.tick();
    let waiting: Vec<u64> = (1..=3).map(|conn| node.send(conn, read("large", 0, 0))).collect();
    let small = node.send(4, read("small", 0, 0));
    node.tick();
    for (conn, id) in (1..=3).zip(&waiting) {
        assert!(node.take(conn, *id).is_none(), "answered without room");
    }
    assert!(node.take(4, small).is_none(), "small reads have a bound too");
    assert!(node.shard.wants_memory() && node.shard.backlog().waiting_reads == 4);
    node.unsent = 0;
    node.tick();
    for (conn, id) in (1..=3).zip(&waiting) {
        assert!(is_answer(node.take(conn, *id)));
    }
    assert!(is_answer(node.take(4, small)));
    assert!(!node.shard.wants_memory() && node.shard.backlog().waiting_reads == 0);
}

/// R21: one turn answers so many reads as leave time for heartbeats, and the rest in turns to come;
/// in the order in which they were asked.
#[test]
fn r21_a_turn_makes_so_many_answers() {
    let mut node = node();
    node.shard.begin_turn(0);
    let asked: Vec<u64> = (0..100).map(|conn| node.send(conn, read("large", 0, 0))).collect();
    let mut answers = 0;
    let mut turns = 0;
    while answers < asked.len() {
        let before = answers;
        while answers < asked.len()
            && let Some(reply) = node.take(answers as u64, asked[answers])
        {
            assert!(is_answer(Some(reply)));
            answers += 1;
        }
        let bytes = (answers - before) * SMALL_READ_BYTES;
        assert!(answers > before, "no answer in turn {turns}");
        assert!(bytes <= TURN_ANSWER_BYTES_MAX + SMALL_READ_BYTES, "{bytes} bytes in turn {turns}");
        assert!(answers == asked.len() || node.shard.can_answer_more(), "the driver would sleep");
        node.tick();
        turns += 1;
    }
    assert!(turns > 100 * SMALL_READ_BYTES / TURN_ANSWER_BYTES_MAX, "{turns} turns");
}

/// R39: a small read passes large ones that wait for clients to take their answers.
#[test]
fn r39_small_reads_pass_large_ones() {
    let mut node = node();
    node.unsent = SHARD_ANSWER_BYTES_MAX - SMALL_READ_BYTES;
    node.tick();
    let large = node.send(1, read("large", 0, 0));
    let small = node.send(2, read("small", 0, 0));
    node.tick();
    assert!(node.take(1, large).is_none());
    assert!(is_answer(node.take(2, small)));
}

/// R39: a read that waits for too long is refused, as not executed and to be tried again.
#[test]
fn r39_a_read_does_not_wait_for_ever() {
    let mut node = node();
    node.unsent = SHARD_ANSWER_BYTES_MAX;
    node.tick();
    let id = node.send(1, read("large", 0, 0));
    node.pass((READ_WAITING_MS - 100) * 1000);
    assert!(node.take(1, id).is_none());
    node.pass(200_000);
    match node.take(1, id) {
        Some(Reply::Error(error)) => {
            assert_eq!((error.code, error.outcome), (ErrorCode::Overloaded, Outcome::NotExecuted));
            assert!(error.retry_after_ms > 0);
        }
        other => panic!("{other:?}"),
    }
}

/// R39: the reads of a connection that takes nothing wait behind it, and hold up nobody else's.
#[test]
fn r39_who_takes_nothing_holds_up_nobody() {
    let mut node = node();
    node.unsent = CONN_OUTPUT_BYTES_MAX;
    node.shard.set_paused(ConnId(1), true);
    let paused = node.send(1, read("large", 0, 0));
    let other = node.send(2, read("large", 0, 0));
    node.tick();
    assert!(node.take(1, paused).is_none());
    assert!(is_answer(node.take(2, other)));
    node.shard.set_paused(ConnId(1), false);
    node.tick();
    assert!(is_answer(node.take(1, paused)));
}

/// R39: the reads of one connection that wait count for it, and those of one that is gone are gone.
#[test]
fn r39_reads_in_line_belong_to_their_connection() {
    let mut node = node();
    node.unsent = SHARD_ANSWER_BYTES_MAX;
    node.tick();
    let mut sent = 0;
    while node.shard.read_bytes_of(ConnId(1)) < CONN_OUTPUT_BYTES_MAX {
        node.send(1, read("large", 0, 0));
        sent += 1;
        assert!(sent < 1000, "nothing is owed for reads that wait");
    }
    let each = CONN_OUTPUT_BYTES_MAX / sent;
    assert!((SMALL_READ_BYTES..2 * SMALL_READ_BYTES).contains(&each), "{sent} reads");
    node.input(paxosd::shard::Input::ClientDown { conn: ConnId(1) });
    node.tick();
    assert_eq!(node.shard.backlog().waiting_reads, 0);
    assert_eq!(node.shard.read_bytes_of(ConnId(1)), 0);
}

/// R19: a change of leadership voids the linearizable reads in line.
#[test]
fn r19_reads_in_line_end_with_the_leadership() {
    let mut node = node();
    node.unsent = SHARD_ANSWER_BYTES_MAX;
    node.tick();
    let id = node.send(1, read("large", 0, 0));
    node.input(paxosd::shard::Input::HandOver);
    node.pass(10_000);
    let reply = node.take(1, id).expect("it is answered");
    assert!(
        matches!(code(&reply), Some(ErrorCode::ShuttingDown | ErrorCode::NoQuorum)),
        "{reply:?}"
    );
}

/// R39: a read whose turn came, and whose entry was then found to be larger than the memory that it had, keeps
/// its place: a read that came after it, and would fit, is answered behind it.
#[test]
fn r39_a_read_that_waits_again_keeps_its_place() {
    let storage = Node::new().storage.duplicate();
    let bytes_max = 4 * COLD_ENTRY_BYTES as u32;
    let append_limit = EntriesLimit { entries_max: 1, entry_bytes_max: bytes_max / 2, bytes_max };
    let options = ShardOptions { append: append_limit, ..options_of(1, &[1]) };
    let mut node = Node::open_as(storage, options, false);
    node.ask(create("large"));
    node.ask(create("small"));
    let entries = Entries::from_slices([[7; 2 * COLD_ENTRY_BYTES]]).expect("one entry");
    let large = node.ask(Request::Append(Append { entries, ..append("large", "") }));
    assert!(matches!(large, Reply::Appended(_)), "{large:?}");
    node.ask(Request::Append(append("small", "x")));
    node.ask(Request::Append(append("small", "in memory after a start")));
    let mut node = Node::open(node.storage.duplicate());
    node.unsent = SHARD_ANSWER_BYTES_MAX;
    node.tick();
    let one_of = |log| {
        let Request::Read(read) = read(log, 0, 0) else { panic!("a read") };
        Request::Read(Read { max_entries: 1, ..read })
    };
    let older = node.send(1, one_of("large"));
    node.pass(1_000);
    let younger = node.send(2, one_of("small"));
    // There is room for one entry of unknown size at a time.
    node.unsent = SHARD_ANSWER_BYTES_MAX - COLD_ENTRY_BYTES;
    node.pass(1_000);
    assert!(node.take(1, older).is_none(), "answered without room");
    assert!(node.take(2, younger).is_none(), "it passed the one before it");
    node.unsent = 0;
    node.tick();
    assert_eq!(node.answered[node.answered.len() - 2..], [older, younger]);
    assert!(is_answer(node.take(1, older)) && is_answer(node.take(2, younger)));
}
