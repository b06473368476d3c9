//! Whether the checks of a shard notice anything: each fact is broken by hand, and its check fails.

use super::cut_options::CutOptions;
use super::disk_job::execute;
use super::events::{Input, Output, RequestId};
use super::held::{Held, ReadProof};
use super::interface::Shard;
use super::invariants::check_state;
use super::journal_reads::JournalRead;
use super::options::ShardOptions;
use super::read_task::ReadTask;
use super::turn::Turn;
use super::waiter::{Chained, Waiter};
use crate::api::entries::EntriesLimit;
use crate::api::name::LogName;
use crate::api::{Create, Reply, Request, Retention};
use crate::checkpoint;
use crate::journal::{Identity, JournalOptions, format};
use crate::machine::Machine;
use crate::paxos::{Config, Vote};
use crate::storage::MemStorage;
use crate::types::Value;
use crate::types::{
    Ballot, ClusterId, ConnId, FormatLevel, Incarnation, Index, Lsn, NodeId, ShardId, Slot, Tick,
};
use crate::wire::peer::Accepted;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// No client has this connection.
const NOBODY: ConnId = ConnId(99);

fn options(identity: &Identity) -> ShardOptions {
    ShardOptions {
        shard: ShardId(0),
        shards: 1,
        cluster: identity.cluster,
        paxos: Config::new(identity.node, identity.incarnation, BTreeSet::from([identity.node])),
        addresses: [(identity.node, "node-1".to_string())].into(),
        append: EntriesLimit { entries_max: 100, entry_bytes_max: 4096, bytes_max: 65_536 },
        stop_timeout_ms: 5_000,
        cuts: CutOptions::default(),
        catchup_bytes: 0,
        version: "test".to_string(),
    }
}

/// The one member of a cluster, which serves and has a log, and whose clients have all their answers.
pub fn serving() -> Shard {
    let (cluster, node, incarnation) = (ClusterId(7), NodeId(1), Incarnation(11));
    let identity = Identity { cluster, node, incarnation, shards: 1 };
    let (storage, mut now) = (MemStorage::new(), Tick(1_000_000));
    let segment = JournalOptions { segment_bytes: 1 << 20, min_free_bytes: 0 };
    format(&storage, &identity, ShardId(0), &segment).expect("a fresh disk takes a journal");
    let start =
        checkpoint::start(&storage, &identity, (ShardId(0), 1), FormatLevel::KNOWN, &segment)
            .expect("the journal recovers");
    let mut out = Vec::new();
    let mut shard = Shard::start(options(&identity), start, now, &mut out);
    let name = LogName::new("a").expect("a good name");
    let request = Request::Create(Create { name, retention: Retention::default() });
    let mut create = Some(Input::Client { conn: ConnId(1), correlation: 1, request });
    for _ in 0..100 {
        now = now.after(10_000);
        let done = |output| match output {
            Output::Job(job) => Some(Input::Disk(execute(&storage, job).expect("the disk works"))),
            Output::Peer { .. } | Output::Client { .. } | Output::Stopped | Output::Fatal(_) => {
                None
            }
        };
        let mut inputs: Vec<Input> = out.drain(..).filter_map(done).collect();
        if shard.replica().serving().is_some() {
            inputs.extend(create.take());
        }
        inputs.push(Input::Tick);
        inputs.into_iter().for_each(|input| shard.step(now, input, &mut out));
    }
    assert!(shard.machine().logs().resolve("a").is_some(), "the log was not created");
    shard
}

/// A read of a shard's log, which waits for entries until `deadline`.
pub fn read_task(shard: &Shard, deadline: Tick) -> ReadTask {
    let log = shard.machine().logs().resolve("a").expect("the log was created");
    let reading = shard.machine().reading(log, Index(0), 0, 0).expect("the log was created");
    let asked = RequestId { conn: NOBODY, correlation: deadline.0 };
    let extents = VecDeque::new();
    ReadTask { asked, reading, proof: None, deadline, extents, room: 0, waits_until: None }
}

/// Breaks a fact of a shard of which everything holds, and returns what is said of it then.
pub fn complaint(break_it: impl FnOnce(&mut Shard)) -> String {
    let mut shard = serving();
    check_state(&shard);
    break_it(&mut shard);
    let checked = catch_unwind(AssertUnwindSafe(|| check_state(&shard)));
    let panic = checked.expect_err("no check has noticed");
    *panic.downcast().expect("a check says the numbers")
}

/// What is chosen is applied.
#[test]
fn what_was_chosen_and_not_applied_is_noticed() {
    let text = complaint(|shard| shard.core.machine = Machine::new(ShardId(0), 1));
    assert!(text.contains("nothing is under way to apply"), "{text}");
    let text = complaint(|shard| {
        let next = shard.applied_upto().next();
        shard.core.machine.apply(next, &Value::noop()).expect("a no-op changes nothing");
    });
    assert!(text.contains("applied past chosen"), "{text}");
}

/// R02: a vote leaves once its record is durable.
#[test]
fn r02_a_vote_that_should_have_left_is_noticed() {
    let text = complaint(|shard| {
        let durable = shard.core.journal.durable_upto();
        let vote = Vote::Accepted(Accepted {
            ballot: Ballot::new(1, NodeId(2)),
            upto: Slot(1),
            chosen_upto: Slot(0),
            durable: Lsn(0),
            has_room: true,
        });
        shard.router.outbox.hold(durable, NodeId(2), vote);
    });
    assert!(text.contains("a vote waits for"), "{text}");
}

/// Somebody waits for each read of the journal.
#[test]
fn a_read_of_the_journal_for_nobody_is_noticed() {
    for purpose in [JournalRead::Replay, JournalRead::Serve, JournalRead::Client] {
        let text = complaint(|shard| {
            let token = shard.core.journal_reads.token();
            shard.core.journal_reads.begin(token, purpose);
        });
        let expected = format!("({purpose:?}): 1 under way, 0 waited for");
        assert!(text.contains(&expected), "{text}");
    }
}

/// R19: an answer waits for proof of the leadership that serves, and takes what it takes.
#[test]
fn r19_an_answer_of_another_leadership_is_noticed() {
    let hold = |shard: &mut Shard, ballot, bytes| {
        let (asked, stamp) = (RequestId { conn: NOBODY, correlation: 1 }, Tick(0));
        let proof = ReadProof { ballot, stamp };
        shard.core.held.push(Held { asked, proof, reply: Reply::Pong, bytes });
    };
    let text = complaint(|shard| hold(shard, Ballot::new(1, NodeId(2)), 64));
    assert!(text.contains("held for ballot"), "{text}");
    let text = complaint(|shard| hold(shard, shard.replica().promised(), 1));
    assert!(text.contains("1 bytes set aside for 64"), "{text}");
}

/// R32: a fate is open while it is not known, of a leadership that is over, for somebody.
#[test]
fn r32_a_fate_that_is_known_is_noticed() {
    let wait = |shard: &mut Shard, slot: Slot, ballot, waiting: usize| {
        let write = || Chained { asked: RequestId { conn: NOBODY, correlation: 1 }, chain: None };
        let waiter = |_| Waiter { write: Some(write()), expect: None, entry_bytes: 0 };
        let mut out = Vec::new();
        let turn = Turn::new(Tick(2_000_000), &mut shard.core, &mut out);
        shard.router.requests.fates.wait(&turn, slot, ballot, (0..waiting).map(waiter).collect());
    };
    let over = Ballot::new(1, NodeId(2));
    let text = complaint(|shard| wait(shard, shard.applied_upto(), over, 1));
    assert!(text.contains("is known: applied_upto="), "{text}");
    let text = complaint(|shard| wait(shard, Slot(100), shard.replica().promised(), 1));
    assert!(text.contains("is not over"), "{text}");
    let text = complaint(|shard| wait(shard, Slot(100), over, 0));
    assert!(text.contains("nobody waits for the fate of slot 100"), "{text}");
}

/// R39: a request waits somewhere until it is answered, and what is owed and set aside is in use.
#[test]
fn r39_what_nobody_waits_for_is_noticed() {
    let text = complaint(|shard| shard.core.conns.begin(ConnId(1)));
    assert!(text.contains("connection 1: 1 requests open, 0 wait, 0 held back"), "{text}");
    let text = complaint(|shard| shard.core.conns.add_read_bytes(ConnId(1), 5));
    assert!(text.contains("connection 1: 5 bytes counted, its reads have 0"), "{text}");
    let text = complaint(|shard| shard.core.budget.reserve(5));
    assert!(text.contains("reserved 5 bytes, in use are 0 and 0"), "{text}");
}
