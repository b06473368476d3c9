//! Lines that strangers can cause: at most one a second of each kind, with a count of what is left
//! out, so that nobody fills the log by knocking.

use crate::limits::SLOW_LINE_MS;
use crate::types::Tick;
use std::fmt;

/// Decides which of many like lines are said.
#[derive(Clone, Debug, Default)]
pub struct RareLines {
    said_at: Option<Tick>,
    suppressed: u64,
}

impl RareLines {
    /// Whether a line is to be said now; and what to say at its end of those that were not.
    pub fn note(&mut self, now: Tick) -> Option<Suppressed> {
        if self.said_at.is_some_and(|at| now.since(at) < SLOW_LINE_MS * 1000) {
            self.suppressed += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(Suppressed(std::mem::take(&mut self.suppressed)))
    }

    /// How many lines were left out, where it is time to say so: nothing came for a second, or nothing
    /// more will, at the `end`.
    pub fn rest(&mut self, now: Tick, end: bool) -> Option<u64> {
        let due = end || self.said_at.is_none_or(|at| now.since(at) >= SLOW_LINE_MS * 1000);
        if self.suppressed == 0 || !due {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// How many lines were left out since the last one that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppressed(u64);

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            suppressed => write!(f, "; before it {suppressed} more like it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line a second is said, and the next one says how many were not.
    #[test]
    fn lines_are_counted_when_they_come_too_fast() {
        let mut lines = RareLines::default();
        let mut said = Vec::new();
        for ms in [0, 1, 2, 900, 1000, 2500, 2501] {
            said.extend(
                lines.note(Tick(ms * 1000)).map(|suppressed| format!("at {ms}{suppressed}")),
            );
        }
        assert_eq!(said, ["at 0", "at 1000; before it 3 more like it", "at 2500"]);
        assert_eq!(lines.rest(Tick(2_600_000), false), None, "too early");
        assert_eq!(lines.rest(Tick(3_500_000), false), Some(1));
        assert_eq!(lines.rest(Tick(9_500_000), true), None, "all is reported");
    }
}
