//! Stories about values of which a part lives: logs share values, some are trimmed, and what is left of the others is
//! copied without them (C30).

use crate::install::{check_log, put};
use crate::node::{Node, append, create, log, options_of, read, texts};
use crate::stored_text::{rot, segments};
use crate::trio_rig::Trio;
use paxosd::api::{Append, Reply, Request, Trim};
use paxosd::machine::is_remnant;
use paxosd::paxos::Timing;
use paxosd::shard::{CutOptions, ShardOptions};
use paxosd::types::{FormatLevel, Index, Random, Slot, Value};
use paxosd::wire::peer::Message;
use std::cell::RefCell;
use std::rc::Rc;

/// A cut every fifty slots, and five seconds after the last one where there is a reason.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 50, extents: 1 << 20, idle_us: 5_000_000, gap_us: 0 };
/// Logs whose entries are written together, and how many of them each value has.
pub const LOGS: [&str; 8] = ["keeps", "b", "c", "d", "e", "f", "g", "h"];

/// An entry of three kilobytes of this log.
pub fn text_of(text: &str, number: u64) -> String {
    format!("{number:06}{}", text[..1].repeat(3_000))
}

fn appends(number: u64) -> impl Iterator<Item = Append> {
    LOGS.iter().map(move |text| append(text, &text_of(text, number)))
}

/// Each value of these has an entry of every log.
fn fill(node: &mut Node, entries: std::ops::Range<u64>) {
    for number in entries {
        let sent: Vec<u64> =
            appends(number).map(|one| node.send(1, Request::Append(one))).collect();
        node.tick();
        for asked in sent {
            let reply = node.take(1, asked);
            assert!(matches!(reply, Some(Reply::Appended(_))), "entry {number}: {reply:?}");
        }
    }
}

pub fn trim(node: &mut Node, text: &str, before: u64) {
    let reply = node.ask(Request::Trim(Trim { log: log(text), before: Index(before) }));
    assert!(matches!(reply, Reply::Trimmed(_)), "{reply:?}");
}

/// Every entry from `from` up to `end` is read as it was appended.
fn check_entries(node: &mut Node, text: &str, entries: std::ops::Range<u64>) {
    let (mut next, end) = (entries.start, entries.end);
    while next < end {
        for found in texts(Some(node.ask(read(text, next, 0)))) {
            assert_eq!(found, text_of(text, next), "entry {next} of {text}");
            next += 1;
        }
    }
    assert_eq!(next, end);
}

pub fn options(catchup_bytes: u64) -> ShardOptions {
    ShardOptions { cuts: OFTEN, catchup_bytes, ..options_of(1, &[1]) }
}

/// A node with so many values, in each of which one entry of eight lives.
fn mostly_dead(values: u64, catchup_bytes: u64) -> Node {
    let mut node = Node::with_options(options(catchup_bytes));
    node.shard.set_cache_bytes(0);
    LOGS.iter().for_each(|text| drop(node.ask(create(text))));
    fill(&mut node, 0..values);
    LOGS[1..].iter().for_each(|text| trim(&mut node, text, values));
    node
}

/// C30: a log that keeps all does not keep what was written together with its entries: the disk shrinks to what
/// lives. All of it is read as before, also after a restart, and when it is compacted once more.
#[test]
fn c30_a_log_that_keeps_all_does_not_keep_others() {
    let mut node = mostly_dead(400, 0);
    let before = segments(&node.storage).len();
    assert!(before > 9, "{before} segments");
    node.pass(60_000_000);
    let (after, tally) = (segments(&node.storage).len(), node.shard.tally().compaction);
    // What lives fills a segment and a half; two are in preparation, and one is in use.
    assert!(after <= 6, "{before} segments, then {after}: {tally:?}");
    assert!(tally.remnants > 250 && tally.remnants == tally.values, "{tally:?}");
    check_entries(&mut node, "keeps", 0..400);
    let mut again = Node::open_as(node.storage.duplicate(), options(0), false);
    check_entries(&mut again, "keeps", 0..400);
    // Most of what was left dies too.
    fill(&mut again, 400..600);
    LOGS[2..].iter().for_each(|text| trim(&mut again, text, 600));
    trim(&mut again, "keeps", 300);
    again.pass(60_000_000);
    let tally = again.shard.tally().compaction;
    assert!(tally.remnants > 100, "{tally:?}");
    let last = segments(&again.storage).len();
    assert!(last <= after + 2, "{after} segments, then {last}");
    check_entries(&mut again, "keeps", 300..600);
    check_entries(&mut again, "b", 400..600);
    assert_eq!(again.shard.absent_slots(), 0);
    let mut third = Node::open_as(again.storage.duplicate(), options(0), false);
    check_entries(&mut third, "keeps", 300..600);
    check_entries(&mut third, "b", 400..600);
}

/// C30: wherever the machine stops while what is left of values is copied, each live entry is there afterwards, and
/// the disk shrinks in the end.
#[test]
fn c30_a_crash_while_remnants_are_written_loses_nothing() {
    let storage = mostly_dead(130, 1 << 40).storage;
    let opened = Node::open_as(storage.duplicate(), options(1 << 40), false);
    let first = opened.storage.steps();
    let mut whole = Node::open_as(storage.duplicate(), options(0), false);
    whole.pass(40_000_000);
    let (before, after) = (segments(&storage).len(), segments(&whole.storage).len());
    assert!(after < before && whole.shard.tally().compaction.remnants > 50, "{before}, {after}");
    let (last, mut tried) = (whole.storage.steps(), 0);
    for step in (first + 1..last).step_by((last - first).div_ceil(40) as usize) {
        let mut random = Random::new(step);
        let copy = storage.duplicate();
        copy.halt_at(step);
        let mut node = Node::open_to_halt(copy, options(0));
        node.pass(40_000_000);
        node.storage.crash(&mut || random.draw());
        let mut again = Node::open_as(node.storage, options(0), false);
        assert!(again.fatal.is_none(), "step {step}: {:?}", again.fatal);
        check_entries(&mut again, "keeps", 0..130);
        again.pass(40_000_000);
        check_entries(&mut again, "keeps", 0..130);
        assert_eq!(again.shard.absent_slots(), 0, "step {step}");
        let left = segments(&again.storage).len();
        assert!(left <= after + 1, "step {step}: {left} segments are left, not {after}");
        tried += 1;
    }
    assert!(tried > 20, "{tried} places");
}

/// Appends an entry to each log, all in one value; the leader's turn ends behind them.
pub fn share(trio: &mut Trio, at: usize, entries: std::ops::Range<u64>) {
    for number in entries {
        for asked in trio.send_together(at, appends(number).map(Request::Append).collect()) {
            let reply = trio.take(at, asked);
            assert!(matches!(reply, Some(Reply::Appended(_))), "entry {number}: {reply:?}");
        }
    }
}

/// Three nodes, of which one was cut off early; the others hold remnants, and released the values.
pub struct Story {
    pub trio: Trio,
    pub leader: usize,
    pub away: usize,
}

pub const VALUES: u64 = 150;

impl Story {
    /// In each value one entry of eight lives.
    pub fn begin() -> Story {
        Story::with_live(1)
    }

    /// In each value entries of so many logs live, of eight.
    pub fn with_live(logs: usize) -> Story {
        let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
        let leader = trio.leader();
        let away = (leader + 1) % 3;
        trio.members.iter_mut().for_each(|member| member.shard.set_cache_bytes(0));
        LOGS.iter().for_each(|text| drop(trio.ask(leader, create(text))));
        share(&mut trio, leader, 0..10);
        trio.pass(500_000);
        trio.cut_off(away);
        share(&mut trio, leader, 10..VALUES);
        for text in &LOGS[logs..] {
            let before = Index(VALUES);
            trio.ask(leader, Request::Trim(Trim { log: log(text), before }));
        }
        trio.pass(60_000_000);
        for at in [leader, (leader + 2) % 3] {
            let (shard, behind) =
                (&trio.members[at].shard, trio.members[away].shard.applied_upto());
            let (tally, upto) = (shard.tally().compaction, shard.journal().released_upto());
            assert!(tally.remnants > 50 && upto > behind, "{tally:?}, {upto}, {behind}");
        }
        Story { trio, leader, away }
    }
}

/// C27, C30: a node that lacks what others have remnants of hears that it is released; it installs, fetches the
/// remnants, and has every live entry.
#[test]
fn c30_remnants_are_given_for_absent_values_and_to_no_learner() {
    let Story { mut trio, leader, away } = Story::begin();
    let seen = Rc::new(RefCell::new((0, 0)));
    let counted = Rc::clone(&seen);
    trio.tap(move |_, _, message| {
        match message {
            Message::Learned(learned) => {
                let is_one = learned.values.iter().any(|(_, _, value)| is_remnant(value));
                assert!(!is_one, "a remnant is sent to a learner");
                counted.borrow_mut().0 += usize::from(learned.released.is_some());
            }
            Message::ValuesChunk(chunk) => {
                let values = chunk.values.iter().filter(|(_, _, value)| is_remnant(value));
                counted.borrow_mut().1 += values.count();
            }
            _ => {}
        }
        true
    });
    trio.heal(away);
    trio.pass(20_000_000);
    let (released, remnants) = *seen.borrow();
    assert!(released > 0 && remnants > 50, "{released} answers, {remnants} remnants");
    let shard = &trio.members[away].shard;
    assert!(shard.installed_upto() > Slot(10));
    assert_eq!(shard.absent_slots(), 0);
    for at in 0..3 {
        check_log(&mut trio, at, "keeps", (0, VALUES));
        check_log(&mut trio, at, "b", (VALUES, VALUES));
    }
    put(&mut trio, leader, "b", VALUES..VALUES + 1);
    trio.pass(1_000_000);
    restart(&mut trio, away);
    trio.pass(10_000_000);
    check_log(&mut trio, away, "keeps", (0, VALUES));
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
}

/// C30: a remnant that has rotted is fetched from a peer, of which only a remnant is left either.
#[test]
fn c30_a_rotten_remnant_is_fetched() {
    let Story { mut trio, leader, .. } = Story::begin();
    let at = (leader + 2) % 3;
    let text = text_of("keeps", 40);
    let storage = &trio.members[at].storage;
    let rotten = rot(storage, &text);
    assert!(rotten > 0, "no segment holds the entry");
    check_log_slowly(&mut trio, at, VALUES);
    let tally = trio.members[at].shard.tally();
    assert!(tally.fetched_values > 0, "{tally:?}");
    assert_eq!(trio.members[at].shard.absent_slots(), 0);
    restart(&mut trio, at);
    trio.pass(10_000_000);
    check_log(&mut trio, at, "keeps", (0, VALUES));
}

/// A node ends, and starts again.
pub fn restart(trio: &mut Trio, at: usize) {
    trio.cut_off(at);
    trio.restart(at, (Timing::default(), FormatLevel::KNOWN));
    trio.heal(at);
}

/// Reads the log that keeps all; where an answer is "elsewhere", once more a little later.
fn check_log_slowly(trio: &mut Trio, at: usize, end: u64) {
    for _ in 0..5 {
        let request = crate::install::read_as("keeps", 40, paxosd::api::Consistency::Local);
        if let Reply::ReadDone(_) = trio.ask(at, request) {
            break;
        }
        trio.pass(5_000_000);
    }
    check_log(trio, at, "keeps", (0, end));
}

/// C32c: while one member runs the program before, no journal gets a remnant, for a program of yesterday reads none,
/// and none is sent; what is mostly dead stays. Once all know the level, it goes.
#[test]
fn c32c_no_remnant_is_written_below_its_level() {
    let (new, old) = (FormatLevel::REMNANTS, FormatLevel::FIRST);
    let mut trio = Trio::of_programs_with_cuts(OFTEN, [new, new, old]);
    let leader = trio.leader();
    trio.members.iter_mut().for_each(|member| member.shard.set_cache_bytes(0));
    LOGS.iter().for_each(|text| drop(trio.ask(leader, create(text))));
    share(&mut trio, leader, 0..VALUES);
    for text in &LOGS[1..] {
        trio.ask(leader, Request::Trim(Trim { log: log(text), before: Index(VALUES) }));
    }
    trio.pass(60_000_000);
    let remnants =
        |trio: &Trio| [0, 1, 2].map(|at| trio.members[at].shard.tally().compaction.remnants);
    assert_eq!(remnants(&trio), [0; 3]);
    let before = segments(trio.storage(0)).len();
    trio.cut_off(2);
    trio.restart(2, (Timing::default(), new));
    trio.heal(2);
    trio.pass(60_000_000);
    assert!(remnants(&trio).iter().all(|count| *count > 50), "{:?}", remnants(&trio));
    let after = segments(trio.storage(0)).len();
    assert!(after < before, "{before} segments, then {after}");
    (0..3).for_each(|at| check_log(&mut trio, at, "keeps", (0, VALUES)));
}

/// C30: a node that is behind and is sent a remnant for a value does not learn it: it asks again, and has what the
/// others have.
#[test]
fn c30_a_learner_does_not_believe_a_remnant() {
    let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
    let leader = trio.leader();
    let away = (leader + 1) % 3;
    LOGS.iter().for_each(|text| drop(trio.ask(leader, create(text))));
    share(&mut trio, leader, 0..3);
    trio.pass(500_000);
    trio.cut_off(away);
    share(&mut trio, leader, 3..20);
    let lies = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&lies);
    trio.tap(move |_, to, message| {
        if let Message::Learned(learned) = message
            && to == away
            && *counted.borrow() < 2
            && learned.values.len() > 1
        {
            learned.values[1].2 = Value::new(*b"PR\x01\0\0\0\0\0 what is left");
            *counted.borrow_mut() += 1;
        }
        true
    });
    trio.heal(away);
    trio.pass(20_000_000);
    assert!(*lies.borrow() > 0, "nothing was learned");
    for at in 0..3 {
        LOGS.iter().for_each(|text| check_log(&mut trio, at, text, (0, 20)));
    }
    let digests = [0, 1, 2].map(|at| trio.members[at].shard.machine().digest());
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
}
