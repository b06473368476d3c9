//! A node's disk: jobs take time, and a crash meets them half done.
//!
//! Two lanes, as in the daemon: the syncer writes batches, the helper prepares segments and reads.
//! A job reaches storage when it finishes; one that a crash interrupts has run up to an arbitrary
//! step, and what it did not sync survives or not, sector by sector.

use super::dice::Dice;
use crate::journal::{Done, Job, MemStorage, StorageError, execute};
use std::collections::VecDeque;

/// The lane of batches.
pub(super) const SYNCER: usize = 0;
/// The lane of preparations and reads.
pub(super) const HELPER: usize = 1;
/// More steps than any job has.
const STEPS_MAX: u64 = 14;

/// One node's disk.
#[derive(Debug)]
pub(super) struct Disk {
    storage: MemStorage,
    /// The jobs of each lane; the first one is being worked on.
    lanes: [VecDeque<Job>; 2],
    sync_us: u64,
    /// How many times slower than usual the disk is.
    slowness: u64,
}

impl Disk {
    pub(super) fn new(storage: MemStorage, sync_us: u64) -> Disk {
        Disk { storage, lanes: Default::default(), sync_us, slowness: 1 }
    }

    pub(super) fn storage(&self) -> &MemStorage {
        &self.storage
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

    /// Takes a job in. Returns the lane, and how long the job takes if it is the only one there.
    pub(super) fn submit(&mut self, job: Job, dice: &mut Dice) -> Option<(usize, u64)> {
        let lane = match &job {
            Job::Batch(_) => SYNCER,
            Job::Prepare(_) | Job::Read(_) => HELPER,
        };
        self.lanes[lane].push_back(job);
        (self.lanes[lane].len() == 1).then(|| (lane, self.time(lane, dice)))
    }

    fn time(&self, lane: usize, dice: &mut Dice) -> u64 {
        let typical = match self.lanes[lane].front() {
            Some(Job::Batch(_)) | None => self.sync_us,
            Some(Job::Prepare(_)) => self.sync_us * 10,
            Some(Job::Read(_)) => 1 + self.sync_us / 4,
        };
        dice.duration(typical * self.slowness)
    }

    /// The lane's job is done. Returns its outcome, and how long the next one takes.
    pub(super) fn finish(
        &mut self,
        lane: usize,
        dice: &mut Dice,
    ) -> (Result<Done, StorageError>, Option<u64>) {
        let job = self.lanes[lane].pop_front().expect("a lane finishes the job it works on");
        let outcome = execute(&self.storage, job);
        let next = self.lanes[lane].front().is_some().then(|| self.time(lane, dice));
        (outcome, next)
    }

    /// The process ends in the middle of its jobs; with `power`, what was not synced may be lost.
    pub(super) fn crash(&mut self, power: bool, dice: &mut Dice) {
        let mut order = [SYNCER, HELPER];
        if dice.one_in(2) {
            order.reverse();
        }
        for lane in order {
            let Some(job) = self.lanes[lane].drain(..).next() else { continue };
            self.storage.restart_process();
            self.storage.halt_at(self.storage.steps() + dice.range(1, STEPS_MAX));
            // An error is what a job that is cut short ends in.
            drop(execute(&self.storage, job));
        }
        if power {
            self.storage.crash(&mut || dice.bits());
        } else {
            self.storage.restart_process();
        }
    }
}
