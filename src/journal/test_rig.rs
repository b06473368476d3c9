//! A journal over a storage in memory, for tests that look into it.

#![allow(clippy::unwrap_used)]

use crate::journal::format::identity::Identity;
use crate::journal::format::open_error::OpenError;
use crate::journal::invariants::{JournalSummary, check_index, check_state, check_step};
use crate::journal::recover::opening::format_from;
use crate::journal::recover::recovered::Recovered;
use crate::journal::recover::run::recover_from;
use crate::journal::segment::manifest::Manifest;
use crate::journal::write::execute::execute;
use crate::journal::write::jobs::{Done, ReadResult};
use crate::journal::write::journal::{Journal, JournalOptions};
use crate::storage::MemStorage;
use crate::types::{Ballot, ClusterId, Incarnation, NodeId, Record, ShardId, Slot, Value};
use std::ops::RangeInclusive;

const IDENTITY: Identity =
    Identity { cluster: ClusterId(7), node: NodeId(1), incarnation: Incarnation(3), shards: 1 };
/// A segment holds some thirty records.
const OPTIONS: JournalOptions = JournalOptions { segment_bytes: 256 << 10, min_free_bytes: 0 };

pub(crate) fn reopen(
    storage: &MemStorage,
    manifest: &Manifest,
) -> Result<(Journal, Recovered), OpenError> {
    let (journal, recovered) = recover_from(storage, &IDENTITY, ShardId(0), &OPTIONS, manifest)?;
    check_state(&journal);
    check_index(&journal);
    Ok((journal, recovered))
}

/// A new journal that begins here.
pub(crate) fn formatted(manifest: &Manifest) -> (MemStorage, Journal) {
    let storage = MemStorage::new();
    format_from(&storage, &IDENTITY, ShardId(0), &OPTIONS, manifest).unwrap();
    let (journal, recovered) = reopen(&storage, manifest).unwrap();
    assert_eq!(recovered.next_lsn, manifest.first_lsn);
    assert_eq!(recovered.chosen_upto, manifest.trimmed_upto());
    assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
    (storage, journal)
}

/// What is accepted in a slot by [`accept`].
pub(crate) fn value(slot: Slot) -> Value {
    Value::new(vec![slot.0 as u8 | 1; 3000])
}

pub(crate) fn accepted(slot: Slot, round: u64, chosen_upto: Slot) -> Record {
    let ballot = Ballot::new(round, NodeId(1));
    Record::Accepted { slot, ballot, chosen_upto, value: value(slot) }
}

/// Runs jobs until there are none.
fn settle(storage: &MemStorage, journal: &mut Journal) {
    loop {
        let before = JournalSummary::of(journal);
        let Some(job) = journal.next_job() else { return };
        check_state(journal);
        journal.done(execute(storage, job).unwrap());
        check_state(journal);
        check_index(journal);
        check_step(&before, &JournalSummary::of(journal));
    }
}

/// Accepts these slots one by one in one ballot, each in a batch of its own; all but the last one
/// are chosen.
pub(crate) fn accept(storage: &MemStorage, journal: &mut Journal, slots: RangeInclusive<u64>) {
    for slot in slots.map(Slot) {
        let lsn = journal.durable_upto().next();
        journal.push(lsn, accepted(slot, 1, slot.prev()));
        check_state(journal);
        settle(storage, journal);
    }
}

pub(crate) fn read(storage: &MemStorage, journal: &Journal, slot: Slot) -> ReadResult {
    let done = execute(storage, journal.read(1, slot, slot, usize::MAX)).unwrap();
    let Done::Read(mut done) = done else { panic!("not a read") };
    done.values.remove(0).1
}
