//! Running a job: the only place where a journal's batches, segments and reads meet a storage.

use crate::journal::format::item::{
    ITEM_BYTES, JournalId, MetadataItem, RecordHead, body_checksum,
};
use crate::journal::format::layout::{UNFINISHED, file_name};
use crate::journal::segment::indexed_record::Location;
use crate::journal::write::jobs::{
    BatchDone, BatchJob, BatchStep, Done, Fill, Job, NoRoom, PrepareDone, PrepareJob, ReadJob,
    ReadJobDone,
};
use crate::journal::write::lookup;
use crate::journal::write::places_jobs::run_places;
use crate::journal::write::read_plan::{FileRange, ReadDamage, ReadPlan, ReadResult, Wanted};
use crate::journal::write::removal::{RemoveDone, run_remove};
use crate::limits::READ_EXTENT_BYTES_MAX;
use crate::storage::{Storage, StorageError, StorageOp, complete_file, read_some};
use crate::types::{RecordKind, Trouble, Value};
use std::cell::Cell;
use std::io;

/// Why a job is not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Durable state failed: the caller ends the process with exit 74 (R01).
    #[error(transparent)]
    Fatal(StorageError),
    /// The system was short of something. Nothing failed that matters: the caller runs what is left
    /// of the job a little later.
    #[error("{error}")]
    Short {
        /// What there was too little of, and where.
        error: StorageError,
        /// What is left to do.
        rest: Box<Job>,
    },
}

/// Runs a job. The syncer thread, the helper threads and the simulator all run this very function.
///
/// # Errors
/// [`JobError`]. A value that cannot be read and a segment for which there is no space are no errors.
pub fn execute(storage: &dyn Storage, job: Job) -> Result<Done, JobError> {
    let short = |error, rest| Err(JobError::Short { error, rest: Box::new(rest) });
    match job {
        Job::Batch(job) => run_batch(storage, job),
        Job::Prepare(job) => match run_prepare(storage, &job) {
            Ok(done) => Ok(Done::Prepare(done)),
            // A segment that has no name yet is in nobody's way: it is made from the start again.
            Err(error) if error.may_pass() => short(error, Job::Prepare(job)),
            Err(error) => Err(JobError::Fatal(error)),
        },
        Job::Read(job) => match run_read(storage, &job) {
            Ok(done) => Ok(Done::Read(done)),
            Err(error) => short(error, Job::Read(job)),
        },
        Job::Places(job) => match run_places(storage, &job) {
            Ok(done) => Ok(Done::Places(done)),
            // A file that has no name yet is in nobody's way: it is written from the start again.
            Err(error) if error.may_pass() => short(error, Job::Places(job)),
            Err(error) => Err(JobError::Fatal(error)),
        },
        Job::Remove(job) => match run_remove(storage, &job) {
            Ok(()) => Ok(Done::Remove(RemoveDone { segments: job.segments })),
            Err(error) if error.may_pass() => short(error, Job::Remove(job)),
            Err(error) => Err(JobError::Fatal(error)),
        },
    }
}

fn run_batch(storage: &dyn Storage, job: BatchJob) -> Result<Done, JobError> {
    let mut done = 0;
    if let Err(error) = run_steps(storage, &job.steps, &mut done) {
        if !error.may_pass() {
            return Err(JobError::Fatal(error));
        }
        // What was written before stands; the same bytes go to the same place once more.
        let steps = job.steps.into_iter().skip(done).collect();
        return Err(JobError::Short { error, rest: Box::new(Job::Batch(BatchJob { steps })) });
    }
    let buffers = job.steps.into_iter().filter_map(|step| match step {
        BatchStep::Write { bytes, .. } => Some(bytes),
        BatchStep::Sync { .. } => None,
    });
    Ok(Done::Batch(BatchDone { buffers: buffers.collect() }))
}

/// Runs steps in order, up to the first that fails, and counts those that are done.
pub(crate) fn run_steps(
    storage: &dyn Storage,
    steps: &[BatchStep],
    done: &mut usize,
) -> Result<(), StorageError> {
    for step in steps {
        match step {
            BatchStep::Write { file, offset, bytes } => storage
                .write_at(file, *offset, bytes)
                .map_err(StorageError::at(StorageOp::Write, file, *offset))?,
            BatchStep::Sync { file } => {
                storage.sync(file).map_err(StorageError::at(StorageOp::Sync, file, 0))?;
            }
        }
        *done += 1;
    }
    Ok(())
}

/// R07: allocate, fill, sync the file, only then give it its name, sync the directory.
pub(crate) fn run_prepare(
    storage: &dyn Storage,
    job: &PrepareJob,
) -> Result<PrepareDone, StorageError> {
    let PrepareJob { segment, bytes, fill, min_free_bytes, ref header } = *job;
    let name = file_name(segment);
    let unfinished = format!("{name}{UNFINISHED}");
    let free = storage.free_bytes().map_err(StorageError::at(StorageOp::Space, ".", 0))?;
    let no_space = |why| Ok(PrepareDone { segment, bytes, no_space: Some(why) });
    if free < bytes.saturating_add(min_free_bytes) {
        return no_space(NoRoom { free_bytes: free, why: None });
    }
    let create = || match fill {
        Fill::Written => storage.create(&unfinished, bytes),
        Fill::Allocated => storage.allocate(&unfinished, bytes),
    };
    let mut created = create();
    if created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        // What an attempt without space left behind. It never had its name: nothing is in it.
        storage.remove(&unfinished).map_err(StorageError::at(StorageOp::Remove, &unfinished, 0))?;
        created = create();
    }
    match created {
        Ok(()) => {}
        Err(error) if Trouble::is_no_space(&error) => {
            // There seemed to be space, so that it is something else that ran out.
            return no_space(NoRoom { free_bytes: free, why: Some(error.to_string()) });
        }
        Err(error) => return Err(StorageError::at(StorageOp::Create, &unfinished, 0)(error)),
    }
    storage.write_at(&unfinished, 0, header).map_err(StorageError::at(
        StorageOp::Write,
        &unfinished,
        0,
    ))?;
    complete_file(storage, &unfinished, &name)?;
    Ok(PrepareDone { segment, bytes, no_space: None })
}

/// Fails only where the system is short of something: what the medium does not give is a result.
fn run_read(storage: &dyn Storage, job: &ReadJob) -> Result<ReadJobDone, StorageError> {
    let found;
    let (plan, unplaced): (&ReadPlan, _) = match &job.lookups {
        None => (&*job.plan, Vec::new()),
        Some(lookups) => {
            found = lookup::find(storage, lookups)?;
            (&found.plan, found.unplaced.iter().copied().collect())
        }
    };
    let missing = plan.missing.iter();
    let mut values: Vec<_> = missing.map(|(slot, why)| (*slot, Err(why.clone()))).collect();
    let journal_id = &job.journal_id;
    read_ranges(storage, journal_id, &plan.ranges, &mut |wanted, body| {
        let value = body.map(|body| (wanted.location.ballot, Value::new(body)));
        values.push((wanted.slot, value));
    })?;
    values.sort_by_key(|(slot, _)| *slot);
    Ok(ReadJobDone { token: job.token, values, unplaced })
}

/// What takes in what was read: the body of each record, or the part of it that is wanted.
pub(crate) type Visit<'a> = dyn FnMut(&Wanted, Result<&[u8], ReadDamage>) + 'a;

thread_local! {
    /// What a thread reads into. It is filled with zeros once, not for each read.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads records, and hands each to `visit`, in the order in which they were planned. Fails only where
/// the system is short of something.
pub(crate) fn read_ranges(
    storage: &dyn Storage,
    journal_id: &JournalId,
    ranges: &[FileRange],
    visit: &mut Visit<'_>,
) -> Result<(), StorageError> {
    let mut buffer = BUFFER.take();
    let mut ranges = ranges.iter();
    let read =
        ranges.try_for_each(|range| read_range(storage, journal_id, range, &mut buffer, visit));
    // A record of the largest size is rare, and its memory is not kept for ever.
    if buffer.len() > READ_EXTENT_BYTES_MAX {
        buffer = Vec::new();
    }
    BUFFER.set(buffer);
    read
}

/// So many bytes to read into; what is in them is of no account.
fn room(buffer: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    &mut buffer[..bytes]
}

fn read_range(
    storage: &dyn Storage,
    journal_id: &JournalId,
    range: &FileRange,
    buffer: &mut Vec<u8>,
    visit: &mut Visit<'_>,
) -> Result<(), StorageError> {
    let whole = read_some(storage, &range.file, range.offset, room(buffer, range.bytes))?;
    for wanted in &range.wanted {
        let (offset, bytes) = wanted.span();
        let result = if whole.is_ok() {
            let at = (offset - range.offset) as usize;
            verify(&buffer[at..at + bytes], journal_id, wanted, &range.file)
        } else {
            // One unreadable sector must not take its neighbours with it: each on its own, and
            // a header that is known to be lost not at all.
            let headless = wanted.headless.is_some() && wanted.part.is_none();
            let skip = if headless { ITEM_BYTES } else { 0 };
            let offset = offset + skip as u64;
            let record = room(buffer, bytes);
            read_some(storage, &range.file, offset, &mut record[skip..])?
                .map_err(|error| ReadDamage::Unreadable {
                    slot: wanted.slot,
                    ballot: wanted.location.ballot,
                    file: range.file.to_string(),
                    offset,
                    error: error.to_string(),
                })
                .and_then(|()| verify(record, journal_id, wanted, &range.file))
        };
        let slot = wanted.slot;
        let or_released = |damage| match wanted.released_if_damaged {
            true => ReadDamage::Released { slot },
            false => damage,
        };
        visit(wanted, result.map_err(or_released));
    }
    Ok(())
}

/// Reads the value of one record. Fails only where the system is short of something.
pub(crate) fn read_one(
    storage: &dyn Storage,
    journal_id: &JournalId,
    wanted: &Wanted,
) -> Result<ReadResult, StorageError> {
    let location = &wanted.location;
    let range = FileRange {
        file: file_name(location.segment),
        offset: location.offset,
        bytes: ITEM_BYTES + location.bytes as usize,
        wanted: vec![*wanted],
    };
    let mut result = Err(ReadDamage::NotHeld { slot: wanted.slot });
    read_ranges(storage, journal_id, &[range], &mut |wanted, body| {
        result = body.map(|body| (wanted.location.ballot, Value::new(body)));
    })?;
    Ok(result)
}

/// Believes a record only if header and body verify and are those of the slot, ballot, LSN and
/// place asked for; returns its body. A part of a body is for the caller to verify.
fn verify<'a>(
    bytes: &'a [u8],
    journal_id: &JournalId,
    wanted: &Wanted,
    file: &str,
) -> Result<&'a [u8], ReadDamage> {
    let Wanted { slot, location, headless, is_remnant, part, .. } = *wanted;
    if part.is_some() {
        return Ok(bytes);
    }
    let (header, body) = bytes.split_at(ITEM_BYTES);
    let checksum = headless.or_else(|| {
        let item = MetadataItem::decode_slice(header, journal_id).ok()?;
        let head = RecordHead::from_item(&item)?;
        let fits = match head.kind {
            RecordKind::Accepted | RecordKind::Learned => !is_remnant,
            RecordKind::Remnant => is_remnant,
            RecordKind::HardState
            | RecordKind::Chosen
            | RecordKind::Released
            | RecordKind::Checkpoint
            | RecordKind::Witnessed => false,
        };
        let same = fits
            && (head.slot, head.ballot, head.lsn) == (slot, location.ballot, location.lsn)
            && (head.segment, head.offset) == (location.segment, location.offset)
            && head.body_bytes == location.bytes;
        same.then_some(head.body_checksum)
    });
    if checksum == Some(body_checksum(body, location.lsn)) {
        return Ok(body);
    }
    let Location { ballot, offset, .. } = location;
    Err(ReadDamage::Damaged { slot, ballot, file: file.to_string(), offset })
}
