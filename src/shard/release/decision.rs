//! Which segments may go (C26), and why the oldest one stays. Pure: it is asked with all that it goes by.

use crate::checkpoint::Kept;
use crate::journal::FullSegment;
use crate::shard::keeping::Stays;
use crate::shard::spans::{Liveness, Spans};
use crate::types::{SegmentId, Slot};

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
                decision.stays = stays;
            }
            match stays {
                Stays::Live => {
                    let missing = || self.spans.missing(segment.slots?);
                    decision.missing = decision.missing.or_else(missing);
                }
                Stays::Goes => may_go.push((segment.segment, segment.bytes)),
                Stays::Later => decision.wants_cut = true,
                Stays::Read | Stays::Unconfirmed | Stays::CatchUp | Stays::Doubt => {}
            }
            decision.dead_bytes += if stays == Stays::Live { 0 } else { segment.bytes };
            decision.kept_slots.extend(segment.slots);
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
        let dead_since = match segment.slots.map(|slots| self.spans.liveness(slots)) {
            Some(Liveness::Live) => return Stays::Live,
            Some(Liveness::DeadSince(slot)) => slot,
            None => Slot(0),
        };
        let highest = segment.slots.map_or(Slot(0), |(_, highest)| highest);
        // What is found in the state of the older checkpoint is found by a start from either one.
        let [older, _] = self.kept else { return Stays::Later };
        let before = segment.segment < older.journal.segment && highest <= older.slot;
        if !before || dead_since > older.slot {
            return Stays::Later;
        }
        if !self.is_confirmed {
            return Stays::Unconfirmed;
        }
        Stays::Goes
    }
}
