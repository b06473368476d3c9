//! Stories about peers that give a part of what is live in a value: the rest is fetched from another one, and counts from
//! then on (C29, C30).

use crate::install::read_as;
use crate::node::{log, texts};
use crate::remnants::{Story, VALUES, text_of};
use crate::trio_rig::Trio;
use paxosd::api::{Consistency, Reply, Request, Trim};
use paxosd::machine::is_remnant;
use paxosd::types::{Ballot, Index, Value};
use paxosd::wire::peer::{Message, ValuesChunk};
use std::cell::Cell;
use std::rc::Rc;

/// Longer than it takes to fetch all that is absent.
const WHILE_US: u64 = 60_000_000;

/// A remnant with the first of the rows of another one; nothing where that is all it has.
fn first_row(value: &Value) -> Option<Value> {
    let bytes = value.bytes();
    let count = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    if !is_remnant(value) || count < 2 {
        return None;
    }
    let end = u32::from_le_bytes(bytes[36..40].try_into().ok()?) as usize;
    let commands = 32 + 8 * count as usize;
    let mut out = bytes[..4].to_vec();
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&bytes[8..40]);
    out.extend_from_slice(&bytes[commands..commands + end]);
    Some(Value::new(out))
}

/// Of these values nothing but the first row is left, in a ballot that is higher by so many rounds. Returns how many.
fn cut_to_first_row(chunk: &mut ValuesChunk, rounds: u64) -> u32 {
    let mut cut = 0;
    for (_, ballot, value) in &mut chunk.values {
        if let Some(part) = first_row(value) {
            (*ballot, *value) = (Ballot::new(ballot.round + rounds, ballot.node), part);
            cut += 1;
        }
    }
    cut
}

/// Every entry of a log from 10 on is read on a node at the first time.
fn check(trio: &mut Trio, at: usize, text: &str) {
    let mut next = 10;
    while next < VALUES {
        let reply = trio.ask(at, read_as(text, next, Consistency::Local));
        assert!(matches!(reply, Reply::ReadDone(_)), "entry {next} of {text}: {reply:?}");
        for found in texts(Some(reply)) {
            assert_eq!(found, text_of(text, next));
            next += 1;
        }
    }
}

/// C30: the first peer that answers has a part of what is live in each value, in a higher ballot; the other one has all
/// of it. What it gives takes the place of the part.
#[test]
fn c30_all_in_a_lower_ballot_counts_before_a_part_in_a_higher_one() {
    let Story { mut trio, away, .. } = Story::with_live(2);
    let (cut, mut liar) = (Rc::new(Cell::new(0)), None);
    let counted = Rc::clone(&cut);
    trio.tap(move |from, to, message| {
        if let (Message::ValuesChunk(chunk), true) = (message, to == away)
            && *liar.get_or_insert(from) == from
        {
            counted.set(counted.get() + cut_to_first_row(chunk, 1_000));
        }
        true
    });
    trio.heal(away);
    trio.pass(WHILE_US);
    assert!(cut.get() > 50, "{} values were cut", cut.get());
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
    ["keeps", "b"].iter().for_each(|text| check(&mut trio, away, text));
}

/// C29: a peer gave one of two live rows of each value, and that one is trimmed before it is looked at whether any is
/// missing. As many rows are live then as it gave; the other one is fetched all the same.
#[test]
fn c29_a_row_that_was_trimmed_makes_up_for_no_other() {
    let Story { mut trio, leader, away } = Story::with_live(2);
    let (cut, goes_on) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (counted, may_go) = (Rc::clone(&cut), Rc::clone(&goes_on));
    trio.tap(move |_, to, message| match message {
        Message::ValuesChunk(chunk) if to == away && !may_go.get() => {
            // Of what was asked for half is answered; the rest is still to come, so that nothing is looked at yet.
            let is_first = counted.get() == 0;
            if is_first {
                chunk.covered.0 = (chunk.from.0 + chunk.covered.0) / 2;
                counted.set(cut_to_first_row(chunk, 0));
            }
            is_first
        }
        _ => true,
    });
    trio.heal(away);
    trio.pass(300_000);
    assert!(cut.get() > 20, "{} values were cut", cut.get());
    let trim = Trim { log: log("keeps"), before: Index(VALUES) };
    assert!(matches!(trio.ask(leader, Request::Trim(trim)), Reply::Trimmed(_)));
    trio.pass(100_000);
    goes_on.set(true);
    trio.pass(WHILE_US);
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
    check(&mut trio, away, "b");
}
