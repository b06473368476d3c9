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
        if let Some(line) = self.line(now, dir, error) {
            log::warn!("{line}");
        }
    }

    fn line(&mut self, now: Instant, dir: &str, error: &StorageError) -> Option<String> {
        if self.told.is_some_and(|told| now.duration_since(told) < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(format!(
            "the system is short of something, nothing is lost, and it is tried again: {dir}: {error}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::StorageOp;
    use std::io;

    /// A shortage that lasts is told of once in ten seconds, with directory and reason.
    #[test]
    fn a_shortage_is_told_of_now_and_then() {
        let error = StorageError {
            file: "hard-state".to_string(),
            offset: 0,
            op: StorageOp::Write,
            source: io::Error::from_raw_os_error(24),
        };
        let (mut shortage, start) = (Shortage::default(), Instant::now());
        let mut line = |after| shortage.line(start + Duration::from_secs(after), "/data", &error);
        let first = line(0).expect("the first is told of");
        assert!(first.contains("/data: write of hard-state") && first.contains("open files"));
        assert_eq!(line(1), None);
        assert_eq!(line(9), None);
        assert!(line(10).is_some());
    }
}
