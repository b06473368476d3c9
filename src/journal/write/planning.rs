//! Plans of reads: which places of which files hold the values of some slots.

use crate::journal::format::item::ITEM_BYTES;
use crate::journal::format::layout::file_name;
use crate::journal::segment::index::{Location, SlotIndex};
use crate::journal::write::jobs::{FileRange, Job, ReadDamage, ReadJob, Wanted};
use crate::journal::write::journal::Journal;
use crate::limits::{READ_EXTENT_BYTES_MAX, READ_SPAN_BYTES_MAX};
use crate::types::Slot;

/// Records so close together are read in one go: reading a gap costs less than another read.
const COALESCE_GAP_BYTES: u64 = 64 << 10;
/// Most slots of one read job.
const READ_SLOTS_MAX: usize = 4096;

impl Journal {
    /// One read job for the values of consecutive slots `from..=upto`, as far as `bytes_max` goes
    /// and at least one slot. The answer is an [`JournalEvent::Read`](crate::journal::JournalEvent::Read) with the same token.
    #[must_use]
    pub fn read(&self, token: u64, from: Slot, upto: Slot, bytes_max: usize) -> Job {
        Job::Read(self.read_slots(token, (from.0..=upto.0).map(Slot), bytes_max))
    }

    /// One read job for slots that need not follow each other, in rising order. What lies between two
    /// records is read too where that costs less than another read; the bytes read from files are
    /// bounded as those of the values are.
    #[must_use]
    pub fn read_slots(
        &self,
        token: u64,
        slots: impl IntoIterator<Item = Slot>,
        bytes_max: usize,
    ) -> ReadJob {
        let mut job =
            ReadJob { token, journal_id: self.journal_id, ranges: Vec::new(), missing: Vec::new() };
        let (mut bytes, mut span) = (0, 0);
        let manifest = &self.index.manifest;
        for (nth, slot) in slots.into_iter().take(READ_SLOTS_MAX).enumerate() {
            let best = self.index.best(slot);
            bytes += best.map_or(0, |found| found.location.bytes as usize);
            if nth > 0 && (bytes > bytes_max || span >= READ_SPAN_BYTES_MAX) {
                break;
            }
            match best {
                None if manifest.is_trimmed(slot) => {
                    let first = manifest.first_slot;
                    job.missing.push((slot, ReadDamage::Trimmed { slot, first }));
                }
                None => job.missing.push((slot, ReadDamage::NotHeld { slot })),
                Some(found) => match SlotIndex::damaged_place(&found) {
                    Some((file, offset)) => {
                        job.missing.push((slot, ReadDamage::Damaged { slot, file, offset }));
                    }
                    None => span += self.plan(slot, found.location, &mut job.ranges),
                },
            }
        }
        job
    }

    /// Adds a record to the last extent of a read where it lies close behind it. Returns by how
    /// many bytes the read grows.
    fn plan(&self, slot: Slot, location: Location, ranges: &mut Vec<FileRange>) -> usize {
        let file = file_name(location.segment);
        let wanted = Wanted { slot, location, headless: self.index.headless(&location) };
        let bytes = ITEM_BYTES + location.bytes as usize;
        if let Some(last) = ranges.last_mut()
            && last.file == file
            && location.offset >= last.offset
            && location.offset <= last.offset + last.bytes as u64 + COALESCE_GAP_BYTES
        {
            let end = (location.offset - last.offset) as usize + bytes;
            if end <= READ_EXTENT_BYTES_MAX {
                let grown = end.saturating_sub(last.bytes);
                last.bytes += grown;
                last.wanted.push(wanted);
                return grown;
            }
        }
        ranges.push(FileRange { file, offset: location.offset, bytes, wanted: vec![wanted] });
        bytes
    }
}
