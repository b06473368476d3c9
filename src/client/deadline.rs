//! Deadlines and back-off. Every wait of the client has both ends in sight.

use crate::types::Random;
use std::time::{Duration, Instant};

/// The first pause between two attempts; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause that a node can ask for.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(1);
/// The longest pause while an election may be under way: whoever sleeps longer misses its end.
const PAUSE_ELECTION: Duration = Duration::from_millis(40);
/// How much was slept when an election must long be over, and something else be wrong.
const ELECTION: Duration = Duration::from_secs(1);
/// The longest pause after that.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// When an operation ends at the latest, and how long it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    start: Instant,
    allowed: Duration,
}

impl Deadline {
    /// A deadline `allowed` from now.
    #[must_use]
    pub fn after(allowed: Duration) -> Deadline {
        Deadline { start: Instant::now(), allowed }
    }

    /// A deadline `allowed` from `start`.
    #[must_use]
    pub fn since(start: Instant, allowed: Duration) -> Deadline {
        Deadline { start, allowed }
    }

    /// How long the operation had in all.
    #[must_use]
    pub fn allowed(&self) -> Duration {
        self.allowed
    }

    /// What is left, or `None` once the deadline has passed.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.allowed.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero())
    }

    /// True once nothing is left.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.remaining().is_none()
    }

    /// Time since the operation began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// A deadline for one attempt: `allowed` from now, but never later than this one.
    #[must_use]
    pub fn attempt(&self, allowed: Duration) -> Deadline {
        Deadline::after(allowed.min(self.remaining().unwrap_or(Duration::ZERO)))
    }

    /// A deadline for the attempt on one of so many nodes that are still to be asked: as
    /// [`Deadline::attempt`], but no more than its share of what is left, so that those that are
    /// silent leave time for the others.
    #[must_use]
    pub fn share(&self, allowed: Duration, nodes: usize) -> Deadline {
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
        self.attempt(allowed.min(self.remaining().unwrap_or(Duration::ZERO) / nodes))
    }
}

/// Pauses between attempts: doubling, bounded, shorter while a leader is being elected, with jitter so that many clients that lost the same
/// leader do not come back as one.
#[derive(Clone, Debug)]
pub struct Backoff {
    pause: Duration,
    /// The sum of the pauses so far.
    slept: Duration,
    random: Random,
}

impl Backoff {
    /// A back-off at its shortest pause. The seed only spreads clients; any number will do.
    #[must_use]
    pub fn new(seed: u64) -> Backoff {
        Backoff { pause: PAUSE_MIN, slept: Duration::ZERO, random: Random::new(seed) }
    }

    /// The next pause: between half of the current bound and the whole of it; the bound doubles.
    pub fn next_pause(&mut self) -> Duration {
        let half = self.pause / 2;
        let jitter = Duration::from_nanos(self.random.below(half.as_nanos() as u64 + 1));
        let pause = half + jitter;
        self.slept += pause;
        let bound = if self.slept < ELECTION { PAUSE_ELECTION } else { PAUSE_MAX };
        self.pause = (self.pause * 2).min(bound);
        pause
    }

    /// Sleeps for the next pause, or for what the peer asked for if that is longer, but never past
    /// the deadline. False when the deadline has passed.
    pub fn sleep(&mut self, asked: Duration, deadline: &Deadline) -> bool {
        let pause = self.next_pause().max(asked.min(PAUSE_ASKED_MAX));
        let Some(left) = deadline.remaining() else { return false };
        std::thread::sleep(pause.min(left));
        !deadline.has_passed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses grow to a bound that is short for as long as an election takes and longer afterwards,
    /// and differ between two clients.
    #[test]
    fn pauses_double_up_to_their_bound_and_differ_between_clients() {
        let (mut one, mut two) = (Backoff::new(11), Backoff::new(12_345));
        let mut differ = false;
        let mut slept = Duration::ZERO;
        while slept < ELECTION {
            let (a, b) = (one.next_pause(), two.next_pause());
            assert!(a <= PAUSE_ELECTION, "a pause of {a:?} after {slept:?}");
            differ |= a != b;
            slept += a;
        }
        assert!(differ, "two seeds gave the same pauses");
        let late: Vec<Duration> = (0..8).map(|_| one.next_pause()).collect();
        let longest = late.iter().max().expect("eight pauses");
        assert!(*longest > PAUSE_MAX / 2 - PAUSE_MIN && *longest <= PAUSE_MAX, "{late:?}");
    }

    /// An attempt ends with its operation, however long it was given.
    #[test]
    fn an_attempt_never_outlives_its_operation() {
        let whole = Deadline::after(Duration::from_millis(20));
        let left = whole.attempt(Duration::from_secs(9)).remaining().unwrap_or_default();
        assert!(left <= Duration::from_millis(20), "attempt was given {left:?}");
        // Sleeps because the passing of time itself is what is tested.
        std::thread::sleep(Duration::from_millis(25));
        assert!(whole.has_passed() && whole.attempt(Duration::from_secs(9)).has_passed());
        assert!(whole.share(Duration::from_secs(9), 1).has_passed());
    }

    /// Nodes that are all silent have equal shares of the time, none more than one attempt may take.
    #[test]
    fn each_node_has_its_share() {
        let hour = Duration::from_secs(3600);
        let whole = Deadline::after(hour);
        for nodes in [0, 1, 2, 3, 15] {
            let share = whole.share(hour, nodes).allowed();
            let wanted = hour / u32::try_from(nodes.max(1)).expect("a small number");
            assert!(share <= wanted && share > wanted * 9 / 10, "{share:?} for 1 of {nodes}");
        }
        assert_eq!(whole.share(Duration::from_secs(1), 3).allowed(), Duration::from_secs(1));
    }
}
