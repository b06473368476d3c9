//! Starts behind a release: an older checkpoint serves as well, none does not, and reads of what went
//! say so.

use crate::checkpoints::{OFTEN, with_logs};
use crate::node::{Node, SEGMENT, append, code, identity_of, options_of, read};
use paxosd::api::error::{ErrorCode, Retry};
use paxosd::api::{Reply, Request};
use paxosd::checkpoint::{self, Start, checkpoint_file_name, owner, read_manifest};
use paxosd::journal::{FindingKind, OpenError, execute};
use paxosd::paxos::{Effect, Effects, Memory, Replica};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{
    Ballot, FormatLevel, Lsn, NodeId, Record, Released, ReleasedRange, SegmentId, ShardId, Slot,
    Tick,
};
use std::sync::Arc;

fn start(storage: &MemStorage) -> Result<Start, OpenError> {
    checkpoint::start(storage, &identity_of(1), (ShardId(0), 1), FormatLevel::KNOWN, &SEGMENT)
}

/// A stopped node that has released all segments before the start of its older checkpoint, though entries
/// in them live; the slots of its two checkpoints, and up to where values went.
fn released() -> (MemStorage, [Slot; 2], Slot) {
    let node = with_logs(OFTEN, 150);
    let storage = node.storage.duplicate();
    let Start { mut journal, restored, .. } = start(&storage).expect("it starts");
    let [older, newer] = [0, 1].map(|nth| restored.kept[nth].slot);
    let owner = owner(&identity_of(1), ShardId(0));
    let (_, manifest) = read_manifest(&storage, &owner, older).expect("it is read");
    while let Some(job) = journal.next_job() {
        journal.done(execute(&storage, job).expect("it is done"));
    }
    let full = journal.releasable(&manifest.journal);
    let full: Vec<SegmentId> = full.map(|full| full.segment).collect();
    assert!(full.len() > 1, "{full:?}");
    let record = Record::Released(Arc::new(journal.release(&full)));
    journal.push(journal.durable_upto().next(), record);
    while let Some(job) = journal.next_job() {
        journal.done(execute(&storage, job).expect("it is done"));
    }
    (storage, [older, newer], journal.released_upto())
}

fn rot(storage: &MemStorage, slot: Slot) {
    storage.rot(&checkpoint_file_name(slot), 0..64, |bytes| bytes.fill(0x5a));
}

/// What an inspection says of the checkpoints of a journal that released these segments.
fn kinds(storage: &MemStorage, released: &Released) -> Vec<FindingKind> {
    let found = checkpoint::inspect(storage, &identity_of(1), ShardId(0), released);
    let mut kinds: Vec<_> =
        found.expect("it is read").findings.into_iter().map(|found| found.kind).collect();
    kinds.sort_unstable();
    kinds
}

/// C26, C25: the newest checkpoint rots, and the older one serves, though segments were released; where
/// both are rotten, the start is refused and nothing is made anew.
#[test]
fn c26_behind_a_release_the_older_checkpoint_serves_and_the_journal_alone_does_not() {
    let (storage, [older, newer], upto) = released();
    let found = start(&storage).expect("it starts");
    let names = found.recovered.released;
    assert_eq!((found.restored.from.map(|(slot, _)| slot), names.upto()), (Some(newer), upto));
    assert_eq!(kinds(&storage, &names), []);
    rot(&storage, newer);
    let found = start(&storage).expect("it starts");
    assert_eq!(found.restored.from.map(|(slot, _)| slot), Some(older));
    assert_eq!(found.recovered.released, names);
    assert_eq!(kinds(&storage, &names), [FindingKind::OneCopy]);
    rot(&storage, older);
    let before = storage.list().expect("a list");
    let error = start(&storage).expect_err("the start is refused");
    assert!(matches!(error, OpenError::NoCheckpoint { .. }), "{error}");
    assert_eq!(storage.list().expect("a list"), before);
    let all = [FindingKind::OneCopy, FindingKind::OneCopy, FindingKind::Damaged];
    assert_eq!(kinds(&storage, &names), all);
}

/// R08, A8: a checkpoint names what was released before it. Where every record of that rots, a start from it
/// finds nothing missing, and one from an older checkpoint, that names less, is refused.
#[test]
fn r08_a_checkpoint_names_what_was_released_before_it() {
    let (storage, _, upto) = released();
    let mut node = Node::open_with_cuts(storage, OFTEN);
    let taken = |node: &Node| node.shard.checkpoints().last().expect("there is one").slot;
    let before = taken(&node);
    while taken(&node) == before {
        node.ask(Request::Append(append("b", "more")));
    }
    let storage = node.storage.duplicate();
    let names = start(&storage.duplicate()).expect("it starts").recovered.released;
    assert!(names.upto() >= upto, "{names:?}");
    let owner = owner(&identity_of(1), ShardId(0));
    let (_, manifest) = read_manifest(&storage, &owner, taken(&node)).expect("it is read");
    assert_eq!(manifest.released.ranges, names.ranges);
    for name in storage.list().expect("a list").iter().filter(|name| name.ends_with(".wal")) {
        rot_releases(&storage, name);
    }
    let found = start(&storage.duplicate()).expect("it starts");
    assert_eq!(found.recovered.released.ranges, names.ranges);
    rot(&storage, taken(&node));
    let error = start(&storage).expect_err("the start is refused");
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

/// Both copies of the header of each record of what was released, kind 5, rot.
fn rot_releases(storage: &MemStorage, name: &str) {
    let mut bytes = vec![0; storage.len(name).expect("it is there") as usize];
    storage.read_at(name, 0, &mut bytes).expect("it is read");
    let is_one = |at: &usize| bytes[*at..].starts_with(b"pxJ\x89") && bytes[at + 6] == 5;
    for at in (4096..bytes.len() - 127).step_by(8).filter(is_one) {
        storage.rot(name, at as u64..at as u64 + 128, |bytes| bytes.fill(0x5a));
    }
}

/// C26: a slot that is damaged here and then released is nothing to be repaired, nor does it keep the
/// node from a campaign; others stay damaged.
#[test]
fn c26_what_is_released_is_not_repaired() {
    let holes = [4, 5, 9].map(|slot| (Slot(slot), Ballot::new(1, NodeId(2))));
    let memory = Memory {
        next_lsn: Lsn(20),
        chosen_upto: Slot(12),
        holes: holes.into_iter().collect(),
        ..Memory::default()
    };
    let (options, mut effects) = (options_of(1, &[1, 2, 3]), Effects::new());
    let mut replica = Replica::start(options.paxos, memory, Tick(1), &mut effects);
    let (first, last) = (SegmentId(1), SegmentId(2));
    let ranges = vec![ReleasedRange { first, last, slots: (Slot(5), Slot(9)) }];
    let released = Released { ranges, highest_slot: Slot(12) };
    let lsn = replica.record_released(released.clone(), &mut effects);
    assert_eq!(replica.holes().keys().collect::<Vec<_>>(), [&Slot(4)]);
    let record = Record::Released(Arc::new(released));
    assert!(effects.items().contains(&Effect::Persist(lsn, record)), "{effects:?}");
}

/// C26: a read of a trimmed entry whose value went says that it is trimmed; one of an entry that
/// this state still has is for another node, and is no damage.
#[test]
fn c26_a_read_of_what_went_is_no_damage() {
    let (storage, _, _) = released();
    let mut node = Node::open_with_cuts(storage, OFTEN);
    assert_eq!(code(&node.ask(read("a", 0, 0))), Some(ErrorCode::Trimmed));
    let Reply::Error(error) = node.ask(read("b", 0, 0)) else { panic!("it went") };
    assert_eq!((error.code, error.retry), (ErrorCode::NotReady, Retry::Elsewhere), "{error}");
    assert!(node.shard.replica().holes().is_empty(), "nothing is to be repaired");
    let Reply::ReadDone(done) = node.ask(read("b", 149, 0)) else { panic!("it is there") };
    assert_eq!(done.entries.count(), 1);
}
