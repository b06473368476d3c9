//! Stories about records of remnants that are not what they should be, each beside others of their slot: what counts,
//! what is fetched, and that it is fetched once (C30).

use crate::compaction::with_rare_entries;
use crate::install::{check_log, read_as};
use crate::large_entries::{check_entries, text_of as rare_text};
use crate::node::{Node, SEGMENT, identity_of, log, texts};
use crate::remnants::{LOGS, Story, VALUES, restart, share, text_of};
use crate::stored_text::rot;
use crate::trio_rig::Trio;
use paxosd::api::{Consistency, Reply, Request, Trim};
use paxosd::checkpoint::{self, Start};
use paxosd::journal::{Journal, JournalEvent, execute};
use paxosd::machine::{cut_down, is_remnant};
use paxosd::storage::MemStorage;
use paxosd::types::{Ballot, FormatLevel, Index, Record, ShardId, Slot, Value};
use paxosd::wire::peer::Message;
use std::cell::Cell;
use std::rc::Rc;

/// Writes records into the journal of a node that does not run, by what the journal has of each slot.
pub fn rewrite<Records: IntoIterator<Item = Record>>(
    storage: &MemStorage,
    node: usize,
    mut records: impl FnMut(Slot, Ballot, &Value) -> Records,
) -> Vec<Slot> {
    let identity = identity_of(node as u16 + 1);
    let Start { mut journal, recovered, .. } =
        checkpoint::start(storage, &identity, (ShardId(0), 1), FormatLevel::KNOWN, &SEGMENT)
            .expect("it starts");
    let mut found = Vec::new();
    for slot in (1..=recovered.chosen_upto.0).map(Slot) {
        if let Some((ballot, value)) = kept(storage, &mut journal, slot) {
            found.extend(records(slot, ballot, &value).into_iter().map(|record| (slot, record)));
        }
    }
    let slots = found.iter().map(|(slot, _)| *slot).collect();
    let mut lsn = journal.durable_upto();
    for (_, record) in found {
        lsn = lsn.next();
        journal.push(lsn, record);
    }
    while let Some(job) = journal.next_job() {
        journal.done(execute(storage, job).expect("it is done"));
    }
    slots
}

/// What the journal has of a slot, for whoever holds it against an index.
fn kept(storage: &MemStorage, journal: &mut Journal, slot: Slot) -> Option<(Ballot, Value)> {
    let job = journal.read_slots(1, [slot], 1 << 20);
    let done = execute(storage, paxosd::journal::Job::Read(job)).expect("it is done");
    let Some(JournalEvent::Read(mut done)) = journal.done(done) else { panic!("not a read") };
    done.values.pop().and_then(|(_, found)| found.ok())
}

pub fn has(value: &Value, text: &str) -> bool {
    value.bytes().windows(text.len()).any(|part| part == text.as_bytes())
}

/// Reads an entry of the log that keeps all on a node, as often as it takes; how often that was.
fn read_at_last(trio: &mut Trio, at: usize, number: u64) -> usize {
    for tried in 0..5 {
        let reply = trio.ask(at, read_as("keeps", number, Consistency::Local));
        if let Reply::ReadDone(_) = reply {
            assert_eq!(texts(Some(reply))[0], text_of("keeps", number));
            return tried;
        }
        trio.pass(5_000_000);
    }
    panic!("entry {number} never comes to node {at}");
}

/// Three nodes with remnants, of which one that has all is cut off, so that its disk may be changed.
fn with_one_cut_off() -> (Trio, usize) {
    let Story { mut trio, leader, away } = Story::begin();
    let at = 3 - leader - away;
    trio.heal(away);
    trio.pass(10_000_000);
    trio.cut_off(at);
    (trio, at)
}

/// C30: a remnant of a higher ballot lacks a live extent, and only a file of places knows where it lies. The entries are
/// fetched from a peer once, and count from then on, though they come in a lower ballot.
#[test]
fn c30_what_is_fetched_counts_before_a_remnant_that_lacks_it() {
    let (mut trio, at) = with_one_cut_off();
    let text = text_of("keeps", 40);
    let higher = |ballot: Ballot| Ballot::new(ballot.round + 1_000, ballot.node);
    let slots = rewrite(trio.storage(at), at, |slot, ballot, value| {
        let is_it = is_remnant(value) && has(value, &text);
        let value = is_it.then(|| cut_down(value, &[]).expect("it is one").expect("it is cut"))?;
        Some(Record::Remnant { slot, ballot: higher(ballot), value })
    });
    let [slot] = slots[..] else { panic!("slots {slots:?} have the entry") };
    restart(&mut trio, at);
    let leader = trio.leader();
    share(&mut trio, leader, VALUES..VALUES + 120);
    trio.pass(20_000_000);
    assert_eq!(trio.members[at].shard.journal().kept_in(slot), Ballot::ZERO, "memory knows it");
    let before = trio.members[at].shard.tally().fetched_values;
    assert!(read_at_last(&mut trio, at, 40) > 0, "nothing is missing");
    for _ in 0..3 {
        assert_eq!(read_at_last(&mut trio, at, 40), 0);
        trio.pass(1_000_000);
    }
    assert_eq!(trio.members[at].shard.tally().fetched_values, before + 1);
    check_log(&mut trio, at, "keeps", (0, VALUES + 120));
}

/// C29, C30: what a node that installed a checkpoint finds in its own journal lacks live entries. What a peer gives
/// counts before it, though it comes in a lower ballot: the first read finds it.
#[test]
fn c29_what_is_fetched_counts_before_the_own_record_that_lacks_it() {
    let Story { mut trio, leader, away } = Story::begin();
    let text = text_of("keeps", 40);
    let mut theirs = None;
    rewrite(&trio.storage(leader).duplicate(), leader, |slot, ballot, value| {
        if has(value, &text) {
            theirs = Some((slot, ballot, value.clone()));
        }
        []
    });
    let (slot, ballot, value) = theirs.expect("the leader has it");
    let (is_let, let_in) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let (lets, counted) = (Rc::clone(&is_let), Rc::clone(&let_in));
    trio.tap(move |_, to, message| {
        let is_values = to == away && matches!(message, Message::ValuesChunk(_));
        counted.set(counted.get() + usize::from(is_values && lets.get()));
        !is_values || lets.get()
    });
    trio.heal(away);
    trio.pass(20_000_000);
    assert!(trio.members[away].shard.absent_slots() > 50, "nothing is absent");
    trio.cut_off(away);
    let (cut, mut is_first) = (cut_down(&value, &[]).expect("it is one").expect("it is cut"), true);
    let round = ballot.round + 1_000;
    rewrite(trio.storage(away), away, |_, _, _| {
        let (ballot, value) = (Ballot::new(round, ballot.node), cut.clone());
        std::mem::take(&mut is_first).then_some(Record::Remnant { slot, ballot, value })
    });
    is_let.set(true);
    restart(&mut trio, away);
    trio.pass(30_000_000);
    assert!(let_in.get() > 0 && !is_first);
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
    let fetched = trio.members[away].shard.tally().fetched_values;
    check_log(&mut trio, away, "keeps", (0, VALUES));
    assert_eq!(trio.members[away].shard.tally().fetched_values, fetched, "fetched for a read");
}

/// C30: a state that was wrong had a value cut too far. The whole value is still there, and its segment goes by compaction:
/// not before its live entries are copied so that they count.
#[test]
fn c30_a_segment_does_not_go_with_what_a_remnant_lacks() {
    let storage = with_rare_entries(20, 1 << 40).storage.duplicate();
    let cut = rewrite(&storage, 0, |slot, ballot, value| {
        let ballot = Ballot::new(ballot.round + 1_000, ballot.node);
        let is_it = has(value, &rare_text(5));
        is_it.then(|| Record::Remnant { slot, ballot, value: nothing_left(value) })
    });
    assert_eq!(cut.len(), 2, "one of each log");
    let mut node = Node::open_as(storage, crate::compaction::options(0), false);
    node.pass(30_000_000);
    let tally = node.shard.tally().compaction;
    assert!(tally.segments > 5, "{tally:?}");
    check_entries(&mut node, "rare", 0..20);
    let mut again = Node::open_as(node.storage.duplicate(), crate::compaction::options(0), false);
    check_entries(&mut again, "rare", 0..20);
}

/// C30: a remnant that counts has another entry than was chosen. Compaction finds it: what a peer has takes its place before
/// anybody asks for it, and the segment is compacted.
#[test]
fn c30_compaction_has_a_wrong_remnant_replaced() {
    let (mut trio, at) = with_one_cut_off();
    let text = text_of("keeps", 40);
    let slots = rewrite(trio.storage(at), at, |slot, ballot, value| {
        let mut bytes = value.bytes().to_vec();
        let found = bytes.windows(text.len()).position(|part| part == text.as_bytes());
        bytes[found.filter(|_| is_remnant(value))? + 100] ^= 1;
        let ballot = Ballot::new(ballot.round + 1_000, ballot.node);
        Some(Record::Remnant { slot, ballot, value: Value::new(bytes) })
    });
    assert_eq!(slots.len(), 1, "slots {slots:?} have the entry");
    // The right one, beside it, has rotted.
    let storage = trio.storage(at);
    let rotten = rot(storage, &text);
    assert!(rotten > 0, "no segment holds the entry");
    restart(&mut trio, at);
    let leader = trio.leader();
    share(&mut trio, leader, VALUES..2 * VALUES);
    for text in &LOGS[1..] {
        let before = Index(2 * VALUES);
        trio.ask(leader, Request::Trim(Trim { log: log(text), before }));
    }
    trio.pass(60_000_000);
    assert_eq!(trio.members[at].shard.absent_slots(), 0);
    assert!(trio.members[at].shard.tally().fetched_values > 0, "it was not found");
    assert_eq!(read_at_last(&mut trio, at, 40), 0);
    check_log(&mut trio, at, "keeps", (0, 2 * VALUES));
}

/// What is left of a value of which nothing lives, by a state that is wrong.
pub fn nothing_left(value: &Value) -> Value {
    let bytes = value.bytes();
    let mut out = b"PR\x01\0\0\0\0\0".to_vec();
    out.extend_from_slice(&bytes[8..28]);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    Value::new(out)
}
