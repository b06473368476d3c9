//! Stories about a node whose state is another than that of the others: it fences itself, and comes by
//! theirs again (C32).

use crate::node::{append, code, create, first, log, read, texts};
use crate::trio_rig::Trio;
use paxosd::api::error::ErrorCode;
use paxosd::api::{Append, Consistency, Read, Reply, Request, Trim};
use paxosd::checkpoint::HEAL_FILE;
use paxosd::paxos::{Doubt, Timing};
use paxosd::shard::{CutOptions, Input};
use paxosd::storage::Storage;
use paxosd::types::{FormatLevel, Index, InstallPlace, Slot, Value};
use paxosd::wire::peer::{InstallFetch, Message};
use std::cell::RefCell;
use std::rc::Rc;

/// A cut every ten slots, and soon where nothing happens.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 10, extents: 1 << 20, idle_us: 500_000, gap_us: 0 };
/// Heartbeats come more often.
pub const SEEN_US: u64 = 200_000;
/// Longer than a node takes to heal.
pub const WHILE_US: u64 = 5_000_000;

/// Three nodes with a log of twenty entries, which all of them have and agree on.
pub struct Story {
    pub trio: Trio,
    pub leader: usize,
    /// The one whose state is to be another.
    pub bad: usize,
    pub end: u64,
}

impl Story {
    pub fn begin() -> Story {
        let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
        let leader = trio.leader();
        let bad = (leader + 1) % 3;
        for member in &mut trio.members {
            member.shard.set_cache_bytes(0);
        }
        trio.ask(leader, create("a"));
        let mut story = Story { trio, leader, bad, end: 0 };
        story.put(20);
        story.trio.pass(SEEN_US);
        story
    }

    /// So many entries more.
    pub fn put(&mut self, entries: u64) {
        for _ in 0..entries {
            let entry = format!("{:06}", self.end);
            let reply = self.trio.ask(self.leader, Request::Append(append("a", &entry)));
            assert!(matches!(reply, Reply::Appended(_)), "entry {entry}: {reply:?}");
            self.end += 1;
        }
    }

    pub fn doubt(&self) -> Option<Doubt> {
        self.trio.members[self.bad].shard.replica().doubt()
    }

    pub fn heals(&self) -> u64 {
        self.trio.members[self.bad].shard.tally().heals
    }

    fn installed(&self) -> Slot {
        self.trio.members[self.bad].shard.installed_upto()
    }

    fn has_note(&self) -> bool {
        self.trio.storage(self.bad).len(HEAL_FILE).is_ok()
    }

    pub fn read(&mut self, from: u64) -> Reply {
        let (max_entries, max_bytes, wait_ms) = (0, 0, 0);
        let (from, consistency) = (Index(from), Consistency::Local);
        let read = Read { log: log("a"), from, max_entries, max_bytes, wait_ms, consistency };
        self.trio.ask(self.bad, Request::Read(read))
    }

    /// The node has the state of the others, and every entry.
    pub fn check_healed(&mut self) {
        self.put(15); // A checkpoint more.
        self.trio.pass(1_000_000);
        let digests = [0, 1, 2].map(|at| self.trio.members[at].shard.machine().digest());
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:x?}");
        for at in 0..3 {
            assert_eq!(self.trio.members[at].shard.replica().doubt(), None, "node {at}");
        }
        assert_eq!(self.trio.members[self.bad].shard.absent_slots(), 0);
        let mut next = 0;
        while next < self.end {
            let found = texts(Some(self.read(next)));
            assert!(!found.is_empty(), "entry {next} of {}", self.end);
            for entry in found {
                assert_eq!(entry, format!("{next:06}"));
                next += 1;
            }
        }
        assert!(!self.has_note(), "what was tried is forgotten");
    }
}

/// C32: memory that fails makes the state another one. The node fences itself, goes back to its last agreed
/// checkpoint, applies again what is chosen behind it, and has the state of the others: it counts again.
#[test]
fn c32_bad_memory_heals_from_its_own_checkpoint() {
    let mut story = Story::begin();
    assert!(story.trio.members[story.bad].shard.spoil_state());
    story.put(5);
    let before = story.trio.members[story.bad].shard.applied_upto();
    story.trio.members[story.bad].hold_reads = true;
    story.trio.pass(SEEN_US);
    let back = story.trio.members[story.bad].shard.applied_upto();
    assert!(back < before, "it is back at {back}, was at {before}");
    assert_eq!(story.doubt(), Some(Doubt::Fenced), "until the new state was seen to be right");
    assert_eq!(code(&story.read(0)), Some(ErrorCode::NotReady), "it serves nothing meanwhile");
    story.trio.release(story.bad);
    story.trio.pass(WHILE_US);
    assert_eq!((story.heals(), story.installed()), (1, Slot(0)));
    story.check_healed();
    // It votes: with the third one gone, only its vote makes a quorum.
    let other = 3 - story.leader - story.bad;
    story.trio.cut_off(other);
    story.put(1);
}

/// C32: a checkpoint that was taken of the state when it was wrong already is none to go back to.
#[test]
fn c32_a_checkpoint_that_nobody_agreed_with_is_no_help() {
    let mut story = Story::begin();
    let bad = story.bad;
    let agreed = story.trio.members[bad].shard.checkpoints().last().expect("some are kept").slot;
    let lost = story.trio.members[bad].shard.replica().config().me;
    // It says nothing and hears no digest until it has taken a checkpoint of the wrong state.
    story.trio.tap(move |_, to, message| {
        if let (Message::Heartbeat(heartbeat), true) = (message, to == bad) {
            heartbeat.digest = None;
        }
        true
    });
    assert!(story.trio.members[bad].shard.spoil_state());
    story.put(15);
    let newest = story.trio.members[bad].shard.checkpoints().last().expect("some are kept").slot;
    assert!(newest > agreed, "node {lost} took one at {newest}");
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    let installs = story.trio.members[bad].shard.tally().installs.0;
    assert_eq!((story.heals(), installs), (1, 0), "the one before served");
    story.check_healed();
}

/// Has one node take in another value for one slot than the others: an append of two entries that was made
/// before, in place of one.
pub fn shift_by_one(story: &mut Story) {
    let bad = story.bad;
    let pair = Rc::new(RefCell::new(None));
    let captured = Rc::clone(&pair);
    story.trio.tap(move |_, to, message| {
        if let (Message::Accept(accept), true) = (message, to == bad) {
            *captured.borrow_mut() = Some(accept.value.clone());
        }
        true
    });
    story.put(1);
    let taken = pair.borrow().clone().expect("an append travelled");
    let mut left = 1;
    story.trio.tap(move |_, to, message| {
        if let (Message::Accept(accept), true) = (message, to == bad && left > 0) {
            left -= 1;
            accept.value = taken.clone();
        }
        true
    });
    // An entry that the others do not have takes the place of the next one's.
    story.put(1);
    story.trio.tap(|_, _, _| true);
}

/// C32: a replica whose index shifted by one serves wrong entries with good CRCs. It fences itself; its own
/// journal has what is wrong, so that going back helps nothing; it installs a peer's checkpoint, believes
/// nothing that does not fold over the new index, and fetches what it lacks.
#[test]
fn c32_a_replica_that_serves_wrong_entries_with_good_checksums_installs() {
    let mut story = Story::begin();
    let promised = story.trio.members[story.bad].shard.replica().promised();
    shift_by_one(&mut story);
    let wrong = story.end - 1;
    assert_ne!(texts(Some(story.read(wrong))), [format!("{wrong:06}")], "nothing is wrong yet");
    story.trio.pass(WHILE_US);
    let shard = &story.trio.members[story.bad].shard;
    assert_eq!(shard.tally().heals, 1, "{}", shard.doubt_text());
    assert!(shard.installed_upto() > Slot(0) || shard.tally().installs.0 == 1);
    assert_eq!(shard.replica().promised(), promised, "no vote is forgotten");
    assert!(shard.tally().fetched_values >= 1, "what was wrong was fetched");
    assert!(shard.tally().fetched_values < 5, "what was right was not: {:?}", shard.tally());
    story.check_healed();
}

/// C32: all that is in a value of its own journal may be right, and a live entry may be missing from it all the same:
/// here the value is empty. It is fetched, though nobody asks for the entry.
#[test]
fn c32_an_own_value_that_leaves_out_a_live_entry_is_fetched() {
    let mut story = Story::begin();
    let (bad, mut left) = (story.bad, 1);
    story.trio.tap(move |_, to, message| {
        if let (Message::Accept(accept), true) = (message, to == bad && left > 0) {
            left -= 1;
            accept.value = Value::new(Vec::new());
        }
        true
    });
    story.put(1);
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    let tally = story.trio.members[bad].shard.tally();
    assert_eq!((tally.heals, tally.installs.0, tally.fetched_values), (1, 1, 1));
    story.check_healed();
}

/// C32: a process that ends while its node installs begins fenced, for its state is known to be wrong.
#[test]
fn c32_a_restart_in_the_middle_of_a_heal_stays_fenced() {
    let mut story = Story::begin();
    let bad = story.bad;
    shift_by_one(&mut story);
    story.trio.tap(move |_, to, message| to != bad || !matches!(message, Message::InstallChunk(_)));
    story.trio.pass(WHILE_US);
    assert_eq!(story.doubt(), Some(Doubt::Fenced));
    for _ in 0..2 {
        story.trio.cut_off(bad);
        story.trio.restart(bad, (Timing::default(), FormatLevel::KNOWN));
        assert_eq!(story.doubt(), Some(Doubt::Fenced));
        assert_eq!(code(&story.read(0)), Some(ErrorCode::NotReady));
        story.trio.heal(bad);
        story.trio.pass(SEEN_US);
    }
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    assert_eq!(story.heals(), 1);
    story.check_healed();
}

/// C32: an install is not tried for ever by a process that ends again and again.
#[test]
fn c32_a_heal_is_not_tried_for_ever() {
    let mut story = Story::begin();
    let bad = story.bad;
    shift_by_one(&mut story);
    story.trio.tap(move |_, to, message| to != bad || !matches!(message, Message::InstallChunk(_)));
    story.trio.pass(WHILE_US);
    for _ in 0..3 {
        story.trio.cut_off(bad);
        story.trio.restart(bad, (Timing::default(), FormatLevel::KNOWN));
        story.trio.heal(bad);
        story.trio.pass(SEEN_US);
    }
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    let shard = &story.trio.members[bad].shard;
    assert_eq!((story.doubt(), story.heals()), (Some(Doubt::Fenced), 0));
    assert!(shard.doubt_text().contains("stays out"), "{}", shard.doubt_text());
}

/// C32: each thing is tried once. Where the state differs after both, the node stays fenced; what was tried is
/// forgotten once it was seen to agree with a majority, and not before.
#[test]
fn c32_where_nothing_helps_it_stays_fenced() {
    let mut story = Story::begin();
    let bad = story.bad;
    let mut spoilt = 0;
    for _ in 0..4_000 {
        // Its memory fails again as soon as it has the state of the others.
        if story.doubt().is_none() && story.heals() == spoilt {
            spoilt += 1;
            assert!(story.trio.members[bad].shard.spoil_state());
            story.put(1);
        }
        story.trio.pass(1_000);
    }
    assert_eq!((story.doubt(), story.heals()), (Some(Doubt::Fenced), 2));
    assert!(story.has_note());
    story.trio.cut_off(bad);
    story.trio.restart(bad, (Timing::default(), FormatLevel::KNOWN));
    story.trio.heal(bad);
    story.trio.pass(WHILE_US);
    story.check_healed();
}

fn append_at(expect: u64) -> Request {
    Request::Append(Append { expect: Some(Index(expect)), ..append("a", "conditional") })
}

/// C32: one against one, and the third away. No majority agrees with either: the leader serves nothing. Where its
/// configuration says so, it goes on with appends that have no condition, and with nothing else.
#[test]
fn c32_without_a_majority_plain_appends_go_on_if_asked_for() {
    let mut story = Story::begin();
    let (leader, bad) = (story.leader, story.bad);
    story.trio.cut_off(3 - leader - bad);
    assert!(story.trio.members[bad].shard.spoil_state());
    story.put(1);
    story.trio.pass(SEEN_US);
    let doubt = |story: &Story, at: usize| story.trio.members[at].shard.replica().doubt();
    assert_eq!(doubt(&story, leader), Some(Doubt::Disputed));
    assert_ne!(doubt(&story, bad), Some(Doubt::Fenced), "it may be right");
    let others = [
        append_at(story.end),
        Request::Append(Append { create: true, ..append("new", "x") }),
        create("b"),
        Request::Trim(Trim { log: log("a"), before: Index(3) }),
        read("a", 0, 0),
    ];
    let plain = || Request::Append(append("a", "plain"));
    for request in others.clone().into_iter().chain([plain()]) {
        let reply = story.trio.ask(leader, request);
        assert_eq!(code(&reply), Some(ErrorCode::NotReady), "{reply:?}");
    }
    story.trio.members[leader].shard.set_appends_in_dispute(true);
    for nth in 0..3 {
        let id = story.trio.send(leader, plain());
        story.trio.pass(SEEN_US);
        assert_eq!(first(story.trio.take(leader, id)), story.end + nth);
    }
    for request in others {
        let reply = story.trio.ask(leader, request);
        assert_eq!(code(&reply), Some(ErrorCode::NotReady), "{reply:?}");
    }
    let text = story.trio.members[leader].shard.doubt_text();
    assert!(text.contains("appends without conditions are taken"), "{text}");
    story.trio.members[leader].shard.set_appends_in_dispute(false);
    assert_eq!(code(&story.trio.ask(leader, plain())), Some(ErrorCode::NotReady));
}

/// C32: what waited for its turn when the state came to be disputed is refused, for it may rest on that state;
/// what was proposed with a condition has an outcome that nobody knows.
#[test]
fn c32_conditions_that_wait_are_refused_in_a_dispute() {
    let mut story = Story::begin();
    let (leader, bad) = (story.leader, story.bad);
    story.trio.cut_off(3 - leader - bad);
    story.trio.members[leader].shard.set_appends_in_dispute(true);
    assert!(story.trio.members[bad].shard.spoil_state());
    story.put(1);
    story.trio.members[leader].hold = true;
    let proposed = story.trio.send(leader, append_at(story.end));
    // So many are in flight that what comes behind them waits.
    let plain = || Request::Append(append("a", "plain"));
    let plain: Vec<u64> = (0..20).map(|_| story.trio.send(leader, plain())).collect();
    let waits = story.trio.send(leader, append_at(story.end + 21));
    story.trio.pass(SEEN_US);
    let reply = story.trio.take(leader, waits).expect("it is answered at once");
    assert_eq!(code(&reply), Some(ErrorCode::NotReady), "{reply:?}");
    story.trio.release(leader);
    story.trio.pass(SEEN_US);
    let reply = story.trio.take(leader, proposed).expect("it is answered");
    assert_eq!(code(&reply), Some(ErrorCode::LeadershipLost), "{reply:?}");
    assert_eq!(first(story.trio.take(leader, plain[0])), story.end + 1);
}

/// C32, R11: where the disk has no space for the note of what is tried, nothing is tried before it has.
#[test]
fn c32_a_full_disk_delays_a_heal() {
    let mut story = Story::begin();
    let bad = story.bad;
    assert!(story.trio.members[bad].shard.spoil_state());
    story.trio.storage(bad).set_free_bytes(0);
    story.put(1);
    story.trio.pass(WHILE_US);
    assert_eq!((story.doubt(), story.heals()), (Some(Doubt::Fenced), 0));
    story.trio.storage(bad).set_free_bytes(1 << 40);
    story.trio.pass(WHILE_US);
    assert_eq!(story.heals(), 1);
    story.check_healed();
}

/// C32: in a dispute a node gives no checkpoint, but says which digest its own has: whoever is behind and installs
/// one of the other side holds that against it.
#[test]
fn c32_a_node_in_dispute_gives_its_opinion_and_no_checkpoint() {
    let mut story = Story::begin();
    let (leader, bad) = (story.leader, story.bad);
    story.trio.cut_off(3 - leader - bad);
    story.put(15); // What the third one agreed with lies behind.
    assert!(story.trio.members[bad].shard.spoil_state());
    story.put(1);
    story.trio.pass(SEEN_US);
    assert_eq!(story.trio.members[leader].shard.replica().doubt(), Some(Doubt::Disputed));
    let (slot, expected) = {
        let kept = story.trio.members[leader].shard.checkpoints();
        let newest = kept.last().expect("some are kept");
        (newest.slot, newest.digest)
    };
    let answers = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&answers);
    story.trio.tap(move |from, _, message| {
        if let (true, Message::InstallChunk(chunk)) = (from == leader, &message) {
            seen.borrow_mut().push((chunk.digest, chunk.newest, chunk.bytes.len()));
        }
        true
    });
    let node = story.trio.members[bad].shard.replica().config().me;
    for place in [None, Some(InstallPlace::STATE)] {
        let message = Message::InstallFetch(InstallFetch { slot, place });
        story.trio.input(leader, Input::Peer { node, message });
    }
    story.trio.pass(SEEN_US);
    assert_eq!(answers.borrow()[..], [(expected, Slot(0), 0); 2]);
}

/// C31: a run of the index rots on one node. The state is right, so that the node goes on voting; a peer's
/// checkpoint takes the place of the index, and every entry can be read here again.
#[test]
fn c31_a_damaged_index_is_replaced_by_a_peers() {
    let mut story = Story::begin();
    let storage = story.trio.storage(story.bad).clone();
    let names = storage.list().expect("a list").into_iter();
    let runs: Vec<String> = names.filter(|name| name.starts_with("run-")).collect();
    assert!(!runs.is_empty(), "extents have left memory");
    for run in &runs {
        let end = storage.len(run).expect("its length");
        storage.rot(run, 4096..end.min(4096 + 64), |bytes| bytes.fill(0x5a));
    }
    let refused = story.read(0);
    assert_eq!(code(&refused), Some(ErrorCode::Damaged), "{refused:?}");
    assert_eq!(story.doubt(), None, "it votes all along");
    story.put(15); // The others have a checkpoint as new as its own.
    story.trio.pass(WHILE_US);
    assert!(runs.iter().all(|run| storage.len(run).is_err()), "no damaged run is left");
    story.check_healed();
}
