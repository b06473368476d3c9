//! Stories about reads of a few entries out of what is left of large values (C30).

use crate::node::{Node, append, code, create, log, texts};
use crate::remnants::{options, trim};
use crate::stored_text::{copies, flip};
use paxosd::api::error::ErrorCode;
use paxosd::api::{Consistency, Read, Reply, Request};
use paxosd::limits::REMNANT_FRONT_BYTES;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::Index;

/// Logs whose entries are written together, and how many of them live.
const LOGS: u64 = 18;
const LIVE: u64 = 7;
/// So many values have an entry of each.
const VALUES: u64 = 120;

/// An entry of three kilobytes.
fn text_of(of: u64, number: u64) -> String {
    format!("{of:03}-{number:06}-{}", "y".repeat(3_000))
}

/// A node that was started anew, with remnants of more than 16 KiB: seven logs of eighteen live.
fn with_large_remnants() -> Node {
    let mut node = Node::with_options(options(0));
    node.shard.set_cache_bytes(0);
    (0..LOGS).for_each(|of| drop(node.ask(create(&format!("log-{of}")))));
    for number in 0..VALUES {
        let appends = (0..LOGS).map(|of| append(&format!("log-{of}"), &text_of(of, number)));
        let sent: Vec<u64> = appends.map(|one| node.send(1, Request::Append(one))).collect();
        node.tick();
        for asked in sent {
            let reply = node.take(1, asked);
            assert!(matches!(reply, Some(Reply::Appended(_))), "entry {number}: {reply:?}");
        }
    }
    (LIVE..LOGS).for_each(|of| trim(&mut node, &format!("log-{of}"), VALUES));
    node.pass(60_000_000);
    let tally = node.shard.tally().compaction;
    assert!(tally.remnants > 50 && tally.bytes > 16_384 * tally.remnants, "{tally:?}");
    let mut again = Node::open_as(node.storage.duplicate(), options(0), false);
    again.shard.set_cache_bytes(0);
    again
}

fn read_one(node: &mut Node, of: u64, number: u64) -> Reply {
    let (log, from, consistency) = (log(&format!("log-{of}")), Index(number), Consistency::Local);
    let (max_entries, max_bytes, wait_ms) = (1, 0, 0);
    node.ask(Request::Read(Read { log, from, max_entries, max_bytes, wait_ms, consistency }))
}

/// Flips a bit of what stands so many bytes behind this text, wherever a segment has it.
fn rot(storage: &MemStorage, text: &str, behind: i64) {
    copies(storage, text).iter().for_each(|copy| flip(storage, copy, behind));
}

/// C30: a read of one entry out of a large remnant costs about as much as the entry, wherever in it that stands.
#[test]
fn c30_a_few_entries_of_a_remnant_cost_what_they_take() {
    let mut node = with_large_remnants();
    let entry = text_of(0, 0).len();
    for of in 0..LIVE {
        for number in [0, 17, 40] {
            let before = node.cold_bytes;
            let reply = read_one(&mut node, of, number);
            assert_eq!(texts(Some(reply)), [text_of(of, number)]);
            let bytes = node.cold_bytes - before;
            let most = REMNANT_FRONT_BYTES as usize + entry + 200;
            assert!(bytes > entry && bytes < most, "{bytes} bytes for {number} of log {of}");
        }
    }
}

/// C30, C19: what has rotted in another row hinders no read of a part; what has rotted in the rows or in the entry itself is
/// never served.
#[test]
fn c30_a_rotten_remnant_gives_no_other_entry() {
    let mut node = with_large_remnants();
    rot(&node.storage, &text_of(2, 17), 100);
    for of in [1, 3] {
        assert_eq!(texts(Some(read_one(&mut node, of, 17))), [text_of(of, 17)]);
    }
    let reply = read_one(&mut node, 2, 17);
    assert_eq!(code(&reply), Some(ErrorCode::NotReady), "{reply:?}");
    // The rows stand in front of the first log's append, whose entry has these bytes before its text.
    let before_text = distance_to_rows(&node.storage);
    for back in (before_text..before_text + 8 * LIVE as i64).step_by(11) {
        let mut node = Node::open_as(node.storage.duplicate(), options(0), false);
        node.shard.set_cache_bytes(0);
        rot(&node.storage, &text_of(0, 30), -back - 1);
        for of in 0..LIVE {
            let reply = read_one(&mut node, of, 30);
            let is_right = matches!(&reply, Reply::ReadDone(_))
                && texts(Some(reply.clone())) == [text_of(of, 30)];
            let is_refused = code(&reply) == Some(ErrorCode::NotReady);
            assert!(is_right || is_refused, "{back} bytes in front, log {of}: {reply:?}");
        }
    }
}

/// How many bytes lie between the last row and the text of the first append of a remnant.
fn distance_to_rows(storage: &MemStorage) -> i64 {
    let text = text_of(0, 30);
    let (name, at) = copies(storage, &text).first().expect("a segment has it").clone();
    let mut before = vec![0; at as usize];
    storage.read_at(&name, 0, &mut before).expect("it is read");
    let front = before.windows(4).rposition(|part| part == b"PR\x01\0");
    (at as usize - front.expect("a remnant begins before it")) as i64 - 32 - 8 * LIVE as i64
}
