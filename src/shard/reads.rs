//! Reads: linearizable under a lease or a quorum round, local, and waiting at the tail (C19).
//!
//! A read begins at once while there is plenty of memory for answers, else when its turn comes (R39).

use super::cold_job::ColdReadDone;
use super::cold_reads::{ColdReadStep, ColdReads};
use super::core::Core;
use super::events::RequestId;
use super::lines::{QueuedRead, ReadQueues};
use super::parked::Parked;
use super::read_task::{EntryPlace, Need, ReadTask};
use super::turn::Turn;
use crate::api::error::{ErrorCode, RequestError, Retry};
use crate::api::{List, ListLost, Listed, ListedLost, LogRef, Read, ReadDone, Reply, Stat};
use crate::limits::{READ_WAIT_MS_MAX, READ_WAITING_MS};
use crate::types::{Ballot, ConnId, Index, LogId, Slot, Tick};
use std::collections::VecDeque;

/// The read side of a shard.
#[derive(Debug, Default)]
pub struct Reads {
    /// Reads at the tail that wait for an entry.
    parked: Parked,
    /// Reads that wait for memory or for the disk.
    queues: ReadQueues,
    /// Reads whose values are being fetched from the journal.
    cold: ColdReads,
}

impl Reads {
    /// When the next of them has waited for too long.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.parked.next_deadline().into_iter().chain(self.queues.next_deadline()).min()
    }

    /// Reads that wait for memory or for the disk.
    pub(super) fn waiting(&self) -> usize {
        self.queues.len()
    }

    /// A request for a log's data.
    pub(super) fn stat(&mut self, turn: &mut Turn<'_>, asked: RequestId, stat: &Stat) {
        let proof = match turn.core.read_proof(stat.consistency) {
            Ok(proof) => proof,
            Err(error) => return turn.refuse(asked, error),
        };
        let found = turn.core.find(&stat.log);
        let reply = match found.map(|log| turn.core.machine.stat(&LogRef::Id(log))) {
            Ok(Ok(stat)) => Reply::Stated(stat),
            Ok(Err(lookup)) => {
                Reply::Error(RequestError::new(ErrorCode::UnknownLog, lookup.to_string()))
            }
            Err(error) => Reply::Error(error),
        };
        turn.answer(asked, proof, reply);
    }

    /// A request for the shard's logs.
    pub(super) fn list(&mut self, turn: &mut Turn<'_>, asked: RequestId, list: &List) {
        let proof = match turn.core.read_proof(list.consistency) {
            Ok(proof) => proof,
            Err(error) => return turn.refuse(asked, error),
        };
        let limit = if list.limit == 0 { usize::MAX } else { list.limit as usize };
        let (logs, more) = turn.core.machine.list(&list.prefix, &list.after, limit);
        turn.answer(asked, proof, Reply::Listed(Listed { logs, more }));
    }

    /// A request for a log's lost entries.
    pub(super) fn list_lost(&mut self, turn: &mut Turn<'_>, asked: RequestId, list: &ListLost) {
        let proof = match turn.core.read_proof(list.consistency) {
            Ok(proof) => proof,
            Err(error) => return turn.refuse(asked, error),
        };
        let reply = match turn.core.find(&list.log) {
            Ok(id) => {
                let losses = turn.core.machine.lost().of(id);
                let ranges = losses.map_or(Vec::new(), |losses| losses.ranges().collect());
                Reply::ListedLost(ListedLost { id, ranges })
            }
            Err(error) => Reply::Error(error),
        };
        turn.answer(asked, proof, reply);
    }

    /// A request for entries.
    pub(super) fn read(&mut self, turn: &mut Turn<'_>, asked: RequestId, read: &Read) {
        let proof = match turn.core.read_proof(read.consistency) {
            Ok(proof) => proof,
            Err(error) => return turn.refuse(asked, error),
        };
        let reading = turn
            .core
            .find(&read.log)
            .map(|log| turn.core.machine.reading(log, read.from, read.max_entries, read.max_bytes));
        match reading {
            Ok(Some(reading)) => {
                if let Some(error) = gone(turn.core, reading.log(), read.from) {
                    return turn.answer(asked, proof, Reply::Error(error));
                }
                let wait_us = u64::from(read.wait_ms.min(READ_WAIT_MS_MAX)) * 1_000;
                let deadline = turn.now.after(wait_us);
                let (extents, waits_until) = (VecDeque::new(), None);
                let task =
                    ReadTask { asked, reading, proof, deadline, extents, room: 0, waits_until };
                self.begin(turn, task);
            }
            Ok(None) => {
                let error = RequestError::new(ErrorCode::UnknownLog, "there is no such log");
                turn.answer(asked, proof, Reply::Error(error));
            }
            Err(error) => turn.answer(asked, proof, Reply::Error(error)),
        }
    }

    /// Makes the answer to a read at once, or puts the read in line.
    fn begin(&mut self, turn: &mut Turn<'_>, task: ReadTask) {
        let takes = !turn.core.conns.is_paused(task.conn());
        let free = self.queues.is_empty() && turn.core.budget.has_plenty();
        if free && takes {
            return self.advance(turn, task);
        }
        let need = task.need(turn.core);
        if takes && !self.queues.has_before(need) && need.may_begin(turn.core, false) {
            return self.advance(turn, task);
        }
        self.wait_in_line(turn, task, need);
    }

    /// Puts a read in line; refuses it where the line is too long.
    fn wait_in_line(&mut self, turn: &mut Turn<'_>, mut task: ReadTask, need: Need) {
        if self.queues.is_full() {
            let error =
                RequestError::new(ErrorCode::Overloaded, "too many reads wait on this node");
            return turn.refuse(task.asked, error);
        }
        turn.core.conns.add_read_bytes(task.conn(), need.bytes);
        let until = *task.waits_until.get_or_insert(turn.now.after(READ_WAITING_MS * 1000));
        self.queues.push(QueuedRead { task, need, until });
    }

    /// Begins reads in line as far as there is memory for their answers, and refuses those that waited
    /// for too long.
    pub(super) fn admit(&mut self, turn: &mut Turn<'_>) {
        while let Some(QueuedRead { task, need, .. }) = self.queues.pop_expired(turn.now) {
            turn.core.conns.remove_read_bytes(task.conn(), need.bytes);
            let text = "no memory for the answer came free in time; clients that take their answers \
                        slowly hold it";
            turn.refuse(task.asked, RequestError::new(ErrorCode::Overloaded, text));
        }
        if self.queues.is_empty() {
            return;
        }
        // One goes on in any case, so that those in line are not passed for ever by those who come.
        let mut first = true;
        for line in self.queues.order() {
            while let Some(QueuedRead { mut task, need, .. }) =
                self.pop_startable(turn.core, line, first)
            {
                first = false;
                turn.core.conns.remove_read_bytes(task.conn(), need.bytes);
                task.prove_anew(turn.core);
                self.advance(turn, task);
            }
        }
    }

    fn pop_startable(&mut self, core: &Core, line: usize, first: bool) -> Option<QueuedRead> {
        let takes = |conn: ConnId| !core.conns.is_paused(conn);
        self.queues.pop(line, takes, |need| need.may_begin(core, first))
    }

    /// Reads wait that the next turn can answer.
    pub(super) fn can_go_on(&self, core: &Core) -> bool {
        let takes = |conn: ConnId| !core.conns.is_paused(conn);
        self.queues.can_go_on(takes, |need| need.fits(core))
    }

    /// Takes entries out of values in memory, and asks the journal for what is not there.
    fn advance(&mut self, turn: &mut Turn<'_>, mut task: ReadTask) {
        while let Some(want) = task.reading.wants() {
            let extent = match task.place(turn.core, want) {
                EntryPlace::Here(extent) => extent,
                EntryPlace::OnDisk if task.is_empty() => {
                    let cold = self.cold.begin(turn, task);
                    return self.go_on(turn, cold);
                }
                // A part is an answer: the client asks on.
                EntryPlace::OnDisk | EntryPlace::Nowhere => break,
            };
            let Some((_, value)) = turn.core.cache.get(extent.slot) else {
                if !task.is_empty() {
                    break; // A part is an answer: the client asks on.
                }
                let cold = self.cold.begin(turn, task);
                return self.go_on(turn, cold);
            };
            if let Err(damaged) = task.reading.take(&extent, extent.slot, value.bytes()) {
                let record = (extent.slot, turn.core.journal.kept_in(extent.slot));
                return self.damaged(turn, task, Some(record), &damaged.to_string());
            }
        }
        self.finish(turn, task);
    }

    /// Entries came from the disk for a read.
    pub(super) fn cold_done(&mut self, turn: &mut Turn<'_>, done: ColdReadDone) {
        let cold = self.cold.done(turn, done);
        self.go_on(turn, cold);
    }

    fn go_on(&mut self, turn: &mut Turn<'_>, cold: ColdReadStep) {
        match cold {
            ColdReadStep::Advanced(task) => self.advance(turn, task),
            ColdReadStep::Pending => {}
            ColdReadStep::WaitsForMemory(task, need) => self.wait_in_line(turn, task, need),
            ColdReadStep::Finished(task) => self.finish(turn, task),
            ColdReadStep::Damaged(task, record, why) => self.damaged(turn, task, record, &why),
            ColdReadStep::Absent(task) => refuse_absent(turn, &task),
        }
    }

    /// Damage is "retry elsewhere", never "end of log" (C19); what came before it is an answer. What is fetched for
    /// the slot is written down in no lower ballot than the record that was read, or it would not count.
    fn damaged(
        &mut self,
        turn: &mut Turn<'_>,
        task: ReadTask,
        record: Option<(Slot, Ballot)>,
        why: &str,
    ) {
        if let Some((slot, ballot)) = record
            && !turn.core.replica.holes().contains_key(&slot)
        {
            turn.lost(slot, ballot, why);
        }
        if !task.is_empty() {
            return self.finish(turn, task);
        }
        if record.is_some_and(|(slot, _)| slot <= turn.core.checkpointed_upto) {
            return refuse_absent(turn, &task);
        }
        turn.refuse(task.asked, RequestError::new(ErrorCode::Damaged, why));
    }

    /// Answers with what was found; waits at the tail where that is nothing.
    fn finish(&mut self, turn: &mut Turn<'_>, mut task: ReadTask) {
        let log = task.reading.log();
        let Some(next) = turn.core.machine.logs().next_index(log) else {
            let error = RequestError::new(ErrorCode::UnknownLog, "the log was deleted");
            return turn.answer(task.asked, task.proof, Reply::Error(error));
        };
        let from = task.reading.from();
        // Trimmed or lost while it was read: what was found is no answer any more (C28, C32b).
        if let Some(error) = gone(turn.core, log, from) {
            return turn.answer(task.asked, task.proof, Reply::Error(error));
        }
        if let Some(lost) = turn.core.machine.lost().of(log).and_then(|losses| losses.from(from)) {
            task.reading.end_before(lost.from);
        }
        let first = turn.core.machine.logs().first_index(log).unwrap_or_default();
        let waits = turn.now < task.deadline && !turn.core.is_leaving();
        if task.is_empty() && next <= from && waits {
            return self.parked.push(task);
        }
        let (asked, proof) = (task.asked, task.proof);
        self.cold.answered(asked.conn, log, (from, task.reading.next()));
        let entries = task.reading.finish();
        let reply = Reply::ReadDone(ReadDone { id: log, from, first, next, entries });
        turn.answer(asked, proof, reply);
    }

    /// Something happened to a log: those who wait at its tail look again.
    pub(super) fn wake(&mut self, turn: &mut Turn<'_>, log: LogId) {
        let tasks = self.parked.take(log);
        self.begin_again(turn, tasks);
    }

    fn begin_again(&mut self, turn: &mut Turn<'_>, tasks: Vec<ReadTask>) {
        for mut task in tasks {
            task.prove_anew(turn.core);
            self.begin(turn, task);
        }
    }

    /// The state is a later one: those who wait at tails look again.
    pub(super) fn installed(&mut self, turn: &mut Turn<'_>) {
        let mut all = Vec::new();
        while let Some(tasks) = self.parked.take_first() {
            all.extend(tasks);
        }
        self.begin_again(turn, all);
    }

    /// The state and the index were not those of the others: what is read by them is no answer.
    pub(super) fn outdate(&mut self) {
        self.cold.outdate();
    }

    /// Answers those whose wait is over.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) {
        while let Some(tasks) = self.parked.take_expired(turn.now) {
            self.begin_again(turn, tasks);
        }
    }

    /// The node stops: those who wait at a tail are answered with what is there.
    pub(super) fn end_waits(&mut self, turn: &mut Turn<'_>) {
        while let Some(tasks) = self.parked.take_first() {
            self.begin_again(turn, tasks);
        }
    }

    /// The state here may be wrong (R23): nothing will be answered from it, so nobody waits for that.
    pub(super) fn refuse_in_doubt(&mut self, turn: &mut Turn<'_>) {
        if !turn.core.replica.is_doubtful() {
            return;
        }
        let mut refused: Vec<RequestId> = Vec::new();
        for waiting in self.queues.take_out(|_| true) {
            turn.core.conns.remove_read_bytes(waiting.task.conn(), waiting.need.bytes);
            refused.push(waiting.task.asked);
        }
        while let Some(tasks) = self.parked.take_first() {
            refused.extend(tasks.iter().map(|task| task.asked));
        }
        for asked in refused {
            turn.refuse(asked, turn.core.in_doubt());
        }
    }

    /// A connection is gone: nobody waits for its answers.
    pub(super) fn drop_conn(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        self.queues.take_out(|task| task.conn() == conn);
        self.parked.drop_conn(conn);
        self.cold.drop_conn(conn);
        let gone = turn.core.held.drop_conn(conn);
        turn.core.budget.release(gone);
    }

    /// Leadership is gone: linearizable reads are void (R19); they were not executed.
    pub(super) fn lose_leadership(&mut self, turn: &mut Turn<'_>) {
        let mut refused: Vec<RequestId> = Vec::new();
        for held in turn.core.held.take_all() {
            turn.core.budget.release(held.bytes);
            refused.push(held.asked);
        }
        for waiting in self.queues.take_out(|task| task.proof.is_some()) {
            turn.core.conns.remove_read_bytes(waiting.task.conn(), waiting.need.bytes);
            refused.push(waiting.task.asked);
        }
        refused.extend(self.parked.take_linearizable().into_iter().map(|task| task.asked));
        for asked in refused {
            turn.refuse(asked, turn.core.not_leader());
        }
    }

    /// Checks what must hold of the reads alone.
    ///
    /// # Panics
    /// When it does not.
    pub(super) fn check(&self) {
        self.parked.check();
        self.queues.check();
    }

    /// Those that wait at a tail.
    pub(super) fn parked(&self) -> impl Iterator<Item = &ReadTask> {
        self.parked.iter()
    }

    /// Those that wait for memory or for the disk.
    pub(super) fn in_line(&self) -> impl Iterator<Item = &QueuedRead> {
        self.queues.iter()
    }

    /// Those whose values are being fetched, with the memory set aside for each.
    pub(super) fn cold(&self) -> impl Iterator<Item = (&ReadTask, usize)> {
        self.cold.iter()
    }
}

/// The next entry is not here: it is being fetched, or this state is behind, and in a later one the entry is
/// trimmed. Others may have it, or be further (C26, C29).
fn refuse_absent(turn: &mut Turn<'_>, task: &ReadTask) {
    let text = format!("entry {} is not held here", task.reading.next());
    let error = RequestError::new(ErrorCode::NotReady, text);
    turn.refuse(task.asked, RequestError { retry: Retry::Elsewhere, ..error });
}

/// Why a read from this index can never be answered, if it was trimmed, or declared lost.
fn gone(core: &Core, log: LogId, from: Index) -> Option<RequestError> {
    let first = core.machine.logs().first_index(log)?;
    if from < first {
        return Some(RequestError::trimmed(log, from, first));
    }
    let range = core.machine.lost().at(log, from)?;
    Some(RequestError::lost(log, range))
}
