//! A journal over a storage in memory, for tests that look into it.

#![allow(clippy::unwrap_used)]

use crate::journal::format::identity::Identity;
use crate::journal::invariants::{JournalSummary, check_index, check_state, check_step};
use crate::journal::recover::opening::format;
use crate::journal::recover::run::recover;
use crate::journal::write::execute::execute;
use crate::journal::write::journal::{Journal, JournalOptions};
use crate::storage::MemStorage;
use crate::types::{Ballot, ClusterId, Incarnation, NodeId, Record, ShardId, Slot, Value};
use std::ops::RangeInclusive;

const IDENTITY: Identity =
    Identity { cluster: ClusterId(7), node: NodeId(1), incarnation: Incarnation(3), shards: 1 };
/// A segment holds some thirty records.
const OPTIONS: JournalOptions = JournalOptions { segment_bytes: 256 << 10, min_free_bytes: 0 };

/// A new journal.
pub(crate) fn formatted() -> (MemStorage, Journal) {
    let storage = MemStorage::new();
    format(&storage, &IDENTITY, ShardId(0), &OPTIONS).unwrap();
    let (journal, _) = recover(&storage, &IDENTITY, ShardId(0), &OPTIONS, None).unwrap();
    check_state(&journal);
    check_index(&journal);
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
