//! A read of entries under way, and what it needs before it can go on.

use super::core::Core;
use super::events::RequestId;
use super::held::ReadProof;
use crate::limits::{COLD_ENTRY_BYTES, READ_BYTES_MAX, SMALL_READ_BYTES};
use crate::machine::ReadCursor;
use crate::types::{ConnId, Extent, Index, Tick};
use std::collections::VecDeque;

/// So many extents are looked at to say how large an answer can be at most.
const LOOK_EXTENTS_MAX: usize = 64;

/// A read of entries under way.
#[derive(Debug)]
pub struct ReadTask {
    /// The request.
    pub asked: RequestId,
    /// Which entries it has and wants.
    pub reading: ReadCursor,
    /// The proof that its answer needs.
    pub proof: Option<ReadProof>,
    /// It waits for entries no longer than until then.
    pub deadline: Tick,
    /// Where its next entries lie, as far as that was looked up on disk.
    pub extents: VecDeque<Extent>,
    /// Memory that its first entry takes, where that was found to be more than usual.
    pub room: usize,
    /// It waits for memory no longer than until then, once it has begun to wait.
    pub waits_until: Option<Tick>,
}

/// What a read needs before it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Memory, at most.
    pub bytes: usize,
    /// Its first entry is on disk.
    pub cold: bool,
}

/// Where an entry lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPlace {
    /// In this extent.
    Here(Extent),
    /// The runs of the index say it.
    OnDisk,
    /// There is no such entry, or no longer.
    Nowhere,
}

impl ReadTask {
    /// Where its next entry lies.
    pub(super) fn place(&mut self, core: &Core, want: Index) -> EntryPlace {
        while self.extents.front().is_some_and(|extent| extent.end() <= want) {
            self.extents.pop_front();
        }
        let log = self.reading.log();
        let known = self.extents.front().filter(|extent| extent.first <= want);
        if let Some(extent) = known.or_else(|| core.index.extent_at(log, want)) {
            return EntryPlace::Here(*extent);
        }
        let logs = core.machine.logs();
        let exists = logs.first_index(log).is_some_and(|first| first <= want)
            && logs.next_index(log).is_some_and(|next| want < next);
        if exists { EntryPlace::OnDisk } else { EntryPlace::Nowhere }
    }

    /// The extents that are known from this index on, without a gap.
    pub(super) fn known_extents<'a>(
        &'a self,
        core: &'a Core,
        from: Index,
    ) -> impl Iterator<Item = &'a Extent> {
        let looked_up = self.extents.iter().filter(move |extent| extent.end() > from);
        let behind = self.extents.back().map_or(from, |last| last.end().max(from));
        let mut expected = from;
        looked_up.chain(core.index.extents(self.reading.log(), behind)).take_while(move |extent| {
            let follows = extent.first <= expected;
            expected = extent.end();
            follows
        })
    }

    /// Whose it is.
    pub(super) fn conn(&self) -> ConnId {
        self.asked.conn
    }

    /// Nothing was found for it so far.
    pub(super) fn is_empty(&self) -> bool {
        self.reading.next() == self.reading.from()
    }

    /// The answer is computed anew, so it is proven anew.
    pub(super) fn prove_anew(&mut self, core: &Core) {
        if let Some(proof) = &mut self.proof {
            proof.stamp = core.replica.read_stamp();
        }
    }

    /// Memory for the entries that it reads from the disk, at most.
    pub(super) fn room(&self) -> usize {
        let reading = &self.reading;
        let entries = (reading.entries_left() as usize).saturating_mul(COLD_ENTRY_BYTES);
        // One entry is read whatever its size; how large it is shows when it is found.
        reading.bytes_max().clamp(COLD_ENTRY_BYTES, READ_BYTES_MAX).min(entries).max(self.room)
    }

    /// What it needs, at most: memory for what it may answer.
    pub(super) fn need(&self, core: &Core) -> Need {
        let reading = &self.reading;
        let mut bytes = 0;
        let end = reading.next().plus(u64::from(reading.entries_left()));
        let extents = self.known_extents(core, reading.next());
        for (nth, extent) in extents.take(LOOK_EXTENTS_MAX + 1).enumerate() {
            if extent.first >= end || (nth > 0 && bytes >= reading.bytes_left()) {
                break;
            }
            if nth == LOOK_EXTENTS_MAX {
                bytes = bytes.max(reading.bytes_left());
                break;
            }
            // What is in memory is an answer, and nothing is read for more.
            let Some((_, value)) = core.cache.get(extent.slot) else { break };
            bytes += value.len();
        }
        let cold = bytes == 0;
        Need { bytes: if cold { self.room() } else { bytes }, cold }
    }
}

impl Need {
    /// Small reads are not held up by large ones.
    pub(super) fn is_small(self) -> bool {
        self.bytes <= SMALL_READ_BYTES
    }

    /// There is memory for it, and the journal takes one more read where it needs that, and knows where
    /// all slots lie.
    pub(super) fn fits(self, core: &Core) -> bool {
        let disk = || core.journal_reads.has_free() && !core.journal.is_placing();
        core.budget.fits(self.bytes) && (!self.cold || disk())
    }

    /// It fits, and this turn has time for it; `first` always has.
    pub(super) fn may_begin(self, core: &Core, first: bool) -> bool {
        self.fits(core) && (self.cold || first || !core.budget.is_spent())
    }
}
