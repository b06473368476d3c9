//! Warnings of what took too long: at most one line a second, with a count of what it leaves out.

use crate::limits::SLOW_LINE_MS;
use crate::types::Tick;

/// Decides which slow things get a line. One for each kind of thing and shard.
#[derive(Clone, Debug)]
pub struct SlowLines {
    /// What is slow; 0 for nothing is.
    threshold_us: u64,
    said_at: Option<Tick>,
    /// Slow things since, and the longest of them, in microseconds.
    suppressed: u64,
    longest_us: u64,
}

impl SlowLines {
    /// Lines for what takes at least that long; 0 turns them off.
    #[must_use]
    pub fn new(threshold_ms: u64) -> SlowLines {
        SlowLines { threshold_us: threshold_ms * 1000, said_at: None, suppressed: 0, longest_us: 0 }
    }

    /// Something can be slow.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.threshold_us > 0
    }

    /// Something is done and took so many microseconds: the line to say, if any. `what` is its
    /// subject.
    pub fn note(
        &mut self,
        now: Tick,
        took_us: u64,
        what: impl FnOnce() -> String,
    ) -> Option<String> {
        if !self.is_on() || took_us < self.threshold_us {
            return None;
        }
        if self.is_early(now) {
            self.suppressed += 1;
            self.longest_us = self.longest_us.max(took_us);
            return None;
        }
        let before = self.rest();
        self.said_at = Some(now);
        let before = before.map_or(String::new(), |rest| format!("; before it {rest}"));
        Some(format!("{} took {} ms{before}", what(), took_us / 1000))
    }

    /// The line for what was left out, once it is due: slowness that ended is reported in full.
    pub fn due(&mut self, now: Tick, what: &str) -> Option<String> {
        if self.suppressed == 0 || self.is_early(now) {
            return None;
        }
        self.said_at = Some(now);
        self.rest().map(|rest| format!("{what}: {rest}"))
    }

    /// Something was left out and must be reported.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.suppressed > 0
    }

    fn is_early(&self, now: Tick) -> bool {
        self.said_at.is_some_and(|at| now.since(at) < SLOW_LINE_MS * 1000)
    }

    /// What was left out, which is reported now.
    fn rest(&mut self) -> Option<String> {
        let (suppressed, longest_us) = (self.suppressed, self.longest_us);
        (self.suppressed, self.longest_us) = (0, 0);
        (suppressed > 0)
            .then(|| format!("{suppressed} more were slow, the slowest {} ms", longest_us / 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Tick {
        Tick(1_000_000 + ms * 1000)
    }

    fn sync() -> String {
        "a sync".to_string()
    }

    /// One line a second, and nothing is left unreported.
    #[test]
    fn one_line_a_second_with_a_count() {
        let mut lines = SlowLines::new(500);
        assert_eq!(lines.note(at(0), 499_999, sync), None);
        assert_eq!(lines.note(at(0), 500_000, sync).as_deref(), Some("a sync took 500 ms"));
        for ms in [1, 400, 999] {
            assert_eq!(lines.note(at(ms), 600_000 + ms, sync), None);
            assert_eq!(lines.due(at(ms), "syncs"), None);
        }
        let line = lines.note(at(1000), 700_000, sync);
        let wanted = "a sync took 700 ms; before it 3 more were slow, the slowest 600 ms";
        assert_eq!(line.as_deref(), Some(wanted));
        assert_eq!(lines.note(at(1001), 900_000, sync), None);
        assert_eq!(lines.due(at(1999), "syncs"), None);
        let rest = lines.due(at(2000), "syncs");
        assert_eq!(rest.as_deref(), Some("syncs: 1 more were slow, the slowest 900 ms"));
        assert_eq!(lines.due(at(9000), "syncs"), None);
    }

    /// 0 turns the lines off.
    #[test]
    fn off_is_off() {
        let mut lines = SlowLines::new(0);
        assert!(!lines.is_on());
        assert_eq!(lines.note(at(0), u64::MAX, sync), None);
        assert_eq!(lines.due(at(5000), "syncs"), None);
    }
}
