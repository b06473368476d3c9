//! A shard's directory: creating it, and taking stock of it before anything is believed.

use crate::journal::format::identity::Identity;
use crate::journal::format::item::JournalId;
use crate::journal::format::layout::{
    self, BLOCK, SegmentHeader, UNFINISHED, file_name, header_block, parse_file_name,
};
use crate::journal::format::open_error::OpenError;
use crate::journal::recover::short_segment::ShortSegment;
use crate::journal::segment::batch_scan::{self, FoundBatch};
use crate::journal::segment::manifest::Manifest;
use crate::journal::segment::reader::SegmentReader;
use crate::journal::write::execute::{run_prepare, run_steps};
use crate::journal::write::hard_state;
use crate::journal::write::jobs::PrepareJob;
use crate::journal::write::journal::JournalOptions;
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{HardState, SegmentId, ShardId};
use std::collections::BTreeMap;
use std::io;

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
    format_from(storage, identity, shard, options, &Manifest::UNTRIMMED)
}

/// Creates a journal that begins where the manifest says.
pub(crate) fn format_from(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    options: &JournalOptions,
    manifest: &Manifest,
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
    let segment = manifest.first_segment;
    let bytes = layout::segment_bytes_for(options.segment_bytes, BLOCK, 1);
    let header = header_block(&journal_id, segment, bytes);
    let min_free_bytes = options.min_free_bytes;
    // Its last step makes both names durable.
    let done = run_prepare(storage, &PrepareJob { segment, bytes, min_free_bytes, header })?;
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
    let is_ours = |name: &str| name == hard_state::FILE || parse_file_name(name).is_some();
    if !names.iter().any(|name| is_ours(name)) {
        return Err(OpenError::NotFormatted);
    }
    for name in &names {
        if name.strip_suffix(UNFINISHED).and_then(parse_file_name).is_some() {
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

/// Looks at the segments from the manifest's first one on. Files before it are what a trim that was
/// interrupted left behind, and hold nothing.
pub(crate) fn list_segments(
    storage: &dyn Storage,
    journal_id: &JournalId,
    options: &JournalOptions,
    manifest: &Manifest,
    names: &[String],
) -> Result<(BTreeMap<SegmentId, Segment>, Option<ShortSegment>), OpenError> {
    let mut segments = BTreeMap::new();
    let mut short: Option<ShortSegment> = None;
    let ids = names.iter().filter_map(|name| parse_file_name(name));
    let kept = ids.filter(|id| *id >= manifest.first_segment);
    for (id, due) in kept.zip(manifest.segments()) {
        if id != due {
            return Err(OpenError::Missing { file: file_name(due).to_string() });
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
        (true, None) => {
            Err(OpenError::Missing { file: file_name(manifest.first_segment).to_string() })
        }
        (false, short) => Ok((segments, short)),
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
