//! When each event loop turned last: what the watchdog and `/livez` go by, and never the disk.

use crate::limits::LOOP_WAKE_MS;
use crate::types::{ShardId, Tick};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest sleep of an event loop, so that one that hangs is distinguished from one with nothing
/// to do.
pub const SLEEP_MAX: Duration = Duration::from_millis(LOOP_WAKE_MS);

/// In place of a time: the loop is not looked at.
const EXCUSED: u64 = u64::MAX;

/// An event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// The main thread's.
    Main,
    /// A shard's.
    Shard(ShardId),
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loop::Main => write!(f, "the main loop"),
            Loop::Shard(shard) => write!(f, "the loop of shard {shard}"),
        }
    }
}

/// The event loops of a node.
#[derive(Debug)]
pub struct Loops {
    /// In microseconds of [`clock::now`]; the main loop's first, then by shard.
    turned: Vec<AtomicU64>,
}

impl Loops {
    /// The main loop and those of so many shards, all of which turned just now.
    #[must_use]
    pub fn new(shards: u16, now: Tick) -> Loops {
        Loops { turned: (0..=shards).map(|_| AtomicU64::new(now.0)).collect() }
    }

    /// A loop turned.
    pub fn turned(&self, of: Loop, now: Tick) {
        self.store(of, now.0);
    }

    /// A loop has ended, or waits for a disk by itself: it is not looked at until it turns again.
    pub fn excused(&self, of: Loop) {
        self.store(of, EXCUSED);
    }

    fn store(&self, of: Loop, time: u64) {
        let at = match of {
            Loop::Main => 0,
            Loop::Shard(shard) => 1 + usize::from(shard.0),
        };
        if let Some(turned) = self.turned.get(at) {
            turned.store(time, Ordering::Relaxed);
        }
    }

    /// How long each loop has not turned, in microseconds: the main loop first, then by shard.
    pub fn silences(&self, now: Tick) -> impl Iterator<Item = (Loop, u64)> {
        let since = move |turned: &AtomicU64| match turned.load(Ordering::Relaxed) {
            EXCUSED => 0,
            turned => now.since(Tick(turned)),
        };
        let of = std::iter::once(Loop::Main).chain((0..).map(|shard| Loop::Shard(ShardId(shard))));
        of.zip(self.turned.iter().map(since))
    }

    /// The loops that have not turned for longer than that, and for how many microseconds.
    pub fn stuck(&self, now: Tick, longest: Duration) -> impl Iterator<Item = (Loop, u64)> {
        let longest = longest.as_micros();
        self.silences(now).filter(move |(_, idle)| u128::from(*idle) > longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One loop that hangs is found among others that turn; one that ended or waits for its own
    /// sync is not blamed.
    #[test]
    fn a_stuck_loop_is_named() {
        let loops = Loops::new(2, Tick(0));
        let at = |seconds: u64| Tick(seconds * 1_000_000);
        let longest = Duration::from_secs(10);
        assert_eq!(loops.stuck(at(10), longest).count(), 0);
        assert_eq!(loops.stuck(at(11), longest).count(), 3);
        loops.turned(Loop::Main, at(11));
        loops.turned(Loop::Shard(ShardId(0)), at(11));
        let found: Vec<(Loop, u64)> = loops.stuck(at(12), longest).collect();
        assert_eq!(found, [(Loop::Shard(ShardId(1)), 12_000_000)]);
        assert_eq!(found[0].0.to_string(), "the loop of shard 1");
        loops.excused(Loop::Shard(ShardId(1)));
        assert_eq!(loops.stuck(at(12), longest).count(), 0);
    }
}
