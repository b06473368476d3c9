//! Encoding a batch: one contiguous run of data, one of descriptors.

use crate::journal::format::hard_state_body;
use crate::journal::format::item::{
    self, BatchHead, ITEM_BYTES, JournalId, RUNS_PER_ITEM, RecordHead, body_checksum, record_span,
};
use crate::journal::format::layout::{BLOCK, Writing, is_zero};
use crate::journal::format::released::{self, RottenRelease};
use crate::journal::format::witnessed;
use crate::limits::{self, BLOCK_BYTES, SECTOR_BYTES};
use crate::types::{Ballot, Lsn, Record, Slot};

/// Bytes of the body of a `Checkpoint` record: its digest.
const CHECKPOINT_BODY_BYTES: usize = 8;
/// Space that a record without a value takes at most: it is alone in its batch.
const SMALL_ROOM_BYTES: u64 = 2 * BLOCK_BYTES as u64;

/// A batch, encoded, and where its records lie.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    /// The data area's part, in whole blocks.
    pub data: Vec<u8>,
    /// The descriptor area's part, in whole blocks.
    pub descriptors: Vec<u8>,
    /// The records, in order.
    pub heads: Vec<RecordHead>,
}

/// What a batch is besides its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchPlan {
    pub first_lsn: Lsn,
    pub number: u64,
    pub mark: Lsn,
    pub seal: bool,
}

/// An upper bound of the items that a batch's descriptors take.
pub(crate) fn items_bound(records: usize, data_bytes: usize) -> usize {
    // Runs of zero sectors need a sector that is not zero between them.
    let runs = data_bytes.div_ceil(SECTOR_BYTES).div_ceil(2);
    1 + records + runs.div_ceil(RUNS_PER_ITEM)
}

/// Bytes that a record takes in a batch's data.
pub(crate) fn record_bytes(record: &Record) -> usize {
    record_span(match record {
        Record::HardState(hard) => hard_state_body::body_bytes(hard),
        Record::Accepted { value, .. }
        | Record::Learned { value, .. }
        | Record::Remnant { value, .. } => value.len(),
        Record::Chosen { .. } => 0,
        Record::Witnessed(table) => witnessed::body_bytes(table),
        Record::Checkpoint { .. } => CHECKPOINT_BODY_BYTES,
        Record::Released(released) => released::body_bytes(released),
    })
}

/// Data bytes and items of a batch that holds this record alone.
pub(crate) fn lone_record(record: &Record) -> (u64, u64) {
    let data_bytes = ITEM_BYTES + record_bytes(record);
    (data_bytes as u64, items_bound(1, data_bytes) as u64)
}

/// Space that a record takes at most.
pub(crate) fn room_bytes(record: &Record) -> u64 {
    match record {
        Record::Accepted { value, .. }
        | Record::Learned { value, .. }
        | Record::Remnant { value, .. } => limits::value_room_bytes(value.len()),
        Record::HardState(_) | Record::Witnessed(_) | Record::Released(_) => {
            limits::value_room_bytes(record_bytes(record)).max(SMALL_ROOM_BYTES)
        }
        Record::Chosen { .. } | Record::Checkpoint { .. } => SMALL_ROOM_BYTES,
    }
}

/// Encodes a batch at the place where `writing` stands, and moves it on. The buffers of `out` are
/// used again.
pub(crate) fn encode<'a>(
    journal_id: &JournalId,
    plan: BatchPlan,
    records: impl Iterator<Item = &'a Record> + Clone,
    writing: &mut Writing,
    out: &mut Encoded,
) {
    let Encoded { data, descriptors, heads } = out;
    data.clear();
    let bytes = ITEM_BYTES + records.clone().map(record_bytes).sum::<usize>();
    data.reserve(bytes.next_multiple_of(BLOCK_BYTES));
    heads.clear();
    data.resize(ITEM_BYTES, 0);
    let mut lsn = plan.first_lsn;
    for (record, ordinal) in records.zip(0..) {
        heads.push(push_record(journal_id, record, lsn, ordinal, writing, data));
        lsn = lsn.next();
    }
    let zero_runs = find_zero_runs(data);
    let head = BatchHead {
        segment: writing.segment,
        offset: writing.data,
        desc_top: (writing.desc / BLOCK) as u32,
        data_bytes: data.len() as u32,
        first_lsn: plan.first_lsn,
        records: heads.len() as u32,
        zero_items: zero_runs.len().div_ceil(RUNS_PER_ITEM) as u32,
        number: plan.number,
        mark: plan.mark,
        previous: writing.previous,
        seal: plan.seal,
    };
    data[..ITEM_BYTES].copy_from_slice(&head.item().encode(journal_id));

    let items = 1 + heads.len() + head.zero_items as usize;
    descriptors.clear();
    descriptors.resize((items * ITEM_BYTES).next_multiple_of(BLOCK_BYTES), 0);
    let mut slots = descriptors.rchunks_exact_mut(ITEM_BYTES);
    let mut describe = |item: &[u8]| {
        slots.next().expect("the buffer was sized for every item").copy_from_slice(item);
    };
    describe(&data[..ITEM_BYTES]);
    for record in heads.iter() {
        let at = (record.offset - head.offset) as usize;
        describe(&data[at..at + ITEM_BYTES]);
    }
    for (runs, ordinal) in zero_runs.chunks(RUNS_PER_ITEM).zip(0..) {
        describe(&item::zero_runs_item(&head, ordinal, runs).encode(journal_id));
    }
    data.resize(data.len().next_multiple_of(BLOCK_BYTES), 0);
    writing.data += data.len() as u64;
    writing.desc -= descriptors.len() as u64;
    assert!(writing.data <= writing.desc, "batch past the segment's end: {writing:?}");
}

fn push_record(
    journal_id: &JournalId,
    record: &Record,
    lsn: Lsn,
    ordinal: u32,
    writing: &Writing,
    data: &mut Vec<u8>,
) -> RecordHead {
    let at = data.len();
    let body_at = at + ITEM_BYTES;
    data.resize(body_at, 0);
    let mut named = 0;
    let (slot, ballot, chosen_upto) = match record {
        Record::HardState(hard) => {
            hard_state_body::encode_body(hard, data);
            (Slot(0), hard.promised, Slot(0))
        }
        Record::Accepted { slot, ballot, chosen_upto, value } => {
            data.extend_from_slice(value.bytes());
            (*slot, *ballot, *chosen_upto)
        }
        Record::Learned { slot, ballot, value } | Record::Remnant { slot, ballot, value } => {
            data.extend_from_slice(value.bytes());
            (*slot, *ballot, Slot(0))
        }
        Record::Chosen { ballot, slot } => (*slot, *ballot, Slot(0)),
        Record::Witnessed(table) => {
            witnessed::encode_body(table, data);
            (Slot(0), Ballot::ZERO, Slot(0))
        }
        Record::Checkpoint { slot, applied_upto, digest } => {
            data.extend_from_slice(&digest.to_le_bytes());
            (*slot, Ballot::ZERO, *applied_upto)
        }
        Record::Released(released) => {
            released::encode_body(released, data);
            let claimed = RottenRelease::claimed_by(released);
            named = claimed.segments;
            (claimed.highest_slot, claimed.ballot(), claimed.upto)
        }
    };
    let head = RecordHead {
        kind: record.kind(),
        lsn,
        slot,
        ballot,
        chosen_upto,
        segment: writing.segment,
        offset: writing.data + at as u64,
        ordinal,
        body_bytes: (data.len() - body_at) as u32,
        body_checksum: body_checksum(&data[body_at..], lsn),
        named,
    };
    data[at..body_at].copy_from_slice(&head.item().encode(journal_id));
    data.resize(at + record_span(head.body_bytes as usize), 0);
    head
}

/// Runs of sectors that are zero although they are written: there a zero is no pre-image (C11).
/// The first sector holds the batch's header and is never zero.
fn find_zero_runs(data: &[u8]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (sector, bytes) in (0u32..).zip(data.chunks(SECTOR_BYTES)).skip(1) {
        if !is_zero(bytes) {
            continue;
        }
        match runs.last_mut() {
            Some((first, count)) if *first + *count == sector => *count += 1,
            Some(_) | None => runs.push((sector, 1)),
        }
    }
    runs
}

/// The highest ballot that a record makes durable as accepted, if it does (C2).
pub(crate) fn accepted_ballot(record: &Record) -> Option<Ballot> {
    match record {
        Record::Accepted { ballot, .. } => Some(*ballot),
        Record::HardState(_)
        | Record::Learned { .. }
        | Record::Remnant { .. }
        | Record::Chosen { .. }
        | Record::Witnessed(_)
        | Record::Checkpoint { .. }
        | Record::Released(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::format::layout::batch_bytes;
    use crate::types::{HardState, Life, LifeId, NodeId, Value};

    /// R11: no record takes more of a segment than is counted for it, however small its batch.
    #[test]
    fn r11_the_room_of_a_record_is_enough() {
        for bytes in [0, 1, 4000, 4096, 70_000, 1 << 20, limits::VALUE_BYTES_MAX] {
            let (slot, ballot) = (Slot(1), Ballot::new(1, NodeId(1)));
            let record = Record::Learned { slot, ballot, value: Value::new(vec![1; bytes]) };
            let (data_bytes, items) = lone_record(&record);
            let taken = batch_bytes(data_bytes, items);
            assert!(taken <= room_bytes(&record), "{bytes}: {taken}");
        }
        let checkpoint = Record::Checkpoint { slot: Slot(1), applied_upto: Slot(1), digest: 7 };
        for record in [Record::HardState(Box::default()), checkpoint] {
            let (data_bytes, items) = lone_record(&record);
            assert!(batch_bytes(data_bytes, items) <= SMALL_ROOM_BYTES);
        }
        let id = LifeId { boots: 1, nonce: 1 };
        let life = Life { id, start: Lsn(1), accounted: Lsn(1) };
        let hard = HardState { lives: vec![life; limits::LIVES_MAX], ..HardState::default() };
        let record = Record::HardState(Box::new(hard));
        let (data_bytes, items) = lone_record(&record);
        assert!(batch_bytes(data_bytes, items) <= room_bytes(&record));
    }
}
