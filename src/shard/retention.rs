//! Retention: logs whose attributes let entries go by themselves (C28).
//!
//! Every node knows from what it applies which logs have more than they must keep. The leader proposes
//! to trim them, a few at a time; the command names the version of the attributes that it was computed
//! by, and is without effect where they have changed since.

use super::core::Core;
use super::turn::Turn;
use super::writes::Writes;
use crate::api::Retention;
use crate::index::Search;
use crate::machine::{LogCommand, LogOutcome, RetainedLog};
use crate::types::{Index, LogId, Tick};
use std::collections::BTreeSet;
use std::ops::Bound;

/// A leader looks for logs to trim this often: retention may lag behind its limits, but costs next to
/// nothing beside appends.
const INTERVAL_US: u64 = 1_000_000;
/// Logs that are trimmed at one time: a turn does not grow with their number.
const LOGS_MAX: usize = 64;

/// The logs that have more than they must keep.
#[derive(Debug, Default)]
pub struct RetainedLogs {
    due: BTreeSet<LogId>,
    /// When the leader looks again.
    next: Option<Tick>,
    /// The last log that was looked at, where there may be more behind it.
    last: Option<LogId>,
}

impl RetainedLogs {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// When the leader is to propose something.
    pub(super) fn next_deadline(&self, leads: bool) -> Option<Tick> {
        self.next.filter(|_| leads && !self.due.is_empty())
    }

    /// A command on a log was applied.
    pub(super) fn applied(&mut self, turn: &Turn<'_>, outcome: &LogOutcome) {
        let (LogOutcome::Appended { log, .. }
        | LogOutcome::Trimmed { log, .. }
        | LogOutcome::AttributesSet(log)
        | LogOutcome::Deleted(log)) = outcome
        else {
            return;
        };
        if turn.core.machine.logs().retained(*log).is_some_and(|log| log.has_more()) {
            self.due.insert(*log);
            self.next.get_or_insert(turn.now.after(INTERVAL_US));
        } else {
            self.due.remove(log);
        }
    }

    /// Proposes to trim some of the logs, where this node leads and it is time.
    pub(super) fn propose(&mut self, turn: &mut Turn<'_>, writes: &mut Writes) {
        if self.next.is_none_or(|next| turn.now < next) || turn.core.serving().is_err() {
            return;
        }
        self.next = (!self.due.is_empty()).then(|| turn.now.after(INTERVAL_US));
        // From behind the last one that was looked at, so that each has its turn.
        let from = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut logs: Vec<LogId> =
            self.due.range((from, Bound::Unbounded)).copied().take(LOGS_MAX).collect();
        self.last = logs.last().copied().filter(|_| logs.len() == LOGS_MAX);
        if logs.is_empty() {
            logs.extend(self.due.iter().copied().take(LOGS_MAX));
        }
        for log in logs {
            let Some(command) = retain(turn.core, log) else {
                self.due.remove(&log);
                continue;
            };
            if !writes.propose_own(command) {
                return; // The value is full of appends: later.
            }
            turn.core.tally.retentions += 1;
        }
    }
}

/// What a log's retention lets go; none where no whole extent may go.
fn retain(core: &Core, log: LogId) -> Option<LogCommand<'static>> {
    let retained = core.machine.logs().retained(log)?;
    let RetainedLog { version, retention, first, next, appended_bytes, .. } = retained;
    // What an age lets go is found once the index reaches back so far.
    let Retention { bytes, entries, age_ms: _ } = retention;
    let by_bytes = (bytes > 0).then(|| {
        let kept_behind = Search::BytesBefore(appended_bytes.saturating_sub(bytes));
        core.index.search(log, kept_behind).map_or(first, |extent| extent.first)
    });
    let by_entries = (entries > 0).then(|| Index(next.0.saturating_sub(entries)));
    let last = Index(next.0.saturating_sub(1));
    let before = by_bytes.into_iter().chain(by_entries).max()?.min(last);
    let within = core.index.search(log, Search::Index(before)).filter(|_| before > first)?;
    Some(LogCommand::Retain { log, version, before, bytes_before: within.bytes_before })
}
