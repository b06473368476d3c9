//! Reads of old entries: out of the journal, over as many slots as the answer needs.
//!
//! A log's entries may lie in slots far apart, with those of other logs between them. One job brings
//! all the slots that an answer needs, neighbours in one read of a file. Where the slots hold more of
//! other logs than of this one, further jobs fill the answer, up to a bound on what is read for it.

use super::Output;
use super::core::Shard;
use super::reads::ReadTask;
use super::serve::JournalRead;
use super::waiting::Need;
use crate::journal::{Job, ReadJob, ReadResult};
use crate::limits::{COLD_READ_BYTES_MAX, COLD_READS_MAX, READ_BYTES_MAX};
use crate::types::{Slot, Tick, Value};
use std::collections::BTreeMap;

/// The first job of a read brings so many bytes of values more than are asked for: values have more
/// in them than this log's entries.
const MORE_BYTES: usize = 64 << 10;

/// A read whose values are being fetched from the journal.
#[derive(Debug)]
pub struct ColdRead {
    task: ReadTask,
    /// Memory set aside for it: for the values under way, and for the entries out of them.
    reserved: usize,
    /// Bytes of files read for it so far.
    read_bytes: usize,
}

impl Shard {
    /// Fetches what a read needs from the journal, from the value of `from` on.
    pub(super) fn read_cold(
        &mut self,
        now: Tick,
        task: ReadTask,
        from: Slot,
        out: &mut Vec<Output>,
    ) {
        if self.replica.holes().contains_key(&from) {
            return self.read_damaged(now, task, from, "the slot is damaged here", out);
        }
        let token = self.token();
        let bytes_max = task.reading.bytes_left().min(READ_BYTES_MAX) + MORE_BYTES;
        let job = self.plan(token, &task, bytes_max);
        let need = Need { bytes: 2 * job.value_bytes(), cold: true };
        if self.cold.len() >= COLD_READS_MAX || !self.budget.fits(need.bytes) {
            return self.wait_in_line(now, task, need, out);
        }
        self.fetch(task, job, 0, out);
    }

    /// The values of this log's next entries, as far as they are on disk and wanted.
    fn plan(&self, token: u64, task: &ReadTask, bytes_max: usize) -> ReadJob {
        let reading = &task.reading;
        let end = reading.next().plus(u64::from(reading.entries_left()));
        let extents = self.machine.logs().extents(reading.log(), reading.next());
        let mut last = None;
        let slots = extents
            .take_while(|extent| extent.first < end)
            .map(|extent| extent.slot)
            .filter(|slot| last.replace(*slot) != Some(*slot))
            // What is in memory need not be durable yet, and the journal may hold an older value.
            .take_while(|slot| self.cache.get(*slot).is_none())
            .take_while(|slot| !self.replica.holes().contains_key(slot));
        self.journal.read_slots(token, slots, bytes_max)
    }

    fn fetch(&mut self, task: ReadTask, job: ReadJob, read_bytes: usize, out: &mut Vec<Output>) {
        let reserved = task.reading.bytes_taken() + 2 * job.value_bytes();
        self.budget.reserve(reserved);
        self.conns.owe(task.conn, reserved);
        let read_bytes = read_bytes + job.file_bytes();
        let cold = ColdRead { task, reserved, read_bytes };
        self.cold.insert(job.token(), JournalRead::Read(Box::new(cold)));
        out.push(Output::Job(Job::Read(job)));
    }

    /// The journal delivered values for a read.
    pub(super) fn cold_read_done(
        &mut self,
        now: Tick,
        cold: ColdRead,
        results: Vec<(Slot, ReadResult)>,
        out: &mut Vec<Output>,
    ) {
        let ColdRead { mut task, reserved, read_bytes } = cold;
        self.budget.release(reserved);
        self.conns.paid(task.conn, reserved);
        if !self.conns.is_known(task.conn) {
            return; // Its client is gone.
        }
        let values = self.intact(now, results);
        let before = task.reading.next();
        while let Some(want) = task.reading.wants() {
            let Some(extent) =
                self.machine.logs().extents(task.reading.log(), want).next().copied()
            else {
                break;
            };
            // Behind what the journal held, the newest values are in memory.
            let cached = || self.cache.get(extent.slot).map(|held| &held.1);
            let Some(value) = values.get(&extent.slot).or_else(cached).cloned() else { break };
            if let Err(damaged) = task.reading.take(&extent, extent.slot, &value) {
                return self.read_damaged(now, task, extent.slot, &damaged.to_string(), out);
            }
        }
        if task.reading.next() > before {
            return self.read_on(now, task, read_bytes, out);
        }
        if self.machine.logs().next_index(task.reading.log()).is_none() {
            return self.finish_read(now, task, out);
        }
        self.read_damaged(now, task, Slot(0), "the slot cannot be read here", out);
    }

    /// The values that came back, up to the first that is damaged.
    fn intact(&mut self, now: Tick, results: Vec<(Slot, ReadResult)>) -> BTreeMap<Slot, Value> {
        let mut values = BTreeMap::new();
        for (slot, result) in results {
            match result {
                Ok((_, value)) => {
                    values.insert(slot, value);
                }
                Err(damage) => {
                    self.lost(now, slot, &damage.to_string());
                    break;
                }
            }
        }
        values
    }

    /// Answers with what was found, or fetches more where that is little of what may be answered.
    fn read_on(&mut self, now: Tick, task: ReadTask, read_bytes: usize, out: &mut Vec<Output>) {
        let taken = task.reading.bytes_taken();
        let wants = task.reading.wants().is_some() && taken < task.reading.bytes_left();
        if wants && read_bytes < COLD_READ_BYTES_MAX {
            // Twice as much each time, so that a log among many others is not read slot by slot.
            let bytes_max = read_bytes.max(task.reading.bytes_left()).min(READ_BYTES_MAX);
            let token = self.token();
            let job = self.plan(token, &task, bytes_max);
            let fits = self.budget.fits(taken + 2 * job.value_bytes());
            if job.file_bytes() > 0 && fits {
                return self.fetch(task, job, read_bytes, out);
            }
        }
        self.finish_read(now, task, out);
    }
}
