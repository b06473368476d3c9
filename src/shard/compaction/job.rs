//! The steps of a walk over the values of a segment, on a thread that may block.

use crate::checkpoint::install::{Verified, VerifyValues, verify};
use crate::journal::{
    ListedSlots, PieceReader, PieceSource, ReadDamage, ReadResult, RecordPiece, SegmentSlots,
    SlotPlace,
};
use crate::limits::{COMPACTION_READ_BYTES, COMPACTION_SLOTS_LISTED};
use crate::storage::{Storage, StorageError};
use crate::types::{SegmentId, Slot, SlotRanges, Value};

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
        /// Also those of which another record counts: they are not copied, but must be whole.
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
    /// By rising slot; those whose record that counts stands in another segment are left out.
    pub values: Vec<(Slot, ReadResult)>,
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

fn read(
    storage: &dyn Storage,
    source: &PieceSource,
    (segment, reads_others): (SegmentId, bool),
    slots: &[Slot],
) -> Result<(StepFound, Vec<SegmentId>), StorageError> {
    let mut reader = PieceReader::new(storage, source);
    let (mut done, mut bytes) = (ReadValues::default(), 0);
    let (mut pieces, mut of) = (Vec::new(), Vec::new());
    for slot in slots {
        if bytes >= COMPACTION_READ_BYTES {
            break;
        }
        match reader.find(*slot)? {
            SlotPlace::At(place) if place.segment() == segment => {
                bytes += place.value_bytes() as usize;
                of.push((*slot, Some(place.ballot())));
                pieces.push(RecordPiece { place, part: None });
            }
            // Another record counts, which is a copy of this one or newer. It is read, for it may have rotted.
            SlotPlace::At(place) if reads_others => {
                bytes += place.value_bytes() as usize;
                of.push((*slot, None));
                pieces.push(RecordPiece { place, part: None });
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
        (Some((slot, Some(ballot))), found) => {
            done.values.push((slot, found.map(|bytes| (ballot, Value::new(bytes)))));
        }
        (Some((slot, None)), Err(damage)) => done.values.push((slot, Err(damage))),
        (Some((_, None)), Ok(_)) | (None, _) => {}
    })?;
    done.values.sort_unstable_by_key(|(slot, _)| *slot);
    Ok((StepFound::Values(done), reader.finish()))
}
