//! Whole clusters in the simulator: seeds that must stay clean, and the promise that a seed repeats
//! itself.

use paxosd::sim::command::{run_plans, run_seeds};
use paxosd::sim::{FaultKind, Plan, Verbosity, run_seed};

/// A few dozen seeds, every run the same ones. In half of them nodes are upgraded, each at a start of its own,
/// to a program that knows one format level more: the level rises in some, and never before the last member
/// knows it (C44d).
#[test]
fn seeds_stay_clean() {
    match run_seeds(0..48, 2, Verbosity::Hash) {
        Ok(total) => {
            assert!(total.raised >= 8, "the level rose in {} runs", total.raised);
            assert!(total.compacted >= 8, "{} segments were compacted", total.compacted);
        }
        Err(failure) => panic!("{failure}"),
    }
}

/// C13, R13: a disk that is set back, before any of several starts, with any restarts of those who saw what
/// it held: nothing acknowledged is lost and no slot gets a second value while one of them can know. That
/// most of these runs end in a refutation shows that the evidence is durable.
#[test]
fn r13_disks_that_are_set_back_are_refuted() {
    let plan = |seed| Plan::with(seed, FaultKind::SetBack);
    let total = match run_plans(0..150, 2, Verbosity::Hash, plan) {
        Ok(total) => total,
        Err(failure) => panic!("{failure}\nwith: --with set-back"),
    };
    assert!(total.refuted >= 25, "{} refuted", total.refuted);
    assert!(total.undetectable * 10 <= total.refuted, "{} undetectable", total.undetectable);
}

/// C32: the state of a node becomes another one, in memory, while processes are killed and machines lose power:
/// it fences itself, and comes by the state of the others again, whatever was written to its disk meanwhile.
#[test]
fn c32_states_that_differ_are_healed() {
    let plan = |seed| Plan::with(seed, FaultKind::Spoil);
    let total = match run_plans(0..80, 2, Verbosity::Hash, plan) {
        Ok(total) => total,
        Err(failure) => panic!("{failure}\nwith: --with spoil"),
    };
    assert!(total.healed >= 12, "{} healed", total.healed);
}

/// C32b: a value rots on all nodes, among kills, power cuts and partitions, and an operator declares its entries lost:
/// reads say so from then on, of these alone, and what any node has is never declared.
#[test]
fn c32b_what_rotted_everywhere_is_declared_lost() {
    let plan = |seed| Plan::with(seed, FaultKind::Lose);
    let total = match run_plans(0..80, 2, Verbosity::Hash, plan) {
        Ok(total) => total,
        Err(failure) => panic!("{failure}\nwith: --with lose"),
    };
    let is_of_losses = |text: &str| text.contains("lost") || text.contains("declaration");
    let counts: Vec<_> = total.marks.counts().filter(|(text, _)| is_of_losses(text)).collect();
    assert!(counts.len() >= 3 && counts.iter().all(|(_, count)| *count >= 20), "{counts:?}");
}

/// Same seed, same trace.
#[test]
fn same_seed_same_trace() {
    for seed in [3, 14, 159] {
        let run = || run_seed(seed, Verbosity::Hash).map_err(|failure| failure.to_string());
        assert_eq!(run().expect("clean"), run().expect("clean"));
    }
}
