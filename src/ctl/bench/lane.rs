//! One connection under load, without its socket and its clock: what is submitted when, and what is
//! made of what comes back.

use super::schedule::Pacer;
use super::tally::{BenchTally, Reason, Work};
use crate::client::ClientError;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// An operation that came back.
#[derive(Debug)]
pub struct Finished {
    /// Its place in the order of submission: 0, 1, 2 …
    pub ticket: u64,
    /// What it brought.
    pub result: Result<Work, ClientError>,
}

/// A pipeline of operations on one connection.
pub trait Pipe {
    /// True when another operation may be submitted.
    fn has_room(&self) -> bool;
    /// Submits an operation.
    fn submit(&mut self);
    /// Sends what was submitted.
    fn flush(&mut self);
    /// An operation that has come back, without waiting.
    fn poll(&mut self) -> Option<Finished>;
    /// Waits until an operation comes back; none when none is outstanding.
    fn wait(&mut self) -> Option<Finished>;
    /// True when only [`Pipe::wait`] gets further.
    fn is_stuck(&self) -> bool;
    /// What becomes readable when an answer comes.
    fn socket(&self) -> Option<BorrowedFd<'_>>;
}

/// One connection under load.
#[derive(Debug)]
pub struct Lane<P> {
    /// The connection.
    pub pipe: P,
    pacer: Pacer,
    /// When the operations from `first_ticket` on were due and submitted; none once back.
    under_way: VecDeque<Option<Times>>,
    first_ticket: u64,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    due: Duration,
    submitted: Duration,
}

impl<P> Lane<P> {
    /// A connection without load yet.
    pub fn new(pipe: P, pacer: Pacer) -> Lane<P> {
        Lane { pipe, pacer, under_way: VecDeque::new(), first_ticket: 0 }
    }
}

impl<P: Pipe> Lane<P> {
    /// Submits all that is due by now and for which there is room.
    pub fn fill(&mut self, now: Duration) {
        let mut submitted = false;
        while self.pipe.has_room()
            && let Some(due) = self.pacer.take(now)
        {
            self.pipe.submit();
            self.under_way.push_back(Some(Times { due, submitted: now }));
            submitted = true;
        }
        if submitted {
            self.pipe.flush();
        }
    }

    /// Takes what has come back; returns how many succeeded and how many failed.
    pub fn gather(&mut self, now: Duration, tally: &mut BenchTally) -> (u64, u64) {
        let mut counts = (0, 0);
        while let Some(back) = self.pipe.poll() {
            let ok = self.note(back, now, tally);
            if ok { counts.0 += 1 } else { counts.1 += 1 }
        }
        counts
    }

    /// Notes one operation that came back; returns whether it succeeded.
    pub fn note(&mut self, back: Finished, now: Duration, tally: &mut BenchTally) -> bool {
        let place = usize::try_from(back.ticket - self.first_ticket);
        let times = place.ok().and_then(|place| self.under_way.get_mut(place)?.take());
        let Times { due, .. } = times.expect("what comes back was submitted, and comes back once");
        while let Some(None) = self.under_way.front() {
            self.under_way.pop_front();
            self.first_ticket += 1;
        }
        match back.result {
            Ok(work) => {
                tally.succeeded(due, now, work);
                true
            }
            Err(error) => {
                let text = || format!("{error}; next: {}", error.next_step());
                tally.failed(due, now, Reason::of(&error), text);
                self.pacer.failed(now);
                false
            }
        }
    }

    /// Operations submitted and not back.
    pub fn outstanding(&self) -> usize {
        self.under_way.len()
    }

    /// When the oldest operation that is not back was submitted.
    pub fn oldest(&self) -> Option<Duration> {
        self.under_way.front().copied().flatten().map(|stamp| stamp.submitted)
    }

    /// When the next operation is due, if there is one and room for it.
    pub fn next_due(&self, now: Duration) -> Option<Duration> {
        let wanted = self.pipe.has_room() && !self.pacer.is_done(now);
        if wanted { self.pacer.next_due() } else { None }
    }

    /// Nothing more is due from `at` on.
    pub fn stop(&mut self, at: Duration) {
        self.pacer.stop(at);
    }

    /// Sends nothing more; what was due and never sent is counted.
    pub fn abandon(&mut self, tally: &mut BenchTally) {
        tally.unsent += self.pacer.abandon();
    }

    /// True when nothing is outstanding and nothing will be sent any more.
    pub fn is_done(&self, now: Duration) -> bool {
        self.under_way.is_empty() && self.pacer.is_done(now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Period;
    use super::*;
    use crate::client::{Cause, Failure, Operation, Outcome, Stage};

    /// A node that answers each operation after a millisecond, but nothing while it stalls.
    struct Node {
        now: Duration,
        window: usize,
        latency: Duration,
        stall: (Duration, Duration),
        under_way: VecDeque<(u64, Duration)>,
        next: u64,
        fails: bool,
    }

    impl Node {
        fn new(window: usize, stall: (Duration, Duration)) -> Node {
            let (now, latency) = (Duration::ZERO, ms(1));
            Node { now, window, latency, stall, under_way: VecDeque::new(), next: 0, fails: false }
        }
    }

    impl Pipe for Node {
        fn has_room(&self) -> bool {
            self.under_way.len() < self.window
        }
        fn submit(&mut self) {
            let mut answer = self.now + self.latency;
            if answer >= self.stall.0 && answer < self.stall.1 {
                answer = self.stall.1;
            }
            self.under_way.push_back((self.next, answer));
            self.next += 1;
        }
        fn flush(&mut self) {}
        fn poll(&mut self) -> Option<Finished> {
            let (ticket, _) = self.under_way.pop_front_if(|(_, at)| *at <= self.now)?;
            let work = Work { entries: 1, bytes: 128 };
            let result = if self.fails { Err(lost()) } else { Ok(work) };
            Some(Finished { ticket, result })
        }
        fn wait(&mut self) -> Option<Finished> {
            None
        }
        fn is_stuck(&self) -> bool {
            false
        }
        fn socket(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn lost() -> ClientError {
        ClientError::new(Failure {
            operation: Operation::plain("append"),
            outcome: Outcome::Unknown,
            stage: Stage::Quorum,
            endpoint: None,
            cause: Cause::Closed,
            elsewhere: Vec::new(),
            attempts: 1,
            gave_up_after: None,
        })
    }

    /// Runs the lane to its end on a clock that goes in steps of a tenth of a millisecond.
    fn run(node: Node, pacer: Pacer, period: Period) -> BenchTally {
        let mut lane = Lane::new(node, pacer);
        let mut tally = BenchTally::new(period);
        let mut now = Duration::ZERO;
        while !lane.is_done(now) {
            lane.pipe.now = now;
            lane.gather(now, &mut tally);
            lane.fill(now);
            now += Duration::from_micros(100);
        }
        tally
    }

    fn quantile_ms(tally: &BenchTally, quantile: f64) -> u64 {
        tally.latencies.value_at_quantile(quantile) / 1000
    }

    /// A server that stalls for one second of ten delays a tenth of what was due: an open loop
    /// shows it in the percentiles, a closed loop hides it in a single operation.
    #[test]
    fn a_stall_shows_in_the_percentiles_of_an_open_loop() {
        let period = Period::new(Duration::ZERO, ms(10_000));
        let stall = (ms(4000), ms(5000));
        let pacer = Pacer::open(500.0, 0, 1, period.end);
        let open = run(Node::new(4, stall), pacer, period);
        assert_eq!((open.ok, open.latencies.len(), open.unsent), (5000, 5000, 0));
        let (p50, p95, p99) =
            (quantile_ms(&open, 0.5), quantile_ms(&open, 0.95), quantile_ms(&open, 0.99));
        assert!(p50 <= 2, "half of them met no stall: {p50} ms");
        assert!((400..=700).contains(&p95), "one of twenty waited half the stall: {p95} ms");
        assert!((850..=1001).contains(&p99), "one of a hundred waited nearly all of it: {p99} ms");

        let closed = run(Node::new(1, stall), Pacer::closed(period.end), period);
        assert!(quantile_ms(&closed, 0.99) <= 2, "a closed loop sends nothing while it waits");
        assert!((999..=1002).contains(&quantile_ms(&closed, 1.0)), "but the longest is seen");
    }

    /// What is due while warming up is not measured, what is due before the end is, however late.
    #[test]
    fn the_period_is_by_when_it_was_due() {
        let period = Period::new(ms(1000), ms(1000));
        let pacer = Pacer::open(100.0, 0, 1, period.end);
        let node = Node::new(1000, (ms(1500), ms(3000)));
        let tally = run(node, pacer, period);
        assert_eq!((tally.ok, tally.last), (100, ms(3000)));
        assert_eq!(tally.work, Work { entries: 100, bytes: 12_800 });
        let in_buckets: u64 = tally.buckets.iter().map(|bucket| bucket.ok).sum();
        assert_eq!(in_buckets, 100);
        // The bucket at the end of the stall has all that came back then.
        let last = &tally.buckets[(2000 / period.bucket.as_millis()) as usize];
        assert!(last.ok >= 49, "{}", last.ok);
    }

    /// Failures are counted by outcome and reason, and never among the latencies.
    #[test]
    fn failures_are_counted_by_outcome() {
        let period = Period::new(ms(100), ms(100));
        let node = Node { fails: true, ..Node::new(1, (ms(9000), ms(9000))) };
        let tally = run(node, Pacer::open(1000.0, 0, 1, period.end), period);
        assert_eq!((tally.ok, tally.latencies.len()), (0, 0));
        assert_eq!((tally.failed_early_count(), tally.failed_with("unknown")), (100, 100));
        assert_eq!(tally.failed_with("not executed"), 0);
        let (reason, failures) = tally.failures.iter().next().expect("one reason");
        assert_eq!(reason.what, "connection closed");
        assert!(failures.first.contains("outcome unknown"), "{}", failures.first);
    }

    /// Threads' counts add up.
    #[test]
    fn tallies_add_up() {
        let period = Period::new(Duration::ZERO, ms(500));
        let never = (ms(9000), ms(9000));
        let mut sum = BenchTally::new(period);
        for fails in [false, true, false] {
            let node = Node { fails, ..Node::new(8, never) };
            sum.add(run(node, Pacer::open(1000.0, 0, 1, period.end), period));
        }
        assert_eq!((sum.ok, sum.failed_count(), sum.latencies.len()), (1000, 500, 1000));
        let buckets = sum.buckets.iter();
        let (ok, failed) = buckets.fold((0, 0), |(ok, failed), b| (ok + b.ok, failed + b.failed));
        assert_eq!((ok, failed), (1000, 500));
    }
}
