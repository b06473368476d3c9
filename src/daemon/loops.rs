//! When each event loop turned last: what the watchdog goes by, and never the disk.

use super::clock;
use crate::limits::LOOP_WAKE_MS;
use crate::types::{ShardId, Tick};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest sleep of an event loop, so that one that hangs can be told from one that has nothing
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
    pub fn new(shards: u16) -> Loops {
        let now = clock::now().0;
        Loops { turned: (0..=shards).map(|_| AtomicU64::new(now)).collect() }
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

    /// The first loop that has not turned for longer than that, and for how many microseconds.
    #[must_use]
    pub fn stuck(&self, now: Tick, longest: Duration) -> Option<(Loop, u64)> {
        let since = |turned: &AtomicU64| match turned.load(Ordering::Relaxed) {
            EXCUSED => 0,
            turned => now.since(Tick(turned)),
        };
        let idle: Vec<u64> = self.turned.iter().map(since).collect();
        let at = idle.iter().position(|idle| u128::from(*idle) > longest.as_micros())?;
        let of = match at.checked_sub(1).map(u16::try_from) {
            None => Loop::Main,
            Some(shard) => Loop::Shard(ShardId(shard.unwrap_or(u16::MAX))),
        };
        Some((of, idle[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One loop that hangs is found among others that turn; one that ended or waits for its own
    /// sync is not blamed.
    #[test]
    fn a_stuck_loop_is_named() {
        let loops = Loops::new(2);
        let at = |seconds: u64| Tick(clock::now().0 + seconds * 1_000_000);
        let longest = Duration::from_secs(10);
        assert_eq!(loops.stuck(at(9), longest), None);
        assert!(matches!(loops.stuck(at(11), longest), Some((Loop::Main, _))));
        loops.turned(Loop::Main, at(11));
        loops.turned(Loop::Shard(ShardId(0)), at(11));
        let (stuck, idle) = loops.stuck(at(12), longest).expect("shard 1 did not turn");
        assert_eq!(stuck, Loop::Shard(ShardId(1)));
        assert!(idle >= 11_000_000, "{idle}");
        assert_eq!(stuck.to_string(), "the loop of shard 1");
        loops.excused(Loop::Shard(ShardId(1)));
        assert_eq!(loops.stuck(at(12), longest), None);
    }
}
