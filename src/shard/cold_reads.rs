//! Reads of old entries: out of the journal, over as many slots as the answer needs.
//!
//! A log's entries may lie in slots far apart, with those of other logs between them. One job finds all
//! that an answer needs, and takes the entries out. Only where their places are in memory alone, which
//! the job learns when it has looked up the entries, a second one reads them.

use super::cold_job::{ColdReadDone, ColdReadEnd, ColdReadJob, SlotMend};
use super::core::Core;
use super::disk_job::DiskJob;
use super::journal_reads::JournalRead;
use super::read_task::{EntryPlace, Need, ReadTask};
use super::turn::Turn;
use crate::journal::ReadDamage;
use crate::limits::{READ_AHEAD_BYTES_MAX, READ_AHEAD_BYTES_MIN};
use crate::types::{Ballot, ConnId, Extent, Index, LogId, Slot};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Most extents that are planned for at a time.
const PLANNED_EXTENTS_MAX: usize = 1024;

/// A read whose entries are being fetched from the journal.
#[derive(Debug)]
struct ColdRead {
    task: ReadTask,
    /// Memory set aside for it: for the entries.
    reserved: usize,
    /// The index that it goes by was not that of the others.
    is_outdated: bool,
}

/// All of them, by the token of their job.
#[derive(Debug, Default)]
pub struct ColdReads {
    under_way: BTreeMap<u64, ColdRead>,
    /// Of each connection the last answer to a read.
    scans: BTreeMap<ConnId, Scan>,
}

/// A client that may read a log in order.
#[derive(Clone, Copy, Debug)]
struct Scan {
    log: LogId,
    /// Where its last answer ended.
    next: Index,
    /// So many bytes are read ahead when it goes on there.
    ahead: usize,
}

/// How a read goes on.
#[derive(Debug)]
pub enum ColdReadStep {
    /// Its entries are being fetched, or its client is gone.
    Pending,
    /// It waits for its turn.
    WaitsForMemory(ReadTask, Need),
    /// It has all that it gets.
    Finished(ReadTask),
    /// More of it is known than before.
    Advanced(ReadTask),
    /// Its next entry is damaged here, in this slot if one is named, and in the record that was written down in this
    /// ballot; zero where no record was read.
    Damaged(ReadTask, Option<(Slot, Ballot)>, String),
    /// Its next entry is not here, though this state has it: others may have it, or be further.
    Absent(ReadTask),
}

impl ColdReads {
    /// Fetches what a read needs from the journal.
    pub(super) fn begin(&mut self, turn: &mut Turn<'_>, task: ReadTask) -> ColdReadStep {
        let need = Need { bytes: task.room(), cold: true };
        if !need.fits(turn.core) {
            return ColdReadStep::WaitsForMemory(task, need);
        }
        let ahead = self.ahead(&task);
        let extents = known_extents(turn.core, &task, ahead);
        if let Some(slot) = extents.front().map(|first| first.slot) {
            if turn.core.absent.contains(slot) {
                turn.core.absent.want(slot);
                return absent(turn.core, task);
            }
            if turn.core.replica.holes().contains_key(&slot) {
                let why = "the slot is damaged here".to_string();
                return ColdReadStep::Damaged(task, Some((slot, Ballot::ZERO)), why);
            }
        }
        let token = turn.core.journal_reads.token();
        let Some(job) = job(turn.core, token, &task, (extents, ahead)) else {
            return ColdReadStep::Finished(task); // The log is gone.
        };
        let reserved = need.bytes;
        turn.core.budget.reserve(reserved);
        turn.core.conns.add_read_bytes(task.conn(), reserved);
        turn.core.journal_reads.begin(token, JournalRead::Client);
        self.under_way.insert(token, ColdRead { task, reserved, is_outdated: false });
        turn.run(DiskJob::ColdRead(Box::new(job)));
        ColdReadStep::Pending
    }

    /// Entries came for a read.
    pub(super) fn done(&mut self, turn: &mut Turn<'_>, done: ColdReadDone) -> ColdReadStep {
        let ColdReadDone { token, cursor, extents, ended, mends, .. } = done;
        let Some(cold) = self.under_way.remove(&token) else { return ColdReadStep::Pending };
        let ColdRead { mut task, reserved, is_outdated } = cold;
        turn.core.budget.release(reserved);
        turn.core.conns.remove_read_bytes(task.conn(), reserved);
        if !turn.core.conns.is_known(task.conn()) {
            return ColdReadStep::Pending; // Its client is gone.
        }
        if is_outdated {
            return ColdReadStep::Absent(task);
        }
        for (slot, SlotMend { ballot, damage }) in mends {
            // Where its segment went while it was read, the record that counts is another one by now.
            if !damage.is_some_and(|damage| turn.core.journal.is_excused(&damage)) {
                turn.mend(slot, ballot);
            }
        }
        let brought_some = cursor.next() > task.reading.next();
        (task.reading, task.extents) = (cursor, extents);
        let lacks = task.reading.lacks();
        task.reading.set_room(usize::MAX);
        if let Some(bytes) = lacks {
            task.room = bytes;
            return ColdReadStep::WaitsForMemory(task, Need { bytes, cold: true });
        }
        match ended {
            ColdReadEnd::Lost(_, ReadDamage::Unplaced { .. }) if !brought_some => {
                // Nothing is lost: it goes on when it is known again where the slots lie.
                ColdReadStep::WaitsForMemory(task, Need { bytes: reserved, cold: true })
            }
            ColdReadEnd::Taken | ColdReadEnd::Beyond => ColdReadStep::Advanced(task),
            // The segment went while it was read: what was live in it stands elsewhere by now (C30).
            ColdReadEnd::Lost(_, damage) if turn.core.journal.is_excused(&damage) => {
                ColdReadStep::Advanced(task)
            }
            ColdReadEnd::Lost(slot, damage) => {
                turn.not_read(slot, &damage);
                let is_released = matches!(damage, ReadDamage::Released { .. });
                if is_released || slot <= turn.core.checkpointed_upto {
                    return absent(turn.core, task); // C29
                }
                lost(turn.core, task, None, "the slot cannot be read here".to_string())
            }
            ColdReadEnd::Damaged(slot, ballot, why) => {
                lost(turn.core, task, Some((slot, ballot)), why)
            }
            // The run was replaced meanwhile: the read goes on by the index that took its place.
            ColdReadEnd::IndexDamaged(damage) if !turn.core.note_damage(&damage) => {
                ColdReadStep::Advanced(task)
            }
            ColdReadEnd::IndexDamaged(damage) => {
                log::error!("shard {}: a run of the index: {damage}", turn.core.options.shard);
                lost(turn.core, task, None, damage.to_string())
            }
            ColdReadEnd::NotIndexed => {
                let want = task.reading.next();
                let why = format!("the index has no place for entry {want}");
                match task.place(turn.core, want) {
                    EntryPlace::OnDisk => lost(turn.core, task, None, why),
                    EntryPlace::Here(_) | EntryPlace::Nowhere => ColdReadStep::Advanced(task),
                }
            }
        }
    }

    /// The index that all of them go by was not that of the others.
    pub(super) fn outdate(&mut self) {
        self.under_way.values_mut().for_each(|cold| cold.is_outdated = true);
    }

    /// So many bytes are read ahead of a client that goes on where it ended: twice as many each time.
    fn ahead(&mut self, task: &ReadTask) -> usize {
        let (log, from) = (task.reading.log(), task.reading.from());
        match self.scans.get_mut(&task.conn()) {
            Some(scan) if (scan.log, scan.next) == (log, from) => {
                let ahead = scan.ahead;
                scan.ahead = (2 * ahead).min(READ_AHEAD_BYTES_MAX);
                ahead
            }
            Some(_) | None => 0,
        }
    }

    /// A client was answered, with entries up to this index.
    pub(super) fn answered(&mut self, conn: ConnId, log: LogId, (from, next): (Index, Index)) {
        let before = self.scans.get(&conn).filter(|scan| (scan.log, scan.next) == (log, from));
        let ahead = before.map_or(READ_AHEAD_BYTES_MIN, |scan| scan.ahead);
        self.scans.insert(conn, Scan { log, next, ahead });
    }

    /// A connection is gone.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        self.scans.remove(&conn);
    }

    /// The reads under way, with the memory set aside for each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ReadTask, usize)> {
        self.under_way.values().map(|cold| (&cold.task, cold.reserved))
    }
}

/// The next entry is not here; nobody wants it where it was trimmed, or its log deleted, meanwhile (C26), or
/// where it was declared lost (C32b). What came before it is an answer.
fn absent(core: &Core, task: ReadTask) -> ColdReadStep {
    if task.is_empty() && is_wanted(core, &task) {
        return ColdReadStep::Absent(task);
    }
    ColdReadStep::Finished(task)
}

/// The next entry cannot be read; nobody wants it where it was trimmed, or declared lost, or its log deleted,
/// meanwhile.
fn lost(core: &Core, task: ReadTask, record: Option<(Slot, Ballot)>, why: String) -> ColdReadStep {
    if is_wanted(core, &task) {
        return ColdReadStep::Damaged(task, record, why);
    }
    ColdReadStep::Finished(task)
}

/// The log has the next entry, or is to get it.
fn is_wanted(core: &Core, task: &ReadTask) -> bool {
    let (log, next) = (task.reading.log(), task.reading.next());
    let first = core.machine.logs().first_index(log);
    first.is_some_and(|first| first <= next) && core.machine.lost().at(log, next).is_none()
}

/// The extents of a read that are known, as far as they are wanted, with so many bytes ahead; and the one
/// behind, which has the chain value there.
fn known_extents(core: &Core, task: &ReadTask, ahead: usize) -> VecDeque<Extent> {
    let reading = &task.reading;
    let end = reading.next().plus(u64::from(reading.entries_left()));
    let mut extents: VecDeque<Extent> = VecDeque::new();
    let (mut enough, mut last) = (u64::MAX, u64::MAX);
    for extent in task.known_extents(core, reading.next()).take(PLANNED_EXTENTS_MAX) {
        extents.push_back(*extent);
        if extents.len() == 2 {
            enough = extent.bytes_before.saturating_add(reading.bytes_left() as u64);
        }
        if extent.first >= end || extent.bytes_before >= enough {
            last = last.min(extent.bytes_before.saturating_add(ahead as u64));
        }
        if extent.bytes_before >= last {
            break;
        }
    }
    extents
}

/// A job for what a read wants next; nothing where its log is gone.
fn job(
    core: &Core,
    token: u64,
    task: &ReadTask,
    (extents, ahead): (VecDeque<Extent>, usize),
) -> Option<ColdReadJob> {
    let mut last = None;
    let slots: Vec<Slot> = extents
        .iter()
        .map(|extent| extent.slot)
        .filter(|slot| last.replace(*slot) != Some(*slot))
        // What is in memory need not be durable yet, and the journal may hold an older value.
        .take_while(|slot| core.cache.get(*slot).is_none())
        .take_while(|slot| !core.replica.holes().contains_key(slot) && !core.absent.contains(*slot))
        .collect();
    // What the journal has of an absent slot may be another value than was chosen (C29).
    let first_hole = core.replica.holes().keys().next().copied();
    let end = first_hole.into_iter().chain(core.absent.first()).min().unwrap_or(Slot(u64::MAX));
    let source = core.journal.piece_source(&slots, end, Arc::clone(&core.block_cache));
    let runs = extents.is_empty().then(|| core.index.runs().clone());
    let end = core.machine.logs().end(task.reading.log())?;
    let mut cursor = task.reading.clone();
    cursor.set_room(task.room());
    Some(ColdReadJob {
        token,
        cursor,
        extents,
        runs,
        end,
        source: Arc::new(source),
        distrusted: None,
        second: None,
        mends: BTreeMap::new(),
        file_bytes: 0,
        ahead,
    })
}
