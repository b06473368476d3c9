//! Which segment is looked at next, and when none is. Pure: it is asked with all that it goes by.

use crate::limits::{COMPACTION_REST_SHORT_US, COMPACTION_REST_US};
use crate::types::{SegmentId, Tick};

/// What there is to gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prospect {
    /// Bytes of the segments that stay only because entries in them are live.
    pub pinned_bytes: u64,
    /// How many those are.
    pub pinned: usize,
    /// Payload bytes of all live entries, wherever they are.
    pub live_bytes: u64,
    /// Bytes of segments without live entries that are still there.
    pub dead_bytes: u64,
    /// So many of these stay for members that were away.
    pub catchup_bytes: u64,
    /// The disk is short of space.
    pub is_short: bool,
    /// Of values what is live is copied alone; else they are copied as a whole.
    pub allows_remnants: bool,
}

impl Prospect {
    /// What of the segments may be garbage, at most.
    fn garbage_bytes(&self) -> u64 {
        self.pinned_bytes.saturating_sub(self.live_bytes)
    }

    /// More than half may be garbage, and the disk would have it back; where the disk is short, a tenth is
    /// enough.
    pub(super) fn is_worth_it(&self) -> bool {
        let garbage = self.garbage_bytes();
        let would_go = garbage.saturating_add(self.dead_bytes) > self.catchup_bytes;
        let is_much = garbage > self.live_bytes && would_go;
        let is_enough = self.is_short && garbage > self.pinned_bytes / 10;
        self.pinned > 1 && (is_much || is_enough)
    }
}

/// Goes through the segments from the oldest to the newest, and rests then.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// The last segment that was looked at in this round.
    looked_at: SegmentId,
    /// The next round begins at that time …
    rest_until: Tick,
    /// … or when there is more garbage than this …
    garbage_enough: u64,
    /// … or when remnants may be written, unless they were in the round before.
    had_remnants: bool,
}

impl Rounds {
    /// The next segment to look at, of those that live entries keep, by rising number; and its bytes.
    pub(super) fn next(
        &mut self,
        now: Tick,
        prospect: &Prospect,
        pinned: &[(SegmentId, u64)],
    ) -> Option<(SegmentId, u64)> {
        if !prospect.is_worth_it() || self.rests(now, prospect) {
            return None;
        }
        let next = pinned.get(pinned.partition_point(|(id, _)| *id <= self.looked_at));
        match next {
            Some((id, _)) => self.looked_at = *id,
            None => self.end(now, prospect),
        }
        next.copied()
    }

    /// Nothing could be said of this segment: it is looked at once more.
    pub(super) fn look_again(&mut self, segment: SegmentId) {
        self.looked_at = segment.prev();
    }

    fn rests(&self, now: Tick, prospect: &Prospect) -> bool {
        let takes_less = prospect.allows_remnants && !self.had_remnants;
        now < self.rest_until && prospect.garbage_bytes() <= self.garbage_enough && !takes_less
    }

    /// All were looked at. What was mostly live then may be so no more when a good deal has died.
    fn end(&mut self, now: Tick, prospect: &Prospect) {
        let Prospect { pinned_bytes, pinned, is_short, .. } = *prospect;
        let rest_us = if is_short { COMPACTION_REST_SHORT_US } else { COMPACTION_REST_US };
        let garbage = prospect.garbage_bytes();
        let segment_bytes = pinned_bytes / pinned.max(1) as u64;
        self.looked_at = SegmentId(0);
        self.had_remnants = prospect.allows_remnants;
        self.rest_until = now.after(rest_us);
        self.garbage_enough = garbage.saturating_add((garbage / 4).max(segment_bytes));
    }

    /// When the next round begins, at the latest.
    pub(super) fn next_deadline(&self, now: Tick, prospect: &Prospect) -> Option<Tick> {
        let rests = prospect.is_worth_it() && self.rests(now, prospect);
        rests.then_some(self.rest_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Ten segments of a MiB, with so much that is live.
    fn prospect(live_bytes: u64) -> Prospect {
        Prospect { pinned_bytes: 10 * MIB, pinned: 10, live_bytes, ..Prospect::default() }
    }

    fn ids() -> Vec<(SegmentId, u64)> {
        (3..13).map(|id| (SegmentId(id), MIB)).collect()
    }

    /// C30: nothing is looked at where no more than half is garbage, or where what came of it would stay for
    /// members that were away; less is enough where the disk is short.
    #[test]
    fn c30_little_garbage_is_left_alone() {
        let first = |prospect: Prospect| Rounds::default().next(Tick(0), &prospect, &ids());
        let next = |prospect| first(prospect).map(|(id, _)| id);
        assert_eq!(next(prospect(5 * MIB)), None);
        assert_eq!(next(prospect(5 * MIB - 1)), Some(SegmentId(3)));
        let for_others = Prospect { catchup_bytes: 12 * MIB, ..prospect(0) };
        assert_eq!(next(for_others), None);
        assert_eq!(next(Prospect { dead_bytes: 3 * MIB, ..for_others }), Some(SegmentId(3)));
        assert_eq!(next(Prospect { is_short: true, ..prospect(9 * MIB) }), None);
        assert_eq!(next(Prospect { is_short: true, ..prospect(8 * MIB) }), Some(SegmentId(3)));
        assert_eq!(next(Prospect { pinned: 1, ..prospect(0) }), None);
    }

    /// C30: each segment is looked at once in a round, the oldest first. The next round waits for more
    /// garbage, or for a long time.
    #[test]
    fn c30_rounds_rest() {
        let mut rounds = Rounds::default();
        for id in ids() {
            assert_eq!(rounds.next(Tick(7), &prospect(MIB), &ids()), Some(id));
        }
        assert_eq!(rounds.next(Tick(7), &prospect(MIB), &ids()), None);
        assert_eq!(rounds.next(Tick(8), &prospect(MIB), &ids()), None);
        let until = Tick(7).after(COMPACTION_REST_US);
        assert_eq!(rounds.next_deadline(Tick(8), &prospect(MIB)), Some(until));
        let more = Prospect { pinned_bytes: 13 * MIB, pinned: 13, ..prospect(MIB) };
        assert_eq!(rounds.next(Tick(8), &more, &ids()), Some((SegmentId(3), MIB)));
        let mut rounds = Rounds::default();
        assert_eq!(rounds.next(Tick(7), &prospect(0), &[]), None);
        assert_eq!(rounds.next(until, &prospect(0), &ids()), Some((SegmentId(3), MIB)));
    }

    /// C30, C32c: a round in which values were copied as a whole is made again once remnants may be written.
    #[test]
    fn c32c_rounds_go_on_when_the_level_has_risen() {
        let (mut rounds, mut prospect) = (Rounds::default(), prospect(MIB));
        assert_eq!(rounds.next(Tick(7), &prospect, &[]), None);
        assert_eq!(rounds.next(Tick(8), &prospect, &ids()), None);
        prospect.allows_remnants = true;
        assert_eq!(rounds.next(Tick(8), &prospect, &ids()), Some((SegmentId(3), MIB)));
        assert_eq!(rounds.next(Tick(8), &prospect, &[]), None);
        assert_eq!(rounds.next(Tick(9), &prospect, &ids()), None, "once");
    }
}
