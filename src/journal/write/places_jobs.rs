//! Writing the places of a segment to a file of their own, from memory or from the segment itself.

use crate::journal::format::item::JournalId;
use crate::journal::format::layout::{UNFINISHED, file_name};
use crate::journal::format::open_error::OpenError;
use crate::journal::segment::index::SegmentIndex;
use crate::journal::segment::places::{PlaceRow, Places, PlacesOf, places_name};
use crate::journal::segment::rescan::{Rescanned, rescan};
use crate::limits::{BLOCK_BYTES, PLACES_WRITE_BYTES};
use crate::storage::{Storage, StorageError, StorageOp, complete_file};
use crate::types::{SegmentId, Slot, Trouble};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Writes the places of one segment to a file, synced and then named (C31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacesJob {
    pub(crate) journal_id: JournalId,
    pub(crate) segment: SegmentId,
    pub(crate) min_free_bytes: u64,
    pub(crate) source: PlacesSource,
}

/// Where the places come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlacesSource {
    /// They are in memory.
    Memory(SegmentPlaces),
    /// The segment is read. All its records are of slots up to this one, those that are lost included.
    Segment(Slot),
}

/// The places of a segment in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentPlaces {
    pub index: Arc<SegmentIndex>,
    /// By offset: the checksum of the body of a record whose header is lost.
    pub headless: BTreeMap<u64, u64>,
    pub lost_upto: Slot,
}

/// Outcome of a [`PlacesJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacesDone {
    pub(crate) segment: SegmentId,
    /// What stays in memory of the file; nothing where there was no space for it.
    pub(crate) places: Option<Arc<Places>>,
}

impl SegmentPlaces {
    fn rows(&self, segment: SegmentId) -> impl Iterator<Item = PlaceRow> + '_ {
        self.index.records(segment).map(|record| {
            let headless = self.headless.get(&record.location.offset).copied();
            PlaceRow { record, headless }
        })
    }
}

/// Runs a job. Where there is no space, nothing is written.
pub(crate) fn run_places(
    storage: &dyn Storage,
    job: &PlacesJob,
) -> Result<PlacesDone, StorageError> {
    let segment = job.segment;
    let wal = file_name(segment);
    let segment_bytes = storage.len(&wal).map_err(StorageError::at(StorageOp::Read, &wal, 0))?;
    let found;
    let found = match &job.source {
        PlacesSource::Memory(found) => found,
        PlacesSource::Segment(upto) => {
            let rescanned = rescan(storage, &job.journal_id, segment, segment_bytes);
            let Rescanned { index, headless, lost } = rescanned.map_err(|error| match error {
                OpenError::Storage(error) => error,
                other => StorageError::at(StorageOp::Read, &wal, 0)(io::Error::other(other)),
            })?;
            let lost_upto = if lost { *upto } else { Slot(0) };
            found = SegmentPlaces { index, headless, lost_upto };
            &found
        }
    };
    let of = PlacesOf {
        segment,
        segment_bytes,
        first_lsn: found.index.first_lsn,
        lost_upto: found.lost_upto,
    };
    let (places, front) = Places::lay_out(&job.journal_id, &of, found.rows(segment));
    let free = storage.free_bytes().map_err(StorageError::at(StorageOp::Space, ".", 0))?;
    let bytes = front.len() as u64 + places.blocks() * BLOCK_BYTES as u64;
    if free < bytes.saturating_add(job.min_free_bytes) {
        return Ok(PlacesDone { segment, places: None });
    }
    match write_places(storage, &places, front, &mut found.rows(segment)) {
        Ok(()) => Ok(PlacesDone { segment, places: Some(Arc::new(places)) }),
        Err(error) if Trouble::is_no_space(&error.source) => {
            Ok(PlacesDone { segment, places: None })
        }
        Err(error) => Err(error),
    }
}

/// Writes aside, syncs, and only then gives the file its name, as for a segment (R07).
fn write_places(
    storage: &dyn Storage,
    places: &Places,
    front: Vec<u8>,
    rows: &mut impl Iterator<Item = PlaceRow>,
) -> Result<(), StorageError> {
    let name = places_name(places.segment);
    let aside = format!("{name}{UNFINISHED}");
    match storage.remove(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StorageError::at(StorageOp::Remove, &aside, 0)(error));
        }
        Ok(()) | Err(_) => {}
    }
    storage.create_empty(&aside).map_err(StorageError::at(StorageOp::Create, &aside, 0))?;
    let mut buffer = front;
    for nth in 0..places.blocks() {
        places.encode_block(nth, rows, &mut buffer);
        if buffer.len() >= PLACES_WRITE_BYTES {
            storage.extend(&aside, &buffer).map_err(StorageError::at(
                StorageOp::Write,
                &aside,
                0,
            ))?;
            buffer.clear();
        }
    }
    storage.extend(&aside, &buffer).map_err(StorageError::at(StorageOp::Write, &aside, 0))?;
    complete_file(storage, &aside, &name)
}

/// How far places may leave memory, and what is being done about it.
#[derive(Debug, Default)]
pub(in crate::journal) struct Spilling {
    /// Places of slots up to here may leave memory.
    pub upto: Slot,
    /// There may be a job to hand out.
    pub due: bool,
    /// The segment that a job is under way for.
    pub under_way: Option<SegmentId>,
}
