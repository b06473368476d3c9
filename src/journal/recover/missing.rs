//! Segments that are not there: released, as the journal or the checkpoint says, or lost (R08, C26).

use crate::journal::format::layout::{file_name, parse_file_name};
use crate::journal::format::open_error::OpenError;
use crate::journal::recover::replay::Replay;
use crate::journal::segment::places::parse_places_name;
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{Released, ReleasedRange, SegmentId, Slot};
use std::sync::Arc;

/// Ranges of segments, the first and the last of each.
type Ranges = [(SegmentId, SegmentId)];

fn count(ranges: &Ranges) -> u64 {
    ranges.iter().map(|(first, last)| last.0 - first.0 + 1).sum()
}

/// Holds the segments that are missing against what the records say, all of which were read, and the
/// checkpoint. What was released is known to the index from then on.
///
/// # Errors
/// A segment is missing that neither names.
pub(crate) fn settle(replay: &mut Replay, missing: &Ranges) -> Result<(), OpenError> {
    let mut released = std::mem::take(&mut replay.released);
    if let Some(rotten) = replay.rotten_release {
        released.highest_slot = released.highest_slot.max(rotten.highest_slot);
        // Nothing but what it names may be missing; what it names and is there can stay.
        let last = missing.last().map_or(SegmentId(0), |(_, last)| *last);
        if count(missing) <= rotten.segments && last <= rotten.last {
            let is_named = |first: &SegmentId, last: &SegmentId| {
                released.range_of(*first).is_some_and(|range| *last <= range.last)
            };
            let unnamed: Vec<_> =
                missing.iter().filter(|(first, last)| !is_named(first, last)).collect();
            for (first, last) in unnamed {
                let slots = (Slot(1), rotten.upto);
                released.add(ReleasedRange { first: *first, last: *last, slots });
            }
        }
    }
    for (first, last) in missing {
        let named = released.range_of(*first).map_or(first.prev(), |range| range.last);
        if named < *last {
            return Err(OpenError::Missing { file: file_name(named.next()).to_string() });
        }
    }
    let baseline = replay.index.baseline;
    if baseline.has_checkpoint() {
        // What this start needs stays, though a later checkpoint would do without.
        released.keep_before(baseline.start.segment, baseline.slot);
    } else {
        // All that is there is read, and stays.
        released = only(&released, missing);
        bound_losses(replay, &released);
    }
    Arc::make_mut(&mut replay.index.spilled).released = Arc::new(released);
    Ok(())
}

/// The part of it that is missing.
fn only(released: &Released, missing: &Ranges) -> Released {
    let mut gone = Released { ranges: Vec::new(), highest_slot: released.highest_slot };
    for (first, last) in missing {
        let slots = released.range_of(*first).map_or((Slot(1), Slot(0)), |range| range.slots);
        gone.add(ReleasedRange { first: *first, last: *last, slots });
    }
    gone
}

/// Behind segments that are gone a loss is bounded from the highest slot of any record before (C4, C5).
fn bound_losses(replay: &mut Replay, gone: &Released) {
    if !gone.ranges.is_empty() {
        replay.lost.iter_mut().for_each(|lost| lost.upto = lost.upto.max(gone.highest_slot));
    }
}

/// Why a start is refused that has no checkpoint: records are missing.
pub(crate) fn refuse(replay: &Replay, missing: &Ranges) -> OpenError {
    let upto = replay.index.spilled.released.upto();
    OpenError::NoCheckpoint { segments: count(missing), upto }
}

/// Removes files of released segments that a crash has left, and files of places that are about no
/// segment. Returns the segments that went.
pub(crate) fn remove_left_over(
    storage: &dyn Storage,
    names: &[String],
    released: &Released,
) -> Result<Vec<SegmentId>, StorageError> {
    let segments: Vec<SegmentId> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    let is_about_none = |id: SegmentId| segments.binary_search(&id).is_err();
    let mut removed = false;
    for name in names {
        let gone = parse_file_name(name).is_some_and(|id| released.contains(id));
        let places = parse_places_name(name);
        if gone || places.is_some_and(|id| released.contains(id) || is_about_none(id)) {
            storage.remove(name).map_err(StorageError::at(StorageOp::Remove, name, 0))?;
            removed = true;
        }
    }
    if removed {
        storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))?;
    }
    Ok(segments.into_iter().filter(|id| released.contains(*id)).collect())
}
