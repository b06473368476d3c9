//! The status board: what each event loop reports to the rest of the node. Nothing on the path of a
//! request waits here: a turn stores two numbers, and now and then hands over a copy of the rest,
//! which it keeps for its next turn where somebody is just reading.

use crate::api::Reply;
use crate::api::error::ErrorCode;
use crate::api::status::{ShardLeader, ShardStatus};
use crate::daemon::net::port::Port;
use crate::daemon::watch::histogram::{Histogram, Syncs};
use crate::daemon::watch::loops::{Loop, Loops};
use crate::daemon::watch::requests::RequestMetrics;
use crate::daemon::watch::space::Space;
use crate::limits::LOOP_STUCK_MS;
use crate::shard::{Backlog, SyncTally, Tally};
use crate::types::{ShardId, Tick};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the threads of a node report to each other about themselves.
#[derive(Debug)]
pub struct StatusBoard {
    leaders: Mutex<BTreeMap<ShardId, ShardLeader>>,
    /// What went wrong at the ports, since the start.
    pub counters: Counters,
    /// When the node began to assemble its threads.
    pub started: Tick,
    /// When each event loop turned last.
    pub loops: Loops,
    /// The disk of the data.
    pub space: Space,
    shards: Vec<ShardBoard>,
    stopping: AtomicBool,
}

/// One shard's part of the board.
#[derive(Debug)]
pub struct ShardBoard {
    /// See [`crate::paxos::Replica::assured_until`].
    assured_until: AtomicU64,
    /// Measured by whoever syncs.
    pub syncs: Arc<Syncs>,
    /// How long each turn of its loop took, without what it waited for its own disk.
    pub turns: Histogram,
    /// How long its clients' requests took, measured by its thread.
    pub requests: RequestMetrics,
    numbers: Mutex<Option<Arc<ShardNumbers>>>,
}

/// A shard in numbers, as its thread published them last.
#[derive(Clone, Debug)]
pub struct ShardNumbers {
    /// What the shard says of itself.
    pub status: ShardStatus,
    /// What it has done.
    pub tally: Tally,
    /// What it has on its hands.
    pub backlog: Backlog,
    /// This node's clock is too far from those of its peers (C28).
    pub clock_held_back: bool,
    /// Why it takes no appends for want of space, on full disks.
    pub want_of_room: Option<String>,
    /// With whom its state differs, and what follows (R23).
    pub doubt: Option<String>,
    /// Nothing is served from its state for that.
    pub doubtful: bool,
    /// For whom a cluster that has not formed waits, or who refuses this node.
    pub unformed: Option<String>,
    /// What its thread has done for clients.
    pub served: Served,
    /// Connections of its thread, peers' included.
    pub connections: u64,
    /// Bytes of memory that these take, with what arrives.
    pub connection_bytes: u64,
    /// Bytes of incomplete frames.
    pub input_bytes: u64,
    /// Bytes that wait to leave for clients.
    pub output_bytes: u64,
}

/// What a shard's thread has done for clients since its start.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Reads answered with entries or at the tail.
    pub reads: u64,
    /// Entries in these answers.
    pub entries: u64,
    /// Bytes of these entries, without prefixes.
    pub entry_bytes: u64,
    /// Answers that were errors.
    pub errors: BTreeMap<ErrorCode, u64>,
    /// Leaderships that this node has seen begin, its own included.
    pub leader_changes: u64,
}

impl Served {
    /// Notes an answer.
    pub fn note(&mut self, reply: &Reply) {
        if let Reply::ReadDone(done) = reply {
            self.reads += 1;
            self.entries += u64::from(done.entries.count());
            self.entry_bytes += done.entries.as_ref().data_len();
        }
        if let Reply::Error(error) = reply {
            *self.errors.entry(error.code).or_default() += 1;
        }
    }
}

/// Counters of the ports, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// The clients' port.
    pub client: PortCounters,
    /// The peers' port, and the calls to peers.
    pub peer: PortCounters,
    /// The admin port.
    pub admin: PortCounters,
}

/// Counters of one port, since the start.
#[derive(Debug, Default)]
pub struct PortCounters {
    /// Connections turned away by a cap.
    pub turned_away: AtomicU64,
    /// Connections closed because they did not greet, or finish a frame, in time.
    pub too_slow: AtomicU64,
    /// Connections closed because of bytes that make no sense.
    pub garbage: AtomicU64,
    /// Connections closed because their output was over its bound.
    pub overflowed: AtomicU64,
    /// The other side closed in the middle of a greeting, a frame or a head.
    pub cut_short: AtomicU64,
    /// Greetings and requests that were understood and refused.
    pub refused: AtomicU64,
}

impl Counters {
    /// Those of a port with greetings.
    #[must_use]
    pub fn of(&self, port: Port) -> &PortCounters {
        match port {
            Port::Client => &self.client,
            Port::Peer => &self.peer,
        }
    }
}

/// Adds one to a counter.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl StatusBoard {
    /// A board for so many shards; their loops have until then plus [`LOOP_STUCK_MS`] to turn.
    #[must_use]
    pub fn new(shards: u16, now: Tick) -> StatusBoard {
        let shard = |_| ShardBoard {
            assured_until: AtomicU64::new(0),
            syncs: Arc::default(),
            turns: Histogram::default(),
            requests: RequestMetrics::default(),
            numbers: Mutex::default(),
        };
        StatusBoard {
            leaders: Mutex::default(),
            counters: Counters::default(),
            started: now,
            loops: Loops::new(shards, now),
            space: Space::default(),
            shards: (0..shards).map(shard).collect(),
            stopping: AtomicBool::new(false),
        }
    }

    /// What each shard's thread published last, by rising shard.
    #[must_use]
    pub fn leaders(&self) -> Vec<ShardLeader> {
        self.leaders.lock().values().copied().collect()
    }

    /// Publishes what a shard knows of its leader.
    pub fn publish(&self, leader: ShardLeader) {
        self.leaders.lock().insert(leader.shard, leader);
    }

    /// A shard's part.
    ///
    /// # Panics
    /// For a shard that the node does not have.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> &ShardBoard {
        &self.shards[usize::from(shard.0)]
    }

    /// Every shard's part, by rising shard.
    pub fn shards(&self) -> impl Iterator<Item = (ShardId, &ShardBoard)> {
        (0..).map(ShardId).zip(&self.shards)
    }

    /// The node was asked to stop.
    pub fn stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// True once the node was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether every event loop turns: each turns once a second though nothing happens, and one
    /// that has not for longer than [`LOOP_STUCK_MS`] is stuck. Says nothing of disks: a loop that
    /// waits for a sync of its own is excused.
    ///
    /// # Errors
    /// Which loops are stuck, and for how long.
    pub fn loops_turn(&self, now: Tick) -> Result<(), String> {
        let silent =
            |(of, silence): (Loop, u64)| format!("{of} has not turned for {} ms", silence / 1000);
        let longest = Duration::from_millis(LOOP_STUCK_MS);
        let stuck: Vec<String> = self.loops.stuck(now, longest).map(silent).collect();
        if stuck.is_empty() { Ok(()) } else { Err(stuck.join("; ")) }
    }
}

impl ShardBoard {
    /// The shard's loop takes it that there is a leader until then.
    pub fn assure(&self, until: Tick) {
        self.assured_until.store(until.0, Ordering::Relaxed);
    }

    /// Until when the shard's loop takes it that there is a leader.
    #[must_use]
    pub fn assured_until(&self) -> Tick {
        Tick(self.assured_until.load(Ordering::Relaxed))
    }

    /// What the batches of the shard's journal have cost so far.
    #[must_use]
    pub fn sync_tally(&self) -> SyncTally {
        let counts = self.syncs.took.counts();
        SyncTally { count: counts.count, took_us: counts.sum_us }
    }

    /// Hands over the shard's numbers; false, without waiting, where somebody is just reading.
    pub fn hand_over(&self, numbers: Arc<ShardNumbers>) -> bool {
        match self.numbers.try_lock() {
            Some(mut held) => {
                *held = Some(numbers);
                true
            }
            None => false,
        }
    }

    /// The shard's numbers, as handed over last; none right after the start.
    #[must_use]
    pub fn numbers(&self) -> Option<Arc<ShardNumbers>> {
        self.numbers.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop that has not turned for longer than is allowed is named, one that is excused is not.
    #[test]
    fn stuck_loops_are_named() {
        let board = StatusBoard::new(2, Tick(1_000));
        let late = Tick(1_000 + LOOP_STUCK_MS * 1000);
        assert_eq!(board.loops_turn(late), Ok(()));
        let late = late.after(1_000);
        board.loops.turned(Loop::Main, late);
        board.loops.turned(Loop::Shard(ShardId(0)), late);
        let said = board.loops_turn(late).expect_err("shard 1 has not turned");
        assert_eq!(
            said,
            format!("the loop of shard 1 has not turned for {} ms", LOOP_STUCK_MS + 1)
        );
        board.loops.excused(Loop::Shard(ShardId(1)));
        assert_eq!(board.loops_turn(late), Ok(()));
    }
}
