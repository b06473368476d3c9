//! Where a shard's jobs are run: batches on its syncer, preparations and cold reads on the node's
//! helpers. A failure of any of them ends the process at once (R01); a shortage of descriptors or memory
//! is none, and is waited for.
//!
//! Hand-offs of an append: one to the syncer and one back, unless the batch is run on the event
//! loop itself, which [`Disk::run_here`] allows while nothing else waits.

use crate::checkpoint::install::{InstallDone, InstallJob};
use crate::daemon::clock;
use crate::daemon::disk::shortage::{PAUSE, Shortage};
use crate::daemon::exit::{FatalError, NodeExit, die};
use crate::daemon::log::slow::SlowLines;
use crate::daemon::waker::LoopWaker;
use crate::daemon::watch::histogram::Syncs;
use crate::journal::{Done, Job};
use crate::limits::{
    CHECKPOINT_JOBS_MAX, HELPER_JOBS_MAX, READERS_MAX, READERS_PER_CORE, SLOW_LINE_MS,
    SYNC_OVERDUE_MS,
};
use crate::shard::{DiskDone, DiskJob, DiskJobError, execute};
use crate::storage::{Storage, StorageError};
use crate::types::{Tick, Trouble};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The nice value of the thread that writes checkpoints. Where cores are short, a thread that serves clients, of nice
/// value 0, gets about three times its share.
const CHECKPOINTS_NICE: i32 = 5;

/// A shard's journal directory: where jobs run, and its name for messages.
#[derive(Clone)]
pub struct JournalDir {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
}

/// Runs a shard's batches, and logs those that take too long.
#[derive(Clone)]
struct Syncer {
    volume: JournalDir,
    syncs: Arc<Syncs>,
    slow: SlowLines,
    shortage: Shortage,
}

/// A job for a helper: whose it is, and where the outcome goes.
struct HelperJob {
    volume: JournalDir,
    job: DiskJob,
    back: Completions,
}

/// Where outcomes go.
#[derive(Clone)]
struct Completions {
    outcomes: Sender<DiskDone>,
    /// Those of reads.
    reads: Sender<DiskDone>,
    waker: LoopWaker,
}

/// The way to the node's helpers: one prepares segments, and one writes checkpoints, which takes long;
/// the others read.
#[derive(Clone)]
pub struct Helper {
    prepare: Sender<HelperJob>,
    checkpoint: Sender<HelperJob>,
    read: Sender<HelperJob>,
}

/// A shard's way to the disk.
pub struct Disk {
    volume: JournalDir,
    /// For batches on the loop's own thread.
    here: Syncer,
    /// When the batch that is under way was handed out, and when it was logged last.
    under_way: Option<(Tick, Tick)>,
    syncer: Sender<DiskJob>,
    helper: Helper,
    back: Completions,
    outcomes: Receiver<DiskDone>,
    reads: Receiver<DiskDone>,
    /// Reads of this shard at the helpers.
    reads_under_way: usize,
    /// Reads that wait for their turn to go there.
    waiting: VecDeque<DiskJob>,
}

impl JournalDir {
    /// The journal in a directory.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, dir: &Path) -> JournalDir {
        JournalDir { storage, dir: dir.to_path_buf() }
    }

    /// The storage.
    #[must_use]
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Runs a batch to its end, or ends the process, and measures how long the disk took over it.
    fn run_batch(&self, job: DiskJob, syncs: &Syncs) -> DiskDone {
        let (bytes, began) = (batch_bytes(&job), Instant::now());
        let mut shortage = Shortage::default();
        let mut left = job;
        let done = loop {
            match self.run(left, &mut shortage) {
                Ok(done) => break done,
                // To those who wait this is a disk that stalls: a leader hands over in time.
                Err(rest) => {
                    left = rest;
                    std::thread::sleep(PAUSE);
                }
            }
        };
        syncs.record(bytes, began.elapsed());
        done
    }

    /// Runs a job, or ends the process: after a failed write or sync nothing on the disk can be
    /// relied on, and nothing may leave the node that does (R01). What is left of a job for which the
    /// system was short of something comes back.
    fn run(&self, job: DiskJob, shortage: &mut Shortage) -> Result<DiskDone, DiskJob> {
        match execute(self.storage(), job) {
            Ok(done) => Ok(done),
            Err(DiskJobError::Short { error, rest }) => {
                shortage.log_if_due(Instant::now(), &self.dir.display().to_string(), &error);
                Err(*rest)
            }
            Err(DiskJobError::Fatal(error)) => die(&self.failure(&error)),
        }
    }

    /// The end of the process that a failed operation means, with directory, file and errno. A
    /// shortage and a full disk, which only a start and `init` end on, may pass.
    #[must_use]
    pub fn failure(&self, error: &StorageError) -> FatalError {
        let (dir, os) = (self.dir.display(), error.source.raw_os_error());
        let os = os.map_or(String::new(), |number| format!(" [errno {number}]"));
        let (exit, what) = match Trouble::of(&error.source) {
            Trouble::Shortage => (NodeExit::Temporary, "the system is short of something"),
            Trouble::NoSpace => (NodeExit::Temporary, "no space"),
            Trouble::Denied | Trouble::Fault => (NodeExit::Disk, "disk failure"),
        };
        FatalError::new(exit, format!("{what} in {dir}: {error}{os}"))
    }
}

impl Syncer {
    /// The next batch. While warnings are held back, it looks up in time to give their count.
    fn next(&mut self, jobs: &Receiver<DiskJob>) -> Option<DiskJob> {
        while self.slow.is_pending() {
            match jobs.recv_timeout(Duration::from_millis(SLOW_LINE_MS)) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let what = format!("writes and syncs in {} (slow_sync_ms)", self.volume.dir.display());
            if let Some(line) = self.slow.due(clock::now(), &what) {
                log::warn!("{line}");
            }
        }
        jobs.recv().ok()
    }

    fn run(&mut self, job: DiskJob) -> DiskDone {
        let started = clock::now();
        let done = self.volume.run_batch(job, &self.syncs);
        self.note(started);
        done
    }

    /// Runs a batch without waiting: where the system is short of something, what is left comes back.
    fn run_once(&mut self, job: DiskJob) -> Result<DiskDone, DiskJob> {
        let (bytes, began, started) = (batch_bytes(&job), Instant::now(), clock::now());
        let done = self.volume.run(job, &mut self.shortage)?;
        self.syncs.record(bytes, began.elapsed());
        self.note(started);
        Ok(done)
    }

    /// Warns of a batch that took long.
    fn note(&mut self, started: Tick) {
        let now = clock::now();
        let what = || format!("a write and sync in {} (slow_sync_ms)", self.volume.dir.display());
        if let Some(line) = self.slow.note(now, now.since(started), what) {
            log::warn!("{line}");
        }
    }
}

fn batch_bytes(job: &DiskJob) -> u64 {
    match job {
        DiskJob::Journal(Job::Batch(batch)) => batch.bytes(),
        DiskJob::Journal(_)
        | DiskJob::Lookup(_)
        | DiskJob::ColdRead(_)
        | DiskJob::Compaction(_)
        | DiskJob::Loss(_)
        | DiskJob::Drop(_)
        | DiskJob::Checkpoint(_)
        | DiskJob::Span(_)
        | DiskJob::Install(_) => 0,
    }
}

impl Helper {
    /// Starts the node's helper threads; they end when every shard's [`Disk`] is gone.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(shards: u16) -> io::Result<Helper> {
        // A journal has one preparation under way, and each shard sends at most CHECKPOINT_JOBS_MAX jobs of
        // checkpoints and HELPER_JOBS_MAX reads without an answer, so that sending never waits.
        let (prepare, jobs) = bounded::<HelperJob>(usize::from(shards));
        start_helper("helper".to_string(), 0, jobs)?;
        let (checkpoint, jobs) = bounded::<HelperJob>(CHECKPOINT_JOBS_MAX * usize::from(shards));
        start_helper("checkpoints".to_string(), CHECKPOINTS_NICE, jobs)?;
        let (read, jobs) = bounded::<HelperJob>(HELPER_JOBS_MAX * usize::from(shards));
        for number in 0..readers() {
            start_helper(format!("reader-{number}"), 0, jobs.clone())?;
        }
        Ok(Helper { prepare, checkpoint, read })
    }
}

/// Threads that read what is not in memory, for all shards together: a disk serves many reads in the time
/// of one, and a thread that reads waits most of the time.
fn readers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores * READERS_PER_CORE).min(READERS_MAX)
}

/// Starts a thread of this nice value that runs jobs.
fn start_helper(name: String, nice: i32, jobs: Receiver<HelperJob>) -> io::Result<()> {
    std::thread::Builder::new().name(name).spawn(move || {
        // On Linux a nice value is the thread's own. Where it is refused, the thread runs on as the others do.
        if nice != 0
            && let Err(error) = rustix::process::nice(nice)
        {
            log::debug!("the thread for checkpoints runs at the priority of all others: {error}");
        }
        let (mut short, mut shortage) = (VecDeque::new(), Shortage::default());
        while let Some(HelperJob { volume, job, back }) = next_job(&jobs, &mut short) {
            match volume.run(job, &mut shortage) {
                Ok(done) => back.give(done),
                Err(job) => {
                    let again = Instant::now() + PAUSE;
                    short.push_back((again, HelperJob { volume, job, back }));
                }
            }
        }
    })?;
    Ok(())
}

/// The next job: a new one, or one for which the system was short of something a while ago.
fn next_job(
    jobs: &Receiver<HelperJob>,
    short: &mut VecDeque<(Instant, HelperJob)>,
) -> Option<HelperJob> {
    let Some((again, _)) = short.front() else { return jobs.recv().ok() };
    match jobs.recv_deadline(*again) {
        Ok(helper_job) if Instant::now() < *again => Some(helper_job),
        Ok(helper_job) => {
            // Both are due: the one that has waited goes first.
            short.push_back((Instant::now(), helper_job));
            short.pop_front().map(|(_, helper_job)| helper_job)
        }
        // Nobody sends any more: what is left is nobody's either.
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => short.pop_front().map(|(_, helper_job)| helper_job),
    }
}

impl Completions {
    fn give(&self, done: DiskDone) {
        let way = match done {
            DiskDone::Journal(Done::Read(_))
            | DiskDone::Lookup(_)
            | DiskDone::ColdRead(_)
            | DiskDone::Compaction(_)
            | DiskDone::Loss(_)
            | DiskDone::Dropped
            | DiskDone::Install(InstallDone::Read { .. }) => &self.reads,
            DiskDone::Journal(_)
            | DiskDone::Checkpoint(_)
            | DiskDone::Span(_)
            | DiskDone::Install(_) => &self.outcomes,
        };
        // A shard that is gone takes no outcomes any more.
        if way.send(done).is_ok() {
            self.waker.ring();
        }
    }
}

impl Disk {
    /// Starts a shard's syncer; it ends when this is dropped. Outcomes ring `waker`; how long the
    /// batches took goes to `syncs`, and those that take `slow_sync_ms` are logged.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(
        name: &str,
        volume: JournalDir,
        helper: Helper,
        waker: LoopWaker,
        syncs: Arc<Syncs>,
        slow_sync_ms: u64,
    ) -> io::Result<Disk> {
        // A journal hands out one batch at a time (group commit); there is room for every outcome.
        let (syncer, jobs) = bounded::<DiskJob>(1);
        let (send, outcomes) = bounded::<DiskDone>(7);
        let (send_read, reads) = bounded::<DiskDone>(HELPER_JOBS_MAX);
        let back = Completions { outcomes: send, reads: send_read, waker };
        let slow = SlowLines::new(slow_sync_ms);
        let here = Syncer { volume: volume.clone(), syncs, slow, shortage: Shortage::default() };
        let (mut its, its_back) = (here.clone(), back.clone());
        std::thread::Builder::new().name(format!("sync-{name}")).spawn(move || {
            while let Some(job) = its.next(&jobs) {
                its_back.give(its.run(job));
            }
        })?;
        Ok(Disk {
            volume,
            here,
            under_way: None,
            syncer,
            helper,
            back,
            outcomes,
            reads,
            reads_under_way: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Hands a job to the thread that runs jobs of its kind.
    ///
    /// # Panics
    /// When a second batch comes before the first is done.
    pub fn submit(&mut self, job: DiskJob) {
        match job {
            job @ DiskJob::Journal(Job::Batch(_)) => {
                let sent = self.syncer.try_send(job).is_ok();
                let now = clock::now();
                self.under_way = Some((now, now));
                assert!(sent, "a journal hands out one batch at a time, and its syncer lives");
            }
            job @ DiskJob::Journal(Job::Prepare(_)) => {
                let sent = self.helper.prepare.try_send(self.helper_job(job)).is_ok();
                assert!(sent, "a journal prepares one segment at a time, and the helper lives");
            }
            job @ (DiskJob::Journal(Job::Read(_))
            | DiskJob::Lookup(_)
            | DiskJob::ColdRead(_)
            | DiskJob::Compaction(_)
            | DiskJob::Loss(_)
            | DiskJob::Drop(_)
            | DiskJob::Install(InstallJob::Read { .. })) => {
                self.waiting.push_back(job);
                self.send_reads();
            }
            job @ (DiskJob::Checkpoint(_)
            | DiskJob::Span(_)
            | DiskJob::Journal(Job::Places(_) | Job::Remove(_))
            | DiskJob::Install(_)) => {
                let sent = self.helper.checkpoint.try_send(self.helper_job(job)).is_ok();
                assert!(sent, "a shard has one step of each kind of file work under way");
            }
        }
    }

    fn helper_job(&self, job: DiskJob) -> HelperJob {
        HelperJob { volume: self.volume.clone(), job, back: self.back.clone() }
    }

    fn send_reads(&mut self) {
        while self.reads_under_way < HELPER_JOBS_MAX
            && let Some(job) = self.waiting.pop_front()
        {
            let sent = self.helper.read.try_send(self.helper_job(job)).is_ok();
            assert!(sent, "the readers live and have room for every shard's share");
            self.reads_under_way += 1;
        }
    }

    /// Runs a batch on the calling thread; where the system is short of something, the syncer waits
    /// for it instead, so that this thread's heartbeats go on.
    #[must_use]
    pub fn run_here(&mut self, job: DiskJob) -> Option<DiskDone> {
        match self.here.run_once(job) {
            Ok(done) => Some(done),
            Err(rest) => {
                self.submit(rest);
                None
            }
        }
    }

    /// What to say of a sync that does not come to its end, from time to time while it goes on.
    pub fn overdue(&mut self, now: Tick) -> Option<String> {
        let (since, logged_at) = self.under_way.as_mut()?;
        if !self.here.slow.is_on() || now.since(*logged_at) < SYNC_OVERDUE_MS * 1000 {
            return None;
        }
        *logged_at = now;
        Some(format!(
            "a write and sync in {} has been under way for {} ms: the disk stalls",
            self.volume.dir.display(),
            now.since(*since) / 1000
        ))
    }

    /// The process did not run until now: what is under way has taken no longer than since then.
    pub fn resumed(&mut self, now: Tick) {
        if let Some(since) = &mut self.under_way {
            *since = (now, now);
        }
    }

    /// The next outcome of a batch or a preparation, if one is there.
    pub fn outcome(&mut self) -> Option<DiskDone> {
        let done = self.outcomes.try_recv().ok()?;
        if matches!(done, DiskDone::Journal(Done::Batch(_))) {
            self.under_way = None;
        }
        Some(done)
    }

    /// The next outcome of a read, if one is there.
    pub fn read_outcome(&mut self) -> Option<DiskDone> {
        let done = self.reads.try_recv().ok()?;
        self.reads_under_way -= 1;
        self.send_reads();
        Some(done)
    }

    /// An outcome is there.
    #[must_use]
    pub fn has_outcome(&self) -> bool {
        !self.outcomes.is_empty() || !self.reads.is_empty()
    }

    /// So many reads wait for the helpers that clients are not read from until some are done.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.reads_under_way + self.waiting.len() >= HELPER_JOBS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::exit::tests::{ALONE, alone};
    use crate::journal::{Identity, Journal, JournalOptions, format, recover};
    use crate::storage::MemStorage;
    use crate::types::{ClusterId, Incarnation, Lsn, NodeId, Record, ShardId, Slot};
    use mio::{Events, Poll, Token};

    /// A shard's disk over memory, with its journal.
    struct Rig {
        poll: Poll,
        storage: MemStorage,
        journal: Journal,
        disk: Disk,
    }

    fn rig() -> Rig {
        let identity = Identity {
            cluster: ClusterId(1),
            node: NodeId(1),
            incarnation: Incarnation(1),
            shards: 1,
        };
        let options = JournalOptions { segment_bytes: 1 << 20, min_free_bytes: 0 };
        let storage = MemStorage::new();
        format(&storage, &identity, ShardId(0), &options).expect("formats");
        let (journal, _) =
            recover(&storage, &identity, ShardId(0), &options, None).expect("recovers");
        let poll = Poll::new().expect("poll");
        let waker = LoopWaker::new(poll.registry(), Token(0)).expect("bell");
        let volume = JournalDir::new(Arc::new(storage.clone()), Path::new("/data/shard-000"));
        let helper = Helper::start(1).expect("helper");
        let disk = Disk::start("0", volume, helper, waker, Arc::default(), 0).expect("syncer");
        Rig { poll, storage, journal, disk }
    }

    impl Rig {
        /// Pushes a record, and hands those of the jobs that follow to the threads.
        fn push(&mut self, wanted: impl Fn(&Job) -> bool) {
            let ballot = crate::types::Ballot::new(1, NodeId(1));
            self.journal.push(Lsn(1), Record::Chosen { ballot, slot: Slot(0) });
            let jobs = std::iter::from_fn(|| self.journal.next_job());
            jobs.filter(wanted).for_each(|job| self.disk.submit(job.into()));
        }

        /// Waits for one outcome, as a loop does.
        fn outcome(&mut self) -> Done {
            let mut events = Events::with_capacity(8);
            loop {
                self.disk.back.waker.falls_asleep();
                if let Some(DiskDone::Journal(done)) = self.disk.outcome() {
                    return done;
                }
                let timeout = Some(Duration::from_secs(30));
                self.poll.poll(&mut events, timeout).expect("polls");
                assert!(!events.is_empty(), "an outcome came and did not ring");
            }
        }
    }

    /// Jobs run elsewhere, and their outcomes wake the loop.
    #[test]
    fn outcomes_ring() {
        let mut rig = rig();
        rig.push(|_| true);
        while rig.journal.durable_upto() < Lsn(1) {
            let done = rig.outcome();
            rig.journal.done(done);
        }
    }

    /// The body of the test below, which runs it in a process of its own.
    #[test]
    fn writes_in_vain() {
        if std::env::var_os(ALONE).is_none() {
            return;
        }
        let mut rig = rig();
        rig.storage.fail_write_at(rig.storage.steps() + 1);
        // No preparation, whose steps would be counted too.
        rig.push(|job| matches!(job, Job::Batch(_)));
        let outcome = rig.outcome();
        panic!("a failed write had an outcome: {outcome:?}");
    }

    /// R01: a failed write ends the process with exit 74, naming file and errno, and is
    /// never retried.
    #[test]
    fn r01_a_failed_write_ends_the_process() {
        let output = alone("daemon::disk::workers::tests::writes_in_vain");
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("/data/shard-000: write of "), "{said}");
        assert!(said.contains(".wal") && said.contains("errno 5"), "{said}");
    }
}
