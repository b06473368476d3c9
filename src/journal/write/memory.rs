//! What a journal keeps in memory.

use crate::journal::segment::facts::SegmentFacts;
use crate::journal::segment::index::SegmentIndex;
use crate::journal::write::journal::Journal;
use crate::limits::PLACE_MEMORY_BYTES;
use crate::types::SegmentId;

impl Journal {
    /// Bytes of memory that the places of values take, with the fences of those on disk; and those of records
    /// that wait for their batch, with the facts of segments.
    #[must_use]
    pub fn memory_bytes(&self) -> (usize, usize) {
        let files = self.index.spilled.files().values().flatten();
        let fences: usize = files.map(|places| places.memory_bytes()).sum();
        let segments = self.index.segments.len() * size_of::<(SegmentId, SegmentIndex)>();
        let places = self.places_in_memory() * PLACE_MEMORY_BYTES + segments + fences;
        let facts = self.facts.all().count() * size_of::<(SegmentId, SegmentFacts)>();
        (places, self.pending_bytes() + facts)
    }
}
