//! The journal of one shard: pure bookkeeping over jobs and their outcomes.

use crate::journal::format::batch::{self, BatchPlan, Encoded, room_bytes};
use crate::journal::format::item::{ITEM_BYTES, JournalId, Previous, RecordHead};
use crate::journal::format::layout::{self, Writing, header_block};
use crate::journal::segment::facts::{FactsToRepeat, JournalFacts};
use crate::journal::segment::index::SlotIndex;
use crate::journal::segment::indexed_record::{IndexedRecord, Location};
use crate::journal::segment::start::JournalStart;
use crate::journal::write::filling::Filling;
use crate::journal::write::hard_state;
use crate::journal::write::jobs::{
    BatchDone, BatchJob, BatchStep, Done, Job, JournalEvent, PrepareDone, PrepareJob,
};
use crate::journal::write::places_jobs::Spilling;
use crate::journal::write::removal::Releasing;
use crate::limits;
use crate::types::{Ballot, HardState, Lsn, Record, RecordKind, SegmentId, Slot};
use std::collections::VecDeque;
use std::sync::Arc;

/// A batch is closed when its data reaches this size; a larger record is a batch of its own.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The buffers of a batch are kept for the next one up to this size each: fresh memory for a batch
/// of a megabyte costs more than copying the values into it.
const KEPT_BUFFER_BYTES: usize = 4 << 20;
/// Segments kept ready: the one that values go to next, and one in reserve. On a full disk the last
/// one belongs to votes, and to what an election must settle (R11).
pub(crate) const SPARES: usize = 2;
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

/// Where the next batch goes.
#[derive(Clone, Debug)]
pub(crate) enum Tail {
    /// Into this segment.
    Open(Writing),
    /// Into a new segment: the last one is sealed, or its tail was cut or is suspect.
    Ended {
        /// The last segment in use.
        last: SegmentId,
        /// How it ends.
        previous: Previous,
        /// The end is news: it becomes durable before the first record of the new segment (C11).
        seal_first: bool,
    },
}

/// What recovery hands to a journal.
#[derive(Debug)]
pub(crate) struct Restored {
    pub journal_id: JournalId,
    pub options: JournalOptions,
    pub tail: Tail,
    /// How many segment files there are, and their bytes.
    pub files: (u64, u64),
    /// Segments prepared and not yet in use, and their sizes.
    pub spares: VecDeque<(SegmentId, u64)>,
    pub next_lsn: Lsn,
    pub next_number: u64,
    /// The last durability mark on disk.
    pub marked: Lsn,
    pub hard: HardState,
    pub hard_sequence: u64,
    /// The hard state has more than its file does.
    pub hard_changed: bool,
    pub index: SlotIndex,
    pub facts: JournalFacts,
}

/// The batch that is being written.
#[derive(Debug)]
pub(crate) struct BatchInFlight {
    pub upto: Lsn,
    pub mark: Lsn,
    pub segment: SegmentId,
    pub first_lsn_of_segment: Lsn,
    pub heads: Vec<RecordHead>,
}

/// The write-ahead log of one shard, without its input and output.
#[derive(Debug)]
pub struct Journal {
    pub(in crate::journal) journal_id: JournalId,
    pub(in crate::journal) options: JournalOptions,
    /// Records that wait for a batch; their LSNs end right before `next_lsn`.
    pub(in crate::journal) pending: VecDeque<Record>,
    pub(in crate::journal) pending_bytes: usize,
    /// Space that they take at most.
    pub(in crate::journal) pending_room: u64,
    pub(in crate::journal) next_lsn: Lsn,
    pub(in crate::journal) durable: Lsn,
    /// The last durability mark that is itself durable.
    pub(in crate::journal) marked: Lsn,
    pub(in crate::journal) wants_mark: bool,
    pub(in crate::journal) next_number: u64,
    pub(in crate::journal) tail: Tail,
    /// How many segment files there are, and their bytes.
    pub(in crate::journal) files: (u64, u64),
    pub(in crate::journal) spares: VecDeque<(SegmentId, u64)>,
    pub(in crate::journal) in_flight: Option<BatchInFlight>,
    pub(in crate::journal) preparing: bool,
    pub(in crate::journal) filling: Filling,
    /// Free space beside `min_free_bytes` that no segment takes.
    pub(in crate::journal) reserve_bytes: u64,
    pub(in crate::journal) room: bool,
    /// A preparation failed for want of space and was not retried yet.
    pub(in crate::journal) prepare_blocked: bool,
    pub(in crate::journal) hard: HardState,
    pub(in crate::journal) hard_sequence: u64,
    pub(in crate::journal) hard_changed: bool,
    pub(in crate::journal) hard_file: Arc<str>,
    pub(in crate::journal) index: SlotIndex,
    /// What the durable records of each segment reach.
    pub(in crate::journal) facts: JournalFacts,
    pub(in crate::journal) spilling: Spilling,
    pub(in crate::journal) releasing: Releasing,
    /// Of the last batch, the larger one first: data, then descriptors.
    pub(in crate::journal) buffers: Vec<Vec<u8>>,
}

impl Journal {
    pub(crate) fn new(restored: Restored) -> Journal {
        let unplaced = restored.index.spilled.unplaced().is_some();
        Journal {
            journal_id: restored.journal_id,
            options: restored.options,
            pending: VecDeque::new(),
            pending_bytes: 0,
            pending_room: 0,
            next_lsn: restored.next_lsn,
            durable: restored.next_lsn.prev(),
            marked: restored.marked,
            wants_mark: false,
            next_number: restored.next_number,
            tail: restored.tail,
            files: restored.files,
            spares: restored.spares,
            in_flight: None,
            preparing: false,
            filling: Filling::default(),
            reserve_bytes: 0,
            room: true,
            prepare_blocked: false,
            hard: restored.hard,
            hard_sequence: restored.hard_sequence,
            hard_changed: restored.hard_changed,
            hard_file: hard_state::FILE.into(),
            index: restored.index,
            facts: restored.facts,
            spilling: Spilling { due: unplaced, ..Spilling::default() },
            releasing: Releasing::default(),
            buffers: Vec::new(),
        }
    }

    /// Buffers a record for the next batch. LSNs are dense.
    ///
    /// # Panics
    /// When `lsn` is not the one after the last one pushed.
    pub fn push(&mut self, lsn: Lsn, record: Record) {
        assert!(lsn == self.next_lsn, "LSNs are dense: got {lsn}, expected {}", self.next_lsn);
        self.next_lsn = lsn.next();
        if let Record::Released(released) = &record {
            self.record_released(lsn, released);
        }
        self.pending_bytes += batch::record_bytes(&record);
        self.pending_room += room_bytes(&record);
        self.pending.push_back(record);
    }

    /// The next job, if one can start now: call until it returns nothing, after every push and
    /// every [`done`](Journal::done). Batches are handed out one at a time (group commit).
    pub fn next_job(&mut self) -> Option<Job> {
        let job = self.next_prepare().map(Job::Prepare);
        let job = job.or_else(|| self.next_batch().map(Job::Batch));
        let job = job.or_else(|| self.next_removal().map(Job::Remove));
        job.or_else(|| self.next_places().map(Job::Places))
    }

    /// Takes in the outcome of a job.
    pub fn done(&mut self, done: Done) -> Option<JournalEvent> {
        match done {
            Done::Batch(done) => self.batch_done(done),
            Done::Prepare(done) => self.prepare_done(&done),
            Done::Read(mut done) => {
                self.places_failed(&done.unplaced);
                self.excuse_released(&mut done.values);
                Some(JournalEvent::Read(done))
            }
            Done::Places(done) => {
                self.places_done(done);
                None
            }
            Done::Remove(done) => {
                self.removal_done(&done);
                None
            }
        }
    }

    /// Asks for a durability mark if records were synced since the last one (C11). The next
    /// [`next_job`](Journal::next_job) yields it unless records are waiting, which carry it.
    pub fn idle_mark(&mut self) {
        self.wants_mark = self.marked < self.durable;
    }

    /// The durability mark that the last batch carried.
    #[must_use]
    pub fn marked_upto(&self) -> Lsn {
        self.marked
    }

    /// Every record up to here is durable.
    #[must_use]
    pub fn durable_upto(&self) -> Lsn {
        self.durable
    }

    /// False when no further segment could be prepared for want of space: the shard then refuses
    /// appends; what is left is for elections (R11).
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.room
    }

    /// Lets a preparation that failed for want of space be tried again; the caller drives the
    /// back-off.
    pub fn retry_prepare(&mut self) {
        self.prepare_blocked = false;
    }

    /// Segment files, the prepared ones included.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.files.0
    }

    /// Bytes of segment files on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.files.1
    }

    /// Bytes of records that wait for their batch, headers included.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Where the value of a chosen slot lies. Durable records only; nothing where the value is
    /// damaged, and where its place left memory.
    #[must_use]
    pub fn locate(&self, slot: Slot) -> Option<Location> {
        let best = self.index.best(slot)?;
        SlotIndex::damaged_place(&best).is_none().then_some(best.location)
    }

    /// The ballot of the record by which entries of a slot are read, be it a value or what is left of one; zero
    /// where memory does not know it.
    #[must_use]
    pub fn kept_in(&self, slot: Slot) -> Ballot {
        let best = self.index.best_kept(slot);
        best.map_or(Ballot::ZERO, |best| best.location.ballot)
    }

    /// A durable record of this ballot or a higher one holds the slot. A slot whose place left memory
    /// is held: it was applied before a durable checkpoint.
    #[must_use]
    pub fn is_durable_in(&self, slot: Slot, ballot: Ballot) -> bool {
        self.index.is_durable_in(slot, ballot)
    }

    /// A file of places is being made anew: until it is there, slots whose places left memory cannot be
    /// read.
    #[must_use]
    pub fn is_placing(&self) -> bool {
        self.index.spilled.unplaced().is_some()
    }

    // Starts from a checkpoint.

    /// From where on a start with a checkpoint at `slot` must read this journal; nothing where this
    /// journal was itself read from a later one on. Goes by durable records only, and stays right
    /// whatever is written later.
    #[must_use]
    pub fn start_for(&self, slot: Slot) -> Option<JournalStart> {
        self.may_start_from(slot).then(|| self.facts.start_for(slot)).flatten()
    }

    /// This journal was read from a start with a checkpoint at `slot`, or an earlier one, and has let nothing go
    /// since that such a start needs.
    #[must_use]
    pub fn may_start_from(&self, slot: Slot) -> bool {
        slot >= self.index.baseline.slot && slot >= self.facts.forgotten_upto()
    }

    /// What must be written again, and be durable, for [`start_for`](Journal::start_for) to begin as
    /// late as the slots allow: facts that stand only in segments before.
    #[must_use]
    pub fn facts_to_repeat(&self, slot: Slot) -> FactsToRepeat {
        let mut facts = self.facts.to_repeat(slot);
        // A checkpoint alone names what is gone: of its record nothing is left.
        facts.released |= self.facts.lacks_release() && self.names_gone_unrecorded();
        facts
    }

    // Segments.

    /// Free space that is left alone, in bytes.
    #[must_use]
    pub fn min_free_bytes(&self) -> u64 {
        self.options.min_free_bytes
    }

    /// Free space that is left alone when a segment is prepared from now on.
    pub fn set_min_free_bytes(&mut self, bytes: u64) {
        self.options.min_free_bytes = bytes;
    }

    /// The last segment that anything was written to.
    pub(in crate::journal) fn segment_in_use(&self) -> SegmentId {
        match &self.tail {
            Tail::Open(writing) => writing.segment,
            Tail::Ended { last, .. } => *last,
        }
    }

    pub(in crate::journal) fn last_segment(&self) -> SegmentId {
        self.spares.back().map_or_else(|| self.segment_in_use(), |(spare, _)| *spare)
    }

    fn next_prepare(&mut self) -> Option<PrepareJob> {
        if self.preparing || self.prepare_blocked || self.spares.len() >= SPARES {
            return None;
        }
        self.preparing = true;
        let segment = self.last_segment().next();
        let least = self.options.segment_bytes;
        let bytes = match self.pending.front() {
            Some(record) => {
                let (data_bytes, items) = batch::lone_record(record);
                layout::segment_bytes_for(least, data_bytes, items)
            }
            None => layout::segment_bytes_for(least, ITEM_BYTES as u64, 1),
        };
        Some(PrepareJob {
            segment,
            bytes,
            fill: self.filling.next(),
            min_free_bytes: self.options.min_free_bytes.saturating_add(self.reserve_bytes),
            header: header_block(&self.journal_id, segment, bytes),
        })
    }

    fn prepare_done(&mut self, done: &PrepareDone) -> Option<JournalEvent> {
        assert!(self.preparing, "segment {} was not being prepared", done.segment);
        self.preparing = false;
        let had_room = self.room;
        self.room = done.no_space.is_none();
        match &done.no_space {
            Some(why) => {
                self.prepare_blocked = true;
                had_room.then(|| JournalEvent::NoRoom(why.clone()))
            }
            None => {
                self.files = (self.files.0 + 1, self.files.1 + done.bytes);
                self.spares.push_back((done.segment, done.bytes));
                (!had_room).then_some(JournalEvent::Room)
            }
        }
    }

    // Batches.

    fn next_batch(&mut self) -> Option<BatchJob> {
        if self.in_flight.is_some() || (self.pending.is_empty() && !self.wants_mark) {
            return None;
        }
        let mut steps = Vec::new();
        let mut records = self.fitting();
        let batch = if records > 0 || self.mark_fits() {
            self.hard_state_steps(records, &mut steps);
            self.write_batch(records, false, &mut steps)
        } else if self.spares.is_empty() {
            return None;
        } else if self.pending.is_empty() {
            // No space but for the segment's seal, which carries the mark as well.
            self.wants_mark = false;
            self.seal(&mut steps)?
        } else {
            self.begin_segment(&mut steps);
            records = self.fitting();
            self.hard_state_steps(records, &mut steps);
            self.write_batch(records, false, &mut steps)
        };
        self.wants_mark = false;
        self.in_flight = Some(batch);
        Some(BatchJob { steps })
    }

    /// How many of the waiting records go into the next batch at the place where the tail stands.
    fn fitting(&self) -> usize {
        let Tail::Open(writing) = &self.tail else { return 0 };
        let mut data_bytes = ITEM_BYTES;
        let mut count = 0;
        for record in &self.pending {
            let with = data_bytes + batch::record_bytes(record);
            let items = batch::items_bound(count + 1, with) as u64;
            if (with > BATCH_BYTES_MAX && count > 0) || !writing.fits(with as u64, items) {
                break;
            }
            (data_bytes, count) = (with, count + 1);
        }
        count
    }

    fn mark_fits(&self) -> bool {
        match &self.tail {
            Tail::Open(writing) => self.pending.is_empty() && writing.fits(ITEM_BYTES as u64, 1),
            Tail::Ended { .. } => false,
        }
    }

    /// Seals the segment that is open, in the space kept back for that. Only while there is a next
    /// one: recovery takes a seal without a next segment for a segment that is missing.
    fn seal(&mut self, steps: &mut Vec<BatchStep>) -> Option<BatchInFlight> {
        assert!(!self.spares.is_empty(), "a segment is sealed only when the next one is there");
        let Tail::Open(_) = &self.tail else { return None };
        let batch = self.write_batch(0, true, steps);
        if let Tail::Open(writing) = &self.tail {
            let previous = writing.ends(self.next_batch_lsn());
            self.index.seal(writing.segment);
            self.tail = Tail::Ended { last: writing.segment, previous, seal_first: false };
        }
        Some(batch)
    }

    /// Moves the tail to the spare segment. A cut is sealed there by an empty batch, durable
    /// before any record (C11).
    fn begin_segment(&mut self, steps: &mut Vec<BatchStep>) {
        self.seal(steps);
        let (segment, bytes) = self.spares.pop_front().expect("the caller saw a spare segment");
        self.filling.note_begun(self.spares.len());
        let Tail::Ended { previous, seal_first, .. } = self.tail else {
            unreachable!("an open segment was sealed above");
        };
        self.tail = Tail::Open(Writing::fresh(segment, bytes, previous));
        if seal_first {
            self.write_batch(0, false, steps);
        }
    }

    /// The LSN of the first record that is in no batch yet.
    fn next_batch_lsn(&self) -> Lsn {
        Lsn(self.next_lsn.0 - self.pending.len() as u64)
    }

    /// Encodes the next batch with the first `records` waiting ones, and adds its writes and its
    /// sync.
    fn write_batch(
        &mut self,
        records: usize,
        seal: bool,
        steps: &mut Vec<BatchStep>,
    ) -> BatchInFlight {
        let first_lsn = self.next_batch_lsn();
        let Tail::Open(writing) = &mut self.tail else { unreachable!("a batch needs a segment") };
        let plan = BatchPlan { first_lsn, number: self.next_number, mark: self.durable, seal };
        let mut buffers = std::mem::take(&mut self.buffers).into_iter();
        let mut encoded = Encoded {
            data: buffers.next().unwrap_or_default(),
            descriptors: buffers.next().unwrap_or_default(),
            heads: Vec::with_capacity(records),
        };
        let (data, desc, file) = (writing.data, writing.desc, Arc::clone(&writing.name));
        let (segment, first_lsn_of_segment) = (writing.segment, writing.previous.first_lsn);
        batch::encode(
            &self.journal_id,
            plan,
            self.pending.iter().take(records),
            writing,
            &mut encoded,
        );
        self.next_number += 1;
        for record in self.pending.drain(..records) {
            self.pending_bytes -= batch::record_bytes(&record);
            self.pending_room -= room_bytes(&record);
        }
        self.filling.note_batch((encoded.data.len() + encoded.descriptors.len()) as u64);
        let offset = desc - encoded.descriptors.len() as u64;
        let write = |offset, bytes| BatchStep::Write { file: Arc::clone(&file), offset, bytes };
        steps.push(write(data, encoded.data));
        steps.push(write(offset, encoded.descriptors));
        steps.push(BatchStep::Sync { file });
        BatchInFlight {
            upto: self.next_batch_lsn().prev(),
            mark: plan.mark,
            segment,
            first_lsn_of_segment,
            heads: encoded.heads,
        }
    }

    /// C2: where the batch changes the hard state, both copies of it become durable first. An
    /// accepted ballot above the promised one raises it, so that the promised ballot in the file
    /// is never below an accepted ballot in the journal.
    fn hard_state_steps(&mut self, records: usize, steps: &mut Vec<BatchStep>) {
        for record in self.pending.iter().take(records) {
            let raised = batch::accepted_ballot(record).filter(|b| *b > self.hard.promised);
            if let Record::HardState(hard) = record {
                let promised = self.hard.promised.max(hard.promised);
                self.hard = HardState { promised, ..HardState::clone(hard) };
                self.hard_changed = true;
            } else if let Some(ballot) = raised {
                self.hard.promised = ballot;
                self.hard_changed = true;
            }
        }
        if self.hard_changed {
            self.hard_changed = false;
            self.hard_sequence += 1;
            let (journal_id, sequence) = (&self.journal_id, self.hard_sequence);
            steps.extend(hard_state::steps(journal_id, sequence, &self.hard, &self.hard_file));
        }
    }

    fn batch_done(&mut self, done: BatchDone) -> Option<JournalEvent> {
        let batch = self.in_flight.take().expect("only a batch in flight can be done");
        self.facts.begin(batch.segment, Some(batch.first_lsn_of_segment));
        for head in &batch.heads {
            self.facts.saw(head);
            self.facts.stands(head.kind, true);
            match head.kind {
                RecordKind::Accepted => self.index.raise_watermark(head.ballot, head.chosen_upto),
                RecordKind::Chosen => self.index.raise_watermark(head.ballot, head.slot),
                RecordKind::HardState
                | RecordKind::Learned
                | RecordKind::Remnant
                | RecordKind::Released
                | RecordKind::Checkpoint
                | RecordKind::Witnessed => {}
            }
            if let Some(found) = IndexedRecord::of(head) {
                self.index.insert(batch.first_lsn_of_segment, &found);
            }
        }
        self.marked = self.marked.max(batch.mark);
        self.buffers = done.buffers;
        self.buffers.retain(|buffer| buffer.capacity() <= KEPT_BUFFER_BYTES);
        self.buffers.sort_unstable_by_key(|buffer| std::cmp::Reverse(buffer.capacity()));
        self.buffers.truncate(2);
        let news = batch.upto > self.durable;
        self.durable = batch.upto;
        self.forget_released();
        news.then_some(JournalEvent::Durable(batch.upto))
    }
}
