//! Reads: which slots are planned for, and which are to be found first.

use crate::journal::write::jobs::{Job, ReadJob};
use crate::journal::write::journal::Journal;
use crate::journal::write::read_plan::{Lookups, ReadPlan};
use crate::types::Slot;

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
    /// bounded as those of the values are. Slots whose places left memory are found by the job itself.
    #[must_use]
    pub fn read_slots(
        &self,
        token: u64,
        slots: impl IntoIterator<Item = Slot>,
        bytes_max: usize,
    ) -> ReadJob {
        let slots: Vec<Slot> = slots.into_iter().take(READ_SLOTS_MAX).collect();
        let mut job = ReadJob {
            token,
            journal_id: self.journal_id,
            plan: Box::new(ReadPlan::new(bytes_max)),
            lookups: None,
        };
        if let Some(lookups) = self.index.lookups(&slots) {
            job.lookups = Some(Box::new(Lookups { slots: lookups, bytes_max }));
            return job;
        }
        for slot in slots {
            if !job.plan.add(slot, self.index.best_row(slot)) {
                break;
            }
        }
        job
    }
}
