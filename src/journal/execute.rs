//! Running a job: the only place where a journal's batches, segments and reads meet a storage.

use super::format::{ITEM_BYTES, Item, RecordHead, Stamp, body_checksum};
use super::jobs::{
    BatchDone, BatchJob, Done, Extent, Job, PrepareDone, PrepareJob, ReadDamage, ReadDone, ReadJob,
    ReadResult, Step, Wanted,
};
use super::segment::{UNFINISHED, file_name};
use super::storage::{Storage, StorageError, StorageOp};
use crate::types::{RecordKind, Value};
use std::io;

/// Runs a job. The syncer thread, the helper threads and the simulator all run this very function.
///
/// # Errors
/// Fatal ones only (R01): the caller ends the process with exit 74. A value that cannot be read
/// and a segment for which there is no space are no errors.
pub fn execute(storage: &dyn Storage, job: Job) -> Result<Done, StorageError> {
    match job {
        Job::Batch(job) => run_batch(storage, job).map(Done::Batch),
        Job::Prepare(job) => run_prepare(storage, job).map(Done::Prepare),
        Job::Read(job) => Ok(Done::Read(run_read(storage, job))),
    }
}

fn run_batch(storage: &dyn Storage, job: BatchJob) -> Result<BatchDone, StorageError> {
    run_steps(storage, &job.steps)?;
    let buffers = job.steps.into_iter().filter_map(|step| match step {
        Step::Write { bytes, .. } => Some(bytes),
        Step::Sync { .. } => None,
    });
    Ok(BatchDone { buffers: buffers.collect() })
}

/// Runs steps in order, up to the first that fails.
pub(crate) fn run_steps(storage: &dyn Storage, steps: &[Step]) -> Result<(), StorageError> {
    for step in steps {
        match step {
            Step::Write { file, offset, bytes } => storage
                .write_at(file, *offset, bytes)
                .map_err(StorageError::at(StorageOp::Write, file, *offset))?,
            Step::Sync { file } => {
                storage.sync(file).map_err(StorageError::at(StorageOp::Sync, file, 0))?;
            }
        }
    }
    Ok(())
}

/// R07: allocate, write, sync the file, only then give it its name, sync the directory.
pub(crate) fn run_prepare(
    storage: &dyn Storage,
    job: PrepareJob,
) -> Result<PrepareDone, StorageError> {
    let PrepareJob { segment, bytes, min_free_bytes, header } = job;
    let name = file_name(segment);
    let unfinished = format!("{name}{UNFINISHED}");
    let free = storage.free_bytes().map_err(StorageError::at(StorageOp::Space, ".", 0))?;
    let no_space = |free| Ok(PrepareDone { segment, bytes, no_space: Some(free) });
    if free < bytes.saturating_add(min_free_bytes) {
        return no_space(free);
    }
    let mut created = storage.create(&unfinished, bytes);
    if created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        // What an attempt without space left behind. It never had its name: nothing is in it.
        storage.remove(&unfinished).map_err(StorageError::at(StorageOp::Remove, &unfinished, 0))?;
        created = storage.create(&unfinished, bytes);
    }
    match created {
        Ok(()) => {}
        Err(error) if is_no_space(&error) => return no_space(free),
        Err(error) => return Err(StorageError::at(StorageOp::Create, &unfinished, 0)(error)),
    }
    storage.write_at(&unfinished, 0, &header).map_err(StorageError::at(
        StorageOp::Write,
        &unfinished,
        0,
    ))?;
    storage.sync(&unfinished).map_err(StorageError::at(StorageOp::Sync, &unfinished, 0))?;
    storage.rename(&unfinished, &name).map_err(StorageError::at(
        StorageOp::Rename,
        &unfinished,
        0,
    ))?;
    storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))?;
    Ok(PrepareDone { segment, bytes, no_space: None })
}

/// A full disk and an exhausted quota alike.
fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn run_read(storage: &dyn Storage, job: ReadJob) -> ReadDone {
    let ReadJob { token, stamp, extents, missing } = job;
    let mut values: Vec<_> = missing.into_iter().map(|(slot, why)| (slot, Err(why))).collect();
    let mut buffer = Vec::new();
    for extent in &extents {
        read_extent(storage, &stamp, extent, &mut buffer, &mut values);
    }
    values.sort_by_key(|(slot, _)| *slot);
    ReadDone { token, values }
}

fn read_extent(
    storage: &dyn Storage,
    stamp: &Stamp,
    extent: &Extent,
    buffer: &mut Vec<u8>,
    values: &mut Vec<(crate::types::Slot, ReadResult)>,
) {
    buffer.clear();
    buffer.resize(extent.bytes, 0);
    let whole = storage.read_at(&extent.file, extent.offset, buffer);
    for wanted in &extent.wanted {
        let bytes = ITEM_BYTES + wanted.location.bytes as usize;
        let result = if whole.is_ok() {
            let at = (wanted.location.offset - extent.offset) as usize;
            verify(&buffer[at..at + bytes], stamp, wanted, &extent.file)
        } else {
            // One unreadable sector must not take its neighbours with it: each on its own, and
            // a header that is known to be lost not at all.
            let skip = if wanted.headless.is_some() { ITEM_BYTES } else { 0 };
            let offset = wanted.location.offset + skip as u64;
            buffer.resize(bytes.max(buffer.len()), 0);
            storage
                .read_at(&extent.file, offset, &mut buffer[skip..bytes])
                .map_err(|error| ReadDamage::Unreadable {
                    slot: wanted.slot,
                    file: extent.file.to_string(),
                    offset,
                    error: error.to_string(),
                })
                .and_then(|()| verify(&buffer[..bytes], stamp, wanted, &extent.file))
        };
        values.push((wanted.slot, result));
    }
}

/// Reads the value of one record.
pub(crate) fn read_one(storage: &dyn Storage, stamp: &Stamp, wanted: &Wanted) -> ReadResult {
    let location = &wanted.location;
    let extent = Extent {
        file: file_name(location.segment),
        offset: location.offset,
        bytes: ITEM_BYTES + location.bytes as usize,
        wanted: vec![*wanted],
    };
    let mut values = Vec::new();
    read_extent(storage, stamp, &extent, &mut Vec::new(), &mut values);
    values.pop().map_or(Err(ReadDamage::NotHeld { slot: wanted.slot }), |(_, result)| result)
}

/// Believes a record only if header and body verify and are those of the slot, ballot, LSN and
/// place asked for.
fn verify(bytes: &[u8], stamp: &Stamp, wanted: &Wanted, file: &str) -> ReadResult {
    let Wanted { slot, location, headless } = *wanted;
    let (header, body) = bytes.split_at(ITEM_BYTES);
    let checksum = headless.or_else(|| {
        let item = Item::decode_slice(header, stamp).ok()?;
        let head = RecordHead::from_item(&item)?;
        let same = matches!(head.kind, RecordKind::Accepted | RecordKind::Learned)
            && (head.slot, head.ballot, head.lsn) == (slot, location.ballot, location.lsn)
            && (head.segment, head.offset) == (location.segment, location.offset)
            && head.body_bytes == location.bytes;
        same.then_some(head.body_checksum)
    });
    if checksum == Some(body_checksum(body, location.lsn)) {
        return Ok((location.ballot, Value::new(body)));
    }
    Err(ReadDamage::Damaged { slot, file: file.to_string(), offset: location.offset })
}
