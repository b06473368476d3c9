//! The state: the lost entries of each log that has some.

use super::command::LoseCommand;
use super::outcome::LostOutcome;
use super::ranges::{LogLosses, LostExtent};
use crate::limits::LOST_RANGES_MAX;
use crate::types::{Index, LogId, LostRange};
use std::collections::BTreeMap;

/// What the logs say of one of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine) struct LogBounds {
    /// Its first index that is not trimmed.
    pub(in crate::machine) first: Index,
    /// Its next index.
    pub(in crate::machine) next: Index,
    /// Payload bytes of all its entries, trimmed ones too.
    pub(in crate::machine) appended_bytes: u64,
}

/// The lost entries of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostEntries {
    /// Logs with lost entries that are not trimmed.
    logs: BTreeMap<LogId, LogLosses>,
    /// How many ranges they have together.
    ranges: usize,
    /// The sum of the ranges' hashes.
    sum: u64,
}

impl LostEntries {
    /// The lost entries of a log that are not trimmed, where it has some.
    #[must_use]
    pub fn of(&self, log: LogId) -> Option<&LogLosses> {
        self.logs.get(&log)
    }

    /// The lost entries that this one is among.
    #[must_use]
    pub fn at(&self, log: LogId, index: Index) -> Option<LostRange> {
        self.of(log)?.from(index).filter(|range| range.contains(index))
    }

    /// How many ranges there are.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.ranges
    }

    /// No entry is lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Payload bytes of the lost entries of a log, beside those that are trimmed.
    pub(in crate::machine) fn live_bytes(&self, log: LogId, trimmed_bytes: u64) -> u64 {
        self.of(log).map_or(0, |losses| losses.live_bytes(trimmed_bytes))
    }

    /// The logs that have some.
    pub(in crate::machine) fn logs(&self) -> impl Iterator<Item = (LogId, &LogLosses)> {
        self.logs.iter().map(|(log, losses)| (*log, losses))
    }

    /// Executes a command, given what the logs say of the log that it names.
    pub(in crate::machine) fn execute(
        &mut self,
        command: &LoseCommand,
        bounds: Option<LogBounds>,
    ) -> LostOutcome {
        let LoseCommand { log, extent } = *command;
        let Some(LogBounds { first, next, appended_bytes }) = bounds else {
            return LostOutcome::UnknownLog;
        };
        let range = LostRange { from: extent.range.from.max(first), ..extent.range };
        if range.from >= range.before || range.before > next {
            return LostOutcome::OutOfRange { log, first, next };
        }
        let bytes = (extent.bytes.0.min(appended_bytes), extent.bytes.1.min(appended_bytes));
        let mut losses = self.of(log).cloned().unwrap_or_default();
        let before = losses.extents().len();
        losses.add(LostExtent { range, bytes });
        if self.ranges - before + losses.extents().len() > LOST_RANGES_MAX {
            return LostOutcome::TooMany;
        }
        self.replace(log, losses);
        LostOutcome::Declared { log, range }
    }

    /// Entries before `first` are trimmed, lost or not.
    pub(in crate::machine) fn trim(&mut self, log: LogId, first: Index) {
        if let Some(mut losses) = self.of(log).cloned() {
            losses.trim(first);
            self.replace(log, losses);
        }
    }

    /// The log is gone.
    pub(in crate::machine) fn remove(&mut self, log: LogId) {
        self.replace(log, LogLosses::default());
    }

    /// The one way to change it: the sums follow.
    pub(super) fn replace(&mut self, log: LogId, losses: LogLosses) {
        let sum = |losses: &LogLosses| {
            losses.extents().iter().fold(0u64, |sum, one| sum.wrapping_add(one.hash(log)))
        };
        if let Some(before) = self.logs.remove(&log) {
            self.ranges -= before.extents().len();
            self.sum = self.sum.wrapping_sub(sum(&before));
        }
        if !losses.extents().is_empty() {
            self.ranges += losses.extents().len();
            self.sum = self.sum.wrapping_add(sum(&losses));
            self.logs.insert(log, losses);
        }
    }

    /// What the machine's digest covers of it; nothing where no entry is lost, so that a state without lost
    /// entries has the digest that it has with programs that know of none.
    pub(in crate::machine) fn digest_words(&self) -> Option<[u64; 2]> {
        (!self.is_empty()).then_some([self.ranges as u64, self.sum])
    }

    /// Checks the state, given what the logs say of each log.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub(in crate::machine) fn check(&self, bounds: impl Fn(LogId) -> Option<LogBounds>) {
        let mut anew = LostEntries::default();
        for (log, losses) in &self.logs {
            anew.replace(*log, losses.clone());
            let found = bounds(*log);
            assert!(self.fits(*log, found), "log {log} is {found:?}, lost are {losses:?}");
            let pairs = losses.extents().array_windows();
            for [one, next] in pairs {
                let (end, from) = (one.range.before, next.range.from);
                assert!(end < from, "log {log}: lost up to {end}, and from {from} on");
            }
        }
        let (ranges, max) = (self.ranges, LOST_RANGES_MAX);
        assert!(anew == *self, "sums part from the lost ranges: {anew:?} {self:?}");
        assert!(ranges <= max, "{ranges} lost ranges, at most {max}");
    }

    /// The log exists, and has the entries that are lost.
    pub(super) fn fits(&self, log: LogId, bounds: Option<LogBounds>) -> bool {
        let Some(losses) = self.of(log) else { return true };
        bounds.is_some_and(|LogBounds { first, next, appended_bytes }| {
            losses.extents().iter().all(|LostExtent { range, bytes }| {
                first <= range.from
                    && range.from < range.before
                    && range.before <= next
                    && bytes.0 <= bytes.1
                    && bytes.1 <= appended_bytes
            })
        })
    }
}
