//! A shard's directory: creating it, and taking stock of it before anything is believed.

use crate::journal::format::identity::Identity;
use crate::journal::format::item::JournalId;
use crate::journal::format::layout::{
    self, BLOCK, SegmentHeader, UNFINISHED, file_name, header_block, parse_file_name,
};
use crate::journal::format::open_error::OpenError;
use crate::journal::recover::short_segment::ShortSegment;
use crate::journal::segment::batch_scan::{self, FoundBatch};
use crate::journal::segment::places::Places;
use crate::journal::segment::reader::SegmentReader;
use crate::journal::segment::start::{Baseline, JournalStart};
use crate::journal::write::execute::{run_prepare, run_steps};
use crate::journal::write::hard_state;
use crate::journal::write::jobs::{Fill, PrepareJob};
use crate::journal::write::journal::JournalOptions;
use crate::limits::BLOCK_BYTES;
use crate::storage::{Storage, StorageError, StorageOp, read_some};
use crate::types::{HardState, SegmentId, ShardId};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Creates the journal of a new shard: hard state in both copies and the first segment. The
/// directory must be empty.
///
/// # Errors
/// Any failure of the storage, want of space included.
pub fn format(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    options: &JournalOptions,
) -> Result<(), StorageError> {
    let journal_id = JournalId::new(identity, shard);
    let file = hard_state::FILE;
    storage.create(file, hard_state::FILE_BYTES).map_err(StorageError::at(
        StorageOp::Create,
        file,
        0,
    ))?;
    let hard = HardState::default();
    run_steps(storage, &hard_state::steps(&journal_id, 1, &hard, &file.into()), &mut 0)?;
    let segment = JournalStart::FRONT.segment;
    let bytes = layout::segment_bytes_for(options.segment_bytes, BLOCK, 1);
    let header = header_block(&journal_id, segment, bytes);
    let min_free_bytes = options.min_free_bytes;
    // Its last step makes both names durable.
    let job = PrepareJob { segment, bytes, fill: Fill::Written, min_free_bytes, header };
    let done = run_prepare(storage, &job)?;
    match done.no_space {
        None => Ok(()),
        Some(why) => Err(StorageError {
            file: file_name(segment).to_string(),
            offset: 0,
            op: StorageOp::Create,
            source: io::Error::new(io::ErrorKind::StorageFull, format!("no space ({why})")),
        }),
    }
}

/// Everything in the directory that counts, from the medium itself: an earlier process may have
/// left pages that were never written, or that the system takes for written (R01).
pub(crate) fn clean_directory(storage: &dyn Storage) -> Result<Vec<String>, OpenError> {
    let mut names = storage.list().map_err(StorageError::at(StorageOp::List, ".", 0))?;
    let is_journal = |name: &str| name == hard_state::FILE || parse_file_name(name).is_some();
    let is_ours = |name: &str| is_journal(name) || is_derived(name);
    if !names.iter().any(|name| is_journal(name)) {
        return Err(OpenError::NotFormatted);
    }
    for name in &names {
        if name.strip_suffix(UNFINISHED).is_some_and(is_ours) {
            storage.remove(name).map_err(StorageError::at(StorageOp::Remove, name, 0))?;
        }
    }
    // Names that a killed process gave and did not sync are not durable yet, though they are seen.
    storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))?;
    names.retain(|name| is_ours(name));
    for name in &names {
        storage.sync(name).map_err(StorageError::at(StorageOp::Sync, name, 0))?;
        storage.forget(name).map_err(|source| OpenError::unopenable(name, source))?;
    }
    Ok(names)
}

/// A file beside the journal that is written aside and renamed as well: a checkpoint, a run of the
/// index, or the places of a segment.
fn is_derived(name: &str) -> bool {
    let is = |prefix: &str, suffix: &str| {
        let middle = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        middle.is_some_and(|middle| !middle.is_empty() && !middle.contains('.'))
    };
    is("checkpoint-", "") || is("run-", ".run") || is("places-", ".idx")
}

/// One segment file, before its batches are looked at.
pub(crate) struct Segment {
    pub id: SegmentId,
    pub bytes: u64,
    pub header: SegmentHeader,
    /// Any batch in it.
    pub any: Option<FoundBatch>,
    /// Something but zeros lies behind its header.
    pub dirty: bool,
}

impl Segment {
    /// It holds a batch, or what is left of one.
    fn is_used(&self) -> bool {
        self.any.is_some() || self.dirty
    }
}

/// A segment that is not read.
pub(crate) struct EarlierSegment {
    pub bytes: u64,
    /// Its file of places, if that serves.
    pub places: Option<Arc<Places>>,
}

/// The segment files of a journal.
pub(crate) struct Segments {
    /// Those before the first one that is read.
    pub earlier: BTreeMap<SegmentId, EarlierSegment>,
    /// From the first one that is read on.
    pub segments: BTreeMap<SegmentId, Segment>,
    /// Ranges of segments that are not there, the first and the last of each.
    pub missing: Vec<(SegmentId, SegmentId)>,
    /// The first one that is too short, where nothing was written to it as far as its rest shows.
    pub short: Option<ShortSegment>,
}

/// Looks at all segments; at those that need not be read only whether they are whole and ours. From a
/// checkpoint's start on none may be missing.
pub(crate) fn list_segments(
    storage: &dyn Storage,
    journal_id: &JournalId,
    options: &JournalOptions,
    baseline: &Baseline,
    names: &[String],
) -> Result<Segments, OpenError> {
    let first = baseline.start.segment;
    let (mut earlier, mut segments, mut missing) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut short: Option<ShortSegment> = None;
    let mut due = JournalStart::FRONT.segment;
    for id in names.iter().filter_map(|name| parse_file_name(name)) {
        if id < due || id.0 == u64::MAX {
            return Err(OpenError::Missing { file: file_name(due).to_string() });
        }
        if id > due {
            if baseline.has_checkpoint() && id > first {
                return Err(OpenError::StartGone { file: file_name(due.max(first)).to_string() });
            }
            missing.push((due, id.prev()));
        }
        due = id.next();
        if id < first {
            earlier.insert(id, look_at_earlier(storage, journal_id, options, id)?);
            continue;
        }
        match (look_at(storage, journal_id, options, id), short.take()) {
            (Ok(segment), None) => {
                segments.insert(id, segment);
            }
            (Ok(segment), Some(before)) => short = Some(before.before(segment.is_used())?),
            (Err(error @ OpenError::Length { found, .. }), before) => {
                let this = ShortSegment::judge(storage, id, found, error)?;
                short = Some(before.unwrap_or(this));
            }
            (Err(error), _) => return Err(error),
        }
    }
    match (segments.is_empty(), short) {
        (true, Some(short)) => Err(short.refuse()),
        (true, None) => Err(OpenError::Missing { file: file_name(first).to_string() }),
        (false, short) => Ok(Segments { earlier, segments, missing, short }),
    }
}

/// A segment that is not read: its length and its owner, by its file of places, by its header or by
/// that of its first batch. Where none verifies, there is nothing to hold its length against.
fn look_at_earlier(
    storage: &dyn Storage,
    journal_id: &JournalId,
    options: &JournalOptions,
    id: SegmentId,
) -> Result<EarlierSegment, OpenError> {
    let name = file_name(id);
    let found = storage.len(&name).map_err(|source| OpenError::unopenable(&name, source))?;
    let length = |expected| OpenError::Length { file: name.to_string(), found, expected };
    if found < layout::segment_bytes_for(0, BLOCK, 1) || found % BLOCK != 0 {
        return Err(length(options.segment_bytes));
    }
    let places = Places::open(storage, journal_id, id)?.ok();
    if let Some(places) = places.filter(|places| places.segment_bytes == found) {
        return Ok(EarlierSegment { bytes: found, places: Some(Arc::new(places)) });
    }
    let mut block = [0; BLOCK_BYTES];
    let read = read_some(storage, &name, 0, &mut block)?;
    let header = match read {
        Ok(()) => layout::read_header(&block, journal_id, id)?,
        Err(_) => SegmentHeader::Damaged,
    };
    let stated = match header {
        SegmentHeader::Intact(expected) => Some(expected),
        SegmentHeader::Damaged | SegmentHeader::Newer(_) => {
            let mut reader = SegmentReader::new(storage, id, found);
            batch_scan::stated_bytes(&mut reader, journal_id)?
        }
    };
    match stated {
        Some(expected) if expected != found => Err(length(expected)),
        Some(_) | None => Ok(EarlierSegment { bytes: found, places: None }),
    }
}

fn look_at(
    storage: &dyn Storage,
    journal_id: &JournalId,
    options: &JournalOptions,
    id: SegmentId,
) -> Result<Segment, OpenError> {
    let name = file_name(id);
    let file = || name.to_string();
    let bytes = storage.len(&name).map_err(|source| OpenError::unopenable(&name, source))?;
    let length = |expected| OpenError::Length { file: file(), found: bytes, expected };
    if bytes < layout::segment_bytes_for(0, BLOCK, 1) || bytes % BLOCK != 0 {
        return Err(length(options.segment_bytes));
    }
    let mut reader = SegmentReader::new(storage, id, bytes);
    let header = layout::read_header(reader.read(0, BLOCK as usize)?, journal_id, id)?;
    if let SegmentHeader::Intact(expected) = header
        && expected != bytes
    {
        return Err(length(expected));
    }
    if let Some(expected) = batch_scan::stated_bytes(&mut reader, journal_id)?
        && expected != bytes
    {
        // The header may be gone; the first batch names the length as well.
        return Err(length(expected));
    }
    let (any, dirty) = batch_scan::peek(&mut reader, journal_id)?;
    match (&header, &any) {
        // Every batch is of the version known here, so only the header's version field rotted.
        (SegmentHeader::Newer(found), None) if dirty => {
            return Err(layout::future_version(id, *found));
        }
        (SegmentHeader::Newer(_) | SegmentHeader::Damaged | SegmentHeader::Intact(_), _) => {}
    }
    Ok(Segment { id, bytes, header, any, dirty })
}
