//! When a read may begin (R39): at once while there is plenty of memory for answers, else when its
//! turn comes.

use super::Output;
use super::core::Shard;
use super::reads::ReadTask;
use super::waiting::{Need, Waiting};
use crate::api::error::{ErrorCode, RequestError};
use crate::limits::{COLD_READS_MAX, READ_WAITING_MS};
use crate::types::{ConnId, Tick};

/// So many extents are looked at to say how large an answer can be at most.
const LOOK_EXTENTS_MAX: usize = 64;

impl Shard {
    /// Makes the answer to a read at once, or puts the read in line.
    pub(super) fn begin_read(&mut self, now: Tick, task: ReadTask, out: &mut Vec<Output>) {
        let free = self.reads.lines.is_empty() && self.budget.has_plenty();
        if free && !self.conns.is_choked(task.conn) {
            return self.advance_read(now, task, out);
        }
        let need = self.need_of(&task);
        let goes_on = !self.reads.lines.has_before(need) && self.may_begin(need);
        if goes_on && !self.conns.is_choked(task.conn) {
            return self.advance_read(now, task, out);
        }
        self.wait_in_line(now, task, need, out);
    }

    /// Puts a read in line; refuses it where the line is too long.
    pub(super) fn wait_in_line(
        &mut self,
        now: Tick,
        mut task: ReadTask,
        need: Need,
        out: &mut Vec<Output>,
    ) {
        if self.reads.lines.is_full() {
            let error =
                RequestError::new(ErrorCode::Overloaded, "too many reads wait on this node");
            return self.refuse(task.conn, task.correlation, error, out);
        }
        self.conns.owe(task.conn, need.bytes);
        let until = *task.waits_until.get_or_insert(now.after(READ_WAITING_MS * 1000));
        self.reads.lines.push(Waiting { task, need, until });
    }

    /// Begins reads in line as far as there is room, and refuses those that waited for too long.
    pub(super) fn admit_reads(&mut self, now: Tick, out: &mut Vec<Output>) {
        while let Some(Waiting { task, need, .. }) = self.reads.lines.pop_expired(now) {
            self.conns.paid(task.conn, need.bytes);
            let text = "no memory for the answer came free in time; clients that take their answers \
                        slowly hold it";
            let error = RequestError::new(ErrorCode::Overloaded, text);
            self.refuse(task.conn, task.correlation, error, out);
        }
        if self.reads.lines.is_empty() {
            return;
        }
        // One goes on in any case, so that those in line are not passed for ever by those who come.
        let mut first = true;
        for line in self.reads.lines.order() {
            while let Some(Waiting { mut task, need, .. }) = self.pop_startable(line, first) {
                first = false;
                self.conns.paid(task.conn, need.bytes);
                self.prove_anew(&mut task);
                self.advance_read(now, task, out);
            }
        }
    }

    fn pop_startable(&mut self, line: usize, first: bool) -> Option<Waiting> {
        let Shard { reads, conns, budget, cold, .. } = self;
        let takes = |conn: ConnId| !conns.is_choked(conn);
        let may = |need: Need| match need.cold {
            true => budget.fits(need.bytes) && cold.len() < COLD_READS_MAX,
            false => budget.fits(need.bytes) && (first || !budget.is_spent()),
        };
        reads.lines.pop(line, takes, may)
    }

    /// A read of this need has all that it needs.
    pub(super) fn may_begin(&self, need: Need) -> bool {
        let more = match need.cold {
            true => self.cold.len() < COLD_READS_MAX,
            false => !self.budget.is_spent(),
        };
        more && self.budget.fits(need.bytes)
    }

    /// What a read needs, at most: the bytes of the values that hold what it may answer, and for
    /// those on disk as much again, since they are read before entries are taken out of them.
    fn need_of(&self, task: &ReadTask) -> Need {
        let reading = &task.reading;
        let (mut bytes, mut cold) = (0, false);
        let end = reading.next().plus(u64::from(reading.entries_left()));
        let extents = self.machine.logs().extents(reading.log(), reading.next());
        for (nth, extent) in extents.take(LOOK_EXTENTS_MAX + 1).enumerate() {
            if extent.first >= end || (nth > 0 && bytes >= reading.bytes_left()) {
                break;
            }
            if nth == LOOK_EXTENTS_MAX {
                bytes = bytes.max(reading.bytes_left());
                break;
            }
            let cached = self.cache.get(extent.slot).map(|(_, value)| value.len());
            cold |= nth == 0 && cached.is_none();
            let on_disk = || self.journal.locate(extent.slot).map_or(0, |at| at.bytes as usize);
            bytes += cached.unwrap_or_else(on_disk);
        }
        Need { bytes: if cold { 2 * bytes } else { bytes }, cold }
    }

    /// A turn of the driver's loop begins, in which so many bytes of answers wait on connections.
    /// Reads are answered as far as that leaves room, and as many in one turn as leave time for
    /// the peers and the disk. To be said before each burst of inputs.
    pub fn begin_turn(&mut self, unsent_bytes: usize) {
        self.budget.begin_turn(unsent_bytes);
    }

    /// True while what was read from disk should wait for the next turn.
    #[must_use]
    pub fn turn_is_spent(&self) -> bool {
        self.budget.is_spent()
    }

    /// True while no more requests should be taken in this turn.
    #[must_use]
    pub fn turn_is_full(&self) -> bool {
        self.budget.is_full()
    }

    /// Reads wait that the next turn can answer: the driver must not sleep.
    #[must_use]
    pub fn can_answer_more(&self) -> bool {
        let takes = |conn: ConnId| !self.conns.is_choked(conn);
        let may = |need: Need| {
            self.budget.fits(need.bytes) && (!need.cold || self.cold.len() < COLD_READS_MAX)
        };
        self.reads.lines.can_go_on(takes, may)
    }

    /// Reads wait, and none of them can be answered before clients take what they are owed.
    #[must_use]
    pub fn wants_memory(&self) -> bool {
        !self.reads.lines.is_empty() && !self.can_answer_more()
    }

    /// Whether so many answers wait for a connection to take them that its reads wait.
    pub fn set_choked(&mut self, conn: ConnId, choked: bool) {
        self.conns.set_choked(conn, choked);
    }

    /// Bytes of memory that the reads of a connection wait for or use: its answers to be. With what
    /// it was answered and did not take, they say whether more requests are read from it.
    #[must_use]
    pub fn owed_to(&self, conn: ConnId) -> usize {
        self.conns.owed(conn)
    }
}
