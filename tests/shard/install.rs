//! Stories about installs: a node that was away while the others released what it lacks takes over the
//! checkpoint of a peer, and fetches the live entries that it does not have (C29).

use crate::node::{Node, SEGMENT, append, code, create, identity_of, log, name, read, texts};
use crate::trio_rig::Trio;
use paxosd::api::error::{Detail, ErrorCode};
use paxosd::api::{Consistency, Create, Read, Reply, Request, Retention, Trim};
use paxosd::checkpoint;
use paxosd::checkpoint::install::{BuildPlan, InstallDone, InstallJob, execute, part_file_names};
use paxosd::paxos::Timing;
use paxosd::shard::CutOptions;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{
    FormatLevel, Index, InstallPlace, NodeId, Released, RunId, ShardId, Slot, SlotRanges, Tick,
};
use paxosd::wire::peer::Message;
use std::cell::RefCell;
use std::rc::Rc;

/// A cut every fifty slots.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 50, extents: 1 << 20, idle_us: 1 << 40, gap_us: 0 };
/// Longer than an install takes, with what is fetched behind it.
pub const WHILE_US: u64 = 10_000_000;
/// So many entries of the log that is trimmed are there in the end, and the first one that is live.
pub const END: u64 = 500;
pub const FIRST: u64 = 460;
/// So many logs make a state of several chunks.
pub const LOGS: usize = 1_600;

/// An entry of three kilobytes, which begins with its number.
fn entry(text: &str, number: u64) -> Request {
    Request::Append(append(text, &format!("{number:06}{}", "x".repeat(3_000))))
}

pub fn put(trio: &mut Trio, at: usize, text: &str, entries: std::ops::Range<u64>) {
    for number in entries {
        let reply = trio.ask(at, entry(text, number));
        assert!(matches!(reply, Reply::Appended(_)), "entry {number} of {text}: {reply:?}");
    }
}

pub fn read_as(text: &str, from: u64, consistency: Consistency) -> Request {
    let (max_entries, max_bytes, wait_ms) = (0, 0, 0);
    let from = Index(from);
    Request::Read(Read { log: log(text), from, max_entries, max_bytes, wait_ms, consistency })
}

/// This node has the live entries of a log, and says of all others that they are trimmed.
pub fn check_log(trio: &mut Trio, at: usize, text: &str, (first, end): (u64, u64)) {
    let level = Consistency::Local;
    for trimmed in (0..first).step_by(7).chain(first.checked_sub(1)) {
        let reply = trio.ask(at, read_as(text, trimmed, level));
        assert_eq!(code(&reply), Some(ErrorCode::Trimmed), "{trimmed} on node {at}: {reply:?}");
    }
    let mut next = first;
    while next < end {
        for entry in texts(Some(trio.ask(at, read_as(text, next, level)))) {
            assert!(entry.starts_with(&format!("{next:06}")), "entry {next} is {}", &entry[..6]);
            next += 1;
        }
    }
    assert_eq!(next, end, "{text} on node {at}");
}

/// All three have the same state, and the same entries.
pub fn check_all(trio: &mut Trio, end: u64) {
    for at in 0..3 {
        check_log(trio, at, "a", (FIRST, end));
        check_log(trio, at, "rare", (0, 2));
    }
    let digests = [0, 1, 2].map(|at| trio.members[at].shard.machine().digest());
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
}

/// A story in which a node was away for long.
pub struct Story {
    pub trio: Trio,
    pub leader: usize,
    pub away: usize,
    pub other: usize,
}

impl Story {
    /// A node is cut off; the others append to two logs, of which one is trimmed, and release what went. So
    /// many more logs exist, which make the state large.
    pub fn begin(logs: usize) -> Story {
        let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
        let leader = trio.leader();
        let (away, other) = ((leader + 1) % 3, (leader + 2) % 3);
        for member in &mut trio.members {
            member.shard.set_cache_bytes(0);
        }
        for text in ["a", "rare"] {
            trio.ask(leader, create(text));
        }
        for nth in 0..logs {
            trio.ask(leader, create(&format!("{nth:0200}")));
        }
        put(&mut trio, leader, "rare", 0..1);
        put(&mut trio, leader, "a", 0..20);
        trio.pass(500_000);
        trio.cut_off(away);
        let mut story = Story { trio, leader, away, other };
        for round in 0..2 {
            story.go_on(100 * round + 20..100 * round + 120);
        }
        story.go_on(220..420);
        put(&mut story.trio, leader, "rare", 1..2);
        put(&mut story.trio, leader, "a", 420..END);
        story.trio.pass(100_000); // A large state is written at its pace: no cut is passed over.
        let before = Index(FIRST);
        story.trio.ask(leader, Request::Trim(Trim { log: log("a"), before }));
        put(&mut story.trio, leader, "a", END..END + 60);
        story.trio.pass(2_000_000);
        for at in [leader, other] {
            let shard = &story.trio.members[at].shard;
            let (upto, kept) =
                (shard.journal().released_upto(), shard.shard_status(Tick(0)).kept_for);
            let behind = story.trio.members[away].shard.applied_upto();
            assert!(upto > behind, "released up to {upto}, node {away} is at {behind}: {kept}");
        }
        story
    }

    /// Appends, trims all of it, and lets time pass.
    pub fn go_on(&mut self, entries: std::ops::Range<u64>) {
        put(&mut self.trio, self.leader, "a", entries.clone());
        let before = Index(entries.end);
        self.trio.ask(self.leader, Request::Trim(Trim { log: log("a"), before }));
        self.trio.pass(1_100_000);
    }

    pub fn installed(&self) -> Slot {
        self.trio.members[self.away].shard.installed_upto()
    }
}

/// C29: a node that lacks what the others released takes over a checkpoint, fetches the live entries behind
/// it, and answers like the others.
#[test]
fn c29_a_node_that_was_away_installs() {
    let Story { mut trio, away, .. } = Story::begin(0);
    let behind = trio.members[away].shard.applied_upto();
    let fetched = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&fetched);
    trio.tap(move |from, _, message| {
        if matches!(message, Message::ValuesFetch(_)) {
            assert_eq!(from, away, "it has all that it needs");
            *counted.borrow_mut() += 1;
        }
        true
    });
    trio.heal(away);
    trio.pass(WHILE_US);
    let fetched = *fetched.borrow();
    assert!((1..5).contains(&fetched), "{fetched} requests for values");
    let shard = &trio.members[away].shard;
    assert!(shard.installed_upto() > behind, "{} behind {behind}", shard.installed_upto());
    assert_eq!(shard.absent_slots(), 0);
    check_all(&mut trio, END + 60);
}

/// Chunks of checkpoints that travel to a node.
#[derive(Default)]
pub struct Chunks {
    /// Those that arrived, by the node that sent them.
    pub arrived: Vec<(usize, InstallPlace)>,
    /// Places that were asked for, by the node that was asked.
    pub asked: Vec<(usize, InstallPlace)>,
    /// The checkpoint that was asked for last.
    pub slot: Slot,
    /// No more than so many arrive.
    pub most: usize,
}

/// Watches the chunks that travel to a node, of which no more than `most` arrive.
pub fn watch(trio: &mut Trio, to: usize, most: usize) -> Rc<RefCell<Chunks>> {
    let chunks = Rc::new(RefCell::new(Chunks { most, ..Chunks::default() }));
    let watched = Rc::clone(&chunks);
    trio.tap(move |from, receiver, message| {
        let mut chunks = watched.borrow_mut();
        match message {
            Message::InstallFetch(fetch) if from == to => {
                chunks.slot = fetch.slot;
                chunks.asked.extend(fetch.place.map(|place| (receiver, place)));
            }
            Message::InstallChunk(chunk) if receiver == to && !chunk.bytes.is_empty() => {
                if chunks.arrived.len() == chunks.most {
                    return false;
                }
                chunks.arrived.extend(chunk.place.map(|place| (from, place)));
            }
            _ => {}
        }
        true
    });
    chunks
}

/// None of these places was asked for, though the others were: what has arrived once is enough.
fn check_goes_on(arrived: &[(usize, InstallPlace)], asked: &[(usize, InstallPlace)]) {
    assert!(!asked.is_empty(), "nothing was left to ask for behind {arrived:?}");
    let again: Vec<_> =
        asked.iter().filter(|(_, place)| arrived.iter().any(|(_, had)| had == place)).collect();
    assert!(again.is_empty(), "asked for again: {again:?}");
}

/// C29: the receiver restarts in the middle, and goes on behind what has arrived: no chunk is asked for again.
#[test]
fn c29_a_restart_goes_on_where_it_was() {
    let mut story = Story::begin(LOGS);
    let away = story.away;
    let before = watch(&mut story.trio, away, 2);
    story.trio.heal(away);
    story.trio.pass(WHILE_US);
    assert_eq!((before.borrow().arrived.len(), story.installed()), (2, Slot(0)));
    story.trio.cut_off(away);
    story.trio.restart(away, (Timing::default(), FormatLevel::KNOWN));
    story.trio.members[away].shard.set_cache_bytes(0);
    let after = watch(&mut story.trio, away, usize::MAX);
    story.trio.heal(away);
    story.trio.pass(WHILE_US);
    assert!(story.installed() > Slot(0));
    check_goes_on(&before.borrow().arrived, &after.borrow().asked);
    check_all(&mut story.trio, END + 60);
}

/// C29: the source goes away in the middle. Another one has the same bytes, and goes on with them.
#[test]
fn c29_another_source_goes_on() {
    let mut story = Story::begin(LOGS);
    let away = story.away;
    let before = watch(&mut story.trio, away, 2);
    story.trio.heal(away);
    story.trio.pass(1_000_000);
    let arrived = before.borrow().arrived.clone();
    let gone = arrived.last().expect("two arrived").0;
    assert_eq!((arrived.len(), story.installed()), (2, Slot(0)));
    let after = watch(&mut story.trio, away, usize::MAX);
    story.trio.cut_off(gone);
    story.trio.pass(2 * WHILE_US);
    assert!(story.installed() > Slot(0));
    assert!(after.borrow().arrived.iter().all(|(from, _)| *from != gone));
    check_goes_on(&arrived, &after.borrow().asked);
    story.trio.heal(gone);
    story.trio.pass(WHILE_US);
    check_all(&mut story.trio, END + 60);
}

/// C29: while a peer installs a checkpoint it stays, and so does the journal above it, however many newer ones
/// there are: the peer catches up from there.
#[test]
fn c29_a_source_keeps_what_is_installed() {
    let mut story = Story::begin(LOGS);
    let (away, leader) = (story.away, story.leader);
    let before = watch(&mut story.trio, away, 2);
    story.trio.heal(away);
    story.trio.pass(300_000);
    let slot = before.borrow().slot;
    let end = END + 660;
    // Newer ones are taken before another peer is asked, which does not have it any more by then.
    for from in (END + 60..end).step_by(150) {
        put(&mut story.trio, leader, "a", from..from + 150);
        let before = Index(from + 150);
        story.trio.ask(leader, Request::Trim(Trim { log: log("a"), before }));
        story.trio.pass(100_000);
    }
    let sources: Vec<usize> = before.borrow().arrived.iter().map(|(from, _)| *from).collect();
    assert!(sources.len() == 2 && sources[0] == sources[1], "{sources:?}");
    for (at, has_it) in [(sources[0], true), (3 - away - sources[0], false)] {
        let kept = story.trio.members[at].shard.checkpoints();
        assert_eq!(kept.iter().any(|kept| kept.slot == slot), has_it, "node {at}");
        assert!(kept.iter().filter(|kept| kept.slot > slot).count() >= 2, "no newer checkpoints");
    }
    let after = watch(&mut story.trio, away, usize::MAX);
    story.trio.pass(2 * WHILE_US);
    assert_eq!(story.installed(), slot);
    check_goes_on(&before.borrow().arrived, &after.borrow().asked);
    for at in 0..3 {
        check_log(&mut story.trio, at, "a", (end, end));
        check_log(&mut story.trio, at, "rare", (0, 2));
    }
}

/// C29: the same where retention trims.
#[test]
fn c29_a_node_installs_what_retention_left() {
    let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
    let (leader, end) = (trio.leader(), 600);
    let away = (leader + 1) % 3;
    trio.members.iter_mut().for_each(|member| member.shard.set_cache_bytes(0));
    let retention = Retention { entries: 40, ..Retention::default() };
    trio.ask(leader, Request::Create(Create { name: name("a"), retention }));
    trio.pass(500_000);
    trio.cut_off(away);
    for from in (0..end).step_by(50) {
        put(&mut trio, leader, "a", from..from + 50);
        trio.pass(2_000_000);
    }
    assert!(trio.members[leader].shard.journal().released_upto() > Slot(100));
    trio.heal(away);
    trio.pass(WHILE_US);
    assert!(trio.members[away].shard.installed_upto() > Slot(0));
    let reply = trio.ask(leader, read("a", 0, 0));
    let Reply::Error(error) = &reply else { panic!("{reply:?}") };
    let Detail::First { first, .. } = &error.detail else { panic!("{error:?}") };
    assert!((end - 100..end).contains(&first.0), "{first} is the first of {end}");
    for at in 0..3 {
        check_log(&mut trio, at, "a", (first.0, end));
    }
}

/// C29: a node that was installed comes to lead, and serves every live entry, also after a restart.
#[test]
fn c29_an_installed_node_leads() {
    let Story { mut trio, away, leader, other } = Story::begin(0);
    trio.heal(away);
    trio.pass(WHILE_US);
    trio.cut_off(away);
    trio.restart(away, (Timing::default(), FormatLevel::KNOWN));
    trio.members[away].shard.set_cache_bytes(0);
    trio.heal(away);
    trio.pass(WHILE_US);
    trio.lead_again(away);
    // The others could not help it.
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
    trio.cut_off(leader);
    assert_eq!(trio.leader(), away);
    assert_eq!(texts(Some(trio.ask(away, read("rare", 0, 0)))).len(), 2);
    put(&mut trio, away, "a", END + 60..END + 120);
    let reply = trio.ask(away, read("a", FIRST - 1, 0));
    assert_eq!(code(&reply), Some(ErrorCode::Trimmed));
    trio.heal(leader);
    trio.pass(WHILE_US);
    trio.cut_off(other);
    check_log(&mut trio, away, "a", (FIRST, END + 120));
    trio.heal(other);
    trio.pass(WHILE_US);
    check_all(&mut trio, END + 120);
}

/// C29: what a node has accepted above the checkpoint that it installs was counted, and stays: the one that
/// counted it loses its disk for good, and the entry is there.
#[test]
fn c29_what_was_counted_above_the_checkpoint_stays() {
    let mut story = Story::begin(0);
    let Story { leader, away, other, .. } = story;
    let end = END + 60;
    let stalled = watch(&mut story.trio, away, 0);
    story.trio.heal(away);
    story.trio.pass(1_000_000);
    assert!(!stalled.borrow().asked.is_empty(), "no install began");
    // What a new leader proposes can be accepted by a node that lacks the slots before it.
    story.trio.cut_off(leader);
    story.trio.cut_off(other);
    story.trio.pass(3_000_000);
    story.trio.heal(leader);
    assert_eq!(story.trio.leader(), leader);
    let accepted = story.trio.send(leader, entry("a", end));
    story.trio.pass(200_000);
    let reply = story.trio.take(leader, accepted);
    assert!(matches!(reply, Some(Reply::Appended(_))), "{reply:?}");
    assert_eq!(story.installed(), Slot(0));
    // It installs, and learns nothing else before the one that counted it is gone.
    story.trio.tap(move |_, to, message| to != away || matches!(message, Message::InstallChunk(_)));
    while story.installed() == Slot(0) {
        story.trio.pass(1_000);
    }
    story.trio.cut_off(leader);
    story.trio.tap(|_, _, _| true);
    story.trio.heal(other);
    story.trio.pass(5_000_000);
    for at in [away, other] {
        check_log(&mut story.trio, at, "a", (FIRST, end + 1));
    }
}

/// C29: a value that a peer sends for a slot is held against the index: another one is refused, and the right
/// one comes from another peer.
#[test]
fn c29_a_wrong_value_is_refused() {
    let Story { mut trio, away, .. } = Story::begin(0);
    let sent = Rc::new(RefCell::new((None, 0, 0)));
    let seen = Rc::clone(&sent);
    trio.tap(move |from, to, message| {
        let Message::ValuesChunk(chunk) = message else { return true };
        let mut seen = seen.borrow_mut();
        let wrong = *seen.0.get_or_insert(from);
        assert_eq!(to, away);
        if from == wrong && chunk.values.len() > 1 {
            // Two neighbours each have the other's value.
            seen.1 += 1;
            for pair in chunk.values.chunks_exact_mut(2) {
                let [one, two] = pair else { continue };
                std::mem::swap(&mut one.2, &mut two.2);
            }
        } else if from != wrong {
            seen.2 += 1;
        }
        true
    });
    trio.heal(away);
    trio.pass(WHILE_US);
    assert!(trio.members[away].shard.installed_upto() > Slot(0));
    let (_, wrong, right) = *sent.borrow();
    assert!(wrong > 0 && right > 0, "{wrong} wrong, {right} right");
    // Nothing shows that another log has an entry in a slot whose value is wrong, until it is asked for.
    trio.ask(away, read_as("rare", 1, Consistency::Local));
    trio.pass(WHILE_US);
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
    check_all(&mut trio, END + 60);
}

/// C29: rows of the index that rotted since they arrived are noticed before a checkpoint is made of them: those
/// before them alone would pass for all, and live entries would not be found.
#[test]
fn c29_rotten_rows_are_no_rows() {
    let mut node = Node::with_cuts(OFTEN);
    node.ask(create("a"));
    for number in 0..100 {
        node.ask(entry("a", number));
    }
    let kept = node.shard.checkpoints().last().expect("there are two").clone();
    let (slot, journal, owner) =
        (kept.slot, kept.journal, checkpoint::owner(&identity_of(1), ShardId(0)));
    let runs = checkpoint::start(
        &node.storage.duplicate(),
        &identity_of(1),
        (ShardId(0), 1),
        FormatLevel::KNOWN,
        &SEGMENT,
    );
    let runs = runs.expect("it starts").restored.runs;
    let storage = MemStorage::new();
    for place in [InstallPlace::STATE, InstallPlace::EXTENTS] {
        let read = InstallJob::Read { to: NodeId(2), owner, slot, place, runs: runs.clone() };
        let read = execute(&node.storage, read).expect("nothing fails here");
        let InstallDone::Read { chunk: Ok((bytes, true)), .. } = read else { panic!("{read:?}") };
        let append = InstallJob::Append { slot, place, number: 0, bytes, min_free_bytes: 0 };
        execute(&storage, append).expect("nothing fails here");
    }
    let build = |storage: &MemStorage| {
        let plan = BuildPlan {
            installed: SlotRanges::default(),
            owner,
            shards: 1,
            known: FormatLevel::KNOWN,
            slot,
            digests: vec![kept.digest],
            run: RunId(1),
            journal,
            absent: SlotRanges::default(),
            released: Released::default(),
            min_free_bytes: 0,
        };
        execute(storage, InstallJob::Build(Box::new(plan))).expect("nothing fails here")
    };
    let [_, extents] = part_file_names(slot);
    let rotten = storage.duplicate();
    rotten.sync(&extents).expect("it is there");
    rotten.rot(&extents, 40..41, |bytes| bytes[0] ^= 1);
    rotten.forget(&extents).expect("it is there");
    let built = build(&rotten);
    assert!(matches!(built, InstallDone::Failed { is_useless: true, .. }), "{built:?}");
    let built = build(&storage);
    assert!(matches!(built, InstallDone::Built(_)), "{built:?}");
}
