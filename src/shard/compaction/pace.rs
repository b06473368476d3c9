//! How fast segments are walked: live traffic comes first.

use crate::limits::{COMPACTION_BYTES_PER_S, COMPACTION_READ_BYTES, COMPACTION_SHARE};
use crate::types::Tick;

/// What may be read, by the time that passes and by what is applied meanwhile.
#[derive(Debug, Default)]
pub(super) struct CompactionPace {
    at: Tick,
    /// Bytes of values applied by then.
    applied: u64,
    /// Bytes that may be read at once.
    earned: u64,
    /// Bytes that were read beyond that.
    owed: u64,
}

impl CompactionPace {
    /// So much has been applied by now.
    pub(super) fn earn(&mut self, now: Tick, applied: u64) {
        let micros = u128::from(now.since(self.at));
        let by_time = (micros * u128::from(COMPACTION_BYTES_PER_S) / 1_000_000) as u64;
        let bytes = by_time.saturating_add(applied.saturating_sub(self.applied) / COMPACTION_SHARE);
        if bytes == 0 {
            return; // A little time must not be lost again and again.
        }
        (self.at, self.applied) = (now, applied);
        let left = bytes.saturating_sub(self.owed);
        self.owed = self.owed.saturating_sub(bytes);
        self.earned = self.earned.saturating_add(left).min(COMPACTION_READ_BYTES as u64);
    }

    /// So many bytes were read.
    pub(super) fn spend(&mut self, bytes: u64) {
        let beyond = bytes.saturating_sub(self.earned);
        self.earned = self.earned.saturating_sub(bytes);
        self.owed = self.owed.saturating_add(beyond);
    }

    /// When more may be read.
    pub(super) fn due(&self) -> Tick {
        self.at.after(self.owed.saturating_mul(1_000_000) / COMPACTION_BYTES_PER_S + 1)
    }

    /// More may be read.
    pub(super) fn may_go(&self) -> bool {
        self.owed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C30: over a long time no more is read than the bound says; more where clients write more.
    #[test]
    fn c30_a_walk_keeps_its_pace() {
        for applied_per_s in [0, 10 * COMPACTION_BYTES_PER_S * COMPACTION_SHARE] {
            let (mut pace, mut read) = (CompactionPace::default(), 0);
            let seconds = 100;
            let mut now = Tick(0);
            while now < Tick(seconds * 1_000_000) {
                pace.earn(now, now.0 * applied_per_s / 1_000_000);
                if pace.may_go() {
                    pace.spend(700_000);
                    read += 700_000;
                }
                now = now.after(5_000);
            }
            let bound = seconds * (COMPACTION_BYTES_PER_S + applied_per_s / COMPACTION_SHARE);
            let burst = 2 * COMPACTION_READ_BYTES as u64;
            assert!(read <= bound + burst, "{read} bytes, the bound is {bound}");
            assert!(read >= bound / 2, "{read} bytes, the bound is {bound}");
        }
    }
}
