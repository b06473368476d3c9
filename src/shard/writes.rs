//! Commands: admitted in order, batched, proposed, answered when applied.
//!
//! A leader knows the next index of every log once what is in flight is applied, because in one
//! leadership nothing in flight is dropped without all that came behind it. So a conditional append
//! that cannot succeed breaks its chain at once, and those behind it are refused without a round.

use super::Output;
use super::chains::Failure;
use super::core::Shard;
use super::write_request::WriteRequest;
use crate::api::entries::EntriesError;
use crate::api::error::{Detail, ErrorCode, RequestError};
use crate::api::name::LogName;
use crate::api::{Append, Appended, Created, LogRef, Reply};
use crate::limits::VALUE_BYTES_TARGET;
use crate::machine::{LogCommand, LogOutcome, LookupError, MachineOutcome, ValueBuilder};
use crate::types::{Ballot, ConnId, Index, LogId, ShardId, Slot, Tick};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Slots in flight beyond which commands gather for a larger value instead of one of their own.
const PIPELINE_SLOTS: u64 = 4;

/// A client that waits for one command's outcome.
#[derive(Debug)]
pub struct Waiter {
    conn: ConnId,
    correlation: u64,
    expect: Option<Index>,
    /// Bytes of the entries to append.
    entry_bytes: u64,
    /// The chain that breaks if the command fails or its outcome stays unknown.
    chain: Option<(LogRef, u32)>,
}

/// The commands of one slot in flight.
#[derive(Debug)]
struct InFlight {
    ballot: Ballot,
    waiters: Vec<Waiter>,
    claims: Vec<Claim>,
}

/// What a command in flight means for those behind it.
#[derive(Debug, Clone)]
enum Claim {
    /// Entries are on their way to the log; so many will move its next index.
    Entries(LogId, u64),
    /// The name is being taken or freed: others must wait.
    Name(LogName),
}

/// A request that came in, and may have to wait: for room, or for a name.
#[derive(Debug)]
struct Queued {
    conn: ConnId,
    id: u64,
    /// Its place among the writes that arrived.
    order: u64,
    request: WriteRequest,
}

/// Who must learn that a request was not executed, and the chain that breaks with it.
type Unproposed = (ConnId, u64, Option<(LogRef, u32)>);

/// The write side of a shard.
#[derive(Debug, Default)]
pub struct Writes {
    builder: ValueBuilder,
    /// The leadership that has proposed values, and the slot of the last one.
    begun: Option<(Ballot, Slot)>,
    waiters: Vec<Waiter>,
    claims: Vec<Claim>,
    in_flight: BTreeMap<Slot, InFlight>,
    /// Next index of each log with appends on their way, and how many commands these are.
    ahead: BTreeMap<LogId, (Index, u32)>,
    /// Names that a command on its way takes or frees.
    names: BTreeSet<LogName>,
    /// Requests for such names.
    stalled: VecDeque<Queued>,
    stalled_bytes: usize,
    /// Requests for which the window has no room.
    backlog: VecDeque<Queued>,
    backlog_bytes: usize,
}

impl Writes {
    /// The connection is gone, and with it the memory of its chains: what waits is not admitted.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        drop_queued(&mut self.stalled, &mut self.stalled_bytes, conn);
        drop_queued(&mut self.backlog, &mut self.backlog_bytes, conn);
    }

    pub(super) fn queued_bytes(&self) -> usize {
        let building = if self.builder.is_empty() { 0 } else { self.builder.byte_len() };
        building + self.backlog_bytes + self.stalled_bytes
    }

    /// One command less is on its way to the log; it will not move the next index by `back`.
    fn arrived(&mut self, log: LogId, back: u64) {
        let Some(ahead) = self.ahead.get_mut(&log) else { return };
        ahead.0 = Index(ahead.0.0 - back);
        ahead.1 -= 1;
        if ahead.1 == 0 {
            self.ahead.remove(&log);
        }
    }

    /// Takes out what is not proposed, as if it had never come in.
    fn withdraw(&mut self) -> Vec<Unproposed> {
        self.builder = ValueBuilder::default();
        for claim in std::mem::take(&mut self.claims) {
            match claim {
                Claim::Entries(log, moves) => self.arrived(log, moves),
                Claim::Name(name) => drop(self.names.remove(&name)),
            }
        }
        let waiters = std::mem::take(&mut self.waiters);
        let queued = std::mem::take(&mut self.stalled).into_iter();
        let queued = queued.chain(std::mem::take(&mut self.backlog));
        (self.stalled_bytes, self.backlog_bytes) = (0, 0);
        let queued = queued.map(|q| (q.conn, q.id, q.request.chain()));
        waiters.into_iter().map(|w| (w.conn, w.correlation, w.chain)).chain(queued).collect()
    }

    /// The request waits for a name.
    fn stall(&mut self, queued: Queued) {
        self.stalled_bytes += queued.request.memory_bytes();
        self.stalled.push_back(queued);
    }
}

fn drop_queued(queue: &mut VecDeque<Queued>, bytes: &mut usize, conn: ConnId) {
    queue.retain(|queued| {
        *bytes -= if queued.conn == conn { queued.request.memory_bytes() } else { 0 };
        queued.conn != conn
    });
}

impl Shard {
    /// Takes in a write, or says at once why not.
    pub(super) fn write(
        &mut self,
        now: Tick,
        conn: ConnId,
        id: u64,
        request: WriteRequest,
        out: &mut Vec<Output>,
    ) {
        let queued = Queued { conn, id, order: self.conns.next_order(), request };
        if self.is_behind_failure(&queued) {
            return self.refuse_behind(&queued, out);
        }
        if let Err(error) = self.may_write(&queued.request) {
            return self.refuse_write(now, &queued, error, out);
        }
        if !self.fates.is_empty() {
            let text = "what was open in an earlier leadership of this node is not settled yet";
            let error = RequestError::new(ErrorCode::NotReady, text);
            return self.refuse_write(now, &queued, error, out);
        }
        if self.writes.builder.is_full() || !self.writes.backlog.is_empty() {
            self.flush_builder(now);
        }
        if self.writes.builder.is_full() || !self.writes.backlog.is_empty() {
            self.writes.backlog_bytes += queued.request.memory_bytes();
            return self.writes.backlog.push_back(queued);
        }
        if self.name_of(&queued.request).is_some_and(|name| self.writes.names.contains(name)) {
            return self.writes.stall(queued);
        }
        self.admit(now, &queued, out);
    }

    /// True when an append of the request's chain that was sent before it failed.
    fn is_behind_failure(&self, queued: &Queued) -> bool {
        let Some(append) = queued.request.append() else { return false };
        self.conns.has_failed(queued.conn, &append.log, append.chain, queued.order)
    }

    /// Refuses an append behind a failure, once the error of that one has left.
    fn refuse_behind(&mut self, queued: &Queued, out: &mut Vec<Output>) {
        let Queued { conn, id, request, .. } = queued;
        if let Some(append) = request.append()
            && self.conns.hold(*conn, &append.log, append.chain, *id)
        {
            return;
        }
        self.refuse_prior(*conn, *id, out);
    }

    fn may_write(&self, request: &WriteRequest) -> Result<(), RequestError> {
        self.serving()?;
        self.no_room().map_or(Ok(()), Err)?;
        if let Some(append) = request.append() {
            append.entries.validate(&self.options.append).map_err(|error| bad_entries(&error))?;
        }
        Ok(())
    }

    /// Refuses a write, and with it what its connection sends behind it in the same chain.
    fn refuse_write(
        &mut self,
        now: Tick,
        queued: &Queued,
        error: RequestError,
        out: &mut Vec<Output>,
    ) {
        let Queued { conn, id, .. } = *queued;
        self.fail_chain(queued);
        match error.code {
            // What a log is or is not must be as fresh as any linearizable read.
            ErrorCode::UnknownLog | ErrorCode::LogExists => {
                self.answer_linearizable(now, conn, id, Reply::Error(error), out);
            }
            _ => self.refuse(conn, id, error, out),
        }
    }

    /// The append has failed, or is bound to: those behind it in its chain must not slip through.
    fn fail_chain(&mut self, queued: &Queued) {
        if let Some(append) = queued.request.append() {
            let failure = Failure { order: queued.order, unanswered: Some(queued.id) };
            self.conns.fail_chain(queued.conn, &append.log, append.chain, failure);
        }
    }

    fn name_of<'a>(&'a self, request: &'a WriteRequest) -> Option<&'a LogName> {
        let log = match request {
            WriteRequest::Create(create) => return Some(&create.name),
            WriteRequest::Delete(delete) => &delete.log,
            WriteRequest::Append(append) => &append.log,
        };
        match log {
            LogRef::Name(name) => Some(name),
            LogRef::Id(id) => self.machine.logs().name(*id),
        }
    }

    /// Adds the command of a request to the value being built.
    fn admit(&mut self, now: Tick, queued: &Queued, out: &mut Vec<Output>) {
        // Looked at again: the request may have waited while an earlier one of its chain failed.
        if self.is_behind_failure(queued) {
            return self.refuse_behind(queued, out);
        }
        let request = &queued.request;
        let claimed = match request {
            WriteRequest::Create(create) => self.admit_create(&create.name),
            WriteRequest::Delete(delete) => self.admit_delete(&delete.log),
            WriteRequest::Append(append) => self.admit_append(queued, append),
        };
        match claimed {
            Ok((claim, expect)) => {
                let (conn, correlation, chain) = (queued.conn, queued.id, request.chain());
                let entry_bytes = request.entry_bytes();
                let waiter = Waiter { conn, correlation, expect, entry_bytes, chain };
                self.writes.waiters.push(waiter);
                if let Claim::Name(name) = &claim {
                    self.writes.names.insert(name.clone());
                }
                self.writes.claims.push(claim);
            }
            Err(error) => self.refuse_write(now, queued, error, out),
        }
    }

    fn admit_create(&mut self, name: &LogName) -> Result<(Claim, Option<Index>), RequestError> {
        self.check_owner(name)?;
        if let Some(id) = self.machine.logs().resolve(name.as_str()) {
            return Err(RequestError::log_exists(id));
        }
        let command = LogCommand::Create { name: name.as_str(), created_ms: self.wall_ms };
        self.writes.builder.push(command);
        Ok((Claim::Name(name.clone()), None))
    }

    fn admit_delete(&mut self, log: &LogRef) -> Result<(Claim, Option<Index>), RequestError> {
        let id = self.find(log)?;
        let name = self.machine.logs().name(id).cloned().ok_or_else(|| unknown_log(log))?;
        self.writes.builder.push(LogCommand::Delete { log: id });
        Ok((Claim::Name(name), None))
    }

    fn admit_append(
        &mut self,
        queued: &Queued,
        append: &Append,
    ) -> Result<(Claim, Option<Index>), RequestError> {
        let (expect, entries) = (append.expect, append.entries.as_ref());
        let id = match (self.find(&append.log), &append.log) {
            (Ok(id), _) => id,
            (Err(error), LogRef::Name(name))
                if append.create && error.code == ErrorCode::UnknownLog =>
            {
                let created_ms = self.wall_ms;
                let name_text = name.as_str();
                let command =
                    LogCommand::AppendCreate { name: name_text, created_ms, expect, entries };
                self.writes.builder.push(command);
                if expect.is_some_and(|index| index != Index(0)) {
                    self.fail_chain(queued);
                }
                return Ok((Claim::Name(name.clone()), expect));
            }
            (Err(error), _) => return Err(error),
        };
        self.writes.builder.push(LogCommand::Append { log: id, expect, entries });
        let count = u64::from(entries.count());
        let start = self.machine.logs().next_index(id).unwrap_or_default();
        let ahead = self.writes.ahead.entry(id).or_insert((start, 0));
        ahead.1 += 1;
        let moves = if expect.is_none_or(|index| index == ahead.0) { count } else { 0 };
        ahead.0 = ahead.0.plus(moves);
        if moves == 0 {
            // It will be refused when it is applied; what comes behind it must not slip through.
            self.fail_chain(queued);
        }
        Ok((Claim::Entries(id, moves), expect))
    }

    pub(super) fn find(&self, log: &LogRef) -> Result<LogId, RequestError> {
        self.machine.logs().lookup(log).map_err(|error| match error {
            LookupError::UnknownLog => unknown_log(log),
            LookupError::WrongShard => misplaced(log, self.options.shards),
        })
    }

    fn check_owner(&self, name: &LogName) -> Result<(), RequestError> {
        if self.machine.logs().owns(name.as_str()) {
            return Ok(());
        }
        Err(RequestError::wrong_shard(ShardId::of_name(name.as_str(), self.options.shards)))
    }

    /// Proposes what was gathered, as far as the window has room.
    pub(super) fn flush_writes(&mut self, now: Tick, out: &mut Vec<Output>) {
        loop {
            self.flush_builder(now);
            if self.writes.builder.is_full() || self.writes.backlog.is_empty() {
                break;
            }
            while let Some(queued) = self.writes.backlog.pop_front() {
                let request = &queued.request;
                self.writes.backlog_bytes -= request.memory_bytes();
                if self.name_of(request).is_some_and(|name| self.writes.names.contains(name)) {
                    self.writes.stall(queued);
                } else {
                    self.admit(now, &queued, out);
                }
                if self.writes.builder.is_full() {
                    break;
                }
            }
        }
        self.settle(now, out);
    }

    fn flush_builder(&mut self, now: Tick) {
        let writes = &mut self.writes;
        let takes = !self.replica.is_doubtful() && self.replica.has_room(writes.builder.byte_len());
        if writes.builder.is_empty() || !takes {
            return;
        }
        let enough = writes.builder.byte_len() >= VALUE_BYTES_TARGET || writes.builder.is_full();
        if !enough && self.replica.open_slots() >= PIPELINE_SLOTS {
            return; // What is in flight comes back soon: one larger value costs less than two.
        }
        let ballot = self.replica.promised();
        // Behind no-ops of the replica's own the leadership begins anew: all before them is chosen.
        let behind = self.replica.next_slot().map(|next| (ballot, next.prev()));
        let first = self.writes.begun != behind;
        let value = self.writes.builder.build(ballot, first);
        let waiters = std::mem::take(&mut self.writes.waiters);
        let claims = std::mem::take(&mut self.writes.claims);
        let slot = self.propose(now, value);
        self.writes.begun = Some((ballot, slot));
        self.writes.in_flight.insert(slot, InFlight { ballot, waiters, claims });
    }

    /// A slot was applied: answers those who wait for its commands.
    pub(super) fn answer_writes(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        outcomes: &[MachineOutcome],
        out: &mut Vec<Output>,
    ) {
        let Some(flight) = self.writes.in_flight.remove(&slot) else { return };
        assert_eq!(flight.ballot, ballot, "slot {slot} was proposed in this leadership only");
        assert_eq!(flight.waiters.len(), outcomes.len(), "one outcome per command of slot {slot}");
        let mut freed = false;
        for claim in flight.claims {
            match claim {
                Claim::Entries(log, _) => self.writes.arrived(log, 0),
                Claim::Name(name) => {
                    self.writes.names.remove(&name);
                    freed = true;
                }
            }
        }
        let doubtful = self.replica.is_doubtful();
        for (waiter, outcome) in flight.waiters.into_iter().zip(outcomes) {
            match doubtful {
                true => self.doubt_write(waiter, out),
                false => self.answer_write(&waiter, outcome, out),
            }
        }
        if freed {
            let stalled = std::mem::take(&mut self.writes.stalled);
            self.writes.backlog_bytes += std::mem::take(&mut self.writes.stalled_bytes);
            for queued in stalled.into_iter().rev() {
                self.writes.backlog.push_front(queued);
            }
        }
    }

    /// A command took effect, or was refused as it was applied.
    pub(super) fn answer_write(
        &mut self,
        waiter: &Waiter,
        outcome: &MachineOutcome,
        out: &mut Vec<Output>,
    ) {
        let MachineOutcome::Log(outcome) = outcome;
        if let LogOutcome::Appended { count, .. } = outcome {
            self.tally.appends += 1;
            self.tally.entries += u64::from(*count);
            self.tally.entry_bytes += waiter.entry_bytes;
        }
        let reply = reply_of(waiter, outcome, self.options.shards);
        self.reply(waiter.conn, waiter.correlation, reply, out);
    }

    /// Leadership is gone: what was not proposed was not executed, the rest waits for its fate (C8,
    /// R21). Either way the chains that they belong to are broken: what follows must not slip through
    /// if this node comes to lead again.
    pub(super) fn void_writes(&mut self, now: Tick, out: &mut Vec<Output>) {
        let mut writes = std::mem::take(&mut self.writes);
        let unproposed = writes.withdraw();
        for (slot, flight) in writes.in_flight {
            self.await_fate(now, slot, flight.ballot, flight.waiters);
        }
        for (conn, id, chain) in unproposed {
            let error = self.serving().err().unwrap_or_else(|| self.not_leader());
            self.void(conn, id, chain, error, out);
        }
    }

    /// Refuses all that waits to be proposed: it was not executed.
    pub(super) fn refuse_waiting(&mut self, error: &RequestError, out: &mut Vec<Output>) {
        for (conn, id, chain) in self.writes.withdraw() {
            self.void(conn, id, chain, error.clone(), out);
        }
    }

    /// A command was not executed, or nobody knows.
    pub(super) fn void_waiter(&mut self, waiter: Waiter, e: RequestError, out: &mut Vec<Output>) {
        self.void(waiter.conn, waiter.correlation, waiter.chain, e, out);
    }

    fn void(
        &mut self,
        conn: ConnId,
        id: u64,
        chain: Option<(LogRef, u32)>,
        error: RequestError,
        out: &mut Vec<Output>,
    ) {
        if let Some((log, chain)) = chain {
            // Nothing of the chain is left waiting: whatever comes is behind the failure.
            let failure = Failure { order: 0, unanswered: Some(id) };
            self.conns.fail_chain(conn, &log, chain, failure);
        }
        self.refuse(conn, id, error, out);
    }
}

fn unknown_log(log: &LogRef) -> RequestError {
    let text = match log {
        LogRef::Name(name) => format!("there is no log {:?}", name.as_str()),
        LogRef::Id(id) => format!("there is no log of id {id}, or no longer"),
    };
    RequestError::new(ErrorCode::UnknownLog, text)
}

/// The log is none of this shard: of another one, or of one that the cluster does not have.
fn misplaced(log: &LogRef, shards: u16) -> RequestError {
    let shard = log.shard(shards);
    match log {
        LogRef::Id(id) if shard.0 >= shards => {
            let plural = if shards == 1 { "" } else { "s" };
            let text = format!(
                "there is no log of id {id}: it would be in shard {shard}, and the cluster has \
                 {shards} shard{plural}"
            );
            RequestError::new(ErrorCode::UnknownLog, text)
        }
        LogRef::Id(_) | LogRef::Name(_) => RequestError::wrong_shard(shard),
    }
}

fn bad_entries(error: &EntriesError) -> RequestError {
    let (code, detail) = match error {
        EntriesError::EntryTooLarge { limit, .. }
        | EntriesError::TooMany { limit, .. }
        | EntriesError::TooLarge { limit, .. } => {
            (ErrorCode::TooLarge, Detail::Limit(u64::from(*limit)))
        }
        EntriesError::Checksum { .. } => (ErrorCode::BadChecksum, Detail::None),
        EntriesError::Empty | EntriesError::Truncated { .. } | EntriesError::Trailing { .. } => {
            (ErrorCode::BadRequest, Detail::None)
        }
    };
    RequestError::new(code, error.to_string()).with_detail(detail)
}

fn reply_of(waiter: &Waiter, outcome: &LogOutcome, shards: u16) -> Reply {
    match *outcome {
        LogOutcome::Created(id) => Reply::Created(Created { id }),
        LogOutcome::Exists(id) => Reply::Error(RequestError::log_exists(id)),
        LogOutcome::Deleted(_) => Reply::Deleted,
        LogOutcome::Appended { log, first, count } => {
            Reply::Appended(Appended { id: log, first, count })
        }
        LogOutcome::ExpectMismatch { log, next } => Reply::Error(RequestError::expect_mismatch(
            log.unwrap_or_default(),
            waiter.expect.unwrap_or_default(),
            next,
        )),
        LogOutcome::UnknownLog => {
            Reply::Error(RequestError::new(ErrorCode::UnknownLog, "the log was deleted"))
        }
        LogOutcome::WrongShard => Reply::Error(RequestError::new(
            ErrorCode::WrongShard,
            format!("the log lives in another shard; the cluster has {shards}"),
        )),
        LogOutcome::BadName => {
            Reply::Error(RequestError::new(ErrorCode::BadName, "no log can have that name"))
        }
    }
}
