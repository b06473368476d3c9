//! Stories about chains: what follows a failed append, and in which order clients hear of it.

use crate::node::{Node, append, code, create, first, log};
use paxosd::api::error::ErrorCode;
use paxosd::api::{Append, AttributeChanges, Delete, Reply, Request, SetAttributes};
use paxosd::shard::Input;
use paxosd::types::{ConnId, Index};

/// An append of a chain, with or without a condition.
fn of(chain: u32, expect: Option<u64>, text: &str) -> Request {
    Request::Append(Append { chain, expect: expect.map(Index), ..append("a", text) })
}

/// The codes of the answers that have left, oldest first, by the request that they answer.
fn answered(node: &mut Node) -> Vec<(u64, Option<ErrorCode>)> {
    std::mem::take(&mut node.answered)
        .into_iter()
        .map(|id| (id, code(&node.take(1, id).expect("it was answered"))))
        .collect()
}

/// A refusal as PriorFailed leaves behind the error that it follows, though that one is known only
/// when its slot is applied; other appends are answered meanwhile.
#[test]
fn prior_failed_leaves_behind_its_cause() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.answered.clear();
    node.hold = true;
    let good = node.send(1, of(5, Some(0), "first"));
    let bad = node.send(1, of(5, Some(7), "wrong index"));
    let behind = node.send(1, of(5, None, "behind"));
    let wrong_too = node.send(1, of(5, Some(9), "behind, and wrong itself"));
    node.tick();
    assert_eq!(answered(&mut node), [], "PriorFailed left before the error that it follows");
    node.release();
    let later = node.send(1, of(5, None, "later"));
    assert_eq!(
        answered(&mut node),
        [
            (good, None),
            (bad, Some(ErrorCode::ExpectMismatch)),
            (behind, Some(ErrorCode::PriorFailed)),
            (wrong_too, Some(ErrorCode::PriorFailed)),
            (later, Some(ErrorCode::PriorFailed)),
        ]
    );
}

/// The same for an append that would have created its log at another index than 0.
#[test]
fn prior_failed_leaves_behind_a_refused_creation() {
    let mut node = Node::new();
    node.hold = true;
    let Request::Append(bad) = of(5, Some(3), "x") else { unreachable!() };
    let bad = node.send(1, Request::Append(Append { create: true, ..bad }));
    let behind = node.send(1, of(5, None, "behind"));
    node.tick();
    assert_eq!(answered(&mut node), []);
    node.release();
    let expected = [(bad, Some(ErrorCode::ExpectMismatch)), (behind, Some(ErrorCode::PriorFailed))];
    assert_eq!(answered(&mut node), expected);
}

/// An append that fails breaks the chain behind itself and not before: what was sent earlier and
/// still waits is executed.
#[test]
fn a_failure_spares_what_was_sent_before_it() {
    let mut node = Node::new();
    node.hold = true;
    let created = node.send(1, create("a"));
    node.tick();
    let earlier = node.send(1, of(5, None, "waits for the log to be created"));
    // A later one of the chain is refused for its bytes.
    node.input(Input::ChainFailed { conn: ConnId(1), log: log("a"), chain: 5 });
    let behind = node.send(1, of(5, None, "behind"));
    assert_eq!(answered(&mut node), [(behind, Some(ErrorCode::PriorFailed))]);
    node.release();
    node.tick();
    assert!(node.take(1, created).is_some());
    assert_eq!(first(node.take(1, earlier)), 0, "refused for what was sent behind it");
}

/// The refusals that wait for an error leave when that error turns out to be another one.
#[test]
fn refusals_that_wait_are_not_forgotten() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.answered.clear();
    node.hold = true;
    let bad = node.send(1, of(5, Some(7), "wrong index"));
    let behind = node.send(1, of(5, None, "behind"));
    node.tick();
    node.input(Input::HandOver);
    node.release();
    node.pass(1_000_000);
    let left = answered(&mut node);
    let order: Vec<u64> = left.iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [bad, behind]);
    assert_eq!(left[1].1, Some(ErrorCode::PriorFailed));
}

/// A connection that is gone leaves nothing behind that an answer could stumble over.
#[test]
fn a_gone_connection_is_owed_nothing() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.hold = true;
    let bad = node.send(1, of(5, Some(7), "wrong index"));
    let behind = node.send(1, of(5, None, "behind"));
    node.tick();
    node.input(Input::ClientDown { conn: ConnId(1) });
    node.release();
    assert!(node.take(1, bad).is_none() && node.take(1, behind).is_none());
    assert_eq!(first(Some(node.ask(of(5, None, "the next connection of this number")))), 0);
}

/// C28: a log that is sealed takes nothing, which is known when an append to it arrives: its chain is
/// broken at once, and what follows does not slip through to a new log of the same name.
#[test]
fn c28_a_sealed_log_breaks_the_chain_at_once() {
    let mut node = Node::new();
    node.ask(create("a"));
    let seal = AttributeChanges { seal: true, ..AttributeChanges::default() };
    node.ask(Request::SetAttributes(SetAttributes { log: log("a"), changes: seal }));
    node.hold = true;
    let sealed = node.send(1, of(5, None, "to the sealed log"));
    let deletes = node.send(1, Request::Delete(Delete { log: log("a") }));
    let create = Append { chain: 5, create: true, ..append("a", "to the new log") };
    let behind = node.send(1, Request::Append(create));
    node.release();
    node.tick();
    assert_eq!(code(&node.take(1, sealed).expect("answered")), Some(ErrorCode::Sealed));
    assert_eq!(node.take(1, deletes), Some(Reply::Deleted));
    assert_eq!(code(&node.take(1, behind).expect("answered")), Some(ErrorCode::PriorFailed));
}
