//! The steps of a walk over the values of a segment, on a thread that may block.

use crate::checkpoint::install::{RecordsBeside, Verified, VerifyValues, verify};
use crate::journal::{
    ListedSlots, PieceReader, PieceSource, ReadDamage, ReadResult, RecordPiece, RecordPlace,
    SegmentSlots, SlotPlace,
};
use crate::limits::{COMPACTION_READ_BYTES, COMPACTION_SLOTS_LISTED};
use crate::storage::{Storage, StorageError};
use crate::types::{SegmentId, Slot, SlotRanges, Value};
use std::collections::BTreeSet;

/// A step.
#[derive(Clone, Debug)]
pub struct CompactionJob {
    pub(super) token: u64,
    pub(super) step: Step,
}

/// What is done in it.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Lists slots of the segment, from this one on.
    List { of: SegmentSlots, among: SlotRanges, from: Slot },
    /// Reads the values of these slots that count, as far as they stand in the segment.
    Read {
        source: PieceSource,
        segment: SegmentId,
        slots: Vec<Slot>,
        /// Also those of which another value counts: they are not copied, but must be whole. Remnants that count are read
        /// in any case.
        reads_others: bool,
    },
    /// Holds values against the index.
    Verify(VerifyValues),
}

/// What became of a step.
#[derive(Clone, Debug)]
pub struct CompactionDone {
    pub(super) token: u64,
    pub(super) found: StepFound,
    /// Segments whose files of places do not serve.
    pub(super) unplaced: Vec<SegmentId>,
}

/// What it found.
#[derive(Clone, Debug)]
pub(super) enum StepFound {
    /// Slots.
    Listed(ListedSlots),
    /// Values of the first slots asked for.
    Values(ReadValues),
    /// Values that hold live entries, and are right.
    Verified(Verified),
    /// A file of places does not serve: nothing can be said now.
    Unclear,
}

/// Values of a segment.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadValues {
    /// By rising slot; those of which a value counts that stands in another segment are left out.
    pub values: Vec<(Slot, ReadResult)>,
    /// Of these slots a remnant in another segment counts.
    pub elsewhere: BTreeSet<Slot>,
    /// Of slots of which a remnant counts another record that stands in the segment: the remnant may lack entries that
    /// are live.
    pub beside: RecordsBeside,
    /// So many of the slots asked for were looked at.
    pub slots: usize,
}

impl CompactionJob {
    /// Does the step. Fails only where the system is short of something.
    pub(in crate::shard) fn run(
        &self,
        storage: &dyn Storage,
    ) -> Result<CompactionDone, StorageError> {
        let (found, unplaced) = match &self.step {
            Step::List { of, among, from } => {
                match of.list(storage, among, *from, COMPACTION_SLOTS_LISTED)? {
                    Some(listed) => (StepFound::Listed(listed), Vec::new()),
                    None => (StepFound::Unclear, vec![of.segment()]),
                }
            }
            Step::Read { source, segment, slots, reads_others } => {
                read(storage, source, (*segment, *reads_others), slots)?
            }
            Step::Verify(values) => (StepFound::Verified(verify(storage, values)?), Vec::new()),
        };
        Ok(CompactionDone { token: self.token, found, unplaced })
    }
}

/// What a record is to its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It counts, and stands in the segment, or is a remnant, wherever that stands.
    Counts,
    /// It stands in the segment, beside a remnant that counts.
    Beside,
    /// It counts, and is a value in another segment.
    CountsElsewhere,
}

fn read(
    storage: &dyn Storage,
    source: &PieceSource,
    (segment, reads_others): (SegmentId, bool),
    slots: &[Slot],
) -> Result<(StepFound, Vec<SegmentId>), StorageError> {
    let mut reader = PieceReader::new(storage, source);
    let (mut done, mut bytes) = (ReadValues::default(), 0);
    let (mut pieces, mut of) = (Vec::new(), Vec::new());
    let mut take = |slot: Slot, place: RecordPlace, role: Role| {
        of.push((slot, place.ballot(), role));
        pieces.push(RecordPiece { place, part: None });
        place.value_bytes() as usize
    };
    for slot in slots {
        if bytes >= COMPACTION_READ_BYTES {
            break;
        }
        match reader.find(*slot)? {
            // A remnant may lack what is live here.
            SlotPlace::At(place) if place.is_remnant() => {
                bytes += take(*slot, place, Role::Counts);
                if place.segment() != segment {
                    done.elsewhere.insert(*slot);
                }
                if let Some(here) = reader.other_record(*slot, segment, place)? {
                    bytes += take(*slot, here, Role::Beside);
                }
            }
            SlotPlace::At(place) if place.segment() == segment => {
                bytes += take(*slot, place, Role::Counts);
            }
            // Another record counts, which is a copy of this one or newer. It is read, for it may have rotted.
            SlotPlace::At(place) if reads_others => {
                bytes += take(*slot, place, Role::CountsElsewhere)
            }
            SlotPlace::At(_) => {}
            SlotPlace::Damaged(ReadDamage::Unplaced { .. }) | SlotPlace::Beyond => {
                return Ok((StepFound::Unclear, reader.finish()));
            }
            SlotPlace::Damaged(damage) => done.values.push((*slot, Err(damage))),
        }
        done.slots += 1;
    }
    let mut of = of.into_iter();
    reader.read(&pieces, |found| match (of.next(), found) {
        (Some((slot, ballot, Role::Counts)), found) => {
            done.values.push((slot, found.map(|bytes| (ballot, Value::new(bytes)))));
        }
        (Some((slot, ballot, Role::Beside)), found) => {
            let found = found.map(|bytes| (ballot, Value::new(bytes))).ok();
            done.beside.insert(slot, found.into_iter().collect());
        }
        (Some((slot, _, Role::CountsElsewhere)), Err(damage)) => {
            done.values.push((slot, Err(damage)))
        }
        (Some((_, _, Role::CountsElsewhere)), Ok(_)) | (None, _) => {}
    })?;
    done.values.sort_unstable_by_key(|(slot, _)| *slot);
    Ok((StepFound::Values(done), reader.finish()))
}
