//! Segments that nothing needs any more go: a record names them, and once that is durable, their files
//! are removed (C26).

use crate::journal::format::layout::parse_file_name;
use crate::journal::segment::start::JournalStart;
use crate::journal::write::journal::Journal;
use crate::journal::write::read_plan::{ReadDamage, ReadResult};
use crate::journal::write::removal::{Releasing, RemoveDone, RemoveJob};
use crate::limits::RELEASED_RANGES_MAX;
use crate::types::{Lsn, Released, ReleasedRange, SegmentId, Slot, SlotRanges};
use std::sync::Arc;

/// A full segment whose places are on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullSegment {
    /// Its number.
    pub segment: SegmentId,
    /// Bytes of its file.
    pub bytes: u64,
    /// Every value in it is of one of these slots.
    pub slots: SlotRanges,
}

impl Journal {
    /// The full segments before this start that can be released, the oldest first: their places are on
    /// disk, and no record names them as released. One in which records are lost only where none before
    /// it is left: what is lost may hide what stands there.
    pub fn releasable(&self, start: &JournalStart) -> impl Iterator<Item = FullSegment> + '_ {
        let spilled = &self.index.spilled;
        let named = self.last_released();
        let left = spilled.files().iter().filter(|(id, _)| !named.contains(**id));
        let oldest = left.clone().next().map(|(id, _)| *id);
        let first = start.segment;
        left.take_while(move |(id, _)| **id < first).filter_map(move |(id, places)| {
            let places = places.as_ref()?;
            let hides = spilled.losses.contains_key(id) && oldest != Some(*id);
            (!hides).then_some(FullSegment {
                segment: *id,
                bytes: places.segment_bytes,
                slots: places.slots().clone(),
            })
        })
    }

    /// The record by which these segments go as well; it names all that went before. Left out are those
    /// that are not [`releasable`](Journal::releasable), and those that would make it too long. When it
    /// was pushed and is durable, their files are removed.
    #[must_use]
    pub fn release(&self, segments: &[SegmentId]) -> Released {
        let mut released = Released::clone(self.last_released());
        for id in segments {
            let spilled = &self.index.spilled;
            let Some(Some(places)) = spilled.files().get(id) else { continue };
            let first = || spilled.files().keys().find(|other| !released.contains(**other));
            if spilled.losses.contains_key(id) && first() != Some(id) {
                continue;
            }
            let slots = places.slots().ends().unwrap_or((Slot(1), Slot(0)));
            let touches = released.contains(id.prev()) || released.contains(id.next());
            if touches || released.ranges.len() < RELEASED_RANGES_MAX {
                released.add(ReleasedRange { first: *id, last: *id, slots });
            }
        }
        released.highest_slot = released.highest_slot.max(self.facts.highest());
        released
    }

    /// What the last record says, be it durable or not: what is to be written again when
    /// [`facts_to_repeat`](Journal::facts_to_repeat) asks for it.
    #[must_use]
    pub fn last_released(&self) -> &Arc<Released> {
        let recorded = self.releasing.recorded.as_ref().map(|(_, released)| released);
        recorded.unwrap_or(&self.index.spilled.released)
    }

    /// What is gone, as a durable record or a checkpoint says: what the next checkpoint names.
    #[must_use]
    pub fn released(&self) -> &Released {
        &self.index.spilled.released
    }

    /// Segments are gone, and no record that names them is on its way to the disk.
    pub(in crate::journal) fn names_gone_unrecorded(&self) -> bool {
        self.releasing.recorded.is_none() && !self.released().ranges.is_empty()
    }

    /// Values up to this slot may be gone, as a durable record says.
    #[must_use]
    pub fn released_upto(&self) -> Slot {
        self.index.spilled.released.upto()
    }

    /// How many segments are gone, as a durable record says.
    #[must_use]
    pub fn released_segments(&self) -> u64 {
        self.index.spilled.released.segments()
    }

    /// A record of what was released is not durable yet, or files are still to be removed.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        let Releasing { recorded, due, under_way } = &self.releasing;
        recorded.is_some() || !due.is_empty() || !under_way.is_empty()
    }

    /// A record that names released segments is pushed.
    pub(in crate::journal) fn record_released(&mut self, lsn: Lsn, released: &Arc<Released>) {
        self.releasing.recorded = Some((lsn, Arc::clone(released)));
    }

    /// Records are durable: what one of them names is gone.
    pub(in crate::journal) fn forget_released(&mut self) {
        let durable = self.durable;
        let recorded = self.releasing.recorded.take_if(|(lsn, _)| *lsn <= durable);
        let Some((_, released)) = recorded else { return };
        let spilled = Arc::make_mut(&mut self.index.spilled);
        let gone = spilled.files().iter().filter(|(id, _)| released.contains(**id));
        let gone = gone.filter_map(|(id, places)| Some((*id, places.as_ref()?.segment_bytes)));
        let gone: Vec<(SegmentId, u64)> = gone.collect();
        for (id, _) in &gone {
            spilled.forget(*id);
            self.facts.forget(*id);
        }
        spilled.released = released;
        self.releasing.due.extend(gone);
    }

    pub(in crate::journal) fn next_removal(&mut self) -> Option<RemoveJob> {
        let Releasing { due, under_way, .. } = &mut self.releasing;
        let busy = due.iter().any(|(id, _)| self.spilling.under_way == Some(*id));
        if due.is_empty() || !under_way.is_empty() || busy {
            return None;
        }
        *under_way = std::mem::take(due);
        Some(RemoveJob { segments: under_way.iter().map(|(id, _)| *id).collect() })
    }

    pub(in crate::journal) fn removal_done(&mut self, done: &RemoveDone) {
        let removed = std::mem::take(&mut self.releasing.under_way);
        let same = removed.iter().map(|(id, _)| id).eq(&done.segments);
        assert!(same, "{:?} are removed, under way were {removed:?}", done.segments);
        let bytes: u64 = removed.iter().map(|(_, bytes)| bytes).sum();
        self.files = (self.files.0 - removed.len() as u64, self.files.1 - bytes);
        // There may be space now.
        self.prepare_blocked = false;
    }

    /// What a read found wrong with a file that went meanwhile is no damage.
    #[must_use]
    pub fn is_excused(&self, why: &ReadDamage) -> bool {
        let file = why.file().and_then(parse_file_name);
        file.is_some_and(|segment| self.index.spilled.released.contains(segment))
    }

    pub(in crate::journal) fn excuse_released(&self, values: &mut [(Slot, ReadResult)]) {
        for (slot, result) in values {
            if let Err(why) = result
                && self.is_excused(why)
            {
                *why = ReadDamage::Released { slot: *slot };
            }
        }
    }
}
