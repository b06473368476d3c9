//! Places of full segments leave memory for files of their own, and files that do not serve are made
//! anew from their segments. One such job at a time.

use crate::journal::segment::index::SegmentIndex;
use crate::journal::write::journal::Journal;
use crate::journal::write::places_jobs::{PlacesDone, PlacesJob, PlacesSource, SegmentPlaces};
use crate::types::{Lsn, SegmentId, Slot, SlotRanges};
use std::sync::Arc;

impl Journal {
    /// Of these slots only records are believed that are known to hold the chosen value: a peer's checkpoint
    /// stands for them (C29).
    pub fn believe_known_only(&mut self, slots: &SlotRanges) {
        let spilled = Arc::make_mut(&mut self.index.spilled);
        for (first, last) in slots.as_slice() {
            spilled.known_only.add(*first, *last);
        }
    }

    /// The places of full segments leave memory where none of their records, be it lost, is of a slot
    /// above this one: that of a checkpoint that is durable. The jobs come from
    /// [`next_job`](Journal::next_job).
    pub fn spill_upto(&mut self, slot: Slot) {
        self.spilling.upto = self.spilling.upto.max(slot);
        self.spilling.due = true;
    }

    /// Lets what could not be made for want of space be tried again; the caller drives the back-off.
    pub fn retry_places(&mut self) {
        self.spilling.due = true;
    }

    /// Places of full segments are leaving memory, or files of places are being made anew.
    #[must_use]
    pub fn is_spilling(&self) -> bool {
        self.spilling.due || self.spilling.under_way.is_some()
    }

    /// Records whose places are in memory.
    #[must_use]
    pub fn places_in_memory(&self) -> usize {
        self.index.segments.values().map(|index| index.len()).sum()
    }

    pub(in crate::journal) fn next_places(&mut self) -> Option<PlacesJob> {
        if !self.spilling.due || self.spilling.under_way.is_some() {
            return None;
        }
        let unplaced = self.index.spilled.unplaced();
        let rebuilt =
            unplaced.map(|segment| (segment, PlacesSource::Segment(self.index.spilled.upto)));
        let next = rebuilt.or_else(|| self.next_spill());
        let Some((segment, source)) = next else {
            self.spilling.due = false;
            return None;
        };
        self.spilling.under_way = Some(segment);
        let (journal_id, min_free_bytes) = (self.journal_id, self.options.min_free_bytes);
        Some(PlacesJob { journal_id, segment, min_free_bytes, source })
    }

    /// The first segment whose places can leave memory: something durable lies behind it, so that
    /// nothing is added to it any more.
    fn next_spill(&mut self) -> Option<(SegmentId, PlacesSource)> {
        let last = self.facts.last_segment()?;
        let files = &self.index.spilled.files();
        let mut full = self.facts.all().filter(|(id, _)| *id < last && !files.contains_key(id));
        let (segment, facts) = full.find(|(_, facts)| facts.reach() <= self.spilling.upto)?;
        let facts = *facts;
        // Of what no watermark covers, a loss behind may hide another value.
        self.index.mark_known_in(segment);
        let index = self.index.segments.get(&segment).map_or_else(
            || Arc::new(SegmentIndex::new(facts.first_lsn.unwrap_or(Lsn(0)))),
            Arc::clone,
        );
        let headless = self.index.headless.iter().filter(|((id, _), _)| *id == segment);
        let headless = headless.map(|((_, offset), checksum)| (*offset, *checksum)).collect();
        let places = SegmentPlaces { index, headless, lost_upto: facts.lost_upto };
        Some((segment, PlacesSource::Memory(places)))
    }

    pub(in crate::journal) fn places_done(&mut self, done: PlacesDone) {
        let PlacesDone { segment, places } = done;
        let asked = self.spilling.under_way.take();
        assert!(asked == Some(segment), "places of segment {segment} are done, not of {asked:?}");
        if !self.index.spilled.files().contains_key(&segment)
            && self.last_released().contains(segment)
        {
            return; // It was released meanwhile; the removal waits for this.
        }
        let Some(places) = places else {
            // Tried again with the next checkpoint, or when the caller says so.
            self.spilling.due = false;
            return;
        };
        let spilled = Arc::make_mut(&mut self.index.spilled);
        spilled.upto = spilled.upto.max(self.spilling.upto);
        spilled.set(segment, Some(places));
        self.index.segments.remove(&segment);
        self.index.headless.retain(|(id, _), _| *id != segment);
    }

    /// Files of places that a read found not to serve are made anew, but for those that go.
    pub fn places_failed(&mut self, segments: &[SegmentId]) {
        let goes = |id: &&SegmentId| self.last_released().contains(**id);
        let stays: Vec<SegmentId> = segments.iter().filter(|id| !goes(id)).copied().collect();
        for segment in &stays {
            Arc::make_mut(&mut self.index.spilled).set(*segment, None);
            self.spilling.due = true;
        }
    }
}
