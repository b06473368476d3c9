//! What a journal asks of the threads that may block, and what they answer.

use crate::journal::format::item::JournalId;
use crate::journal::segment::indexed_record::SlotNeed;
use crate::journal::write::places_jobs::{PlacesDone, PlacesJob};
use crate::journal::write::read_plan::{Lookups, ReadPlan, ReadResult};
use crate::journal::write::removal::{RemoveDone, RemoveJob};
use crate::types::{Lsn, SegmentId, Slot};
use std::fmt;
use std::sync::Arc;

/// Work for a thread that may block. Run by [`crate::journal::execute()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Writes and syncs of one batch, for the syncer thread. One at a time per journal.
    Batch(BatchJob),
    /// Creation of the next segment, for a helper thread.
    Prepare(PrepareJob),
    /// A read of values, for a helper thread.
    Read(ReadJob),
    /// Writes where the values of one segment lie, for a helper thread. One at a time per journal.
    Places(PlacesJob),
    /// Removes the files of released segments, for a helper thread. One at a time per journal.
    Remove(RemoveJob),
}

/// A job's outcome, to be handed to [`crate::journal::Journal::done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The batch is durable.
    Batch(BatchDone),
    /// The segment exists, or there was no space for it.
    Prepare(PrepareDone),
    /// The values that could be read.
    Read(ReadJobDone),
    /// The places of a segment are on disk, or there was no space for them.
    Places(PlacesDone),
    /// The files of released segments are gone.
    Remove(RemoveDone),
}

/// What a shard learns from [`crate::journal::Journal::done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// Every record up to this one is durable.
    Durable(Lsn),
    /// A segment could not be prepared: [`crate::journal::Journal::has_room`] is false from now on, until a
    /// preparation after [`crate::journal::Journal::retry_prepare`] succeeds (R11).
    NoRoom(NoRoom),
    /// Room came back.
    Room,
    /// A read finished.
    Read(ReadJobDone),
}

/// The writes and syncs of one batch, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchJob {
    pub(crate) steps: Vec<BatchStep>,
}

impl BatchJob {
    /// Bytes that it writes, those that fill up blocks included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let written = |step: &BatchStep| match step {
            BatchStep::Write { bytes, .. } => bytes.len() as u64,
            BatchStep::Sync { .. } => 0,
        };
        self.steps.iter().map(written).sum()
    }
}

/// One step of a batch; steps run strictly in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BatchStep {
    /// Bytes are written to a file that exists, in whole blocks.
    Write {
        /// The file's name in the shard's directory.
        file: Arc<str>,
        /// Offset in the file, in bytes.
        offset: u64,
        /// The bytes to be written there.
        bytes: Vec<u8>,
    },
    /// A sync of one file.
    Sync {
        /// The file's name in the shard's directory.
        file: Arc<str>,
    },
}

/// A durable batch; carries its buffers back for the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDone {
    pub(crate) buffers: Vec<Vec<u8>>,
}

/// Creation of a segment: allocated, filled, headed, synced, named, directory synced (R07).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareJob {
    pub(crate) segment: SegmentId,
    pub(crate) bytes: u64,
    pub(crate) fill: Fill,
    pub(crate) min_free_bytes: u64,
    pub(crate) header: Vec<u8>,
}

/// How a new segment comes to read as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Zeros are written.
    Written,
    /// Its space is allocated, and counts as zeros until it is written.
    Allocated,
}

impl PrepareJob {
    /// How the segment is filled.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.fill
    }
}

/// Outcome of a preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareDone {
    pub(crate) segment: SegmentId,
    pub(crate) bytes: u64,
    /// Why there was no space for the segment.
    pub(crate) no_space: Option<NoRoom>,
}

/// Why there is no space for a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes that were free.
    pub free_bytes: u64,
    /// What the system said where those bytes would have done: inodes or a quota ran out.
    pub why: Option<String>,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoRoom { free_bytes, why } = self;
        match why {
            None => write!(f, "{free_bytes} bytes free"),
            Some(why) => write!(
                f,
                "{why}, with {free_bytes} bytes free: inodes (df -i) or a quota may have run out"
            ),
        }
    }
}

/// A read of the values of some slots, neighbouring records in one file read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadJob {
    pub(crate) token: u64,
    pub(crate) journal_id: JournalId,
    pub(crate) plan: Box<ReadPlan>,
    /// Slots that are to be found first, and planned for then.
    pub(crate) lookups: Option<Box<Lookups>>,
}

impl ReadJob {
    /// For values that are held against the index when they come, and are needed for their live entries alone: whatever
    /// was released, the record that counts for such a slot is still here (C30).
    #[must_use]
    pub fn live_only(mut self) -> ReadJob {
        for lookup in self.lookups.iter_mut().flat_map(|lookups| &mut lookups.slots) {
            lookup.need = SlotNeed::Live;
        }
        self
    }

    /// Echoed in its outcome.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Bytes of the values that it brings; at most, where it has yet to find them.
    #[must_use]
    pub fn value_bytes(&self) -> usize {
        let wanted = self.plan.ranges.iter().flat_map(|extent| &extent.wanted);
        let planned: usize = wanted.map(|wanted| wanted.location.bytes as usize).sum();
        planned + self.lookups.as_ref().map_or(0, |lookups| lookups.value_bytes())
    }

    /// Bytes of files that it reads, gaps between records included; a guess where it has yet to find
    /// them.
    #[must_use]
    pub fn file_bytes(&self) -> usize {
        let planned: usize = self.plan.ranges.iter().map(|extent| extent.bytes).sum();
        planned + self.lookups.as_ref().map_or(0, |lookups| lookups.value_bytes())
    }
}

/// A finished read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadJobDone {
    /// The token that the read was asked for with.
    pub token: u64,
    /// By rising slot, from the first one asked for on; fewer than asked for when a limit of the
    /// read was reached (never fewer than one). Of a slot of which every record was asked for, all of them.
    pub values: Vec<(Slot, ReadResult)>,
    /// Segments whose files of places do not serve.
    pub(crate) unplaced: Vec<SegmentId>,
}
