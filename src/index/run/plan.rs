//! Which runs are to become one: few runs, and few times that a row is written.

use crate::index::run::set::RunSet;
use crate::limits::{RUN_UNIT_BYTES, RUNS_MAX};
use std::ops::Range;

/// The runs of the set that are to be merged next; nothing while there are few enough.
#[must_use]
pub fn plan_merge(set: &RunSet) -> Option<Range<usize>> {
    let bytes: Vec<u64> = set.runs().iter().map(|run| run.file_bytes()).collect();
    plan_merge_of_sizes(&bytes)
}

/// The same for runs of these sizes in bytes, the oldest first.
///
/// Of n units of data, k runs are best kept at sizes that add up to n as in the combinatorial number
/// system: C(a, k) + C(b, k - 1) + …, with a > b > … (Mathieu, Staelin, Young and Yousefi, "Bigtable
/// merge compaction", 2014). From the oldest one on, each run must have as much as its place in that sum
/// asks for; the first one that has less is merged with all newer ones. So a row is written about as
/// often as n can be halved, in practice less often.
#[must_use]
pub fn plan_merge_of_sizes(bytes: &[u64]) -> Option<Range<usize>> {
    if bytes.len() <= RUNS_MAX {
        return None;
    }
    let units = |bytes: u64| bytes.div_ceil(RUN_UNIT_BYTES).max(1);
    let mut left: u64 = bytes.iter().map(|bytes| units(*bytes)).sum();
    for (at, places) in (0..bytes.len()).zip((1..=RUNS_MAX as u64).rev()) {
        let has = units(bytes[at]);
        if places == 1 || has < binomial_upto(left, places) {
            return Some(at..bytes.len());
        }
        left -= has;
    }
    unreachable!("{} runs, but only {RUNS_MAX} places", bytes.len())
}

/// The largest C(m, k) that is not above `bound`, which is at least 1 = C(k, k).
fn binomial_upto(bound: u64, k: u64) -> u64 {
    let (mut m, mut binomial) = (u128::from(k), 1u128);
    loop {
        let next = binomial * (m + 1) / (m + 1 - u128::from(k));
        if next > u128::from(bound) {
            return binomial as u64;
        }
        (m, binomial) = (m + 1, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Random;

    /// Writes so many runs of sizes that `draw` gives, merging as planned. Returns how often a byte
    /// was written on average, and the most runs there were.
    fn simulate(runs: u64, mut draw: impl FnMut() -> u64) -> (f64, usize) {
        let (mut sizes, mut data, mut written, mut most) = (Vec::new(), 0, 0, 0);
        for _ in 0..runs {
            let bytes = draw();
            sizes.push(bytes);
            data += bytes;
            written += bytes;
            while let Some(range) = plan_merge_of_sizes(&sizes) {
                assert!(range.len() > 1 && range.end == sizes.len(), "{range:?} of {sizes:?}");
                let merged: u64 = sizes[range.clone()].iter().sum();
                written += merged;
                sizes.splice(range, [merged]);
            }
            most = most.max(sizes.len());
        }
        (written as f64 / data as f64, most)
    }

    /// C31: whatever the sizes of runs are, few are kept, and a row is written no more often than
    /// their number can be halved, and once more.
    #[test]
    fn c31_merging_keeps_few_runs_and_writes_a_row_seldom() {
        let unit = RUN_UNIT_BYTES;
        for runs in [10u64, 100, 1_000, 10_000, 100_000] {
            let mut random = Random::new(runs);
            let mut drawn = |from: u64, upto: u64| from + random.below(upto - from);
            let found = [
                simulate(runs, || unit),
                simulate(runs, || 100 * unit),
                simulate(runs, || drawn(1, 100) * unit),
                simulate(runs, || drawn(unit, 3 * unit)),
                simulate(runs, || if drawn(0, 10) > 0 { unit } else { 5_000 * unit }),
            ];
            let bound = 2.0 + (runs as f64).log2();
            for (at, (writes, most)) in found.into_iter().enumerate() {
                assert!(most <= RUNS_MAX, "draw {at} of {runs} runs: {most} kept");
                assert!(writes <= bound, "draw {at} of {runs} runs: {writes:.1} writes a byte");
            }
        }
    }

    /// Runs that piled up, because no merge could be made for a while, are few again after one.
    #[test]
    fn runs_that_piled_up_are_few_after_one_merge() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let count = 9 + random.below(200);
            let sizes: Vec<u64> = (0..count).map(|_| 1 << random.below(40)).collect();
            let range = plan_merge_of_sizes(&sizes).expect("there are more than are kept");
            assert!(range.start < RUNS_MAX && range.end == sizes.len(), "seed {seed}: {range:?}");
        }
        assert_eq!(plan_merge_of_sizes(&[1; RUNS_MAX]), None);
        assert_eq!(plan_merge_of_sizes(&[0; RUNS_MAX + 1]), Some(0..RUNS_MAX + 1));
        assert!(plan_merge_of_sizes(&[u64::MAX / 100; 60]).is_some());
    }
}
