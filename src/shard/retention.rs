//! Retention: logs whose attributes let entries go by themselves (C28).
//!
//! Every node knows from what it applies which logs have more than they must keep, or come to have with
//! time. The leader proposes to trim them, a few at a time; the command names the version of the
//! attributes that it was computed by, and is without effect where they have changed since.

use super::core::Core;
use super::disk_job::DiskJob;
use super::journal_reads::JournalRead;
use super::lookup_job::{Answers, LookupJob, Question};
use super::turn::Turn;
use super::writes::Writes;
use crate::index::Search;
use crate::machine::{LogCommand, LogOutcome, RetainedLog};
use crate::types::{Extent, Index, LogId, Tick};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A leader looks for logs to trim this often: retention may lag behind its limits, but costs next to
/// nothing beside appends.
const INTERVAL_US: u64 = 1_000_000;
/// While what was found last is not proposed yet, it looks again after this.
const BUSY_US: u64 = 10_000;
/// Logs that are trimmed at one time: a turn does not grow with their number.
const LOGS_MAX: usize = 64;
/// Most logs that become due in one turn because their oldest entry is too old.
const AGED_MAX: usize = 1024;

/// The logs that have more than they must keep.
#[derive(Debug, Default)]
pub struct RetainedLogs {
    due: BTreeSet<LogId>,
    /// Logs of which nothing is too old before a time, in ms since 1970; by that time, and by log.
    aging: BTreeSet<(u64, LogId)>,
    aging_until: BTreeMap<LogId, u64>,
    /// When the leader looks again.
    next: Option<Tick>,
    /// The last log that was looked at, where there may be more behind it.
    last: Option<LogId>,
    /// Logs whose extents are being looked up on disk, as they were then, by token.
    under_way: BTreeMap<u64, (LogId, RetainedLog)>,
    /// What was found of logs, to be proposed.
    found: Vec<LogCommand<'static>>,
}

impl RetainedLogs {
    /// The state was restored: logs that are over their retention are looked at.
    pub(super) fn resume(&mut self, now: Tick, core: &Core) {
        self.due.extend(core.machine.logs().over_retention());
        self.next = Some(now.after(INTERVAL_US));
    }

    /// How many have more than they must keep.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// When the leader is to propose something.
    pub(super) fn next_deadline(&self, leads: bool) -> Option<Tick> {
        self.next.filter(|_| leads && !(self.due.is_empty() && self.aging.is_empty()))
    }

    /// How many lookups are under way.
    pub(super) fn lookups(&self) -> usize {
        self.under_way.len()
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
        let retained = turn.core.machine.logs().retained(*log).filter(RetainedLog::has_more);
        let Some(retained) = retained else {
            self.due.remove(log);
            return self.wake(*log);
        };
        let only_by_age = retained.retention.bytes == 0 && retained.retention.entries == 0;
        let appended = matches!(outcome, LogOutcome::Appended { .. });
        if appended && only_by_age && self.aging_until.contains_key(log) {
            return; // Its oldest entry is what counts.
        }
        self.wake(*log);
        self.due.insert(*log);
        self.next.get_or_insert(turn.now.after(INTERVAL_US));
    }

    /// What was known of the age of its entries counts no more.
    fn wake(&mut self, log: LogId) {
        if let Some(until) = self.aging_until.remove(&log) {
            self.aging.remove(&(until, log));
        }
    }

    /// Proposes to trim some of the logs, where this node leads and it is time.
    pub(super) fn propose(&mut self, turn: &mut Turn<'_>, writes: &mut Writes) {
        if turn.core.serving().is_err() {
            self.found.clear();
            return;
        }
        self.propose_found(turn.core, writes);
        if self.next.is_none_or(|next| turn.now < next) {
            return;
        }
        if !self.under_way.is_empty() || !self.found.is_empty() {
            self.next = Some(turn.now.after(BUSY_US));
            return;
        }
        self.next = Some(turn.now.after(INTERVAL_US));
        let now_ms = turn.core.time_ms(turn.now);
        let mut aged = 0;
        while let Some((until, log)) = self.aging.first().copied().filter(|(at, _)| *at <= now_ms) {
            self.aging.remove(&(until, log));
            self.aging_until.remove(&log);
            self.due.insert(log);
            aged += 1;
            if aged == AGED_MAX {
                self.next = Some(turn.now.after(BUSY_US)); // No turn grows with the number of logs.
                break;
            }
        }
        // From behind the last one that was looked at, so that each has its turn.
        let from = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut logs: Vec<LogId> =
            self.due.range((from, Bound::Unbounded)).copied().take(LOGS_MAX).collect();
        self.last = logs.last().copied().filter(|_| logs.len() == LOGS_MAX);
        if logs.is_empty() {
            logs.extend(self.due.iter().copied().take(LOGS_MAX));
        }
        for log in logs {
            self.look_at(turn, log, now_ms);
        }
        self.propose_found(turn.core, writes);
    }

    /// Proposes what was found, as far as there is room.
    fn propose_found(&mut self, core: &mut Core, writes: &mut Writes) {
        while let Some(command) = self.found.pop() {
            if !writes.propose_own(core, command) {
                self.found.push(command); // The value is full of appends: later.
                return;
            }
            core.tally.retentions += 1;
        }
    }

    /// Finds what may go of a log, in memory or, later, on disk.
    fn look_at(&mut self, turn: &mut Turn<'_>, log: LogId, now_ms: u64) {
        let Some(retained) = turn.core.machine.logs().retained(log) else {
            self.due.remove(&log);
            return;
        };
        let questions =
            bounds(&retained, now_ms).map(|by| Question::ask(&turn.core.index, log, by));
        if let Some(answers) = Question::answers(&questions) {
            return self.decide(log, &retained, &answers);
        }
        let token = turn.core.journal_reads.token();
        turn.core.journal_reads.begin(token, JournalRead::Retention);
        self.under_way.insert(token, (log, retained));
        let (runs, questions) = (turn.core.index.runs().clone(), questions.to_vec());
        turn.run(DiskJob::Lookup(LookupJob { token, runs, log, questions }));
    }

    /// What was looked up on disk; nothing where the index is damaged there.
    pub(super) fn looked_up(&mut self, token: u64, answers: Option<Answers>) {
        let Some((log, retained)) = self.under_way.remove(&token) else { return };
        match answers {
            Some(answers) => self.decide(log, &retained, &answers),
            None => drop(self.due.remove(&log)),
        }
    }

    /// Goes by the log as it was when these answers were asked for: they are of that time.
    fn decide(&mut self, log: LogId, retained: &RetainedLog, answers: &[Option<Extent>]) {
        let [by_bytes, by_entries, by_age, last] = answers else { return };
        let by_age = by_age.filter(|_| retained.retention.age_ms > 0);
        // Where all are too old, the last one stays all the same.
        let at_last = last.filter(|_| retained.retention.age_ms > 0 && by_age.is_none());
        let at_last = at_last.map(|extent| (last_index(retained), extent.bytes_before));
        let at_extent = |extent: Extent| (extent.first, extent.bytes_before);
        let by_bytes = by_bytes.filter(|_| retained.retention.bytes > 0).map(at_extent);
        let first = first_of_entries(retained);
        let by_entries = by_entries.filter(|_| retained.retention.entries > 0);
        let by_entries = by_entries.map(|extent| (first, extent.bytes_before));
        let bounds = [by_bytes, by_entries, by_age.map(at_extent), at_last];
        let most =
            bounds.into_iter().flatten().max().filter(|(before, _)| *before > retained.first);
        let Some((before, bytes_before)) = most else {
            self.due.remove(&log);
            return self.sleep(log, retained, by_age);
        };
        let (before, version) = (before.min(last_index(retained)), retained.version);
        self.found.push(LogCommand::Retain { log, version, before, bytes_before });
    }

    /// Nothing of a log may go now: it is looked at when its oldest entry is too old.
    fn sleep(&mut self, log: LogId, retained: &RetainedLog, oldest: Option<Extent>) {
        if let Some(oldest) = oldest {
            let until = oldest.stamp_ms.saturating_add(retained.retention.age_ms).saturating_add(1);
            self.wake(log);
            self.aging.insert((until, log));
            self.aging_until.insert(log, until);
        }
    }
}

/// What must be known of a log: the first extent that stays by bytes, by entries and by age, and the last
/// one.
fn bounds(log: &RetainedLog, now_ms: u64) -> [Search; 4] {
    let behind = match log.retention.bytes {
        0 => 0,
        bytes => log.appended_bytes.saturating_sub(bytes),
    };
    let since = match log.retention.age_ms {
        0 => 0,
        age_ms => now_ms.saturating_sub(age_ms),
    };
    [
        Search::BytesBefore(behind),
        Search::Index(first_of_entries(log)),
        Search::Stamp(since),
        Search::Index(last_index(log)),
    ]
}

/// The first index that must stay by the number of entries that are to be kept.
fn first_of_entries(log: &RetainedLog) -> Index {
    match log.retention.entries {
        0 => log.first,
        entries => Index(log.next.0.saturating_sub(entries)),
    }
}

/// The index of the last entry.
fn last_index(log: &RetainedLog) -> Index {
    Index(log.next.0.saturating_sub(1))
}
