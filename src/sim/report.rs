//! Running a seed, and reporting what came of it.

use super::marks::Marks;
use super::plan::Plan;
use super::trace::{Trace, Verbosity};
use super::upgrades;
use super::violation::Violation;
use super::world::World;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

/// A run that ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// The hash of everything that happened: the same for the same seed.
    pub hash: u64,
    /// Events that were played.
    pub events: u64,
    /// The simulated time that passed, in microseconds.
    pub simulated_us: u64,
    /// Slots that were chosen.
    pub slots: u64,
    /// Appends acknowledged.
    pub acknowledged: u64,
    /// Other requests that were answered without an error.
    pub answered: u64,
    /// Segments of journals that held nothing live any more, and were removed.
    pub released: u64,
    /// Segments that were allocated and not filled with zeros.
    pub unwritten: u64,
    /// Mostly dead segments of those that run in the end, whose live values were copied since their last starts.
    pub compacted: u64,
    /// Disks that were set back, and refuted by a peer.
    pub refuted: u64,
    /// Runs that ended because nobody who could know of a disk that was set back was there.
    pub undetectable: u64,
    /// Nodes that had another state than the others, and came by theirs again.
    pub healed: u64,
    /// Runs in which the format level rose.
    pub raised: u64,
    /// Which branches were taken.
    pub marks: Marks,
}

/// A run that did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFailure {
    /// The seed by which the run repeats.
    pub seed: u64,
    /// The event at which the check failed, counted from 1.
    pub step: u64,
    /// The simulated time at which it failed, in microseconds from the start.
    pub at_us: u64,
    /// The check that failed, and what it saw.
    pub violation: Violation,
    /// What was planned.
    pub plan: String,
    /// The last lines of the trace, if they were asked for.
    pub tail: Vec<String>,
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {} failed at step {}, {} us", self.seed, self.step, self.at_us)?;
        writeln!(f, "check: {}", self.violation.check)?;
        writeln!(f, "found: {}", self.violation.text)?;
        writeln!(f, "plan: {}", self.plan)?;
        write!(f, "repeat: paxosd simulate --seed {} --trace", self.seed)
    }
}

/// Runs one seed.
///
/// # Errors
/// The first check that failed, be it one of the simulator or an assertion of what it drives.
pub fn run_seed(seed: u64, verbosity: Verbosity) -> Result<RunSummary, Box<RunFailure>> {
    run_plan(Plan::of(seed), verbosity)
}

/// Runs one plan.
///
/// # Errors
/// As those of [`run_seed`].
pub fn run_plan(plan: Plan, verbosity: Verbosity) -> Result<RunSummary, Box<RunFailure>> {
    let seed = plan.seed;
    let text = plan.summary();
    let mut world = World::new(plan, Trace::new(verbosity));
    let caught = quietly(|| catch_unwind(AssertUnwindSafe(|| world.run())));
    let violation = match caught {
        Ok(Ok(())) => {
            return Ok(RunSummary {
                hash: world.trace.hash(),
                events: world.events,
                simulated_us: world.now,
                slots: world.oracle.last().0,
                acknowledged: world.history.acknowledged,
                answered: world.history.reads,
                released: world.released_segments(),
                unwritten: world.unwritten_segments(),
                compacted: world.compacted_segments(),
                refuted: u64::from(world.set_back.refuted),
                undetectable: u64::from(world.set_back.undetectable),
                healed: world.nodes.iter().map(|node| node.healed_before + node.heals()).sum(),
                raised: u64::from(world.oracle.level() > upgrades::OLD),
                marks: std::mem::take(&mut world.marks),
            });
        }
        Ok(Err(violation)) => violation,
        Err(_) => Violation::new("assertions hold", PANIC.take()),
    };
    Err(Box::new(RunFailure {
        seed,
        step: world.events,
        at_us: world.now,
        violation,
        plan: text,
        tail: world.trace.tail(),
    }))
}

thread_local! {
    /// This thread runs a world: a panic is a finding, not an accident.
    static RUNS: Cell<bool> = const { Cell::new(false) };
    /// What the last panic of a world said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `world` with its panics kept for the report instead of printed.
fn quietly<T>(world: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if RUNS.get() {
                PANIC.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
    RUNS.set(true);
    let result = world();
    RUNS.set(false);
    result
}
