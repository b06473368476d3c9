//! Reads: linearizable under a lease or a quorum round, local, and waiting at the tail (C19).
//! When a read may begin is said in `admission`, how it gets what is on disk in `cold_reads`.

use super::Output;
use super::budget::weight;
use super::core::Shard;
use super::waiting::Lines;
use super::write_request::WriteRequest;
use crate::api::error::{ErrorCode, RequestError};
use crate::api::{Consistency, List, Listed, Read, ReadDone, Reply, Request, Stat};
use crate::limits::READ_WAIT_MS_MAX;
use crate::machine::ReadCursor;
use crate::types::{Ballot, ConnId, LogId, Slot, Tick};
use std::collections::{BTreeMap, VecDeque};

/// What makes an answer linearizable: the ballot in which it was computed, and the stamp after which
/// that leadership must be confirmed unless a lease is valid when the answer leaves.
#[derive(Clone, Copy, Debug)]
pub struct ReadProof {
    ballot: Ballot,
    stamp: Tick,
}

/// A read of entries under way.
#[derive(Debug)]
pub struct ReadTask {
    pub(super) conn: ConnId,
    pub(super) correlation: u64,
    pub(super) reading: ReadCursor,
    guard: Option<ReadProof>,
    deadline: Tick,
    /// It waits for memory no longer than until then, once it has begun to wait.
    pub(super) waits_until: Option<Tick>,
}

impl ReadTask {
    /// Whose it is.
    pub fn conn(&self) -> ConnId {
        self.conn
    }
}

/// An answer that waits for proof of leadership.
#[derive(Debug)]
struct Held {
    conn: ConnId,
    correlation: u64,
    guard: ReadProof,
    reply: Reply,
    /// Memory set aside for it.
    bytes: usize,
}

/// The read side of a shard.
#[derive(Debug, Default)]
pub struct Reads {
    held: VecDeque<Held>,
    /// Reads at the tail that wait for an entry.
    parked: BTreeMap<LogId, Vec<ReadTask>>,
    /// The deadlines of the parked ones.
    deadlines: BTreeMap<(Tick, ConnId, u64), LogId>,
    /// Reads that wait for memory or for the disk.
    pub(super) lines: Lines,
}

impl Reads {
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let parked = self.deadlines.first_key_value().map(|entry| entry.0.0);
        parked.into_iter().chain(self.lines.next_deadline()).min()
    }

    fn drop_conn(&mut self, conn: ConnId) {
        self.lines.take_out(|task| task.conn == conn);
        self.deadlines.retain(|key, _| key.1 != conn);
        self.parked.retain(|_, tasks| {
            tasks.retain(|task| task.conn != conn);
            !tasks.is_empty()
        });
    }

    fn park(&mut self, mut task: ReadTask) {
        // It waits for entries now; the wait for memory begins anew.
        task.waits_until = None;
        let log = task.reading.log();
        self.deadlines.insert((task.deadline, task.conn, task.correlation), log);
        self.parked.entry(log).or_default().push(task);
    }

    fn unpark(&mut self, log: LogId) -> Vec<ReadTask> {
        let tasks = self.parked.remove(&log).unwrap_or_default();
        for task in &tasks {
            self.deadlines.remove(&(task.deadline, task.conn, task.correlation));
        }
        tasks
    }
}

impl Shard {
    /// Any request.
    pub(super) fn request(
        &mut self,
        now: Tick,
        conn: ConnId,
        id: u64,
        request: Request,
        out: &mut Vec<Output>,
    ) {
        match request {
            Request::Create(create) => {
                self.write(now, conn, id, WriteRequest::Create(create), out);
            }
            Request::Delete(delete) => {
                self.write(now, conn, id, WriteRequest::Delete(delete), out);
            }
            Request::Append(append) => {
                self.write(now, conn, id, WriteRequest::Append(append), out);
            }
            Request::Read(read) => self.read(now, conn, id, read, out),
            Request::Stat(stat) => self.stat(now, conn, id, &stat, out),
            Request::List(list) => self.list(now, conn, id, &list, out),
            Request::Status => {
                let status = self.status(now);
                self.reply(conn, id, Reply::Status(Box::new(status)), out);
            }
            Request::Map => {
                let map = self.map();
                self.reply(conn, id, Reply::Map(map), out);
            }
            Request::Ping => self.reply(conn, id, Reply::Pong, out),
        }
    }

    /// What makes an answer computed now as fresh as asked for.
    fn guard(&self, consistency: Consistency) -> Result<Option<ReadProof>, RequestError> {
        match consistency {
            Consistency::Local if self.replica.is_doubtful() => {
                Err(RequestError::new(ErrorCode::NotReady, self.doubt_text()))
            }
            Consistency::Local => Ok(None),
            Consistency::Linearizable => {
                let ballot = self.serving()?;
                Ok(Some(ReadProof { ballot, stamp: self.replica.read_stamp() }))
            }
        }
    }

    fn stat(&mut self, now: Tick, conn: ConnId, id: u64, stat: &Stat, out: &mut Vec<Output>) {
        let guard = match self.guard(stat.consistency) {
            Ok(guard) => guard,
            Err(error) => return self.refuse(conn, id, error, out),
        };
        let found =
            self.find(&stat.log).map(|log| self.machine.logs().stat(&crate::api::LogRef::Id(log)));
        let reply = match found {
            Ok(Ok(stat)) => Reply::Stated(stat),
            Ok(Err(lookup)) => {
                Reply::Error(RequestError::new(ErrorCode::UnknownLog, lookup.to_string()))
            }
            Err(error) => Reply::Error(error),
        };
        self.answer(now, conn, id, guard, reply, out);
    }

    fn list(&mut self, now: Tick, conn: ConnId, id: u64, list: &List, out: &mut Vec<Output>) {
        let guard = match self.guard(list.consistency) {
            Ok(guard) => guard,
            Err(error) => return self.refuse(conn, id, error, out),
        };
        let limit = if list.limit == 0 { usize::MAX } else { list.limit as usize };
        let (logs, more) = self.machine.logs().list(&list.prefix, &list.after, limit);
        self.answer(now, conn, id, guard, Reply::Listed(Listed { logs, more }), out);
    }

    fn read(&mut self, now: Tick, conn: ConnId, id: u64, read: Read, out: &mut Vec<Output>) {
        let guard = match self.guard(read.consistency) {
            Ok(guard) => guard,
            Err(error) => return self.refuse(conn, id, error, out),
        };
        let reading = self
            .find(&read.log)
            .map(|log| self.machine.reading(log, read.from, read.max_entries, read.max_bytes));
        match reading {
            Ok(Some(reading)) => {
                let wait_us = u64::from(read.wait_ms.min(READ_WAIT_MS_MAX)) * 1_000;
                let deadline = now.after(wait_us);
                let waits_until = None;
                let task =
                    ReadTask { conn, correlation: id, reading, guard, deadline, waits_until };
                self.begin_read(now, task, out);
            }
            Ok(None) => {
                let error = RequestError::new(ErrorCode::UnknownLog, "there is no such log");
                self.answer(now, conn, id, guard, Reply::Error(error), out);
            }
            Err(error) => self.answer(now, conn, id, guard, Reply::Error(error), out),
        }
    }

    /// Takes entries out of values in memory, and asks the journal for what is not there.
    pub(super) fn advance_read(&mut self, now: Tick, mut task: ReadTask, out: &mut Vec<Output>) {
        while let Some(want) = task.reading.wants() {
            let Some(extent) =
                self.machine.logs().extents(task.reading.log(), want).next().copied()
            else {
                break;
            };
            let Some((_, value)) = self.cache.get(extent.slot) else {
                if task.reading.next() > task.reading.from() {
                    break; // A part is an answer: the client asks on.
                }
                return self.read_cold(now, task, extent.slot, out);
            };
            let value = value.clone();
            if let Err(damaged) = task.reading.take(&extent, extent.slot, &value) {
                return self.read_damaged(now, task, extent.slot, &damaged.to_string(), out);
            }
        }
        self.finish_read(now, task, out);
    }

    /// Damage is "retry elsewhere", never "end of log" (C19); what came before it is an answer.
    pub(super) fn read_damaged(
        &mut self,
        now: Tick,
        task: ReadTask,
        slot: Slot,
        why: &str,
        out: &mut Vec<Output>,
    ) {
        if slot > Slot(0) && !self.replica.holes().contains_key(&slot) {
            self.lost(now, slot, why);
        }
        if task.reading.next() > task.reading.from() {
            return self.finish_read(now, task, out);
        }
        let error = RequestError::new(ErrorCode::Damaged, why);
        self.refuse(task.conn, task.correlation, error, out);
    }

    pub(super) fn finish_read(&mut self, now: Tick, task: ReadTask, out: &mut Vec<Output>) {
        let log = task.reading.log();
        let Some(next) = self.machine.logs().next_index(log) else {
            let error = RequestError::new(ErrorCode::UnknownLog, "the log was deleted");
            let reply = Reply::Error(error);
            return self.answer(now, task.conn, task.correlation, task.guard, reply, out);
        };
        let from = task.reading.from();
        let waits = now < task.deadline && !self.is_leaving();
        if task.reading.next() == from && next <= from && waits {
            return self.reads.park(task);
        }
        let (conn, id, guard) = (task.conn, task.correlation, task.guard);
        let entries = task.reading.finish();
        let reply = Reply::ReadDone(ReadDone { id: log, from, next, entries });
        self.answer(now, conn, id, guard, reply, out);
    }

    /// An answer was computed: it leaves if it is proven to be as fresh as asked for.
    fn answer(
        &mut self,
        now: Tick,
        conn: ConnId,
        correlation: u64,
        guard: Option<ReadProof>,
        reply: Reply,
        out: &mut Vec<Output>,
    ) {
        let Some(guard) = guard else { return self.reply(conn, correlation, reply, out) };
        match self.proven(now, guard) {
            Some(true) => self.reply(conn, correlation, reply, out),
            Some(false) => {
                let bytes = weight(&reply);
                self.budget.reserve(bytes);
                self.reads.held.push_back(Held { conn, correlation, guard, reply, bytes });
                self.confirm_wanted = true;
            }
            None => {
                let error = self.not_leader();
                self.refuse(conn, correlation, error, out);
            }
        }
    }

    /// An answer about what exists, computed outside a read: as fresh as a linearizable one.
    pub(super) fn answer_linearizable(
        &mut self,
        now: Tick,
        conn: ConnId,
        id: u64,
        reply: Reply,
        out: &mut Vec<Output>,
    ) {
        match self.guard(Consistency::Linearizable) {
            Ok(guard) => self.answer(now, conn, id, guard, reply, out),
            Err(error) => self.refuse(conn, id, error, out),
        }
    }

    /// True: it may leave. False: proof is still to come. None: the leadership is gone.
    fn proven(&self, now: Tick, guard: ReadProof) -> Option<bool> {
        if self.replica.serving() != Some(guard.ballot) {
            return None;
        }
        Some(self.replica.lease_valid(now) || self.replica.confirmed_after(guard.stamp))
    }

    /// Lets go the answers whose proof has come.
    pub(super) fn release_reads(&mut self, now: Tick, out: &mut Vec<Output>) {
        while let Some(held) = self.reads.held.pop_front() {
            match self.proven(now, held.guard) {
                Some(true) => {
                    self.budget.release(held.bytes);
                    self.reply(held.conn, held.correlation, held.reply, out);
                }
                Some(false) => return self.reads.held.push_front(held), // Those behind are younger.
                None => {
                    self.budget.release(held.bytes);
                    let error = self.not_leader();
                    self.refuse(held.conn, held.correlation, error, out);
                }
            }
        }
    }

    /// Something happened to a log: those who wait at its tail look again.
    pub(super) fn wake_reads(&mut self, now: Tick, log: LogId, out: &mut Vec<Output>) {
        for task in self.reads.unpark(log) {
            self.read_again(now, task, out);
        }
    }

    fn read_again(&mut self, now: Tick, mut task: ReadTask, out: &mut Vec<Output>) {
        self.prove_anew(&mut task);
        self.begin_read(now, task, out);
    }

    /// The answer is computed anew, so it is proven anew.
    pub(super) fn prove_anew(&self, task: &mut ReadTask) {
        if let Some(guard) = &mut task.guard {
            guard.stamp = self.replica.read_stamp();
        }
    }

    /// A connection is gone: nobody waits for its answers.
    pub(super) fn drop_reads(&mut self, conn: ConnId) {
        self.reads.drop_conn(conn);
        let gone: usize =
            self.reads.held.iter().filter(|held| held.conn == conn).map(|held| held.bytes).sum();
        self.budget.release(gone);
        self.reads.held.retain(|held| held.conn != conn);
    }

    /// Answers those whose wait is over.
    pub(super) fn expire_reads(&mut self, now: Tick, out: &mut Vec<Output>) {
        while let Some((key, log)) = self.reads.deadlines.first_key_value() {
            let ((deadline, ..), log) = (*key, *log);
            if deadline > now {
                return;
            }
            for task in self.reads.unpark(log) {
                self.read_again(now, task, out);
            }
        }
    }

    /// The node stops: those who wait at a tail are answered with what is there.
    pub(super) fn end_waits(&mut self, now: Tick, out: &mut Vec<Output>) {
        while let Some((_, log)) = self.reads.deadlines.pop_first() {
            for task in self.reads.unpark(log) {
                self.read_again(now, task, out);
            }
        }
    }

    /// Leadership is gone: linearizable reads are void (R19); they were not executed.
    pub(super) fn void_reads(&mut self, out: &mut Vec<Output>) {
        let mut void: Vec<(ConnId, u64)> = Vec::new();
        for held in std::mem::take(&mut self.reads.held) {
            self.budget.release(held.bytes);
            void.push((held.conn, held.correlation));
        }
        for waiting in self.reads.lines.take_out(|task| task.guard.is_some()) {
            let task = waiting.task;
            self.conns.paid(task.conn, waiting.need.bytes);
            void.push((task.conn, task.correlation));
        }
        let logs: Vec<LogId> = self.reads.parked.keys().copied().collect();
        for log in logs {
            for task in self.reads.unpark(log) {
                if task.guard.is_some() {
                    void.push((task.conn, task.correlation));
                } else {
                    self.reads.park(task);
                }
            }
        }
        for (conn, id) in void {
            let error = self.not_leader();
            self.refuse(conn, id, error, out);
        }
    }
}
