//! Times in which a loop did not run: the process was stopped by a signal or frozen, the machine was
//! suspended, or gave it no processor. What takes long meanwhile is not the disk's fault.

use crate::types::Tick;
use std::time::Duration;

/// A loop that is late by no more than this ran, in microseconds: far below any time after which
/// somebody takes a disk to stall.
const PAUSE_US: u64 = 250_000;

/// Notices that a loop did not run.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The loop ran then.
    ran_at: Tick,
}

impl Pauses {
    /// For a loop that runs.
    #[must_use]
    pub fn new(now: Tick) -> Pauses {
        Pauses { ran_at: now }
    }

    /// The loop runs, after it asked to sleep for at most `asleep`. For how many microseconds it did
    /// not run before, if for long.
    pub fn runs(&mut self, now: Tick, asleep: Duration) -> Option<u64> {
        let asleep = u64::try_from(asleep.as_micros()).unwrap_or(u64::MAX);
        let late = now.since(self.ran_at).saturating_sub(asleep);
        self.ran_at = now;
        (late > PAUSE_US).then_some(late)
    }

    /// The loop waited for something else than its own turn, such as a disk.
    pub fn excused(&mut self, now: Tick) {
        self.ran_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sleep that was asked for, and waiting for a disk, are no pauses; all else that takes long is.
    #[test]
    fn what_was_not_asked_for_is_a_pause() {
        let mut pauses = Pauses::new(Tick(0));
        assert_eq!(pauses.runs(Tick(1_000_000), Duration::from_secs(1)), None);
        assert_eq!(pauses.runs(Tick(1_200_000), Duration::ZERO), None);
        assert_eq!(pauses.runs(Tick(4_200_000), Duration::ZERO), Some(3_000_000));
        assert_eq!(pauses.runs(Tick(4_200_001), Duration::ZERO), None);
        pauses.excused(Tick(9_000_000));
        assert_eq!(pauses.runs(Tick(9_000_010), Duration::ZERO), None);
        assert_eq!(pauses.runs(Tick(12_000_010), Duration::from_secs(1)), Some(2_000_000));
    }
}
