//! The node's own part of a checkpoint: what else a start from it needs, and where that is.

use crate::index::Run;
use crate::journal::JournalStart;
use crate::limits::{RELEASED_RANGES_MAX, RUNS_MAX, SLOT_RANGES_MAX};
use crate::types::{Released, ReleasedRange, RunId, SegmentId, Slot, SlotRanges};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// A run by what it must be: another file under its name is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// Its number, which makes up its name.
    pub id: RunId,
    /// All its rows are of slots above this one …
    pub after: Slot,
    /// … up to this one.
    pub upto: Slot,
    /// The checksum of its rows.
    pub content: u64,
}

/// Most runs of a checkpoint: as many as there may be, and some that wait to be merged.
pub const RUNS_LISTED_MAX: usize = 64 * RUNS_MAX;

/// What a start from a checkpoint needs of this node's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// From where on the journal must be read.
    pub journal: JournalStart,
    /// The runs that hold the extents of all slots up to the checkpoint's, the oldest first.
    pub runs: Vec<RunEntry>,
    /// Slots that a peer's checkpoint stands for: of their values this node has those alone that were fetched,
    /// and its own records of them say nothing of what was chosen.
    pub installed: SlotRanges,
    /// Slots up to the checkpoint's whose values this node may not have.
    pub absent: SlotRanges,
    /// What the journal had released by then, as durable records said: files that a start need not find.
    pub released: Released,
}

impl RunEntry {
    /// What a run must be to be taken for this one.
    #[must_use]
    pub fn of(run: &Run) -> RunEntry {
        let (id, content) = (run.id(), run.content());
        RunEntry { id, after: run.after(), upto: run.upto(), content }
    }
}

impl Manifest {
    /// Encodes the part behind what `out` holds: the journal's start, the number of runs, the runs, the
    /// ranges of installed slots, those of absent ones, and those of released segments, each behind their
    /// number, and the highest slot of what was released.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.journal.to_bytes());
        out.put_u32(self.runs.len() as u32);
        for run in &self.runs {
            for number in [run.id.0, run.after.0, run.upto.0, run.content] {
                out.put_u64(number);
            }
        }
        put_ranges(out, &self.installed);
        put_ranges(out, &self.absent);
        put_released(out, &self.released);
    }

    /// Decodes the part.
    ///
    /// # Errors
    /// When it holds what the format does not allow.
    pub fn take(bytes: &[u8]) -> Result<Manifest, DecodeError> {
        let mut reader = BodyReader::new(bytes);
        let mut start = [0; JournalStart::BYTES];
        start.copy_from_slice(reader.take("journal", JournalStart::BYTES)?);
        let count = reader.u32("runs")?;
        if count as usize > RUNS_LISTED_MAX {
            return Err(DecodeError::Number { field: "runs", found: u64::from(count) });
        }
        let mut runs = Vec::with_capacity(count as usize);
        for _ in 0..count {
            runs.push(RunEntry {
                id: RunId(reader.u64("run")?),
                after: Slot(reader.u64("after")?),
                upto: Slot(reader.u64("upto")?),
                content: reader.u64("content")?,
            });
        }
        let installed = take_ranges(&mut reader)?;
        let absent = take_ranges(&mut reader)?;
        let released = take_released(&mut reader)?;
        reader.finish()?;
        let journal = JournalStart::from_bytes(&start);
        Ok(Manifest { journal, runs, installed, absent, released })
    }
}

fn put_ranges(out: &mut Vec<u8>, slots: &SlotRanges) {
    let slots = slots.coarse(SLOT_RANGES_MAX);
    out.put_u32(slots.as_slice().len() as u32);
    for (first, last) in slots.as_slice() {
        out.put_u64(first.0);
        out.put_u64(last.0);
    }
}

fn take_ranges(reader: &mut BodyReader<'_>) -> Result<SlotRanges, DecodeError> {
    let count = reader.u32("ranges")?;
    if count as usize > SLOT_RANGES_MAX {
        return Err(DecodeError::Number { field: "ranges", found: u64::from(count) });
    }
    let mut slots = SlotRanges::default();
    for _ in 0..count {
        slots.add(Slot(reader.u64("first")?), Slot(reader.u64("last")?));
    }
    Ok(slots)
}

fn put_released(out: &mut Vec<u8>, released: &Released) {
    out.put_u32(released.ranges.len() as u32);
    for range in &released.ranges {
        let (from, upto) = range.slots;
        for number in [range.first.0, range.last.0, from.0, upto.0] {
            out.put_u64(number);
        }
    }
    out.put_u64(released.highest_slot.0);
}

/// The ranges rise, none touches the next one, and behind the last segment of all comes another one.
fn take_released(reader: &mut BodyReader<'_>) -> Result<Released, DecodeError> {
    let count = reader.u32("released")?;
    if count as usize > RELEASED_RANGES_MAX {
        return Err(DecodeError::Number { field: "released", found: u64::from(count) });
    }
    let mut released = Released::default();
    for _ in 0..count {
        let (first, last) = (SegmentId(reader.u64("first")?), SegmentId(reader.u64("last")?));
        let slots = (Slot(reader.u64("from")?), Slot(reader.u64("upto")?));
        let after = released.ranges.last().map_or(SegmentId(0), |range| range.last.next());
        if first <= after {
            return Err(DecodeError::Number { field: "first", found: first.0 });
        }
        if last < first || last.0 == u64::MAX {
            return Err(DecodeError::Number { field: "last", found: last.0 });
        }
        released.ranges.push(ReleasedRange { first, last, slots });
    }
    released.highest_slot = Slot(reader.u64("highest slot")?);
    Ok(released)
}
