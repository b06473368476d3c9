//! The journal of one shard: pure bookkeeping over jobs and their outcomes.

use super::jobs::{Done, Event, Job, Location, ReadJob};
use crate::limits;
use crate::types::{Lsn, Record, Slot};

/// Sizes that a journal works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Bytes of a segment file. A record that does not fit gets a larger segment of its own.
    pub segment_bytes: u64,
    /// No segment is prepared that would leave less free space than this (R11).
    pub min_free_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions { segment_bytes: limits::SEGMENT_BYTES_DEFAULT, min_free_bytes: 0 }
    }
}

/// The write-ahead log of one shard, without its input and output.
#[derive(Debug)]
pub struct Journal {
    durable: Lsn,
}

impl Journal {
    /// Buffers a record for the next batch. LSNs are dense.
    ///
    /// # Panics
    /// When `lsn` is not the one after the last one pushed.
    pub fn push(&mut self, _lsn: Lsn, _record: Record) {}

    /// The next job, if one can start now: call until it returns nothing, after every push and
    /// every [`done`](Journal::done). Batches are handed out one at a time (group commit).
    pub fn next_job(&mut self) -> Option<Job> {
        None
    }

    /// Takes in the outcome of a job.
    pub fn done(&mut self, _done: Done) -> Option<Event> {
        None
    }

    /// Asks for a durability mark if records were synced since the last one (C11). The next
    /// [`next_job`](Journal::next_job) yields it unless records are waiting, which carry it.
    pub fn idle_mark(&mut self) {}

    /// Every record up to here is durable.
    #[must_use]
    pub fn durable_upto(&self) -> Lsn {
        self.durable
    }

    /// False when the next segment could not be prepared for want of space: the shard then refuses
    /// appends; what is left is for campaigns and no-ops (R11).
    #[must_use]
    pub fn has_room(&self) -> bool {
        true
    }

    /// Lets a preparation that failed for want of space be tried again; the caller drives the
    /// back-off.
    pub fn retry_prepare(&mut self) {}

    /// Segment files.
    #[must_use]
    pub fn segments(&self) -> u64 {
        0
    }

    /// Bytes of segment files on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        0
    }

    /// Bytes of records that wait for their batch, headers included.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        0
    }

    /// Where the value of a chosen slot lies. Durable records only.
    #[must_use]
    pub fn locate(&self, _slot: Slot) -> Option<Location> {
        None
    }

    /// One read job for the values of consecutive slots `from..=upto`, as far as `bytes_max` goes
    /// and at least one slot. The answer is an [`Event::Read`] with the same token.
    #[must_use]
    pub fn read(&mut self, token: u64, _from: Slot, _upto: Slot, _bytes_max: usize) -> Job {
        Job::Read(ReadJob { token })
    }
}
