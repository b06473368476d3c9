//! Commands whose leadership is lost while they are under way: answered when it is known what became
//! of them.

use crate::fates_rig::Trio;
use crate::node::{append, code, create, first, read, texts};
use paxosd::api::error::{ErrorCode, Outcome};
use paxosd::api::{Append, Consistency, Read, Reply, Request};
use paxosd::paxos::Doubt;
use paxosd::shard::Input;
use paxosd::types::{Index, NodeId, Witness};

/// A trio with a log, whose leader 1 has proposed an append that 2 holds and nobody acknowledged.
fn under_way(request: Request, reaches: Option<u16>) -> (Trio, u64) {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    let id = trio.send(1, request);
    if let Some(to) = reaches {
        trio.deliver(1, to);
    }
    trio.cut(1);
    (trio, id)
}

fn outcome(reply: Option<Reply>) -> (ErrorCode, Outcome) {
    match reply {
        Some(Reply::Error(error)) => (error.code, error.outcome),
        other => panic!("no error: {other:?}"),
    }
}

/// C8, R32: the next leader found the value and got it chosen in the same slot. The old one learns so
/// and says at which index the append stands.
#[test]
fn c08_an_append_that_the_successor_found_is_acknowledged() {
    let (mut trio, id) = under_way(Request::Append(append("a", "x")), Some(2));
    trio.pass(700_000);
    assert!(trio.answer(1, id).is_none(), "nothing is known yet");
    assert!(trio.leader().is_some_and(|leader| leader != 1));
    assert_eq!(first(Some(trio.ask(Request::Append(append("a", "y"))))), 1);
    trio.heal(1);
    trio.pass(500_000);
    assert_eq!(first(trio.answer(1, id)), 0);
}

/// R32: another value is chosen in its slot, though nobody asks for anything meanwhile: the append never
/// took effect, and never will. The old leader says so, with a code on which a client sends it again.
/// It is there once then.
#[test]
fn r32_an_append_that_was_written_over_was_not_executed() {
    let (mut trio, id) = under_way(Request::Append(append("a", "x")), None);
    trio.pass(700_000);
    trio.heal(1);
    trio.pass(500_000);
    let (code, outcome) = outcome(trio.answer(1, id));
    assert_eq!((code, outcome), (ErrorCode::NotLeader, Outcome::NotExecuted));
    assert_eq!(first(Some(trio.ask(Request::Append(append("a", "x"))))), 0);
    assert_eq!(texts(Some(trio.ask(read("a", 0, 0)))), ["x"]);
}

/// R32: the new leader has served a command in one of the slots that were open, and another one is left
/// behind it. That one is settled, too, and does not part what the leader proposes next from what it
/// proposed before. The old leader answers neither of its clients with what that command came to.
#[test]
fn r32_what_is_left_behind_a_command_is_settled() {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    let sent = ["w", "x"].map(|entry| trio.send(1, Request::Append(append("a", entry))));
    trio.cut(1);
    trio.pass(700_000);
    assert_eq!(first(Some(trio.ask(Request::Append(append("a", "y"))))), 0);
    trio.heal(1);
    trio.pass(500_000);
    let not_executed = (ErrorCode::NotLeader, Outcome::NotExecuted);
    assert_eq!(sent.map(|id| outcome(trio.answer(1, id))), [not_executed; 2]);
    assert_eq!(first(Some(trio.ask(Request::Append(append("a", "z"))))), 1);
    assert_eq!(texts(Some(trio.ask(read("a", 0, 0)))), ["y", "z"]);
}

/// R32: a leader that was elected without its own promise refuses writes until the leftovers of its earlier
/// leadership are settled, or an append would overtake one of its chain that was sent before it.
///
/// Node 1 remembers a tail that its recovery cut off until it has heard node 3 on it, and writes down that it
/// has just while the promises of the two others come in. So its own does not count, which alone names the
/// two slots that its last leadership left open; it settles the first of them to be able to serve.
#[test]
fn r32_a_leader_elected_without_its_own_promise_settles_what_it_left_open() {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    trio.hold(1);
    trio.send(1, Request::Append(append("a", &"torn".repeat(500))));
    trio.part(2, 3);
    trio.slow.insert((3, 1));
    trio.hold(2); // So that it does not come to lead.
    trio.tear(1);
    trio.pass_only(&[1], 2_000_000);
    trio.release(2);
    trio.pass_until_leads(1);
    let of = |entry| Request::Append(Append { chain: 5, ..append("a", entry) });
    let left = [Request::Append(append("a", "x")), of("y")].map(|request| trio.send(1, request));
    trio.cut(1);
    trio.pass_only(&[1], 3_000_000);
    assert!(!trio.leads(1));
    // Node 2 promises when its disk is released, and what node 3 says is under way.
    trio.hold(2);
    trio.heal(1);
    trio.pass_only(&[1], 1_000_000);
    trio.hold(1);
    trio.slow.clear();
    trio.deliver(3, 1);
    trio.release(2);
    trio.settle();
    assert!(trio.leads(1), "elected by the others' promises");
    assert_eq!(outcome(trio.answer(1, left[0])).1, Outcome::NotExecuted);
    assert!(trio.answer(1, left[1]).is_none(), "its slot is left open");
    let early = trio.send(1, of("z"));
    trio.settle();
    let refused = (ErrorCode::NotReady, Outcome::NotExecuted);
    assert_eq!(outcome(trio.answer(1, early)), refused);
    trio.release(1);
    trio.pass(200_000);
    assert_eq!(outcome(trio.answer(1, left[1])), refused);
    assert_eq!(first(Some(trio.ask(Request::Append(append("a", "w"))))), 0);
    assert_eq!(texts(Some(trio.ask(read("a", 0, 0)))), ["w"]);
}

/// R32: who learns nothing for eight seconds answers that nobody knows.
#[test]
fn r32_an_append_whose_fate_stays_open_is_unknown() {
    let (mut trio, id) = under_way(Request::Append(append("a", "x")), Some(2));
    trio.pass(7_500_000);
    assert!(trio.answer(1, id).is_none(), "it may still be learned");
    trio.pass(2_000_000);
    let (code, outcome) = outcome(trio.answer(1, id));
    assert_eq!((code, outcome), (ErrorCode::LeadershipLost, Outcome::Unknown));
}

/// R23, R32: a node whose state is not what the others have does not say what became of a command. It
/// says at once that it does not know.
#[test]
fn r23_who_differs_from_the_others_knows_no_fate() {
    let (mut trio, id) = under_way(Request::Append(append("a", "x")), Some(2));
    trio.pass(700_000);
    trio.differs = Some(1);
    trio.heal(1);
    trio.pass(500_000);
    let (code, outcome) = outcome(trio.answer(1, id));
    assert_eq!((code, outcome), (ErrorCode::LeadershipLost, Outcome::Unknown));
}

/// A read that any node answers from its own state, and that waits at the tail.
fn local_read(from: u64) -> Request {
    let Request::Read(asked) = read("a", from, 60_000) else { unreachable!() };
    Request::Read(Read { consistency: Consistency::Local, ..asked })
}

/// R23: nobody goes on waiting for an answer from a state that turned out not to be what the others have,
/// be it for an entry or for the end of a wait.
#[test]
fn r23_who_waits_is_refused_when_the_state_comes_into_doubt() {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    trio.pass(500_000);
    let id = trio.send(2, local_read(0));
    trio.differs = Some(2);
    trio.pass(500_000);
    assert_eq!(trio.replica(2).doubt(), Some(Doubt::Fenced));
    assert_eq!(outcome(trio.answer(2, id)), (ErrorCode::NotReady, Outcome::NotExecuted));
}

/// R23: nor does a read get its answer that was at the disk when the state came into doubt.
#[test]
fn r23_what_the_disk_brings_is_not_answered_in_doubt() {
    let mut trio = Trio::new();
    trio.forget_values(2);
    // No majority differs, so that the node does not heal, which would have the read begin again.
    trio.cut(3);
    trio.ask(create("a"));
    trio.ask(Request::Append(append("a", "x")));
    trio.pass(500_000);
    trio.hold_reads = Some(2);
    let id = trio.send(2, local_read(0));
    trio.differs = Some(2);
    trio.pass(500_000);
    assert_eq!(trio.replica(2).doubt(), Some(Doubt::Disputed));
    assert!(trio.answer(2, id).is_none(), "the entry is on disk");
    assert_eq!(trio.release_reads(), 1);
    assert_eq!(outcome(trio.answer(2, id)), (ErrorCode::NotReady, Outcome::NotExecuted));
}

/// C8: where the successor wrote over one of two appends of a chain, neither takes effect, and what
/// comes behind them in it is refused.
#[test]
fn c08_a_chain_breaks_at_the_append_that_was_written_over() {
    let of = |entry| Request::Append(Append { chain: 5, ..append("a", entry) });
    let mut trio = Trio::new();
    trio.ask(create("a"));
    let sent = [trio.send(1, of("x")), trio.send(1, of("y"))];
    trio.cut(1);
    trio.pass(700_000);
    let behind = trio.send(1, of("z"));
    assert!(trio.answer(1, behind).is_some_and(|reply| code(&reply).is_some()), "z is refused");
    trio.heal(1);
    trio.pass(500_000);
    for (id, index) in sent.into_iter().zip(0..) {
        let next = Append { expect: Some(Index(index)), ..append("a", "w") };
        assert_eq!(first(Some(trio.ask(Request::Append(next)))), index);
        trio.pass(100_000);
        assert_eq!(outcome(trio.answer(1, id)).1, Outcome::NotExecuted);
    }
    // The chain stays broken, also when the node leads again.
    let leader = trio.leader().expect("one leads");
    trio.cut(leader);
    for _ in 0..500 {
        trio.pass_only(&[1, 5 - leader], 10_000);
        if trio.leads(1) {
            break;
        }
    }
    let behind = trio.send(1, of("z"));
    trio.settle();
    assert_eq!(outcome(trio.answer(1, behind)).0, ErrorCode::PriorFailed);
}

/// A leader that stops while an append is under way learns from its successor what became of it, and
/// is not done before it has said so.
#[test]
fn a_stop_waits_for_what_is_under_way() {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    let id = trio.send(1, Request::Append(append("a", "x")));
    trio.deliver(1, 2);
    // The acknowledgement is lost, and with it the time to finish before the hand-over.
    trio.cut(1);
    trio.input(1, Input::HandOver);
    trio.pass(700_000);
    assert!(!trio.stopped.contains(&1) && trio.answer(1, id).is_none(), "it waits");
    trio.heal(1);
    trio.pass(500_000);
    assert_eq!(first(trio.answer(1, id)), 0);
    assert!(trio.stopped.contains(&1));
}

/// R32: a stop waits for no longer than it may: then the outcome is unknown, as it is.
#[test]
fn r32_a_stop_does_not_wait_for_ever() {
    let (mut trio, id) = under_way(Request::Append(append("a", "x")), Some(2));
    trio.input(1, Input::HandOver);
    trio.pass(2_000_000);
    assert!(!trio.stopped.contains(&1), "it waits");
    trio.pass(2_500_000);
    assert_eq!(outcome(trio.answer(1, id)).1, Outcome::Unknown);
    assert!(trio.stopped.contains(&1));
}

/// R32: `stop_timeout_ms` bounds that, and the answer leaves before the node ends.
#[test]
fn r32_a_stop_waits_no_longer_than_is_set() {
    let mut trio = Trio::with_stops_within(2_000);
    trio.ask(create("a"));
    let id = trio.send(1, Request::Append(append("a", "x")));
    trio.deliver(1, 2);
    trio.cut(1);
    trio.input(1, Input::HandOver);
    trio.pass(1_500_000);
    assert_eq!(outcome(trio.answer(1, id)).1, Outcome::Unknown);
    assert!(trio.stopped.contains(&1));
}

/// C13: what a node saw others acknowledge is on its disk when it stops, however short a time ago that was.
#[test]
fn c13_a_stop_writes_down_what_was_seen() {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    trio.pass(1_000_000);
    let before = trio.witnessed(1);
    trio.ask(Request::Append(append("a", "x")));
    trio.input(1, Input::HandOver);
    trio.input(1, Input::Tick);
    let seen_of = |table: &[(NodeId, Witness)], node| {
        table.iter().find(|row| row.0 == NodeId(node)).map(|row| row.1.durable)
    };
    for other in [2, 3] {
        assert!(seen_of(&trio.witnessed(1), other) > seen_of(&before, other), "of node {other}");
    }
}

/// R32: nor does it wait longer than elections take, whatever is set: it may be the node that the others
/// need back.
#[test]
fn r32_a_stop_waits_no_longer_than_elections_take() {
    let mut trio = Trio::with_stops_within(60_000);
    trio.ask(create("a"));
    let id = trio.send(1, Request::Append(append("a", "x")));
    trio.deliver(1, 2);
    trio.cut(1);
    trio.input(1, Input::HandOver);
    trio.pass(5_000_000);
    assert_eq!(outcome(trio.answer(1, id)).1, Outcome::Unknown);
    assert!(trio.stopped.contains(&1));
}

/// A leader that stops stays until its successor leads, which may need its vote; one that never led
/// stops at once.
#[test]
fn a_stop_waits_for_the_successor() {
    let mut trio = Trio::new();
    trio.input(3, Input::HandOver);
    assert!(trio.stopped.contains(&3));
    trio.settle();
    trio.input(1, Input::HandOver);
    assert!(!trio.stopped.contains(&1), "nobody leads yet");
    trio.pass(100_000);
    assert!(trio.stopped.contains(&1));
    assert_eq!(trio.leader(), Some(2), "not 3, which stops, too");
}

/// C17: a leader that stops stays until what its successor found is chosen. Here the successor has no
/// quorum without it, and would wait for the third member.
#[test]
fn c17_a_stop_waits_until_the_successor_serves() {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    trio.cut(3);
    trio.input(1, Input::HandOver);
    trio.pass(100_000);
    assert_eq!(trio.leader(), Some(2));
    assert!(trio.stopped.contains(&1));
}
