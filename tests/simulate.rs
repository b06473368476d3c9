//! Whole clusters in the simulator: seeds that must stay clean, and the promise that a seed repeats
//! itself.

use paxosd::sim::command::run_seeds;
use paxosd::sim::{Verbosity, run_seed};

/// A few dozen seeds, every run the same ones.
#[test]
fn seeds_stay_clean() {
    if let Err(failure) = run_seeds(0..48, 2, Verbosity::Hash) {
        panic!("{failure}");
    }
}

/// Same seed, same trace.
#[test]
fn same_seed_same_trace() {
    for seed in [3, 14, 159] {
        let run = || run_seed(seed, Verbosity::Hash).map_err(|failure| failure.to_string());
        assert_eq!(run().expect("clean"), run().expect("clean"));
    }
}
