//! What is counted: latencies, work, failures, and all of it over time.

use crate::client::{Cause, ClientError, Outcome};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest latency that is distinguished, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;
/// Most buckets of a run: as many as a plot can show.
const BUCKETS_MAX: u32 = 120;
/// Widths that a bucket can have, in milliseconds.
const BUCKETS_MS: &[u64] = &[50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 600_000];

/// The part of a run that is measured, counted from the run's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// What was due before is warming up.
    pub from: Duration,
    /// Nothing is due from here on.
    pub end: Duration,
    /// Width of the buckets in which work is counted over time.
    pub bucket: Duration,
}

/// What an operation brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Entries.
    pub entries: u64,
    /// Bytes of these entries.
    pub bytes: u64,
}

/// Why an operation failed, as far as failures are distinguished.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// `not executed`, `executed`, `unknown`.
    pub outcome: &'static str,
    /// The node's error code, or what kind of failure it was.
    pub what: String,
}

/// Operations that failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// What the first of them said.
    pub first: String,
}

/// Work of one stretch of time.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Operations that succeeded.
    pub ok: u64,
    /// Operations that failed.
    pub failed: u64,
    /// What was done.
    pub work: Work,
    /// Latencies in microseconds.
    pub latencies: Histogram<u32>,
}

/// What a run, or one thread of it, has done.
#[derive(Clone, Debug)]
pub struct BenchTally {
    period: Period,
    /// Latencies of what succeeded, in microseconds.
    pub latencies: Histogram<u64>,
    /// Operations that succeeded.
    pub ok: u64,
    /// What they brought.
    pub work: Work,
    /// Operations that failed.
    pub failures: BTreeMap<Reason, Failures>,
    /// Operations that failed while warming up.
    pub failed_early: BTreeMap<Reason, Failures>,
    /// What succeeded, while warming up and since.
    pub whole: Work,
    /// Operations of an open loop that were due and never sent.
    pub unsent: u64,
    /// When the last measured operation came back.
    pub last: Duration,
    /// The same over time, from [`Period::from`] on.
    pub buckets: Vec<Bucket>,
}

impl Period {
    /// A period after so much warming up.
    #[must_use]
    pub fn new(warmup: Duration, length: Duration) -> Period {
        let fits = |ms: &&u64| Duration::from_millis(**ms) * BUCKETS_MAX >= length;
        let widest = BUCKETS_MS[BUCKETS_MS.len() - 1];
        let bucket = BUCKETS_MS.iter().find(fits).copied().unwrap_or(widest);
        Period { from: warmup, end: warmup + length, bucket: Duration::from_millis(bucket) }
    }
}

impl Reason {
    /// The reason of a client's failure.
    #[must_use]
    pub fn of(error: &ClientError) -> Reason {
        let outcome = match error.outcome {
            Outcome::NotExecuted => "not executed",
            Outcome::Executed => "executed",
            Outcome::Unknown => "unknown",
        };
        let what = match &error.cause {
            Cause::Refused(refusal) => refusal.code.to_string(),
            Cause::Io { doing, .. } => (*doing).to_string(),
            Cause::NoAddress => "no address".to_string(),
            Cause::Closed => "connection closed".to_string(),
            Cause::Silent { .. } => "no answer in time".to_string(),
            Cause::Protocol(_) => "protocol broken".to_string(),
            Cause::NoLeader { .. } => "no leader".to_string(),
            Cause::NoTime => "no time left".to_string(),
            Cause::PriorFailed => "an earlier append failed".to_string(),
            Cause::Invalid(_) => "invalid".to_string(),
        };
        Reason { outcome, what }
    }
}

impl Bucket {
    fn new() -> Bucket {
        let latencies = Histogram::new_with_bounds(1, LONGEST_US, 2);
        let latencies = latencies.expect("bounds and digits are constants that fit together");
        Bucket { ok: 0, failed: 0, work: Work::default(), latencies }
    }
}

impl BenchTally {
    /// Nothing yet.
    #[must_use]
    pub fn new(period: Period) -> BenchTally {
        let latencies = Histogram::new_with_bounds(1, LONGEST_US, 3);
        BenchTally {
            period,
            latencies: latencies.expect("bounds and digits are constants that fit together"),
            ok: 0,
            work: Work::default(),
            failures: BTreeMap::new(),
            failed_early: BTreeMap::new(),
            whole: Work::default(),
            unsent: 0,
            last: Duration::ZERO,
            buckets: Vec::new(),
        }
    }

    /// The period that is measured.
    #[must_use]
    pub fn period(&self) -> Period {
        self.period
    }

    /// An operation that was due at `due` succeeded at `now`.
    pub fn succeeded(&mut self, due: Duration, now: Duration, work: Work) {
        self.whole.add(work);
        if due < self.period.from {
            return;
        }
        let latency = now.saturating_sub(due).as_micros();
        let us = u64::try_from(latency).unwrap_or(LONGEST_US).max(1);
        self.latencies.saturating_record(us);
        self.ok += 1;
        self.work.add(work);
        let bucket = self.bucket(now);
        bucket.ok += 1;
        bucket.work.add(work);
        bucket.latencies.saturating_record(us);
    }

    /// An operation that was due at `due` failed at `now`; `text` says how.
    pub fn failed(
        &mut self,
        due: Duration,
        now: Duration,
        reason: Reason,
        text: impl FnOnce() -> String,
    ) {
        let is_early = due < self.period.from;
        let failures = if is_early { &mut self.failed_early } else { &mut self.failures };
        let failures = failures.entry(reason);
        failures.or_insert_with(|| Failures { count: 0, first: text() }).count += 1;
        if !is_early {
            self.bucket(now).failed += 1;
        }
    }

    /// The bucket of a moment, which is also the last one seen.
    fn bucket(&mut self, now: Duration) -> &mut Bucket {
        self.last = self.last.max(now);
        let since = now.saturating_sub(self.period.from);
        let place = (since.as_nanos() / self.period.bucket.as_nanos().max(1)) as usize;
        while self.buckets.len() <= place {
            self.buckets.push(Bucket::new());
        }
        &mut self.buckets[place]
    }

    /// Operations that failed, for whatever reason.
    #[must_use]
    pub fn failed_count(&self) -> u64 {
        count(&self.failures)
    }

    /// Operations that failed, of those that were due while warming up.
    #[must_use]
    pub fn failed_early_count(&self) -> u64 {
        count(&self.failed_early)
    }

    /// Failures of one outcome.
    #[must_use]
    pub fn failed_with(&self, outcome: &str) -> u64 {
        let of = self.failures.iter().filter(|(reason, _)| reason.outcome == outcome);
        of.map(|(_, failures)| failures.count).sum()
    }

    /// Adds what another thread of the same run has done.
    pub fn add(&mut self, other: BenchTally) {
        let fits = "all histograms of a run have the same bounds";
        self.latencies.add(&other.latencies).expect(fits);
        self.ok += other.ok;
        self.work.add(other.work);
        self.whole.add(other.whole);
        self.unsent += other.unsent;
        self.last = self.last.max(other.last);
        add(&mut self.failures, other.failures);
        add(&mut self.failed_early, other.failed_early);
        while self.buckets.len() < other.buckets.len() {
            self.buckets.push(Bucket::new());
        }
        for (mine, other) in self.buckets.iter_mut().zip(other.buckets) {
            mine.ok += other.ok;
            mine.failed += other.failed;
            mine.work.add(other.work);
            mine.latencies.add(&other.latencies).expect(fits);
        }
    }
}

fn count(failures: &BTreeMap<Reason, Failures>) -> u64 {
    failures.values().map(|failures| failures.count).sum()
}

fn add(mine: &mut BTreeMap<Reason, Failures>, other: BTreeMap<Reason, Failures>) {
    for (reason, Failures { count, first }) in other {
        mine.entry(reason).or_insert(Failures { count: 0, first }).count += count;
    }
}

impl Work {
    fn add(&mut self, other: Work) {
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}
