//! The loop of one thread: gives its connections what is due, and waits for all of them at once.

use super::lane::{Lane, Pipe};
use super::tally::{BenchTally, Period};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest wait, so that a stop is seen, and a node that says nothing.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// What all threads of a run share.
#[derive(Debug)]
pub struct BenchRun {
    /// When it began.
    pub start: Instant,
    /// What of it is measured.
    pub period: Period,
    /// How long an operation is waited for before the client library is asked to give it up.
    pub patience: Duration,
    /// How long after its end an open loop may send what was due before.
    pub drain: Duration,
    /// Set to end the run early.
    pub stop: Arc<AtomicBool>,
    /// Operations that succeeded, for showing progress.
    pub ok: AtomicU64,
    /// Operations that failed, for showing progress.
    pub failed: AtomicU64,
}

impl BenchRun {
    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn count(&self, (ok, failed): (u64, u64)) {
        // Nobody concludes anything from these but what to print.
        self.ok.fetch_add(ok, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }
}

/// Drives these connections until the run ends and all they sent is back.
pub fn drive<P: Pipe>(lanes: &mut [Lane<P>], run: &BenchRun) -> BenchTally {
    let mut tally = BenchTally::new(run.period);
    let mut ready: Vec<usize> = Vec::new();
    loop {
        let now = run.now();
        let stopped = run.stop.load(Ordering::Relaxed);
        if stopped || now >= run.period.end + run.drain {
            for lane in &mut *lanes {
                lane.stop(now);
                lane.abandon(&mut tally);
            }
        }
        lanes.iter_mut().for_each(|lane| lane.fill(now));
        if lanes.iter().all(|lane| lane.is_done(now)) {
            return tally;
        }
        if !settle(lanes, run, &mut tally) {
            ready.clear();
            wait(lanes, now, &mut ready);
            for place in &ready {
                let counts = lanes[*place].gather(run.now(), &mut tally);
                run.count(counts);
            }
        }
    }
}

/// Lets the client library work on connections that get no further by themselves: those without an
/// answer on its way, and those whose node says nothing. True when there were any.
fn settle<P: Pipe>(lanes: &mut [Lane<P>], run: &BenchRun, tally: &mut BenchTally) -> bool {
    let mut any = false;
    for lane in lanes {
        let silent = |since| run.now().saturating_sub(since) >= run.patience;
        if !lane.pipe.is_stuck() && !lane.oldest().is_some_and(silent) {
            continue;
        }
        any = true;
        if let Some(back) = lane.pipe.wait() {
            let ok = lane.note(back, run.now(), tally);
            run.count((u64::from(ok), u64::from(!ok)));
        }
        run.count(lane.gather(run.now(), tally));
    }
    any
}

/// Waits until answers come or something is due; returns which connections have answers.
fn wait<P: Pipe>(lanes: &[Lane<P>], now: Duration, ready: &mut Vec<usize>) {
    let mut until = now + WAIT_MAX;
    let (mut sockets, mut places) = (Vec::new(), Vec::new());
    for (place, lane) in lanes.iter().enumerate() {
        until = lane.next_due(now).map_or(until, |due| due.min(until));
        if lane.outstanding() > 0
            && let Some(socket) = lane.pipe.socket()
        {
            sockets.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
            places.push(place);
        }
    }
    let left = until.saturating_sub(now);
    let left = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
    // An interrupted wait found nothing; the next turn looks again.
    if poll(&mut sockets, Some(&left)).is_ok() {
        let came = sockets.iter().zip(&places).filter(|(socket, _)| !socket.revents().is_empty());
        ready.extend(came.map(|(_, place)| *place));
    }
}
