//! Reads: which slots are planned for, and which are to be found first.

use crate::journal::segment::indexed_record::SlotNeed;
use crate::journal::write::jobs::{Job, ReadJob};
use crate::journal::write::journal::Journal;
use crate::journal::write::read_plan::{Lookups, ReadPlan};
use crate::types::Slot;

/// Most slots of one read job.
const READ_SLOTS_MAX: usize = 4096;

impl Journal {
    /// One read job for the values of consecutive slots `from..=upto`, as far as `bytes_max` goes
    /// and at least one slot. Of a slot of which a remnant alone is left, the value is released. The answer is an
    /// [`JournalEvent::Read`](crate::journal::JournalEvent::Read) with the same token.
    #[must_use]
    pub fn read(&self, token: u64, from: Slot, upto: Slot, bytes_max: usize) -> Job {
        let slots = (from.0..=upto.0).map(Slot);
        Job::Read(self.plan_read(token, slots, bytes_max, SlotNeed::Whole))
    }

    /// One read job for what is here of slots that need not follow each other, in rising order: values, or what
    /// is left of them, which is held against an index before anything is made of it. What lies between two
    /// records is read too where that costs less than another read; the bytes read from files are
    /// bounded as those of the values are. Slots whose places left memory are found by the job itself.
    #[must_use]
    pub fn read_slots(
        &self,
        token: u64,
        slots: impl IntoIterator<Item = Slot>,
        bytes_max: usize,
    ) -> ReadJob {
        self.plan_read(token, slots, bytes_max, SlotNeed::Kept)
    }

    /// The same, and the record beside the one that counts: the whole value beside a remnant, or the remnant beside a
    /// value. Of a slot that has both, the one that counts comes first.
    #[must_use]
    pub fn read_both(
        &self,
        token: u64,
        slots: impl IntoIterator<Item = Slot>,
        bytes_max: usize,
    ) -> ReadJob {
        self.plan_read(token, slots, bytes_max, SlotNeed::Both)
    }

    /// The same for whatever was written down for these slots, though it need not be what was chosen: for whoever asks
    /// whether this node has a copy at all, and holds it against an index. Every record of a slot is read that is not
    /// known to be damaged, the one that counts first: any of them may have rotted, and a remnant has not all.
    #[must_use]
    pub fn read_anything(
        &self,
        token: u64,
        slots: impl IntoIterator<Item = Slot>,
        bytes_max: usize,
    ) -> ReadJob {
        self.plan_read(token, slots, bytes_max, SlotNeed::Anything)
    }

    fn plan_read(
        &self,
        token: u64,
        slots: impl IntoIterator<Item = Slot>,
        bytes_max: usize,
        need: SlotNeed,
    ) -> ReadJob {
        let slots: Vec<Slot> = slots.into_iter().take(READ_SLOTS_MAX).collect();
        let mut job = ReadJob {
            token,
            journal_id: self.journal_id,
            plan: Box::new(ReadPlan::new(bytes_max)),
            lookups: None,
        };
        if let Some(lookups) = self.index.lookups(&slots, need) {
            job.lookups = Some(Box::new(Lookups { slots: lookups, bytes_max }));
            return job;
        }
        for slot in slots {
            if !job.plan.add_found(&self.index.lookup(slot, need), Vec::new()) {
                break;
            }
        }
        job
    }
}
