//! Reads that wait at the tail of a log for an entry, each until its deadline.

use super::read_task::ReadTask;
use crate::types::{ConnId, LogId, Tick};
use std::collections::BTreeMap;

/// When a read is answered at the latest, and its place among all that ever waited: clients may give two
/// requests under way the same correlation, and both are answered.
type Deadline = (Tick, u64);

/// The reads that wait.
#[derive(Debug, Default)]
pub struct Parked {
    tasks: BTreeMap<LogId, Vec<(u64, ReadTask)>>,
    /// Their deadlines.
    deadlines: BTreeMap<Deadline, LogId>,
    /// So many have begun to wait.
    pushed: u64,
}

impl Parked {
    /// When the first of them is to be answered.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.deadlines.first_key_value().map(|entry| entry.0.0)
    }

    /// A read waits for entries; its wait for memory begins anew behind that.
    pub(super) fn push(&mut self, mut task: ReadTask) {
        task.waits_until = None;
        let log = task.reading.log();
        self.pushed += 1;
        self.deadlines.insert((task.deadline, self.pushed), log);
        self.tasks.entry(log).or_default().push((self.pushed, task));
    }

    /// Takes out those that wait at a log's tail.
    pub(super) fn take(&mut self, log: LogId) -> Vec<ReadTask> {
        let tasks = self.tasks.remove(&log).unwrap_or_default();
        for (place, task) in &tasks {
            self.deadlines.remove(&(task.deadline, *place));
        }
        tasks.into_iter().map(|(_, task)| task).collect()
    }

    /// Takes out those that wait at the log whose deadline is the first, if that is not after `now`.
    pub(super) fn take_expired(&mut self, now: Tick) -> Option<Vec<ReadTask>> {
        let (key, log) = self.deadlines.first_key_value()?;
        let (due, log) = (key.0 <= now, *log);
        due.then(|| self.take(log))
    }

    /// Takes out those that wait at the log whose deadline is the first.
    pub(super) fn take_first(&mut self) -> Option<Vec<ReadTask>> {
        let log = *self.deadlines.first_key_value()?.1;
        Some(self.take(log))
    }

    /// Takes out those whose answer needs a proof of leadership.
    pub(super) fn take_linearizable(&mut self) -> Vec<ReadTask> {
        let logs: Vec<LogId> = self.tasks.keys().copied().collect();
        let mut taken = Vec::new();
        for log in logs {
            for task in self.take(log) {
                if task.proof.is_some() {
                    taken.push(task);
                } else {
                    self.push(task);
                }
            }
        }
        taken
    }

    /// A connection is gone: none of its reads wait any more.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        let deadlines = &mut self.deadlines;
        self.tasks.retain(|_, tasks| {
            tasks.retain(|(place, task)| {
                let stays = task.conn() != conn;
                if !stays {
                    deadlines.remove(&(task.deadline, *place));
                }
                stays
            });
            !tasks.is_empty()
        });
    }

    /// Checks that each has its deadline.
    ///
    /// # Panics
    /// When one has not, or when a deadline is left of one that is gone.
    pub(super) fn check(&self) {
        for (place, task) in self.tasks.values().flatten() {
            let (log, known) = (task.reading.log(), self.deadlines.get(&(task.deadline, *place)));
            assert!(known == Some(&log), "a read waits at log {log}, its deadline is of {known:?}");
        }
        let (tasks, deadlines) = (self.iter().count(), self.deadlines.len());
        assert!(tasks == deadlines, "{tasks} reads wait at tails, {deadlines} have a deadline");
    }

    /// Those that wait.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ReadTask> {
        self.tasks.values().flatten().map(|(_, task)| task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::invariants_tests::{read_task, serving};

    fn parked() -> Parked {
        let mut parked = Parked::default();
        parked.push(read_task(&serving(), Tick(5)));
        parked.check();
        parked
    }

    /// A read that would wait for ever is noticed.
    #[test]
    #[should_panic(expected = "its deadline is of None")]
    fn a_read_without_a_deadline_is_noticed() {
        let mut parked = parked();
        parked.deadlines.clear();
        parked.check();
    }

    /// A deadline of a read that is gone is noticed: no tick would take it out.
    #[test]
    #[should_panic(expected = "0 reads wait at tails, 1 have a deadline")]
    fn a_deadline_of_no_read_is_noticed() {
        let mut parked = parked();
        parked.tasks.clear();
        parked.check();
    }
}
