//! Which logs a run may have: a Bloom filter over their ids.

use crate::limits::RUN_FILTER_BITS;
use crate::types::LogId;
use xxhash_rust::xxh3::xxh3_64;

/// Bits that are set for each log: the best number for ten bits a log (Bloom, "Space/time trade-offs
/// in hash coding with allowable errors", 1970).
const PROBES: u64 = 7;

/// Says of a log that the run lacks it, or that it may have it. Has one word or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(Vec<u64>);

impl LogFilter {
    /// An empty filter for so many logs. For more it says "may have" more often.
    pub(crate) fn for_logs(logs: u64) -> LogFilter {
        let words = (logs.max(1) * RUN_FILTER_BITS).div_ceil(64);
        LogFilter(vec![0; words as usize])
    }

    pub(crate) fn of_words(words: Vec<u64>) -> LogFilter {
        assert!(!words.is_empty(), "a filter without a word denies what it was never asked");
        LogFilter(words)
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    pub(crate) fn insert(&mut self, log: LogId) {
        for bit in bits(log, self.0.len()) {
            self.0[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    pub(crate) fn may_have(&self, log: LogId) -> bool {
        bits(log, self.0.len()).all(|bit| self.0[(bit / 64) as usize] & 1 << (bit % 64) != 0)
    }
}

/// The bits of a log, by double hashing of the two halves of one hash (Kirsch and Mitzenmacher, "Less
/// Hashing, Same Performance", 2006).
fn bits(log: LogId, words: usize) -> impl Iterator<Item = u64> {
    let hash = xxh3_64(&log.0.to_le_bytes());
    let (start, step) = (hash, hash.rotate_left(32) | 1);
    let count = words as u64 * 64;
    (0..PROBES).map(move |probe| start.wrapping_add(probe.wrapping_mul(step)) % count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ShardId;

    /// No log that is there is denied, and of those that are not about one in a hundred is let through.
    #[test]
    fn a_filter_denies_what_is_not_there() {
        let mut filter = LogFilter::for_logs(10_000);
        let log = |counter| LogId::new(ShardId(3), counter);
        (1..=10_000).for_each(|counter| filter.insert(log(counter)));
        assert!((1..=10_000).all(|counter| filter.may_have(log(counter))));
        let wrong = (10_001..=110_000).filter(|counter| filter.may_have(log(*counter))).count();
        assert!((100..2_000).contains(&wrong), "{wrong} of 100000 let through");
    }

    /// A filter that was made for no log denies what is not there, and has what was added all the same.
    #[test]
    fn a_filter_for_no_log_still_works() {
        let mut filter = LogFilter::for_logs(0);
        assert!(!filter.may_have(LogId(1)));
        filter.insert(LogId(1));
        assert!(filter.may_have(LogId(1)));
    }
}
