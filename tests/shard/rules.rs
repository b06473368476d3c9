//! What one shard alone must never do, each the opposite of a bug that was once planted.

use crate::node::{Node, append, code, create, first, read, texts};
use paxosd::api::entries::Entries;
use paxosd::api::error::ErrorCode;
use paxosd::api::{Append, Reply, Request, Retention};
use paxosd::machine::{AppliedSlot, LogCommand, LogOutcome, Machine, MachineOutcome, ValueBuilder};
use paxosd::types::{Ballot, Index, NodeId, ShardId, Slot, Value};

/// R02: a batch vouches for the records that were in it, not for those that came while it was written.
#[test]
fn r02_a_batch_vouches_for_no_later_record() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.hold = true;
    let early = node.send(1, Request::Append(append("a", "early")));
    node.tick();
    let late = node.send(1, Request::Append(append("a", "late")));
    node.tick();
    node.finish_a_batch();
    assert_eq!(first(node.take(1, early)), 0);
    assert!(node.take(1, late).is_none(), "acknowledged by a batch that does not hold it");
    node.release();
    assert_eq!(first(node.take(1, late)), 1);
}

/// C19: after a restart nothing is read, and nothing is said of any log, before all that was chosen is
/// applied again: a log of which the journal is still being read would seem not to exist.
#[test]
fn c19_nothing_is_read_before_all_is_applied() {
    let mut node = Node::new();
    node.ask(create("a"));
    node.ask(Request::Append(append("a", "x")));
    let mut node = Node::open_without_reads(node.storage.duplicate());
    assert_eq!(code(&node.ask(read("a", 0, 0))), Some(ErrorCode::NotReady));
    assert_eq!(code(&node.ask(Request::Append(append("a", "y")))), Some(ErrorCode::NotReady));
    node.release();
    let id = node.send(1, read("a", 0, 0));
    node.tick();
    assert_eq!(texts(node.take(1, id)), ["x"]);
}

/// R38: an append beyond the limits that all nodes share is refused as not executed: an entry, or all of
/// them together, too large, and bytes that are not what their checksum says.
#[test]
fn r38_appends_beyond_the_limits_are_refused() {
    let mut node = Node::new();
    node.ask(create("a"));
    let entry = |bytes: usize| "x".repeat(bytes);
    let of = |entries: &[String]| {
        let entries = Entries::from_slices(entries).expect("far below 4 GiB");
        Request::Append(Append { entries, ..append("a", "") })
    };
    let too_large = Some(ErrorCode::TooLarge);
    assert_eq!(code(&node.ask(of(&[entry(4097)]))), too_large);
    assert_eq!(code(&node.ask(of(&vec![entry(4096); 17]))), too_large);
    assert_eq!(code(&node.ask(of(&[]))), Some(ErrorCode::BadRequest));
    match node.ask(of(&[entry(4096)])) {
        Reply::Appended(appended) => assert_eq!(appended.first.0, 0, "nothing was taken in before"),
        other => panic!("{other:?}"),
    }
}

/// What is sent behind the append that creates a log waits until the log is there: its condition is compared
/// with what the log then holds, and its chain does not break.
#[test]
fn what_comes_behind_a_creation_waits_for_it() {
    let mut node = Node::new();
    node.hold = true;
    let of = |expect: Option<u64>, text| {
        let expect = expect.map(Index);
        Request::Append(Append { chain: 4, create: true, expect, ..append("new", text) })
    };
    let sent = [of(Some(0), "x"), of(Some(1), "y"), of(None, "z")];
    let sent = sent.map(|request| node.send(1, request));
    node.tick();
    node.release();
    node.pass(10_000);
    assert_eq!(sent.map(|id| first(node.take(1, id))), [0, 1, 2]);
}

/// R21: a later leader finds what a lost leadership proposed second, and not what it proposed first, where it
/// puts a no-op: what is left is void, or an append would take effect without the one sent before it. The
/// same two values, found whole, take effect.
#[test]
fn r21_what_lost_its_predecessor_is_void() {
    let lost = Ballot::new(3, NodeId(1));
    let value = |name: &str, first: bool| -> Value {
        let mut builder = ValueBuilder::new();
        builder.push(LogCommand::Create { name, created_ms: 0, retention: Retention::default() });
        builder.build(lost, first, 0)
    };
    let mut machine = Machine::new(ShardId(0), 1);
    assert_eq!(machine.apply(Slot(1), &Value::noop()), Ok(AppliedSlot::default()));
    assert_eq!(machine.apply(Slot(2), &value("second", false)), Ok(AppliedSlot::default()));
    assert!(machine.logs().resolve("second").is_none(), "it took effect without the first");
    let mut machine = Machine::new(ShardId(0), 1);
    for (slot, name) in [(1, "first"), (2, "second")] {
        let applied = machine.apply(Slot(slot), &value(name, slot == 1)).expect("a good value");
        let outcomes = applied.outcomes;
        assert!(
            matches!(outcomes[..], [MachineOutcome::Log(LogOutcome::Created(_))]),
            "{outcomes:?}"
        );
    }
}
