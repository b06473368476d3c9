//! Waiting for what the system is short of: descriptors, memory. Nothing was lost, so the same job is
//! run again, and the log says now and then what it waits for.

use crate::journal::StorageError;
use std::time::{Duration, Instant};

/// Time between two attempts.
pub const PAUSE: Duration = Duration::from_millis(50);
/// A shortage that lasts is told of once in this time.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Tells of shortages, but not of each attempt.
#[derive(Clone, Debug, Default)]
pub struct Shortage {
    told: Option<Instant>,
}

impl Shortage {
    /// Says what the system is short of, if that is due.
    pub fn tell(&mut self, now: Instant, dir: &str, error: &StorageError) {
        if self.is_due(now) {
            log::warn!(
                "the system is short of something, nothing is lost, and it is tried again: {dir}: \
                 {error}"
            );
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let lately = |told| now.duration_since(told) < TOLD_EVERY;
        let due = !self.told.is_some_and(lately);
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shortage that lasts is told of once in ten seconds.
    #[test]
    fn a_shortage_is_told_of_now_and_then() {
        let (mut shortage, start) = (Shortage::default(), Instant::now());
        let mut due = |after| shortage.is_due(start + Duration::from_secs(after));
        let told: Vec<bool> = [0, 1, 9, 10, 11].map(&mut due).to_vec();
        assert_eq!(told, [true, false, false, true, false]);
    }
}
