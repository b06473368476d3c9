//! Holding the files of places against the segments that they are about.

use crate::journal::format::item::JournalId;
use crate::journal::recover::recovered::{Finding, FindingKind};
use crate::journal::segment::index::SlotIndex;
use crate::journal::segment::indexed_record::Location;
use crate::journal::segment::places::{PlaceRow, Places, PlacesFault, parse_places_name};
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{SegmentId, Slot};
use std::collections::BTreeMap;

/// What is wrong with the files of places, seen from a journal that was read as a whole. All of it is
/// made good from the segments: nothing is missing.
///
/// # Errors
/// When the directory cannot be listed, or the system is short of something.
pub(crate) fn check_places(
    storage: &dyn Storage,
    journal_id: &JournalId,
    index: &SlotIndex,
) -> Result<Vec<Finding>, StorageError> {
    let names = storage.list().map_err(StorageError::at(StorageOp::List, ".", 0))?;
    let mut findings = Vec::new();
    for (name, segment) in names.iter().filter_map(|name| Some((name, parse_places_name(name)?))) {
        let text = match rows(storage, journal_id, segment)? {
            Err(PlacesFault) => "a part of it does not verify; it is made anew from its segment",
            Ok(rows) if !agrees(&rows, segment, index) => {
                "it is not about the records of its segment; it serves no read"
            }
            Ok(_) => continue,
        };
        findings.push(Finding {
            file: name.clone(),
            offset: 0,
            kind: FindingKind::OneCopy,
            lsns: None,
            slot: None,
            text: text.to_string(),
        });
    }
    Ok(findings)
}

/// All rows of a file.
fn rows(
    storage: &dyn Storage,
    journal_id: &JournalId,
    segment: SegmentId,
) -> Result<Result<Vec<PlaceRow>, PlacesFault>, StorageError> {
    let places = match Places::open(storage, journal_id, segment)? {
        Ok(places) => places,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut rows = Vec::new();
    for nth in 0..places.blocks() {
        match places.block(storage, nth)? {
            Ok(block) => rows.extend(block),
            Err(fault) => return Ok(Err(fault)),
        }
    }
    Ok(Ok(rows))
}

/// Each record that the segment has stands in the file, where it says. A row of a record that is
/// lost since is no fault.
fn agrees(rows: &[PlaceRow], segment: SegmentId, index: &SlotIndex) -> bool {
    let rows: BTreeMap<(Slot, u64), Location> = rows
        .iter()
        .map(|row| ((row.record.slot, row.record.location.offset), row.record.location))
        .collect();
    let records = index.segments.get(&segment);
    records
        .into_iter()
        .flat_map(|index| index.records(segment))
        .all(|record| rows.get(&(record.slot, record.location.offset)) == Some(&record.location))
}
