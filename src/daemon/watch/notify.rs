//! The service manager (`sd_notify(3)`): what it is sent, and the watchdog that it keeps. A thread
//! of its own, so that no loop waits for the manager, and so that the watchdog can judge the loops.
//!
//! Started means: the journal is replayed and the node listens. It does not mean a quorum, which a
//! node that starts first cannot have.

use crate::api::status::ShardLeader;
use crate::daemon::clock;
use crate::daemon::node::context::NodeContext;
use crate::daemon::watch::loops::Loops;
use crate::daemon::watch::unformed;
use crate::limits::{LOOP_STUCK_MS, LOOP_WAKE_MS};
use crate::types::{Count, NodeId, ShardId, Tick};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use sd_notify::NotifyState;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The status line is looked at no more often than this.
const STATUS_EVERY_MS: u64 = 2_000;
/// While the journal is replayed, the manager is asked for that much more time, three times in it.
const EXTENSION: Duration = Duration::from_secs(30);
/// Shards that the status line names.
const SHARDS_NAMED: usize = 8;

/// The way to the service manager; leads nowhere where there is none.
#[derive(Clone, Debug)]
pub struct Manager {
    serving: Option<Sender<Arc<NodeContext>>>,
    ready: Arc<AtomicBool>,
    /// Bytes of the journal that are read.
    replayed: Arc<AtomicU64>,
}

impl Manager {
    /// Starts the thread, where there is a service manager, and asks for time to replay.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start() -> io::Result<Manager> {
        let (ready, replayed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Manager { serving: None, ready, replayed });
        }
        let (serving, context) = bounded(1);
        let watchdog = sd_notify::watchdog_enabled();
        let (notifier, read) = (Notifier::new(watchdog), Arc::clone(&replayed));
        std::thread::Builder::new()
            .name("notify".to_string())
            .spawn(move || notifier.run(&context, &read))?;
        Ok(Manager { serving: Some(serving), ready, replayed })
    }

    /// The count of bytes that a replay has read: while it grows, the manager is asked for more time.
    #[must_use]
    pub fn replayed(&self) -> &Arc<AtomicU64> {
        &self.replayed
    }

    /// The journal is replayed and the node listens.
    pub fn ready(&self, context: &Arc<NodeContext>) {
        // First, for the manager may ask for a reload as soon as it hears of it.
        self.ready.store(true, Ordering::Release);
        send(&[NotifyState::Ready]);
        if let Some(serving) = &self.serving {
            // Once in a process, and there is room for one.
            let _ = serving.try_send(Arc::clone(context));
        }
    }

    /// The configuration is about to be read again.
    pub fn reloading(&self) {
        // Before it is ready the manager waits for that, and must not take the end of this for it.
        if self.is_ready()
            && let Ok(now) = NotifyState::monotonic_usec_now()
        {
            send(&[NotifyState::Reloading, now]);
        }
    }

    /// The configuration was read again, whatever came of it.
    pub fn reloaded(&self) {
        if self.is_ready() {
            send(&[NotifyState::Ready]);
        }
    }

    fn is_ready(&self) -> bool {
        self.serving.is_some() && self.ready.load(Ordering::Acquire)
    }
}

/// The node begins to stop.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("handing leadership over")]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("the service manager cannot be told: {error}");
    }
}

/// The thread's side.
struct Notifier {
    watchdog: Option<Watchdog>,
    status: String,
    /// The last attempt failed, and was complained of.
    failing: bool,
}

impl Notifier {
    fn new(watchdog: Option<Duration>) -> Notifier {
        let watchdog = watchdog.map(Watchdog::new);
        Notifier { watchdog, status: String::new(), failing: false }
    }

    fn run(mut self, serving: &Receiver<Arc<NodeContext>>, replayed: &AtomicU64) {
        let mut replay = Replay::default();
        let context = loop {
            let status = replay.status(replayed.load(Ordering::Relaxed));
            match replay.extension() {
                Some(more) => self.send(&[more, NotifyState::Status(&status)]),
                None => self.send(&[NotifyState::Status(&status)]),
            };
            match serving.recv_timeout(EXTENSION / 3) {
                Ok(context) => break context,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        };
        let status_every = Duration::from_millis(STATUS_EVERY_MS);
        let wait = self.watchdog.as_ref().map_or(status_every, |dog| dog.every.min(status_every));
        let mut status_at = Tick(0);
        loop {
            let now = clock::now();
            if self.watchdog.as_mut().is_some_and(|dog| dog.may_feed(&context.board.loops, now)) {
                self.send(&[NotifyState::Watchdog]);
            }
            if now >= status_at {
                status_at = now.after(STATUS_EVERY_MS * 1000);
                self.send_status(&context);
            }
            match serving.recv_timeout(wait) {
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn send_status(&mut self, context: &NodeContext) {
        let config = &context.config;
        let waiting = unformed::reasons(&context.board);
        let status = match waiting.is_empty() {
            true => status_line(config.node, config.shards, &context.board.leaders()),
            false => waiting.join("; "),
        };
        if status != self.status && self.send(&[NotifyState::Status(&status)]) {
            self.status = status;
        }
    }

    /// A manager that is away for long is complained of once.
    fn send(&mut self, state: &[NotifyState<'_>]) -> bool {
        let sent = sd_notify::notify(state);
        if let Err(error) = &sent
            && !self.failing
        {
            log::warn!("the service manager cannot be told: {error}");
        }
        self.failing = sent.is_err();
        !self.failing
    }
}

/// How a replay gets on, as it is reported to the manager.
#[derive(Debug, Default)]
struct Replay {
    /// Bytes read when it was looked at last; nothing before that.
    seen: Option<u64>,
    /// It stood still since.
    still: bool,
}

impl Replay {
    /// The line for people. A disk that gives nothing shows in it.
    fn status(&mut self, read_bytes: u64) -> String {
        self.still = self.seen == Some(read_bytes);
        self.seen = Some(read_bytes);
        let stands = if self.still { "; the disk gives nothing more for now" } else { "" };
        format!("replaying the journal: {} MiB read{stands}", read_bytes >> 20)
    }

    /// More time, unless it stood still: a start that hangs is the manager's to end.
    fn extension(&self) -> Option<NotifyState<'static>> {
        let micros = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        (!self.still).then_some(NotifyState::ExtendTimeoutUsec(micros))
    }
}

/// Feeds the manager's watchdog while every loop turns.
struct Watchdog {
    every: Duration,
    /// A loop that has not turned for so long is stuck.
    longest: Duration,
    starving: bool,
}

impl Watchdog {
    /// For a manager that ends a process which is silent for `limit`.
    fn new(limit: Duration) -> Watchdog {
        let (least, most) = (3 * LOOP_WAKE_MS, LOOP_STUCK_MS);
        let longest = (limit / 2).clamp(Duration::from_millis(least), Duration::from_millis(most));
        Watchdog { every: limit / 4, longest, starving: false }
    }

    fn may_feed(&mut self, loops: &Loops, now: Tick) -> bool {
        match loops.stuck(now, self.longest).next() {
            None => {
                if std::mem::take(&mut self.starving) {
                    log::warn!("every event loop turns again: the watchdog is fed");
                }
                true
            }
            Some((stuck, idle_us)) => {
                if !std::mem::replace(&mut self.starving, true) {
                    log::error!(
                        "{stuck} has not turned for {} ms: the watchdog is not fed until it does",
                        idle_us / 1000
                    );
                }
                false
            }
        }
    }
}

/// What a node does, in a line for people. A shard without a leader has no quorum that this node
/// knows of: a leader that loses its quorum stops leading.
fn status_line(me: NodeId, shards: u16, leaders: &[ShardLeader]) -> String {
    let of = |shard: ShardId| leaders.iter().find(|leader| leader.shard == shard);
    let node = |shard: u16| of(ShardId(shard)).and_then(|leader| leader.node);
    let leads = (0..shards).filter(|shard| node(*shard) == Some(me)).count();
    let lost: Vec<String> =
        (0..shards).filter(|shard| node(*shard).is_none()).map(|shard| shard.to_string()).collect();
    let follows = usize::from(shards) - leads - lost.len();
    let all = Count(u64::from(shards), "shard");
    let mut line = format!("leads {leads} of {all}, follows in {follows}; ");
    if lost.is_empty() {
        line.push_str("every shard has a leader");
        return line;
    }
    let named = lost.len().min(SHARDS_NAMED);
    line.push_str(&format!("no quorum known for shard {}", lost[..named].join(", ")));
    if lost.len() > named {
        line.push_str(&format!(" and {} more", lost.len() - named));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::watch::loops::Loop;
    use crate::types::Ballot;

    fn leader(shard: u16, node: Option<u16>) -> ShardLeader {
        ShardLeader { shard: ShardId(shard), epoch: Ballot::ZERO, node: node.map(NodeId) }
    }

    /// The status line counts what is led and followed, and names what has no leader.
    #[test]
    fn status_lines() {
        let me = NodeId(2);
        let all = [leader(0, Some(2)), leader(1, Some(1)), leader(2, Some(3))];
        let wanted = "leads 1 of 3 shards, follows in 2; every shard has a leader";
        assert_eq!(status_line(me, 3, &all), wanted);
        let wanted = "leads 0 of 2 shards, follows in 1; no quorum known for shard 1";
        assert_eq!(status_line(me, 2, &[leader(0, Some(1)), leader(1, None)]), wanted);
        let wanted = "leads 0 of 10 shards, follows in 0; no quorum known for shard \
                      0, 1, 2, 3, 4, 5, 6, 7 and 2 more";
        assert_eq!(status_line(me, 10, &[]), wanted);
    }

    /// A replay that reads on gets more time each time it is looked at; one that stands still gets
    /// none until it goes on.
    #[test]
    fn a_replay_that_stands_still_gets_no_time() {
        let mut replay = Replay::default();
        let mut sent = Vec::new();
        for read in [0, 5 << 20, 5 << 20, 5 << 20, 9 << 20] {
            let status = replay.status(read);
            sent.push((replay.extension().is_some(), status.contains("nothing more")));
        }
        let (on, still) = ((true, false), (false, true));
        assert_eq!(sent, [on, on, still, still, on]);
    }

    /// A loop that hangs starves the watchdog; it is fed again when the loop turns.
    #[test]
    fn a_stuck_loop_starves_the_watchdog() {
        let loops = Loops::new(1, clock::now());
        let start = clock::now();
        let later = |seconds: u64| start.after(seconds * 1_000_000);
        let mut dog = Watchdog::new(Duration::from_secs(30));
        assert_eq!(dog.every, Duration::from_millis(7500));
        assert!(dog.may_feed(&loops, later(9)));
        loops.turned(Loop::Main, later(11));
        assert!(!dog.may_feed(&loops, later(12)), "shard 0 did not turn for 12 s");
        loops.turned(Loop::Shard(ShardId(0)), later(13));
        assert!(dog.may_feed(&loops, later(13)));
    }

    /// A short watchdog does not take a loop that has nothing to do for one that hangs.
    #[test]
    fn sleeping_is_not_stuck() {
        let loops = Loops::new(1, clock::now());
        let mut dog = Watchdog::new(Duration::from_millis(200));
        assert!(dog.may_feed(&loops, clock::now().after(2 * LOOP_WAKE_MS * 1000)));
    }
}
