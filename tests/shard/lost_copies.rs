//! Stories about copies that are easily overlooked when somebody asks whether any member has an entry (C32b).

use crate::install::{put, read_as};
use crate::node::{create, log, texts};
use crate::remnant_records::{has, rewrite};
use crate::remnants::restart;
use crate::stored_text::{copies, flip};
use crate::trio_rig::Trio;
use paxosd::api::error::ErrorCode;
use paxosd::api::{Consistency, DeclareLost, Reply, Request, Trim};
use paxosd::machine::{cut_down, is_remnant};
use paxosd::paxos::Timing;
use paxosd::shard::CutOptions;
use paxosd::storage::MemStorage;
use paxosd::types::{Ballot, Index, Record, Slot, Value};
use paxosd::wire::peer::Message;
use std::cell::Cell;
use std::rc::Rc;

/// A cut every fifty slots, and five seconds after the last one where there is a reason.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 50, extents: 1 << 20, idle_us: 5_000_000, gap_us: 0 };
/// Longer than an install takes, with what is fetched behind it.
const WHILE_US: u64 = 20_000_000;

/// Every copy of it on a disk rots.
fn rot_rare(storage: &MemStorage) {
    let copies = copies(storage, RARE);
    assert!(!copies.is_empty(), "no segment holds it");
    copies.iter().for_each(|copy| flip(storage, copy, 0));
}

const RARE: &str = "an entry that nothing else is like";

/// C32b, C29: a node accepted an entry and was cut off before it heard that it was chosen. It installs a checkpoint
/// that stands for the entry, and what the others had of it has rotted. The node's record is the last copy: the
/// entry is not lost, and all get it from there.
#[test]
fn c32b_what_was_accepted_before_an_install_is_a_copy() {
    let (mut trio, away, leader, _) = accepted_before_an_install();
    let request = DeclareLost { log: log("rare"), from: Index(0), before: Index(1) };
    let reply = trio.ask(leader, Request::DeclareLost(request));
    let is_refused = matches!(&reply, Reply::Error(error) if error.code == ErrorCode::NotLost);
    assert!(is_refused, "node {} has it: {reply:?}", away + 1);
    check_rare(&mut trio, away);
}

/// C29: the same, and nobody asks for anything. A node that was given the value by no peer reads its own journal, keeps
/// the entries of what it had accepted, and the others have them from there; as entries, for nobody knows whether the
/// rest of that value was chosen.
#[test]
fn c29_what_no_peer_could_give_is_looked_for_here() {
    let (mut trio, away, _, parts) = accepted_before_an_install();
    trio.pass(WHILE_US);
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
    check_rare(&mut trio, away);
    assert!(parts.get() > 0, "the others have it from elsewhere");
}

/// Each node has the rare entry, a while after it was asked for.
fn check_rare(trio: &mut Trio, first: usize) {
    for at in [first, (first + 1) % 3, (first + 2) % 3] {
        let found = (0..3).find_map(|_| {
            let reply = trio.ask(at, read_as("rare", 0, Consistency::Local));
            trio.pass(WHILE_US);
            matches!(reply, Reply::ReadDone(_)).then(|| texts(Some(reply)))
        });
        assert_eq!(found, Some(vec![RARE.to_string()]), "node {at}");
    }
}

/// A trio of which one node accepted the rare entry and installed a checkpoint behind it, without its value, which has
/// rotted on the others. Returns that node, the leader, and how often that node gave the entry to others.
fn accepted_before_an_install() -> (Trio, usize, usize, Rc<Cell<u32>>) {
    let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
    let first = trio.leader();
    let away = (first + 1) % 3;
    let leader = first;
    trio.members.iter_mut().for_each(|member| member.shard.set_cache_bytes(0));
    for text in ["a", "rare"] {
        trio.ask(leader, create(text));
    }
    put(&mut trio, leader, "a", 0..20);
    trio.pass(500_000);
    let before = trio.members[away].shard.applied_upto();
    let reply = trio.ask(leader, Request::Append(crate::node::append("rare", RARE)));
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    trio.cut_off(away);
    let shard = &trio.members[away].shard;
    assert_eq!(shard.applied_upto(), before, "it has not heard that the entry is chosen");
    assert!(shard.journal().locate(before.next()).is_some(), "it has accepted it");
    // Whoever leads next speaks of another ballot: the node cannot take what it accepted for what was chosen (C9).
    trio.cut_off(first);
    trio.pass(3_000_000);
    trio.heal(first);
    let leader = trio.leader();
    let other = 3 - leader - away;
    for round in 0..4 {
        let upto = 20 + 100 * (round + 1);
        put(&mut trio, leader, "a", upto - 100..upto);
        trio.ask(leader, Request::Trim(Trim { log: log("a"), before: Index(upto) }));
        trio.pass(6_000_000);
    }
    let released = trio.members[leader].shard.journal().released_upto();
    assert!(released > before, "released up to {released}, it is at {before}");
    for at in [leader, other] {
        rot_rare(trio.storage(at));
    }
    let parts = Rc::new(Cell::new(0));
    let counted = Rc::clone(&parts);
    trio.tap(move |from, _, message| {
        if let (Message::ValuesChunk(chunk), true) = (message, from == away) {
            let of_it =
                |value: &Value| value.bytes().windows(8).any(|part| part == &RARE.as_bytes()[..8]);
            for (slot, _, value) in chunk.values.iter().filter(|(_, _, value)| of_it(value)) {
                assert!(is_remnant(value), "slot {slot} is given as what was chosen");
                counted.set(counted.get() + 1);
            }
        }
        true
    });
    trio.heal(away);
    trio.pass(WHILE_US);
    assert!(trio.members[away].shard.installed_upto() > Slot(0));
    (trio, away, leader, parts)
}

/// Three nodes with an entry of `rare`. The journal of one that follows has these records of its slot beside what was
/// written in the first place; the copies of the other two have rotted. Returns the leader and the one that follows.
fn with_records(of: impl Fn(Slot, Ballot, &Value) -> Vec<Record>) -> (Trio, usize, usize) {
    let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
    let leader = trio.leader();
    let holder = (leader + 1) % 3;
    trio.members.iter_mut().for_each(|member| member.shard.set_cache_bytes(0));
    for text in ["a", "rare"] {
        trio.ask(leader, create(text));
    }
    trio.ask(leader, Request::Append(crate::node::append("rare", RARE)));
    put(&mut trio, leader, "a", 0..100);
    trio.pass(6_000_000);
    trio.cut_off(holder);
    let slots = rewrite(trio.storage(holder), holder, |slot, ballot, value| {
        if has(value, RARE) { of(slot, ballot, value) } else { Vec::new() }
    });
    assert!(!slots.is_empty(), "it has no such value");
    restart(&mut trio, holder);
    trio.members[holder].shard.set_cache_bytes(0);
    let leader = trio.leader();
    assert_ne!(leader, holder, "it was away");
    put(&mut trio, leader, "a", 100..200);
    trio.pass(6_000_000);
    (0..3).filter(|at| *at != holder).for_each(|at| rot_rare(trio.storage(at)));
    (trio, leader, holder)
}

/// What is left of a value with one command, an append, where that lives.
fn remnant(value: &Value) -> Value {
    let (bytes, offset) = (value.bytes(), 28_usize);
    let mut out = Vec::new();
    out.extend_from_slice(b"PR\x01\0\x01\0\0\0");
    out.extend_from_slice(&bytes[8..offset]);
    for number in [bytes.len(), offset, bytes.len() - offset] {
        out.extend_from_slice(&(number as u32).to_le_bytes());
    }
    out.extend_from_slice(&bytes[offset..]);
    let value = Value::new(out);
    assert!(is_remnant(&value) && has(&value, RARE));
    value
}

/// Three nodes, of which two have lost an entry. The record that counts for it on the third has rotted, unnoticed, and a
/// remnant beside it has the entry; or it is a remnant without the entry, and the value is there.
fn one_beside(rots: bool) -> (Trio, usize, usize) {
    let above = |ballot: Ballot| Ballot::new(ballot.round + 1_000, ballot.node);
    let rotten = |slot, ballot, value: &Value| {
        let (ballot_of_value, left) = (above(ballot), remnant(value));
        vec![
            Record::Remnant { slot, ballot, value: left },
            Record::Learned { slot, ballot: ballot_of_value, value: value.clone() },
        ]
    };
    let lacking = |slot, ballot, value: &Value| {
        let left = cut_down(&remnant(value), &[]).expect("it is one").expect("it is cut");
        vec![Record::Remnant { slot, ballot: above(ballot), value: left }]
    };
    if !rots {
        return with_records(lacking);
    }
    let (trio, leader, holder) = with_records(rotten);
    let copies = copies(trio.storage(holder), RARE);
    let [.., left, whole] = &copies[..] else { panic!("{copies:?}") };
    assert_eq!(left.0, whole.0, "they were written together");
    copies.iter().filter(|copy| *copy != left).for_each(|copy| flip(trio.storage(holder), copy, 0));
    (trio, leader, holder)
}

/// C32b, C30: the record that counts for an entry's slot does not have it, and the one beside it does. That is a copy: nothing
/// is lost.
#[test]
fn c32b_a_record_beside_the_one_that_counts_is_a_copy() {
    for rots in [true, false] {
        let (mut trio, leader, holder) = one_beside(rots);
        let request = DeclareLost { log: log("rare"), from: Index(0), before: Index(1) };
        let reply = trio.ask(leader, Request::DeclareLost(request));
        let is_refused = matches!(&reply, Reply::Error(error) if error.code == ErrorCode::NotLost);
        assert!(is_refused, "rots: {rots}: node {} has it: {reply:?}", holder + 1);
    }
}

/// C30: the record that counts has rotted, or is a remnant without the entry, and another one here has it. Readers get it at
/// once; it is written anew, and counts from then on; and the others, whose copies have rotted, get it from there.
#[test]
fn c30_what_a_record_lacks_is_read_from_the_one_beside_it() {
    for rots in [true, false] {
        let (mut trio, _, holder) = one_beside(rots);
        let request = || read_as("rare", 0, Consistency::Local);
        assert_eq!(texts(Some(trio.ask(holder, request()))), [RARE], "rots: {rots}");
        trio.pass(WHILE_US);
        assert_eq!(trio.members[holder].shard.absent_slots(), 0, "rots: {rots}");
        let copies = copies(trio.storage(holder), RARE);
        let before = copies.len() - 1;
        copies[..before].iter().for_each(|copy| flip(trio.storage(holder), copy, 0));
        for at in [holder, (holder + 1) % 3, (holder + 2) % 3] {
            let found = (0..3).find_map(|_| {
                let reply = trio.ask(at, request());
                trio.pass(WHILE_US);
                matches!(reply, Reply::ReadDone(_)).then(|| texts(Some(reply)))
            });
            assert_eq!(found, Some(vec![RARE.to_string()]), "rots: {rots}: node {at}");
        }
    }
}
