//! Which segments may go (C26), and why the oldest one stays. Pure: it is asked with all that it goes by.

use crate::checkpoint::Kept;
use crate::journal::FullSegment;
use crate::shard::keeping::Stays;
use crate::shard::spans::{Liveness, Spans};
use crate::types::{SegmentId, Slot};
use std::collections::BTreeMap;

/// What a decision goes by, beside the segments.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The checkpoints that count, the oldest first.
    pub kept: &'a [Kept],
    /// Which entries are live.
    pub spans: &'a Spans,
    /// Another voter has confirmed the older one.
    pub is_confirmed: bool,
    /// So many bytes of what could go stay for members that were away.
    pub catchup_bytes: u64,
    /// Segments of which every live value has a durable copy elsewhere; what has none was dead in the state
    /// after this slot (C30).
    pub emptied: &'a BTreeMap<SegmentId, Slot>,
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The segments that go, in rising order.
    pub goes: Vec<SegmentId>,
    /// Why the oldest full segment stays.
    pub stays: Stays,
    /// Bytes of the segments without a live entry that are still there.
    pub dead_bytes: u64,
    /// Segments that stay only for their live entries, and their bytes. Their slots are at or below the older
    /// checkpoint's, and no start from it reads them.
    pub pinned: Vec<(SegmentId, u64)>,
    /// Bytes of these together.
    pub pinned_bytes: u64,
    /// Bytes of others that live entries keep, and how many those are.
    pub waiting: (u64, usize),
    /// The oldest full segment.
    pub oldest: Option<SegmentId>,
    /// Some of these could go if there were a newer checkpoint.
    pub wants_cut: bool,
    /// Slots of segments that may hold live entries, or that cannot go yet.
    pub kept_slots: Vec<(Slot, Slot)>,
    /// The span that is missing of the oldest segment for which one is: above the first slot, up to the
    /// second one.
    pub missing: Option<(Slot, Slot)>,
}

impl Basis<'_> {
    /// Decides about these segments, which are those before the journal's start of the newest checkpoint.
    pub fn decide(&self, segments: impl Iterator<Item = FullSegment>) -> Decision {
        let mut decision = Decision::default();
        let (mut may_go, mut first) = (Vec::new(), None);
        for segment in segments {
            let stays = self.judge(&segment);
            let oldest = *first.get_or_insert((segment.segment, stays));
            if oldest.0 == segment.segment {
                (decision.stays, decision.oldest) = (stays, Some(segment.segment));
            }
            match stays {
                Stays::Live => {
                    let mut ranges = segment.slots.as_slice().iter();
                    let missing = || ranges.find_map(|slots| self.spans.missing(*slots));
                    decision.missing = decision.missing.or_else(missing);
                    let is_behind = self.is_behind(&segment);
                    if !is_behind {
                        decision.waiting.0 += segment.bytes;
                        decision.waiting.1 += 1;
                    } else if self.is_confirmed {
                        decision.pinned.push((segment.segment, segment.bytes));
                        decision.pinned_bytes += segment.bytes;
                    }
                }
                Stays::Goes => may_go.push((segment.segment, segment.bytes)),
                Stays::Later => decision.wants_cut = true,
                Stays::Read
                | Stays::Compacted
                | Stays::Unconfirmed
                | Stays::CatchUp
                | Stays::Doubt => {}
            }
            decision.dead_bytes += if stays == Stays::Live { 0 } else { segment.bytes };
            decision.kept_slots.extend(segment.slots.as_slice());
        }
        // The newest ones stay for members that were away.
        let mut spared = 0;
        while let Some((id, bytes)) = may_go.pop_if(|_| spared < self.catchup_bytes) {
            spared += bytes;
            if first.is_some_and(|(oldest, _)| oldest == id) {
                decision.stays = Stays::CatchUp;
            }
        }
        decision.goes = may_go.into_iter().map(|(id, _)| id).collect();
        decision
    }

    /// Whether a segment can go, and why not.
    fn judge(&self, segment: &FullSegment) -> Stays {
        let Some(dead_since) = self.needless_since(segment) else { return Stays::Live };
        // What is found in the state of the older checkpoint is found by a start from either one.
        if !self.is_behind(segment) || self.kept.first().is_none_or(|older| dead_since > older.slot)
        {
            return Stays::Later;
        }
        if !self.is_confirmed {
            return Stays::Unconfirmed;
        }
        Stays::Goes
    }

    /// No start reads the segment, and its slots are at or below that of the older checkpoint.
    fn is_behind(&self, segment: &FullSegment) -> bool {
        let highest = segment.slots.last().map_or(Slot(0), |(_, highest)| highest);
        match self.kept {
            // A peer that installs may keep one that is older still.
            [older, .., _] => segment.segment < older.journal.segment && highest <= older.slot,
            _ => false,
        }
    }

    /// The slot from whose state on every live entry of the segment has a durable copy elsewhere; nothing where some
    /// may have none.
    fn needless_since(&self, segment: &FullSegment) -> Option<Slot> {
        let mut dead_since = Slot(0);
        for slots in segment.slots.as_slice() {
            match self.spans.liveness(*slots) {
                // The copies are durable: a start reads them, or finds the files of their places.
                Liveness::Live => return self.emptied.get(&segment.segment).copied(),
                Liveness::DeadSince(slot) => dead_since = dead_since.max(slot),
            }
        }
        Some(dead_since)
    }
}
