//! A histogram that any thread adds to and none waits for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds, each included: from a fast device without a
/// barrier to one that is about to be given up. What is longer has a bucket of its own.
pub const BOUNDS_US: [u64; 19] = [
    100, 200, 300, 500, 750, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// How long something took, in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one is for what is longer than every bound.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many took at most each of [`BOUNDS_US`], the shorter ones included.
    pub upto: Vec<u64>,
    /// How many in all.
    pub count: u64,
    /// How long they took together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// Adds one.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What it holds now. The count is that of the buckets, so that the two never differ.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut count = 0;
        let mut upto = Vec::with_capacity(BOUNDS_US.len());
        for (at, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if at < BOUNDS_US.len() {
                upto.push(count);
            }
        }
        Counts { upto, count, sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

/// What the batches of a shard cost: writes and syncs together, as an append meets them.
#[derive(Debug, Default)]
pub struct Syncs {
    /// How long each took.
    pub took: Histogram,
    /// Bytes written by them.
    pub bytes: AtomicU64,
}

impl Syncs {
    /// Adds a batch of so many bytes.
    pub fn record(&self, bytes: u64, took: Duration) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.took.record(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What takes exactly as long as a bound falls below it, and nothing is lost at either end.
    #[test]
    fn buckets_hold_their_bounds() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        let counts = histogram.counts();
        assert_eq!((counts.upto[0], counts.upto[1]), (2, 3));
        assert_eq!((counts.upto[BOUNDS_US.len() - 1], counts.count), (4, 5));
        assert_eq!(counts.sum_us, 20_000_202);
        assert!(BOUNDS_US.is_sorted());
    }
}
