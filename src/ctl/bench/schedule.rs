//! When each operation is due: in a closed loop as soon as there is room for it, in an open loop at
//! its place in a fixed schedule, whatever became of those before it.

use std::time::Duration;

/// How long a closed loop leaves a connection alone after a failure: what fails at once would
/// otherwise fail a million times a second.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// When one connection's operations are due. Moments are counted from the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Pacer {
    pace: Pace,
    /// Nothing is due from here on.
    end: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum Pace {
    /// Always, but not before this moment.
    Closed { from: Duration },
    /// Operation `next` of the whole run, then every `step`-th.
    Open { rate: f64, next: u64, step: u64 },
}

impl Pacer {
    /// A closed loop until `end`.
    #[must_use]
    pub fn closed(end: Duration) -> Pacer {
        Pacer { pace: Pace::Closed { from: Duration::ZERO }, end }
    }

    /// One of `connections` that take turns in sending `rate` operations a second until `end`.
    ///
    /// # Panics
    /// When the rate is not positive.
    #[must_use]
    pub fn open(rate: f64, number: u64, connections: u64, end: Duration) -> Pacer {
        assert!(rate > 0.0, "a schedule needs a positive rate: rate={rate}");
        Pacer { pace: Pace::Open { rate, next: number, step: connections }, end }
    }

    /// When the next operation is due; none when none is left.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let due = match &self.pace {
            Pace::Closed { from } => *from,
            Pace::Open { rate, next, .. } => due(*rate, *next),
        };
        (due < self.end).then_some(due)
    }

    /// Takes the next operation if it is due by now, and says since when its latency counts.
    pub fn take(&mut self, now: Duration) -> Option<Duration> {
        let due = self.next_due().filter(|due| *due <= now)?;
        match &mut self.pace {
            Pace::Closed { .. } => (now < self.end).then_some(now),
            Pace::Open { next, step, .. } => {
                *next += *step;
                Some(due)
            }
        }
    }

    /// An operation failed.
    pub fn failed(&mut self, now: Duration) {
        match &mut self.pace {
            Pace::Closed { from } => *from = now + PAUSE_AFTER_FAILURE,
            // A schedule waits for nobody.
            Pace::Open { .. } => {}
        }
    }

    /// Nothing more is due from `at` on.
    pub fn stop(&mut self, at: Duration) {
        self.end = self.end.min(at);
    }

    /// True when nothing is left to be taken.
    #[must_use]
    pub fn is_done(&self, now: Duration) -> bool {
        match &self.pace {
            Pace::Closed { .. } => now >= self.end,
            Pace::Open { .. } => self.next_due().is_none(),
        }
    }

    /// Gives up what is left; returns how many operations of an open loop were due and not taken.
    pub fn abandon(&mut self) -> u64 {
        let mut left = 0;
        if let Pace::Open { rate, next, step } = &mut self.pace {
            while due(*rate, *next) < self.end {
                *next += *step;
                left += 1;
            }
        }
        self.end = Duration::ZERO;
        left
    }
}

/// When operation `number` of a run is due.
fn due(rate: f64, number: u64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// All connections together send at the rate, evenly, and each operation once.
    #[test]
    fn connections_share_one_schedule() {
        let mut pacers: Vec<Pacer> =
            (0..4).map(|number| Pacer::open(1000.0, number, 4, SECOND)).collect();
        let mut due = Vec::new();
        for pacer in &mut pacers {
            while let Some(at) = pacer.take(SECOND) {
                due.push(at);
            }
            assert!(pacer.is_done(ms(0)));
        }
        due.sort_unstable();
        assert_eq!(due, (0..1000).map(ms).collect::<Vec<_>>());
    }

    /// Nothing is sent before it is due; what is late keeps the moment at which it was due.
    #[test]
    fn an_open_loop_keeps_the_intended_time() {
        let mut pacer = Pacer::open(100.0, 0, 1, SECOND);
        assert_eq!((pacer.take(ms(5)), pacer.take(ms(5))), (Some(ms(0)), None));
        assert_eq!(pacer.next_due(), Some(ms(10)));
        assert_eq!((pacer.take(ms(500)), pacer.take(ms(500))), (Some(ms(10)), Some(ms(20))));
    }

    /// A closed loop counts from the sending, ends on time, and pauses after a failure.
    #[test]
    fn a_closed_loop_counts_from_the_sending() {
        let mut pacer = Pacer::closed(SECOND);
        assert_eq!((pacer.take(ms(3)), pacer.take(ms(7))), (Some(ms(3)), Some(ms(7))));
        pacer.failed(ms(7));
        assert_eq!((pacer.take(ms(8)), pacer.take(ms(17))), (None, Some(ms(17))));
        assert_eq!((pacer.take(SECOND), pacer.is_done(SECOND)), (None, true));
        assert_eq!(pacer.abandon(), 0);
    }

    /// What was due before a stop and never sent is counted, not forgotten.
    #[test]
    fn what_was_never_sent_is_counted() {
        let mut pacer = Pacer::open(1000.0, 0, 1, SECOND);
        for _ in 0..100 {
            assert!(pacer.take(ms(500)).is_some());
        }
        pacer.stop(ms(500));
        assert!(!pacer.is_done(ms(500)));
        assert_eq!((pacer.abandon(), pacer.is_done(ms(500))), (400, true));
    }
}
