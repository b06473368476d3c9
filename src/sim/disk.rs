//! A node's disk: jobs take time, and a crash meets them half done.
//!
//! Three lanes, as in the daemon: the syncer writes batches, the helper prepares segments and reads, and
//! one writes checkpoints.
//! A job reaches storage when it finishes; one that a crash interrupts has run up to an arbitrary
//! step, and what it did not sync survives or not, sector by sector.

use super::marks::{Marks, cut_mark};
use super::rng::Rng;
use crate::checkpoint::install::InstallJob;
use crate::journal::{Fill, Job};
use crate::limits::CHECKPOINT_JOBS_MAX;
use crate::shard::{DiskDone, DiskJob, DiskJobError, execute};
use crate::storage::MemStorage;
use std::collections::VecDeque;

/// The lane of batches.
pub(super) const SYNCER: usize = 0;
/// The lane of preparations and reads.
pub(super) const HELPER: usize = 1;
/// The lane of checkpoints.
pub(super) const CHECKPOINTS: usize = 2;
/// Every lane.
pub(super) const LANES: [usize; 3] = [SYNCER, HELPER, CHECKPOINTS];
/// More steps than any job has.
const STEPS_MAX: u64 = 14;

/// When a lane will have finished the job it works on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) lane: usize,
    pub(super) number: u64,
    pub(super) after_us: u64,
}

/// One node's disk.
#[derive(Debug)]
pub(super) struct SimDisk {
    storage: MemStorage,
    /// The jobs of each lane; the first one is being worked on.
    lanes: [VecDeque<DiskJob>; 3],
    /// The number of each lane's planned completion: others are void.
    planned: [u64; 3],
    sync_us: u64,
    /// Segments that were to be allocated and not written.
    unwritten: u64,
    /// How many times slower than usual the disk is.
    slowness: u64,
}

impl SimDisk {
    pub(super) fn new(storage: MemStorage, sync_us: u64) -> SimDisk {
        let (lanes, planned) = Default::default();
        SimDisk { storage, lanes, planned, sync_us, unwritten: 0, slowness: 1 }
    }

    pub(super) fn storage(&self) -> &MemStorage {
        &self.storage
    }

    /// Segments so far that were to be allocated and not written.
    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// The machine has this disk from now on; no job is under way.
    pub(super) fn replace(&mut self, storage: MemStorage) {
        self.storage = storage;
    }

    pub(super) fn set_slowness(&mut self, slowness: u64) {
        self.slowness = slowness;
    }

    /// The next sync of a file fails.
    pub(super) fn fail_next_sync(&mut self) {
        self.storage.fail_sync_at(self.storage.syncs() + 1);
    }

    /// No sync fails any more.
    pub(super) fn fail_nothing(&mut self) {
        self.storage.fail_sync_at(u64::MAX);
    }

    /// Takes a job in. Returns its lane's completion, if the job is the only one there.
    pub(super) fn submit(&mut self, job: DiskJob, rng: &mut Rng) -> Option<Completion> {
        if let DiskJob::Journal(Job::Prepare(prepare)) = &job {
            self.unwritten += u64::from(prepare.fill() == Fill::Allocated);
        }
        let lane = match &job {
            DiskJob::Journal(Job::Batch(_)) => SYNCER,
            DiskJob::Install(InstallJob::Read { .. }) => HELPER,
            DiskJob::Checkpoint(_)
            | DiskJob::Span(_)
            | DiskJob::Journal(Job::Places(_) | Job::Remove(_))
            | DiskJob::Install(_) => CHECKPOINTS,
            DiskJob::Journal(_)
            | DiskJob::Lookup(_)
            | DiskJob::ColdRead(_)
            | DiskJob::Loss(_)
            | DiskJob::Drop(_)
            | DiskJob::Compaction(_) => HELPER,
        };
        self.lanes[lane].push_back(job);
        let waiting = self.lanes[CHECKPOINTS].len();
        assert!(
            waiting <= CHECKPOINT_JOBS_MAX,
            "the daemon's queue holds {CHECKPOINT_JOBS_MAX} of {waiting} jobs"
        );
        if self.lanes[lane].len() == 1 { self.plan(lane, rng) } else { None }
    }

    /// The completion of the job that a lane works on, planned anew: the disk's speed changed.
    pub(super) fn plan(&mut self, lane: usize, rng: &mut Rng) -> Option<Completion> {
        self.lanes[lane].front()?;
        self.planned[lane] += 1;
        Some(Completion { lane, number: self.planned[lane], after_us: self.time(lane, rng) })
    }

    /// True when this is the completion planned last.
    pub(super) fn is_planned(&self, lane: usize, number: u64) -> bool {
        self.planned[lane] == number
    }

    fn time(&self, lane: usize, rng: &mut Rng) -> u64 {
        let typical = match self.lanes[lane].front() {
            Some(DiskJob::Journal(Job::Batch(_))) | None => self.sync_us,
            Some(DiskJob::Journal(Job::Prepare(job))) => match job.fill() {
                Fill::Written => self.sync_us * 10,
                Fill::Allocated => self.sync_us * 2,
            },
            Some(
                DiskJob::Checkpoint(_)
                | DiskJob::Span(_)
                | DiskJob::Journal(Job::Places(_) | Job::Remove(_))
                | DiskJob::Install(_),
            ) => self.sync_us * 2,
            Some(
                DiskJob::Journal(_)
                | DiskJob::Lookup(_)
                | DiskJob::ColdRead(_)
                | DiskJob::Loss(_)
                | DiskJob::Drop(_)
                | DiskJob::Compaction(_),
            ) => 1 + self.sync_us / 4,
        };
        rng.duration(typical * self.slowness)
    }

    /// The lane's job is done. Returns its outcome, and the completion of the next one.
    pub(super) fn finish(
        &mut self,
        lane: usize,
        rng: &mut Rng,
    ) -> (Result<DiskDone, DiskJobError>, Option<Completion>) {
        let job = self.lanes[lane].pop_front().expect("a lane finishes the job it works on");
        (execute(&self.storage, job), self.plan(lane, rng))
    }

    /// The process ends in the middle of its jobs; with `power`, what was not synced may be lost.
    pub(super) fn crash(&mut self, power: bool, rng: &mut Rng, marks: &mut Marks) {
        let mut order = LANES;
        order.rotate_left(rng.below(LANES.len() as u64) as usize);
        if rng.one_in(2) {
            order.reverse();
        }
        for lane in order {
            let Some(job) = self.lanes[lane].drain(..).next() else { continue };
            self.storage.restart_process();
            // Many jobs have few steps.
            let steps = *rng.pick(&[1, 3, 3, STEPS_MAX]);
            self.storage.halt_at(self.storage.steps() + rng.range(1, steps));
            // An error is what a job that is cut short ends in.
            let mark = cut_mark(&job);
            marks.cut_short(mark, &execute(&self.storage, job));
        }
        if power {
            self.storage.crash(&mut || rng.bits());
        } else {
            self.storage.restart_process();
        }
    }
}
