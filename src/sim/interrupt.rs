//! A process ends while a file is written that is seldom written.

use super::marks::{self, Mark};
use super::queue::SimEvent;
use super::world::World;
use crate::shard::DiskJob;

impl World {
    /// The next jobs that write files of some rare kinds are to be cut short.
    pub(super) fn arm_interrupt(&mut self) {
        for mark in marks::RARE {
            if self.rng.one_in(2) {
                self.armed.insert(*mark);
            }
        }
    }

    /// A node's process may end while this job is under way.
    pub(super) fn may_interrupt(&mut self, node: usize, job: &DiskJob) {
        let hit = marks::cut_mark(job).filter(|mark: &Mark| self.armed.remove(mark));
        if hit.is_some() && self.is_chaos() {
            let at = self.now + self.rng.duration(self.plan.sync_us);
            let (life, power) = (self.nodes[node].life, self.rng.one_in(2));
            self.queue.push(at, SimEvent::Crash { node, life, power });
        }
    }
}
