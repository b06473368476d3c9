//! A read of entries under way, and what it needs before it can go on.

use super::core::Core;
use super::events::RequestId;
use super::held::ReadProof;
use crate::limits::SMALL_READ_BYTES;
use crate::machine::ReadCursor;
use crate::types::{ConnId, Tick};

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

impl ReadTask {
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

    /// What it needs, at most: the bytes of the values that hold what it may answer, and for those
    /// on disk as much again, since they are read before entries are taken out of them.
    pub(super) fn need(&self, core: &Core) -> Need {
        let reading = &self.reading;
        let (mut bytes, mut cold) = (0, false);
        let end = reading.next().plus(u64::from(reading.entries_left()));
        let extents = core.machine.logs().extents(reading.log(), reading.next());
        for (nth, extent) in extents.take(LOOK_EXTENTS_MAX + 1).enumerate() {
            if extent.first >= end || (nth > 0 && bytes >= reading.bytes_left()) {
                break;
            }
            if nth == LOOK_EXTENTS_MAX {
                bytes = bytes.max(reading.bytes_left());
                break;
            }
            let cached = core.cache.get(extent.slot).map(|(_, value)| value.len());
            cold |= nth == 0 && cached.is_none();
            let on_disk = || core.journal.value_bytes_max(extent.slot);
            bytes += cached.unwrap_or_else(on_disk);
        }
        Need { bytes: if cold { 2 * bytes } else { bytes }, cold }
    }
}

impl Need {
    /// Small reads are not held up by large ones.
    pub(super) fn is_small(self) -> bool {
        self.bytes <= SMALL_READ_BYTES
    }

    /// There is memory for it, and the journal takes one more read where it needs that.
    pub(super) fn fits(self, core: &Core) -> bool {
        core.budget.fits(self.bytes) && (!self.cold || core.journal_reads.has_free())
    }

    /// It fits, and this turn has time for it; `first` always has.
    pub(super) fn may_begin(self, core: &Core, first: bool) -> bool {
        self.fits(core) && (self.cold || first || !core.budget.is_spent())
    }
}
