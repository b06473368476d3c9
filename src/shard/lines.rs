//! Reads that wait for memory or for the disk: in the order of their arrival, and not for ever.
//!
//! There are four lines, because a read that cannot go on must not hold up those that can: small
//! reads pass large ones, and what is in memory passes what is on disk. The lines take turns at
//! being the first to be served.

use super::read_task::{Need, ReadTask};
use crate::limits::READS_WAITING_MAX;
use crate::types::{ConnId, Tick};
use std::collections::VecDeque;

/// How many lines there are.
pub const LINES: usize = 4;
/// So many reads at the head of a line are looked at for one whose connection takes answers.
const LOOK_MAX: usize = 64;

/// A read in line.
#[derive(Debug)]
pub struct QueuedRead {
    /// The read.
    pub task: ReadTask,
    /// What it needs.
    pub need: Need,
    /// It is refused then.
    pub until: Tick,
}

/// The lines.
#[derive(Debug, Default)]
pub struct ReadQueues {
    lines: [VecDeque<QueuedRead>; LINES],
    /// The line that is served first.
    first: usize,
    count: usize,
}

impl ReadQueues {
    /// Reads that wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// No more reads may wait.
    pub(super) fn is_full(&self) -> bool {
        self.count >= READS_WAITING_MAX
    }

    /// Others wait for the same: who comes now comes behind them.
    pub(super) fn has_before(&self, need: Need) -> bool {
        !self.lines[line_of(need)].is_empty()
    }

    /// A read gets in line.
    pub(super) fn push(&mut self, waiting: QueuedRead) {
        self.count += 1;
        let line = &mut self.lines[line_of(waiting.need)];
        line.insert(place(line.iter().map(|other| other.until), waiting.until), waiting);
    }

    /// The order in which the lines are served this time; next time another one is first.
    pub(super) fn order(&mut self) -> [usize; LINES] {
        self.first = (self.first + 1) % LINES;
        std::array::from_fn(|nth| (self.first + nth) % LINES)
    }

    /// Where in a line the first read is whose connection takes answers, if it may go on.
    fn startable(
        &self,
        line: usize,
        takes: &impl Fn(ConnId) -> bool,
        may: &impl Fn(Need) -> bool,
    ) -> Option<usize> {
        let mut head = self.lines[line].iter().take(LOOK_MAX).enumerate();
        let (at, waiting) = head.find(|(_, waiting)| takes(waiting.task.conn()))?;
        may(waiting.need).then_some(at)
    }

    /// Takes the first read out of a line whose connection takes answers, if it may go on.
    pub(super) fn pop(
        &mut self,
        line: usize,
        takes: impl Fn(ConnId) -> bool,
        may: impl Fn(Need) -> bool,
    ) -> Option<QueuedRead> {
        let at = self.startable(line, &takes, &may)?;
        self.count -= 1;
        self.lines[line].remove(at)
    }

    /// A read could go on right now.
    pub(super) fn can_go_on(
        &self,
        takes: impl Fn(ConnId) -> bool,
        may: impl Fn(Need) -> bool,
    ) -> bool {
        (0..LINES).any(|line| self.startable(line, &takes, &may).is_some())
    }

    /// When the first of them is refused.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.lines.iter().filter_map(|line| line.front()).map(|waiting| waiting.until).min()
    }

    /// Takes out one that has waited for too long.
    pub(super) fn pop_expired(&mut self, now: Tick) -> Option<QueuedRead> {
        let late = |line: &&mut VecDeque<QueuedRead>| {
            line.front().is_some_and(|waiting| waiting.until <= now)
        };
        let expired = self.lines.iter_mut().find(late)?.pop_front();
        self.count -= usize::from(expired.is_some());
        expired
    }

    /// Takes out all that `which` says.
    pub(super) fn take_out(&mut self, which: impl Fn(&ReadTask) -> bool) -> Vec<QueuedRead> {
        let mut out = Vec::new();
        for line in &mut self.lines {
            if line.iter().any(|waiting| which(&waiting.task)) {
                let (gone, kept) =
                    std::mem::take(line).into_iter().partition(|waiting| which(&waiting.task));
                *line = kept;
                let gone: VecDeque<QueuedRead> = gone;
                out.extend(gone);
            }
        }
        self.count -= out.len();
        out
    }

    /// Checks that all are counted, and that the first of a line is the first to be refused.
    ///
    /// # Panics
    /// When they are not.
    pub(super) fn check(&self) {
        let waiting = self.iter().count();
        assert!(waiting == self.count, "{waiting} reads in line, counted are {}", self.count);
        for (at, line) in self.lines.iter().enumerate() {
            for (waiting, next) in line.iter().zip(line.iter().skip(1)) {
                let (until, behind) = (waiting.until, next.until);
                assert!(until <= behind, "line {at}: {until} stands before {behind}");
            }
        }
    }

    /// Those that wait, line by line.
    pub(super) fn iter(&self) -> impl Iterator<Item = &QueuedRead> {
        self.lines.iter().flatten()
    }
}

/// The line in which a read of this need waits.
fn line_of(need: Need) -> usize {
    usize::from(need.cold) + 2 * usize::from(!need.is_small())
}

/// Where in a line a read belongs that is refused at `until`: ahead of those that may wait longer, since
/// it has waited before. So the first of a line is always the first to be refused.
fn place(
    mut line: impl ExactSizeIterator<Item = Tick> + DoubleEndedIterator,
    until: Tick,
) -> usize {
    line.rposition(|other| other <= until).map_or(0, |before| before + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::invariants_tests::{read_task, serving};

    /// R39: who has waited before keeps its place, and who comes now comes behind all others.
    #[test]
    fn r39_a_line_is_sorted_by_when_its_reads_are_refused() {
        let line = [3, 5, 5, 8].map(Tick);
        let place_of = |until| place(line.into_iter(), Tick(until));
        assert_eq!([2, 3, 5, 6, 8, 9].map(place_of), [0, 1, 3, 3, 4, 4]);
    }
    /// ReadQueues in which these wait, each refused at its time, and so many of them counted.
    fn queues_of(untils: [u64; 2], count: usize) -> ReadQueues {
        let shard = serving();
        let mut lines = ReadQueues { count, ..ReadQueues::default() };
        for until in untils.map(Tick) {
            let (task, need) = (read_task(&shard, until), Need { bytes: 1, cold: false });
            lines.lines[line_of(need)].push_back(QueuedRead { task, need, until });
        }
        lines
    }

    /// R39: a line out of order is noticed.
    #[test]
    #[should_panic(expected = "line 0: 5 stands before 3")]
    fn r39_a_line_out_of_order_is_noticed() {
        queues_of([3, 5], 2).check();
        queues_of([5, 3], 2).check();
    }

    /// R39: a read that is not counted is noticed.
    #[test]
    #[should_panic(expected = "2 reads in line, counted are 1")]
    fn r39_a_read_that_is_not_counted_is_noticed() {
        queues_of([3, 5], 1).check();
    }
}
