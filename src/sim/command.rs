//! `paxosd simulate`: runs seeds, and says how to repeat the one that fails.

use super::marks::{self, Marks};
use super::plan::{FaultKind, Plan};
use super::report::{RunFailure, RunSummary, run_plan};
use super::trace::{Verbosity, print_line};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Exit code of a broken invariant.
const EXIT_BROKEN: u8 = 70;

/// Runs whole clusters over simulated networks, disks and clocks, and checks what they promise.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// Runs one seed.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// Runs the seeds from A up to, not including, B.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, default_value = "0..200")]
    pub seeds: Range<u64>,
    /// Every seed gets this fault beside its own, in a cluster of at least three.
    #[arg(long, value_name = "FAULT")]
    pub with: Option<FaultKind>,
    /// Prints everything that happens.
    #[arg(long, requires = "seed")]
    pub trace: bool,
    /// Prints how often each branch was taken that a run of many seeds must take.
    #[arg(long)]
    pub marks: bool,
    /// Seeds to run at once; all cores by default.
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, upto) = text.split_once("..").ok_or("expected A..B, for example 0..200")?;
    let number = |part: &str| part.trim().parse::<u64>().map_err(|e| format!("{part:?}: {e}"));
    let (from, upto) = (number(from)?, number(upto)?);
    if from < upto { Ok(from..upto) } else { Err(format!("{from}..{upto} holds no seed")) }
}

/// Runs the command and returns the process's exit code: 0, or 70 when a check failed.
#[must_use]
pub fn simulate(args: &SimulateArgs) -> u8 {
    let begun = Instant::now();
    let seeds = args.seed.map_or(args.seeds.clone(), |seed| seed..seed + 1);
    let verbosity = if args.trace { Verbosity::Print } else { Verbosity::Hash };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = |seed| args.with.map_or(Plan::of(seed), |fault| Plan::with(seed, fault));
    let outcome = run_plans(seeds.clone(), args.jobs.unwrap_or(cores), verbosity, plan);
    match outcome {
        Ok(total) => {
            let seconds = begun.elapsed().as_secs_f64().max(1e-9);
            let count = seeds.end - seeds.start;
            print_line(&format!(
                "{count} seeds clean: {:.0} s simulated, {} slots, {} appends, {} other requests, \
                 {} events, {} segments released, {} compacted, {} not written ahead, {} disks set back and \
                 refuted, {} undetectable, {} states healed, {} levels raised; {:.1} seeds/s",
                total.simulated_us as f64 / 1e6,
                total.slots,
                total.acknowledged,
                total.answered,
                total.events,
                total.released,
                total.compacted,
                total.unwritten,
                total.refuted,
                total.undetectable,
                total.healed,
                total.raised,
                count as f64 / seconds
            ));
            if args.seed.is_some() {
                print_line(&format!("hash {:016x}", total.hash));
            }
            report_marks(args, count, &total.marks)
        }
        Err(failure) => {
            // Once more, for the trace's last lines: the same seed fails in the same way.
            let again = run_plan(plan(failure.seed), Verbosity::Tail);
            let failure = if args.trace { failure } else { again.err().unwrap_or(failure) };
            print_line(&failure.to_string());
            if let Some(fault) = args.with {
                print_line(&format!("with: --with {}", fault.name()));
            }
            EXIT_BROKEN
        }
    }
}

/// Prints the marks, if they were asked for. So many seeds that leave one out have checked less than they seem
/// to: that is a failure. Returns the exit code.
fn report_marks(args: &SimulateArgs, seeds: u64, reached: &Marks) -> u8 {
    if args.marks {
        for (text, count) in reached.counts() {
            print_line(&format!("{count:>9}  {text}"));
        }
    }
    let missing = reached.missing();
    if seeds < marks::SEEDS || args.with.is_some() || missing.is_empty() {
        return 0;
    }
    for text in missing {
        print_line(&format!("never in {seeds} seeds: {text}"));
    }
    EXIT_BROKEN
}

/// Runs seeds on several threads.
///
/// # Errors
/// The failure of the lowest seed that failed; higher ones may not have been run.
pub fn run_seeds(
    seeds: Range<u64>,
    threads: usize,
    verbosity: Verbosity,
) -> Result<RunSummary, Box<RunFailure>> {
    run_plans(seeds, threads, verbosity, Plan::of)
}

/// Runs seeds as [`run_seeds`] does, each with the plan that the function gives for it.
///
/// # Errors
/// As those of [`run_seeds`].
pub fn run_plans(
    seeds: Range<u64>,
    threads: usize,
    verbosity: Verbosity,
    plan: impl Fn(u64) -> Plan + Sync,
) -> Result<RunSummary, Box<RunFailure>> {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let outcome: Mutex<(RunSummary, Option<Box<RunFailure>>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    let result = run_plan(plan(seed), verbosity);
                    let mut outcome = outcome.lock().expect("no thread panics with the lock held");
                    match result {
                        Ok(summary) => outcome.0.add(&summary),
                        Err(failure) => {
                            end.fetch_min(seed, Ordering::Relaxed);
                            let lowest = outcome.1.as_ref().is_none_or(|low| seed < low.seed);
                            if lowest {
                                outcome.1 = Some(failure);
                            }
                        }
                    }
                }
            });
        }
    });
    let (summary, failure) = outcome.into_inner().expect("no thread panics with the lock held");
    failure.map_or(Ok(summary), Err)
}

impl RunSummary {
    fn add(&mut self, other: &RunSummary) {
        self.hash ^= other.hash;
        self.events += other.events;
        self.simulated_us += other.simulated_us;
        self.slots += other.slots;
        self.acknowledged += other.acknowledged;
        self.answered += other.answered;
        self.released += other.released;
        self.unwritten += other.unwritten;
        self.compacted += other.compacted;
        self.refuted += other.refuted;
        self.undetectable += other.undetectable;
        self.healed += other.healed;
        self.raised += other.raised;
        self.marks.add_all(&other.marks);
    }
}
