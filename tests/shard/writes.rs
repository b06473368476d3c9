//! Stories about appends.

use crate::node::{Node, append, code, create, first, log, read, texts};
use paxosd::api::entries::Entries;
use paxosd::api::error::ErrorCode;
use paxosd::api::{Append, Delete, LogRef, Reply, Request, Trim};
use paxosd::shard::Input;
use paxosd::types::{ConnId, Index, LogId};

/// Entries get dense indexes in the order in which they were sent, however they are batched.
#[test]
fn appends_in_order() {
    let mut node = Node::new();
    assert!(matches!(node.ask(create("a")), Reply::Created(_)));
    let sent: Vec<u64> =
        (0..50).map(|i| node.send(1, Request::Append(append("a", &format!("{i}"))))).collect();
    node.tick();
    for (index, id) in sent.into_iter().enumerate() {
        assert_eq!(first(node.take(1, id)), index as u64);
    }
}

/// R02: no acknowledgement before the batch is durable.
#[test]
fn r02_acknowledged_only_when_durable() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.hold = true;
    let id = node.send(1, Request::Append(append("a", "x")));
    node.tick();
    assert!(node.take(1, id).is_none(), "acknowledged before its batch was durable");
    node.release();
    assert_eq!(first(node.take(1, id)), 0);
}

/// Once an append of a chain fails, those behind it are refused and not executed; another chain is
/// not concerned.
#[test]
fn a_failed_append_breaks_its_chain() {
    let mut node = Node::new();
    node.ask(create("a"));
    let of = |chain, expect: Option<u64>, text| {
        Request::Append(Append { chain, expect: expect.map(Index), ..append("a", text) })
    };
    let good = node.send(1, of(5, Some(0), "first"));
    let bad = node.send(1, of(5, Some(7), "wrong index"));
    let behind = node.send(1, of(5, None, "behind"));
    let lucky = node.send(1, of(5, Some(1), "would fit"));
    let other = node.send(1, of(6, None, "other chain"));
    node.tick();
    assert_eq!(first(node.take(1, good)), 0);
    assert_eq!(code(&node.take(1, bad).expect("answered")), Some(ErrorCode::ExpectMismatch));
    assert_eq!(code(&node.take(1, behind).expect("answered")), Some(ErrorCode::PriorFailed));
    assert_eq!(code(&node.take(1, lucky).expect("answered")), Some(ErrorCode::PriorFailed));
    assert_eq!(first(node.take(1, other)), 1);
    let id = node.send(1, read("a", 0, 0));
    assert_eq!(texts(node.take(1, id)), ["first", "other chain"]);
}

/// The answer to a failed condition carries the actual next index.
#[test]
fn a_mismatch_reports_the_next_index() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.ask(Request::Append(append("a", "x")));
    let reply = node.ask(Request::Append(Append { expect: Some(Index(0)), ..append("a", "y") }));
    match reply {
        Reply::Error(error) => {
            let next = paxosd::api::error::Detail::Next { log: LogId(1), next: Index(1) };
            assert_eq!((error.code, error.detail), (ErrorCode::ExpectMismatch, next));
        }
        other => panic!("{other:?}"),
    }
}

/// Appending to a log that is not there fails, unless the client asks for its creation.
#[test]
fn creation_on_first_append_is_asked_for() {
    let mut node = Node::new();
    let reply = node.ask(Request::Append(append("new", "x")));
    assert_eq!(code(&reply), Some(ErrorCode::UnknownLog));
    let ids: Vec<u64> = (0..3)
        .map(|_| node.send(1, Request::Append(Append { create: true, ..append("new", "x") })))
        .collect();
    node.tick();
    node.tick();
    let got: Vec<u64> = ids.into_iter().map(|id| first(node.take(1, id))).collect();
    assert_eq!(got, [0, 1, 2]);
}

/// A deleted log's identity is gone for good; its name is free again.
#[test]
fn a_deleted_log_stays_deleted() {
    let mut node = Node::new();
    let Reply::Created(created) = node.ask(create("a")) else { panic!("created") };
    let by_id = LogRef::Id(created.id);
    let deleted = node.ask(Request::Delete(Delete { log: by_id.clone() }));
    assert_eq!(deleted, Reply::Deleted);
    assert!(matches!(node.ask(create("a")), Reply::Created(again) if again.id != created.id));
    let reply = node.ask(Request::Append(Append { log: by_id, ..append("a", "x") }));
    assert_eq!(code(&reply), Some(ErrorCode::UnknownLog));
}

/// R11: with no room for another segment appends are refused as not executed, reads go on, and
/// appends resume when there is space.
#[test]
fn r11_a_full_disk_refuses_and_recovers() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.storage.set_free_bytes(0);
    let mut refused = None;
    for i in 0..2_000 {
        let entry = format!("{i:04000}");
        let id = node.send(1, Request::Append(append("a", &entry)));
        node.tick();
        match node.take(1, id).expect("answered") {
            Reply::Appended(_) => {}
            Reply::Error(error) => {
                assert_eq!(error.code, ErrorCode::DiskFull);
                assert!(error.text.ends_with("another segment (0 bytes free)"), "{}", error.text);
                refused = Some(i);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let kept = refused.expect("the disk fills up");
    let last = node.send(1, read("a", kept - 1, 0));
    assert_eq!(texts(node.take(1, last)).len(), 1, "reads go on");
    let trim = Trim { log: log("a"), before: Index(1) };
    let taken = loop {
        match node.ask(Request::Trim(trim.clone())) {
            Reply::Trimmed(_) => {
                assert_eq!(code(&node.ask(create("b"))), Some(ErrorCode::DiskFull))
            }
            other => break other,
        }
    };
    // What frees space is let through while there is some room; the rest is for elections.
    let Reply::Error(error) = taken else { panic!("{taken:?}") };
    assert_eq!(error.code, ErrorCode::DiskFull);
    assert!(error.text.ends_with("there is no room for it either"), "{}", error.text);
    node.storage.set_free_bytes(1 << 30);
    node.pass(2_500_000);
    assert!(matches!(node.ask(Request::Append(append("a", "x"))), Reply::Appended(_)));
    assert!(node.fatal.is_none());
}

/// A stopping node refuses new appends as not executed, and has nothing in flight when it says so.
#[test]
fn a_stopping_node_drains() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.hold = true;
    let under_way = node.send(1, Request::Append(append("a", "x")));
    node.tick();
    node.input(Input::HandOver);
    let late = node.send(1, Request::Append(append("a", "y")));
    assert_eq!(code(&node.take(1, late).expect("answered")), Some(ErrorCode::ShuttingDown));
    node.release();
    assert_eq!(first(node.take(1, under_way)), 0);
}

/// What was acknowledged is there after a restart, at its index.
#[test]
fn acknowledged_survives_a_restart() {
    let mut node = Node::new();
    node.ask(create("a"));
    for i in 0..300 {
        node.ask(Request::Append(append("a", &format!("{i}"))));
    }
    node.storage.restart_process();
    let mut node = Node::open(node.storage.duplicate());
    let id = node.send(1, read("a", 0, 0));
    node.pass(10_000);
    let entries = texts(node.take(1, id));
    assert_eq!(entries, (0..300).map(|i| i.to_string()).collect::<Vec<_>>());
}

/// The answer to a connection that is gone goes nowhere, and the append stands.
#[test]
fn a_gone_connection_gets_no_answer() {
    let mut node = Node::new();
    node.ask(create("a"));
    let id = node.send(9, Request::Append(append("a", "x")));
    node.input(Input::ClientDown { conn: ConnId(9) });
    node.tick();
    assert!(node.take(9, id).is_none());
    assert_eq!(first(Some(node.ask(Request::Append(append("a", "y"))))), 1);
}

/// An append whose bytes are refused breaks its chain as any other failure does.
#[test]
fn a_refused_append_breaks_its_chain() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.input(Input::ChainFailed { conn: ConnId(1), log: crate::node::log("a"), chain: 3 });
    let behind = Append { chain: 3, ..append("a", "behind") };
    assert_eq!(code(&node.ask(Request::Append(behind))), Some(ErrorCode::PriorFailed));
}

/// R37: what waits for a name to be created counts as queued, so that its connection is not read on.
#[test]
fn r37_appends_that_wait_for_a_name_are_bounded() {
    let mut node = Node::new();
    node.hold = true;
    node.send(1, create("a"));
    node.tick();
    let text = "x".repeat(4000);
    for _ in 0..1000 {
        let entries = Entries::from_slices(vec![text.as_str(); 15]).expect("within the limits");
        node.send(1, Request::Append(Append { entries, ..append("a", "x") }));
    }
    assert!(node.shard.congested(), "60 MB wait, and the shard would take more");
}

/// A chain that failed stays failed, however many others fail on its connection; one with too many
/// takes no chains any more.
#[test]
fn failed_chains_are_not_forgotten() {
    let mut node = Node::new();
    node.ask(create("a"));
    let of = |chain, expect: Option<u64>| {
        Request::Append(Append { chain, expect: expect.map(Index), ..append("a", "text") })
    };
    let mut fail = |chain| {
        let bad = node.send(1, of(chain, Some(7)));
        node.tick();
        code(&node.take(1, bad).expect("answered"))
    };
    for chain in 1..=1024 {
        assert_eq!(fail(chain), Some(ErrorCode::ExpectMismatch), "chain {chain}");
    }
    for chain in [1, 2, 1024, 1025] {
        let behind = node.send(1, of(chain, None));
        node.tick();
        let answer = node.take(1, behind).expect("answered");
        assert_eq!(code(&answer), Some(ErrorCode::PriorFailed), "chain {chain}");
    }
    let free = node.send(1, of(0, None));
    node.tick();
    assert_eq!(code(&node.take(1, free).expect("answered")), None);
}

/// R11: when the disk turns out to be full, what is under way is done, and what waits is refused and
/// not executed. When there is space again, appends get the indexes that follow on.
#[test]
fn r11_a_full_disk_refuses_what_waits() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.storage.set_free_bytes(0);
    let entry = "x".repeat(4096);
    let (mut done, mut refused) = (0, Vec::new());
    while refused.is_empty() {
        node.hold = true;
        let mut sent = Vec::new();
        for _ in 0..12 {
            sent.push(node.send(1, Request::Append(append("a", &entry))));
            node.tick(); // A value of its own for each of the first; the others gather.
        }
        node.release();
        for id in sent {
            match node.take(1, id).expect("nothing is left waiting") {
                Reply::Appended(appended) => {
                    assert!(refused.is_empty(), "appended behind one that was refused");
                    assert_eq!(appended.first, Index(done));
                    done += 1;
                }
                reply => refused.push(code(&reply)),
            }
        }
    }
    assert!(refused.iter().all(|code| *code == Some(ErrorCode::DiskFull)), "{refused:?}");
    assert!(done > 50, "{done} entries of 4 KiB");
    let id = node.send(1, read("a", 0, 0));
    assert!(!texts(node.take(1, id)).is_empty(), "reads go on");
    node.storage.set_free_bytes(1 << 30);
    node.pass(2_000_000);
    let of = |expect| Request::Append(Append { chain: 9, expect, ..append("a", "more") });
    let next = node.send(2, of(Some(Index(done))));
    let behind = node.send(2, of(Some(Index(done + 1))));
    node.tick();
    assert_eq!(first(node.take(2, next)), done);
    assert_eq!(first(node.take(2, behind)), done + 1);
}

/// A log id of a shard that the cluster does not have is that of no log, and the text says so; one
/// of another shard gets the answer where it lives.
#[test]
fn an_id_of_no_shard_is_of_no_log() {
    let mut node = Node::new();
    let id = LogId(9 << 48 | 1);
    let reply = node.ask(Request::Append(Append { log: LogRef::Id(id), ..append("a", "x") }));
    let Reply::Error(error) = reply else { panic!("{reply:?}") };
    assert_eq!(error.code, ErrorCode::UnknownLog);
    assert!(error.text.contains("would be in shard 9, and the cluster has 1 shard"), "{error}");
    assert!(!error.text.contains("lives in"), "{error}");
}
