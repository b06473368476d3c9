//! Waiting for what the system is short of: descriptors, memory. Nothing was lost, so the same job is
//! run again, and the log says now and then what it waits for.

use crate::storage::StorageError;
use std::time::{Duration, Instant};

/// Time between two attempts.
pub const PAUSE: Duration = Duration::from_millis(50);
/// A shortage that lasts is logged once in this time.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Logs shortages, but not each attempt.
#[derive(Clone, Debug, Default)]
pub struct Shortage {
    logged_at: Option<Instant>,
}

impl Shortage {
    /// Says what the system is short of, if that is due.
    pub fn log_if_due(&mut self, now: Instant, dir: &str, error: &StorageError) {
        if self.is_due(now) {
            log::warn!(
                "the system is short of something, nothing is lost, and it is tried again: {dir}: \
                 {error}"
            );
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let lately = |logged_at| now.duration_since(logged_at) < LOG_EVERY;
        let due = !self.logged_at.is_some_and(lately);
        if due {
            self.logged_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shortage that lasts is logged once in ten seconds.
    #[test]
    fn a_shortage_is_logged_now_and_then() {
        let (mut shortage, start) = (Shortage::default(), Instant::now());
        let mut due = |after| shortage.is_due(start + Duration::from_secs(after));
        let logged: Vec<bool> = [0, 1, 9, 10, 11].map(&mut due).to_vec();
        assert_eq!(logged, [true, false, false, true, false]);
    }
}
