//! What clients asked: each request finds its part here, and what happens reaches those who wait.

use super::disk_full::DiskFull;
use super::events::RequestId;
use super::fates::Fates;
use super::lookup_job::Answers;
use super::lost::Declarations;
use super::queued::QueuedWrite;
use super::reads::Reads;
use super::retention::RetainedLogs;
use super::status::Status;
use super::trims::{TrimStep, WaitingTrims};
use super::turn::Turn;
use super::write_request::WriteRequest;
use super::writes::Writes;
use crate::api::entries::EntriesError;
use crate::api::error::{Detail, ErrorCode, RequestError};
use crate::api::{Reply, Request};
use crate::machine::{LogOutcome, LoseCommand, MachineOutcome};
use crate::types::{Ballot, ConnId, Slot, Tick, Value};

/// The parts of a shard that answer clients.
#[derive(Debug, Default)]
pub struct Requests {
    /// Commands that are to be proposed, or were.
    pub(super) writes: Writes,
    /// Commands of lost leaderships.
    pub(super) fates: Fates,
    /// Reads that wait.
    pub(super) reads: Reads,
    /// Trims that wait to know what they let go.
    pub(super) trims: WaitingTrims,
    /// Logs that are trimmed by themselves.
    pub(super) retention: RetainedLogs,
    /// Entries that are to be declared lost, once every member has said that it has none of them.
    pub(super) declarations: Declarations,
}

impl Requests {
    /// When the next of those who wait is to be answered.
    pub(super) fn next_deadline(&self, leads: bool) -> Option<Tick> {
        let deadlines = [
            self.reads.next_deadline(),
            self.fates.next_deadline(),
            self.retention.next_deadline(leads && self.fates.is_empty()),
            self.declarations.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// The fate of a command is not known.
    pub(super) fn has_open_fates(&self) -> bool {
        !self.fates.is_empty()
    }

    /// A request arrives.
    pub(super) fn take_in(
        &mut self,
        turn: &mut Turn<'_>,
        asked: RequestId,
        request: Request,
        (status, disk_full): (&Status, &DiskFull),
    ) {
        turn.core.conns.begin(asked.conn);
        let write = match request {
            Request::Create(create) => WriteRequest::Create(create),
            Request::Delete(delete) => WriteRequest::Delete(delete),
            Request::Append(append) => WriteRequest::Append(append),
            Request::Trim(trim) => WriteRequest::Trim(trim, None),
            Request::SetAttributes(set) => WriteRequest::SetAttributes(set),
            Request::Read(read) => return self.reads.read(turn, asked, &read),
            Request::Stat(stat) => return self.reads.stat(turn, asked, &stat),
            Request::List(list) => return self.reads.list(turn, asked, &list),
            Request::ListLost(list) => return self.reads.list_lost(turn, asked, &list),
            Request::DeclareLost(declare) => {
                return self.declarations.begin(turn, asked, &declare);
            }
            Request::Status => {
                let status = status.node_status(turn.now, turn.core);
                return turn.reply(asked, Reply::Status(Box::new(status)));
            }
            Request::Map => {
                let map = status.map(turn.core);
                return turn.reply(asked, Reply::Map(map));
            }
            Request::Ping => return turn.reply(asked, Reply::Pong),
        };
        self.write(turn, asked, write, disk_full);
    }

    /// Takes in a write, or says at once why not.
    fn write(
        &mut self,
        turn: &mut Turn<'_>,
        asked: RequestId,
        request: WriteRequest,
        disk_full: &DiskFull,
    ) {
        let queued = QueuedWrite::arrive(turn, asked, request);
        if queued.is_behind_failure(turn.core) {
            return queued.refuse_behind(turn);
        }
        if let Err(error) = self.may_write(turn, &queued.request, disk_full) {
            return queued.refuse(turn, error);
        }
        self.write_on(turn, queued);
    }

    /// No member has these entries: the command is proposed.
    pub(super) fn lose(
        &mut self,
        turn: &mut Turn<'_>,
        (asked, command): (RequestId, LoseCommand),
        disk_full: &DiskFull,
    ) {
        self.write(turn, asked, WriteRequest::Lose(command), disk_full);
    }

    /// A write that may be served goes on.
    fn write_on(&mut self, turn: &mut Turn<'_>, queued: QueuedWrite) {
        let Requests { trims, writes, .. } = self;
        match trims.take_in(turn, queued) {
            TrimStep::Ready(queued) => writes.take_in(turn, queued),
            TrimStep::Waits => {}
        }
    }

    /// Trims whose extents left memory while they waited have them looked up.
    pub(super) fn look_up_trims(&mut self, turn: &mut Turn<'_>) {
        for queued in self.writes.take_unplaced() {
            self.write_on(turn, queued);
        }
    }

    fn may_write(
        &self,
        turn: &Turn<'_>,
        request: &WriteRequest,
        disk_full: &DiskFull,
    ) -> Result<(), RequestError> {
        match request.is_plain_append() {
            true => turn.core.may_append()?,
            false => turn.core.serving().map(drop)?,
        }
        if let Some(mut error) = disk_full.refusal(turn.core) {
            if !request.frees_space() {
                return Err(error);
            }
            if !turn.core.has_room_to_free() {
                error
                    .text
                    .push_str("; this is a record itself, and there is no room for it either");
                return Err(error);
            }
        }
        if let Some(append) = request.append() {
            let limit = &turn.core.options.append;
            append.entries.validate(limit).map_err(|error| bad_entries(&error))?;
        }
        if !self.fates.is_empty() {
            let text = "what was open in an earlier leadership of this node is not settled yet";
            return Err(RequestError::new(ErrorCode::NotReady, text));
        }
        Ok(())
    }

    /// A slot was applied: answers whoever waits for it.
    pub(super) fn applied(
        &mut self,
        turn: &mut Turn<'_>,
        (slot, ballot, value): (Slot, Ballot, &Value),
        outcomes: &[MachineOutcome],
    ) {
        self.writes.applied(turn, slot, ballot, outcomes);
        self.fates.applied(turn, slot, value, outcomes);
        for outcome in outcomes.iter().filter_map(MachineOutcome::on_log) {
            self.retention.applied(turn, outcome);
            if let LogOutcome::Appended { log, .. }
            | LogOutcome::Deleted(log)
            | LogOutcome::Trimmed { log, .. }
            | LogOutcome::AttributesSet(log) = outcome
            {
                self.reads.wake(turn, *log);
            }
        }
    }

    /// It is known what a trim lets go.
    pub(super) fn trim_looked_up(
        &mut self,
        turn: &mut Turn<'_>,
        disk_full: &DiskFull,
        (token, answers): (u64, Option<Answers>),
    ) {
        let Some(queued) = self.trims.done(token, answers) else { return };
        match self.may_write(turn, &queued.request, disk_full) {
            Ok(()) => self.writes.take_in(turn, queued),
            Err(error) => queued.refuse(turn, error),
        }
    }

    /// Has logs trimmed as their retention allows.
    pub(super) fn propose_retention(&mut self, turn: &mut Turn<'_>) {
        if self.fates.is_empty() {
            self.retention.propose(turn, &mut self.writes);
        }
    }

    /// Logs that have more than they are to keep.
    pub(super) fn logs_over_retention(&self) -> usize {
        self.retention.len()
    }

    /// A checkpoint took the place of the state.
    pub(super) fn installed(&mut self, turn: &mut Turn<'_>, slot: Slot) {
        self.fates.installed(turn, slot);
        self.reads.installed(turn);
        self.retention.resume(turn.now, turn.core);
    }

    /// Leadership is gone, and with it what rested on it.
    pub(super) fn lose_leadership(&mut self, turn: &mut Turn<'_>) {
        self.writes.lose_leadership(turn, &mut self.fates);
        self.reads.lose_leadership(turn);
        self.declarations.lose_leadership(turn);
    }

    /// The node is about to stop, and is to be gone by `by`.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>, by: Tick) {
        self.fates.stop(turn, by);
        self.reads.end_waits(turn);
    }

    /// A connection is gone.
    pub(super) fn drop_conn(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        turn.core.conns.drop_conn(conn);
        self.reads.drop_conn(turn, conn);
        self.writes.drop_conn(conn);
        self.trims.drop_conn(conn);
        self.declarations.drop_conn(conn);
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
