//! Stories about lost entries: what no member has any more is declared lost, by an operator and by nobody else,
//! and then hinders nothing (C32b).

use crate::node::{append, code, create, log, texts};
use crate::stored_text::{self, copies};
use crate::trio_rig::Trio;
use paxosd::api::error::{Detail, ErrorCode};
use paxosd::api::{
    Consistency, DeclareLost, DeclaredLost, Delete, ListLost, ListedLost, Read, Reply, Request,
    Stat, Trim,
};
use paxosd::limits::LOST_ANSWER_US;
use paxosd::paxos::Timing;
use paxosd::shard::CutOptions;
use paxosd::storage::MemStorage;
use paxosd::types::{FormatLevel, Index, LogId, LostRange};
use paxosd::wire::peer::{LossVerdict, Message};

/// A cut every fifty slots, and five seconds after the last one where there is a reason.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 50, extents: 1 << 20, idle_us: 5_000_000, gap_us: 0 };
/// Longer than it takes to find out that nobody has a value.
const WHILE_US: u64 = 20_000_000;

/// An entry of three kilobytes, which no other log has, and which begins with its number.
fn rare_text(number: u64) -> String {
    format!("{number:06}{}", "r".repeat(3_000))
}

/// Three nodes that have checkpoints behind ten entries of the log `rare`, one in each slot, with many of another
/// log between them, of which the first ones are trimmed. Nothing is in memory alone.
struct Story {
    trio: Trio,
    leader: usize,
    rounds: u64,
}

impl Story {
    fn begin() -> Story {
        let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
        let leader = trio.leader();
        for member in &mut trio.members {
            member.shard.set_cache_bytes(0);
        }
        for text in ["a", "rare"] {
            trio.ask(leader, create(text));
        }
        let mut story = Story { trio, leader, rounds: 0 };
        for _ in 0..10 {
            story.round();
        }
        story.trio.pass(1_000_000);
        story
    }

    /// One entry more of `rare`, and a hundred of the other log, of which the last ones stay alone.
    fn round(&mut self) {
        let round = self.rounds;
        self.rounds += 1;
        let requests = (100 * round..100 * round + 100)
            .map(|n| append("a", &format!("{n:06}{}", "x".repeat(3_000))));
        for request in [append("rare", &rare_text(round))].into_iter().chain(requests) {
            let reply = self.trio.ask(self.leader, Request::Append(request));
            assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
        }
        let before = Index(100 * round + 90);
        self.trio.ask(self.leader, Request::Trim(Trim { log: log("a"), before }));
    }

    /// An entry of `rare` rots on these nodes.
    fn rot(&self, number: u64, nodes: &[usize]) {
        for at in nodes {
            flip(self.trio.storage(*at), &rare_text(number));
        }
    }

    fn declare(&mut self, from: u64, before: u64) -> Reply {
        let (from, before) = (Index(from), Index(before));
        let request = Request::DeclareLost(DeclareLost { log: log("rare"), from, before });
        self.trio.ask(self.leader, request)
    }

    /// Why nothing was declared lost, of a request that was refused so.
    fn refusal(&mut self, from: u64, before: u64) -> String {
        match self.declare(from, before) {
            Reply::Error(error) if error.code == ErrorCode::NotLost => error.text,
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, at: usize, from: u64) -> Reply {
        let (log, from, consistency) = (log("rare"), Index(from), Consistency::Local);
        let (max_entries, max_bytes, wait_ms) = (0, 0, 0);
        self.trio.ask(
            at,
            Request::Read(Read { log, from, max_entries, max_bytes, wait_ms, consistency }),
        )
    }

    /// On each node the entries of `rare` are read as they were appended, but for the lost ones, which are said to
    /// be lost.
    fn check(&mut self, lost: LostRange) {
        for at in 0..3 {
            let mut next = 0;
            while next < self.rounds {
                if lost.contains(Index(next)) {
                    let reply = self.read(at, next);
                    let Reply::Error(error) = &reply else {
                        panic!("{next} on node {at}: {reply:?}")
                    };
                    let detail = Detail::Lost { log: LogId(2), range: lost };
                    assert_eq!((error.code, &error.detail), (ErrorCode::Lost, &detail), "{error}");
                    assert!(
                        error.text.contains(&format!("read on from {}", lost.before)),
                        "{error}"
                    );
                    next += 1;
                    continue;
                }
                let found = texts(Some(self.read(at, next)));
                assert!(!found.is_empty(), "nothing from {next} on node {at}");
                for found in found {
                    assert_eq!(found, rare_text(next), "entry {next} on node {at}");
                    next += 1;
                }
            }
        }
        let digests = [0, 1, 2].map(|at| self.trio.members[at].shard.machine().digest());
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
    }

    fn absent(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.trio.members[at].shard.absent_slots())
    }
}

/// A bit of every copy of this text on a disk is another; of a copy that was changed before it is as it was.
fn flip(storage: &MemStorage, text: &str) {
    // Entries differ in their beginning, which stays as it is.
    let copies = copies(storage, &text[..100]);
    assert!(!copies.is_empty(), "no segment holds it");
    copies.iter().for_each(|copy| stored_text::flip(storage, copy, 1000));
}

fn range(from: u64, before: u64) -> LostRange {
    LostRange { from: Index(from), before: Index(before) }
}

fn declared(from: u64, before: u64) -> Reply {
    Reply::DeclaredLost(DeclaredLost { id: LogId(2), range: range(from, before) })
}

/// C32b: what has rotted on every node is declared lost. All nodes say so, with the range, for ever; indexes
/// stay, and what lies around is read as before.
#[test]
fn c32b_what_no_member_has_is_declared_lost() {
    let mut story = Story::begin();
    for number in [3, 4] {
        story.rot(number, &[0, 1, 2]);
    }
    // Nodes that lack a value ask each other for it, but not without an end.
    let mut fetches = 0;
    story.trio.tap(move |_, _, message| {
        fetches += u32::from(matches!(message, Message::ValuesFetch(_)));
        assert!(fetches < 200, "nodes ask each other for what none has");
        true
    });
    assert_eq!(story.declare(3, 5), declared(3, 5));
    assert_eq!(story.declare(3, 5), declared(3, 5), "asking twice is asking once");
    story.trio.pass(100_000);
    story.check(range(3, 5));
    story.round();
    story.trio.pass(1_000_000);
    story.check(range(3, 5));
    let list = ListLost { log: log("rare"), consistency: Consistency::Linearizable };
    let listed = story.trio.ask(story.leader, Request::ListLost(list));
    let ranges = vec![range(3, 5)];
    assert_eq!(listed, Reply::ListedLost(ListedLost { id: LogId(2), ranges }));
    let stat = Stat { log: log("rare"), consistency: Consistency::Linearizable };
    let Reply::Stated(stat) = story.trio.ask(story.leader, Request::Stat(stat)) else {
        panic!("it is there");
    };
    assert_eq!((stat.next_index, stat.bytes), (Index(11), 9 * 3_006));
}

/// C32b: a member that has one of the entries forbids it, whoever it is, and is named with what it has; the
/// others get it back from there.
#[test]
fn c32b_a_member_that_has_an_entry_forbids_it() {
    for holder in 0..3 {
        let mut story = Story::begin();
        story.rot(3, &[0, 1, 2]);
        let others: Vec<usize> = (0..3).filter(|at| *at != holder).collect();
        story.rot(4, &others);
        let text = story.refusal(3, 5);
        assert!(text.starts_with(&format!("node {} has entry 4,", holder + 1)), "{text}");
        story.trio.pass(WHILE_US);
        assert_eq!(story.declare(3, 4), declared(3, 4), "what nobody has");
        story.trio.pass(WHILE_US);
        story.check(range(3, 4));
        assert_eq!(story.absent(), [0; 3]);
    }
}

/// C30, C32b: what a member has of other logs in the same slots says nothing of the log: of a value that was cut down
/// that may be all that is left, and would forbid the declaration for ever.
#[test]
fn c32b_what_other_logs_have_in_the_slot_forbids_nothing() {
    let mut story = Story::begin();
    let holder = (story.leader + 1) % 3;
    let others: Vec<usize> = (0..3).filter(|at| *at != holder).collect();
    story.rot(3, &others);
    story.trio.tap(move |_, to, message| {
        if let (Message::LossAsk(ask), true) = (message, to == holder) {
            assert_eq!(ask.log, LogId(2), "the log of the entries");
            ask.log = LogId(1); // As if its value had entries of this log alone.
        }
        true
    });
    assert_eq!(story.declare(3, 4), declared(3, 4));
}

/// C32b: what a member has of the log's other entries in the same slots says nothing of those that are asked for: of a
/// value that was cut down that may be all that is left.
#[test]
fn c32b_what_the_log_has_of_other_entries_forbids_nothing() {
    let mut story = Story::begin();
    let holder = (story.leader + 1) % 3;
    let others: Vec<usize> = (0..3).filter(|at| *at != holder).collect();
    story.rot(3, &others);
    story.trio.tap(move |_, to, message| {
        if let (Message::LossAsk(ask), true) = (message, to == holder) {
            assert_eq!((ask.from, ask.before), (Index(3), Index(4)), "what is declared");
            (ask.from, ask.before) = (Index(4), Index(5)); // As if its value had another entry alone.
        }
        true
    });
    assert_eq!(story.declare(3, 4), declared(3, 4));
}

/// C32b: a member that cannot be asked may have the entries: it is waited for, however long it is away.
#[test]
fn c32b_a_member_that_is_away_forbids_it() {
    let mut story = Story::begin();
    story.rot(3, &[0, 1, 2]);
    let away = (story.leader + 1) % 3;
    story.trio.cut_off(away);
    story.trio.pass(WHILE_US);
    let text = story.refusal(3, 4);
    assert!(text.starts_with(&format!("node {} cannot be reached", away + 1)), "{text}");
    story.trio.heal(away);
    story.trio.pass(WHILE_US);
    assert_eq!(story.declare(3, 4), declared(3, 4));
}

/// C32b: an answer that does not come is none, and so is the answer to an earlier question.
#[test]
fn c32b_an_answer_that_does_not_come_forbids_it() {
    let mut story = Story::begin();
    story.rot(3, &[0, 1, 2]);
    let silent = (story.leader + 1) % 3;
    story.trio.tap(move |from, _, message| match message {
        Message::LossAnswer(answer) if from == silent => {
            answer.attempt -= 1;
            true
        }
        _ => true,
    });
    let (from, before) = (Index(3), Index(4));
    let request = Request::DeclareLost(DeclareLost { log: log("rare"), from, before });
    let leader = story.leader;
    let waits = story.trio.send(leader, request.clone());
    assert_eq!(story.trio.take(leader, waits), None, "an answer is missing");
    let other = story.trio.ask(leader, request.clone());
    assert_eq!(code(&other), Some(ErrorCode::Overloaded), "one at a time: {other:?}");
    story.trio.pass(LOST_ANSWER_US + 1_000);
    let reply = story.trio.take(leader, waits);
    let Some(Reply::Error(error)) = reply else { panic!("{reply:?}") };
    assert_eq!(error.code, ErrorCode::NotLost);
    assert!(error.text.contains(&format!("no answer came from node {}", silent + 1)), "{error}");
    // One that breaks off while it is asked is not waited for any longer.
    let waits = story.trio.send(leader, request);
    story.trio.cut_off(silent);
    let reply = story.trio.take(leader, waits);
    let Some(Reply::Error(error)) = reply else { panic!("{reply:?}") };
    assert!(error.text.contains("cannot be reached"), "{error}");
}

/// C32b: a member whose answer is not clear forbids it: one that is in doubt of its state, and one to which the
/// value may be on its way.
#[test]
fn c32b_a_member_that_cannot_say_forbids_it() {
    let mut story = Story::begin();
    story.rot(3, &[0, 1, 2]);
    let unclear = (story.leader + 2) % 3;
    let verdicts = [LossVerdict::InDoubt, LossVerdict::Unclear(paxosd::types::Slot(1))];
    for (verdict, expected) in verdicts.into_iter().zip(["is in doubt", "cannot say yet"]) {
        story.trio.tap(move |from, _, message| {
            if let (Message::LossAnswer(answer), true) = (message, from == unclear) {
                answer.verdict = verdict;
            }
            true
        });
        let text = story.refusal(3, 4);
        assert!(
            text.contains(&format!("node {}", unclear + 1)) && text.contains(expected),
            "{text}"
        );
    }
}

/// C32b: what a disk fails to deliver may be there all the same. A member whose disk says so forbids the declaration,
/// however often it is asked, and is named.
#[test]
fn c32b_a_disk_that_fails_to_read_forbids_it() {
    for ahead in [0, 1] {
        let mut story = Story::begin();
        let fails = (story.leader + ahead) % 3;
        let others: Vec<usize> = (0..3).filter(|at| *at != fails).collect();
        story.rot(3, &others);
        for (name, at) in copies(story.trio.storage(fails), &rare_text(3)[..100]) {
            story.trio.storage(fails).make_unreadable(&name, at..at + 512);
        }
        for _ in 0..2 {
            let text = story.refusal(3, 4);
            let expected = format!("node {} cannot say yet whether it has entry 3", fails + 1);
            assert!(text.starts_with(&expected) && text.contains("its disk fails"), "{text}");
            story.trio.pass(WHILE_US);
        }
    }
}

/// C32b: of an entry whose records have rotted everywhere one member has the value in memory. It forbids the
/// declaration, and does not only say that it has it: the value is written down once more, and the others get it.
#[test]
fn c32b_what_is_in_memory_is_written_down_once_more() {
    for ahead in [0, 1] {
        let mut story = Story::begin();
        let holder = (story.leader + ahead) % 3;
        story.trio.members[holder].shard.set_cache_bytes(1 << 30);
        (0..3).for_each(|_| story.round());
        story.trio.pass(1_000_000);
        story.rot(10, &[0, 1, 2]);
        let text = story.refusal(10, 11);
        assert!(text.starts_with(&format!("node {} has entry 10,", holder + 1)), "{text}");
        story.trio.members[holder].shard.set_cache_bytes(0);
        story.trio.pass(WHILE_US);
        story.check(range(0, 0));
        story.trio.pass(WHILE_US);
        assert_eq!(story.absent(), [0; 3]);
        story.check(range(0, 0));
    }
}

/// C32b: what is no entry of the log is refused exactly; so is a log that there is not, and what no checkpoint
/// stands for yet, which may still be learned.
#[test]
fn c32b_what_is_no_entry_is_refused() {
    let mut story = Story::begin();
    let leader = story.leader;
    story.trio.ask(leader, Request::Trim(Trim { log: log("rare"), before: Index(2) }));
    let asked = [(1, 3), (9, 11), (4, 4), (5, 4)];
    let codes = asked.map(|(from, before)| code(&story.declare(from, before)));
    let expected =
        [ErrorCode::Trimmed, ErrorCode::PastEnd, ErrorCode::BadRequest, ErrorCode::BadRequest];
    assert_eq!(codes, expected.map(Some));
    let (from, before) = (Index(0), Index(1));
    let nowhere = Request::DeclareLost(DeclareLost { log: log("none"), from, before });
    assert_eq!(code(&story.trio.ask(leader, nowhere)), Some(ErrorCode::UnknownLog));
    let last = story.rounds;
    story.trio.ask(leader, Request::Append(append("rare", &rare_text(last))));
    let text = story.refusal(last, last + 1);
    assert!(text.contains("no checkpoint stands for the entries from 10 on yet"), "{text}");
    let elsewhere = (leader + 1) % 3;
    let (from, before) = (Index(3), Index(4));
    let request = Request::DeclareLost(DeclareLost { log: log("rare"), from, before });
    assert_eq!(code(&story.trio.ask(elsewhere, request)), Some(ErrorCode::NotLeader));
}

/// C44d: while a member runs a program that knows of no lost entries, nothing is declared, nor asked of it.
#[test]
fn c44d_nothing_is_declared_while_a_member_runs_the_program_before() {
    let (new, old) = (FormatLevel::LOST_ENTRIES, FormatLevel::FIRST);
    let mut trio = Trio::of_programs(Timing::default(), [new, old, new]);
    trio.tap(|_, _, message| {
        assert!(!matches!(message, Message::LossAsk(_)), "the older program does not know it");
        true
    });
    let leader = trio.leader();
    trio.ask(leader, create("rare"));
    trio.ask(leader, Request::Append(append("rare", "x")));
    let (from, before) = (Index(0), Index(1));
    let request = Request::DeclareLost(DeclareLost { log: log("rare"), from, before });
    let reply = trio.ask(leader, request);
    let Reply::Error(error) = &reply else { panic!("{reply:?}") };
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert!(error.text.contains("format level is 1"), "{error}");
}

/// C32b: a lost entry hinders nothing. Before, its nodes miss it and no segment with it goes; then they are whole,
/// compaction goes on, and a node that was away installs and misses nothing.
#[test]
fn c32b_lost_entries_hinder_nothing() {
    let mut story = Story::begin();
    story.rot(3, &[0, 1, 2]);
    for at in 0..3 {
        let reply = story.read(at, 3);
        assert!(matches!(reply, Reply::Error(_)), "{reply:?}");
    }
    story.trio.pass(WHILE_US);
    assert_eq!(story.absent(), [1; 3], "nobody has it, and all look for it");
    assert_eq!(story.declare(3, 4), declared(3, 4));
    story.trio.pass(WHILE_US);
    assert_eq!(story.absent(), [0; 3], "nobody looks for it any more");

    let away = (story.leader + 1) % 3;
    story.trio.cut_off(away);
    for _ in 0..8 {
        story.round();
        story.trio.pass(2_000_000);
    }
    story.trio.pass(120_000_000);
    let shard = &story.trio.members[story.leader].shard;
    let (released, behind) =
        (shard.journal().released_upto(), story.trio.members[away].shard.applied_upto());
    assert!(released > behind, "released up to {released}, node {away} is at {behind}");
    assert!(shard.tally().compaction.segments > 0, "{:?}", shard.tally().compaction);
    story.trio.heal(away);
    story.trio.pass(3 * WHILE_US);
    assert!(story.trio.members[away].shard.installed_upto() > behind, "it installs");
    assert_eq!(story.absent(), [0; 3]);
    story.check(range(3, 4));
}

/// C32b: where the bytes are found again, on a disk that reads once more what it could not, nothing is undone:
/// all nodes say that the entry is lost, and none keeps or gives a copy of it.
#[test]
fn c32b_what_is_found_again_stays_lost() {
    let mut story = Story::begin();
    story.rot(3, &[0, 1, 2]);
    assert_eq!(story.declare(3, 4), declared(3, 4));
    let again = (story.leader + 1) % 3;
    story.rot(3, &[again]);
    story.trio.pass(WHILE_US);
    story.check(range(3, 4));
    story.trio.cut_off(again);
    story.trio.restart(again, (Timing::default(), FormatLevel::KNOWN));
    story.trio.members[again].shard.set_cache_bytes(0);
    story.trio.heal(again);
    story.trio.pass(WHILE_US);
    story.check(range(3, 4));
    assert_eq!(story.absent(), [0; 3]);
    story.trio.ask(story.leader, Request::Delete(Delete { log: log("rare") }));
    story.trio.pass(100_000);
    assert!(story.trio.members[again].shard.machine().lost().is_empty());
}
