//! Reads of old entries: out of the journal, over as many slots as the answer needs.
//!
//! A log's entries may lie in slots far apart, with those of other logs between them. One job brings
//! all the slots that an answer needs, neighbours in one read of a file. Where the slots hold more of
//! other logs than of this one, further jobs fill the answer, up to a bound on what is read for it.

use super::core::Core;
use super::disk_job::DiskJob;
use super::journal_reads::JournalRead;
use super::lookup_job::{LookupJob, LookupWanted};
use super::read_task::{EntryPlace, Need, ReadTask};
use super::turn::Turn;
use crate::journal::{Job, ReadDamage, ReadJob, ReadResult};
use crate::limits::{COLD_READ_BYTES_MAX, LOOKUP_BYTES, LOOKUP_EXTENTS_MAX, READ_BYTES_MAX};
use crate::types::{Extent, Slot, Value};
use std::collections::BTreeMap;

/// The first job of a read brings so many bytes of values more than are asked for: values have more
/// in them than this log's entries.
const MORE_BYTES: usize = 64 << 10;

/// Most extents that are planned for at a time.
const PLANNED_EXTENTS_MAX: usize = 4096;

/// A read whose values are being fetched from the journal.
#[derive(Debug)]
struct ColdRead {
    task: ReadTask,
    /// Memory set aside for it: for the values under way, and for the entries out of them.
    reserved: usize,
    /// Bytes of files read for it so far.
    read_bytes: usize,
}

/// All of them, by the token of their job.
#[derive(Debug, Default)]
pub struct ColdReads {
    under_way: BTreeMap<u64, ColdRead>,
}

/// How a read goes on.
#[derive(Debug)]
pub enum ColdReadStep {
    /// Its values are being fetched, or its client is gone.
    Pending,
    /// It waits for its turn.
    WaitsForMemory(ReadTask, Need),
    /// It has all that it gets.
    Finished(ReadTask),
    /// It is known where its next entry lies.
    Placed(ReadTask),
    /// Its next entry is damaged here, in this slot if one is named.
    Damaged(ReadTask, Option<Slot>, String),
}

impl ColdReads {
    /// Fetches what a read needs from the journal, from the value of `from` on.
    pub(super) fn begin(
        &mut self,
        turn: &mut Turn<'_>,
        mut task: ReadTask,
        from: Slot,
    ) -> ColdReadStep {
        if turn.core.replica.holes().contains_key(&from) {
            return ColdReadStep::Damaged(task, Some(from), "the slot is damaged here".to_string());
        }
        let bytes_max = task.reading.bytes_left().min(READ_BYTES_MAX) + MORE_BYTES;
        let job = plan(turn, &mut task, bytes_max);
        let need = Need { bytes: 2 * job.value_bytes(), cold: true };
        if !need.fits(turn.core) {
            return ColdReadStep::WaitsForMemory(task, need);
        }
        self.fetch(turn, task, job, 0)
    }

    /// Has it looked up on disk where a read's next entries lie.
    pub(super) fn look_up(&mut self, turn: &mut Turn<'_>, task: ReadTask) -> ColdReadStep {
        let need = Need { bytes: LOOKUP_BYTES, cold: true };
        if !need.fits(turn.core) {
            return ColdReadStep::WaitsForMemory(task, need);
        }
        let (token, reserved) = (turn.core.journal_reads.token(), need.bytes);
        turn.core.budget.reserve(reserved);
        turn.core.conns.add_read_bytes(task.conn(), reserved);
        turn.core.journal_reads.begin(token, JournalRead::Client);
        let (log, from) = (task.reading.log(), task.reading.next());
        let rows = LOOKUP_EXTENTS_MAX.min(task.reading.entries_left() as usize);
        let (runs, wanted) = (turn.core.index.runs().clone(), LookupWanted::From(from, rows));
        self.under_way.insert(token, ColdRead { task, reserved, read_bytes: 0 });
        turn.run(DiskJob::Lookup(LookupJob { token, runs, log, wanted }));
        ColdReadStep::Pending
    }

    /// It was looked up where a read's next entries lie.
    pub(super) fn looked_up(
        &mut self,
        turn: &mut Turn<'_>,
        token: u64,
        found: Result<Vec<Extent>, String>,
    ) -> ColdReadStep {
        let Some(ColdRead { mut task, reserved, .. }) = self.under_way.remove(&token) else {
            return ColdReadStep::Pending;
        };
        turn.core.budget.release(reserved);
        turn.core.conns.remove_read_bytes(task.conn(), reserved);
        if !turn.core.conns.is_known(task.conn()) {
            return ColdReadStep::Pending; // Its client is gone.
        }
        match found {
            Ok(extents) => task.extents = extents.into(),
            Err(why) => return ColdReadStep::Damaged(task, None, why),
        }
        let want = task.reading.next();
        if task.place(turn.core, want) == EntryPlace::OnDisk {
            let why = format!("the index has no place for entry {want}");
            return ColdReadStep::Damaged(task, None, why);
        }
        ColdReadStep::Placed(task)
    }

    fn fetch(
        &mut self,
        turn: &mut Turn<'_>,
        task: ReadTask,
        job: ReadJob,
        read_bytes: usize,
    ) -> ColdReadStep {
        let reserved = task.reading.bytes_taken() + 2 * job.value_bytes();
        turn.core.budget.reserve(reserved);
        turn.core.conns.add_read_bytes(task.conn(), reserved);
        let read_bytes = read_bytes + job.file_bytes();
        turn.core.journal_reads.begin(job.token(), JournalRead::Client);
        self.under_way.insert(job.token(), ColdRead { task, reserved, read_bytes });
        turn.run(Job::Read(job));
        ColdReadStep::Pending
    }

    /// The journal delivered values for a read.
    pub(super) fn done(
        &mut self,
        turn: &mut Turn<'_>,
        token: u64,
        results: Vec<(Slot, ReadResult)>,
    ) -> ColdReadStep {
        let Some(cold) = self.under_way.remove(&token) else { return ColdReadStep::Pending };
        let ColdRead { mut task, reserved, read_bytes } = cold;
        turn.core.budget.release(reserved);
        turn.core.conns.remove_read_bytes(task.conn(), reserved);
        if !turn.core.conns.is_known(task.conn()) {
            return ColdReadStep::Pending; // Its client is gone.
        }
        match results.first() {
            Some((_, Err(ReadDamage::Unplaced { .. }))) => {
                // Nothing is lost: it goes on when it is known again where the slots lie.
                let need = Need { bytes: reserved, cold: true };
                return ColdReadStep::WaitsForMemory(task, need);
            }
            Some((slot, Err(ReadDamage::Released { .. }))) => {
                return released(turn.core, task, *slot);
            }
            Some(_) | None => {}
        }
        let values = intact(turn, results);
        let before = task.reading.next();
        while let Some(want) = task.reading.wants() {
            let EntryPlace::Here(extent) = task.place(turn.core, want) else { break };
            // Behind what the journal held, the newest values are in memory.
            let cached = || turn.core.cache.get(extent.slot).map(|held| &held.1);
            let Some(value) = values.get(&extent.slot).or_else(cached).cloned() else { break };
            if let Err(damaged) = task.reading.take(&extent, extent.slot, &value) {
                return ColdReadStep::Damaged(task, Some(extent.slot), damaged.to_string());
            }
        }
        if task.reading.next() > before {
            return self.go_on(turn, task, read_bytes);
        }
        let next = task.reading.next();
        if task.place(turn.core, next) == EntryPlace::Nowhere {
            // Deleted or trimmed meanwhile.
            return ColdReadStep::Finished(task);
        }
        ColdReadStep::Damaged(task, None, "the slot cannot be read here".to_string())
    }

    /// Finishes with what was found, or fetches more where that is little of what may be answered.
    fn go_on(
        &mut self,
        turn: &mut Turn<'_>,
        mut task: ReadTask,
        read_bytes: usize,
    ) -> ColdReadStep {
        let taken = task.reading.bytes_taken();
        let wants = task.reading.wants().is_some() && taken < task.reading.bytes_left();
        if wants && read_bytes < COLD_READ_BYTES_MAX {
            // Twice as much each time, so that a log among many others is not read slot by slot.
            let bytes_max = read_bytes.max(task.reading.bytes_left()).min(READ_BYTES_MAX);
            let job = plan(turn, &mut task, bytes_max);
            let fits = turn.core.budget.fits(taken + 2 * job.value_bytes());
            if job.file_bytes() > 0 && fits {
                return self.fetch(turn, task, job, read_bytes);
            }
        }
        ColdReadStep::Finished(task)
    }

    /// The reads under way, with the memory set aside for each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ReadTask, usize)> {
        self.under_way.values().map(|cold| (&cold.task, cold.reserved))
    }
}

/// The value of a read's next entry is not there, and may have been released: as a rule the entry was
/// trimmed meanwhile. One that is live in any state that this node may have is never released (C26): then
/// its value is lost, in a slot between others that are released.
fn released(core: &Core, task: ReadTask, slot: Slot) -> ColdReadStep {
    let (log, next) = (task.reading.log(), task.reading.next());
    let is_there = core.machine.logs().first_index(log).is_some_and(|first| first <= next);
    if is_there && task.is_empty() {
        let why = format!("the value of slot {slot}, of which entry {next} is live, is missing");
        return ColdReadStep::Damaged(task, Some(slot), why);
    }
    ColdReadStep::Finished(task)
}

/// A job for the values of this log's next entries, as far as they are on disk and wanted.
fn plan(turn: &mut Turn<'_>, task: &mut ReadTask, bytes_max: usize) -> ReadJob {
    let token = turn.core.journal_reads.token();
    let (core, reading) = (&turn.core, &task.reading);
    let end = reading.next().plus(u64::from(reading.entries_left()));
    let extents = task.known_extents(core, reading.next());
    let wanted = extents.take_while(|extent| extent.first < end).take(PLANNED_EXTENTS_MAX);
    // The read keeps them: by the time the values are there, memory may have let them go.
    task.extents = wanted.copied().collect();
    let mut last = None;
    let slots = task
        .extents
        .iter()
        .map(|extent| extent.slot)
        .filter(|slot| last.replace(*slot) != Some(*slot))
        // What is in memory need not be durable yet, and the journal may hold an older value.
        .take_while(|slot| core.cache.get(*slot).is_none())
        .take_while(|slot| !core.replica.holes().contains_key(slot));
    core.journal.read_slots(token, slots, bytes_max)
}

/// The values that came back, up to the first that is damaged.
fn intact(turn: &mut Turn<'_>, results: Vec<(Slot, ReadResult)>) -> BTreeMap<Slot, Value> {
    let mut values = BTreeMap::new();
    for (slot, result) in results {
        match result {
            Ok((_, value)) => {
                values.insert(slot, value);
            }
            Err(damage) => {
                turn.not_read(slot, &damage);
                break;
            }
        }
    }
    values
}
