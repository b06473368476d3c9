//! The leader's side: what an operator asks for is checked against the state and the members, and refused with
//! the reason, or proposed.

use super::job::LossJob;
use crate::api::error::{ErrorCode, RequestError};
use crate::api::{DeclareLost, Reply};
use crate::index::RunDamage;
use crate::limits::{LOST_ANSWER_US, LOST_RANGES_MAX, LOST_ROWS_MAX};
use crate::machine::{LoseCommand, LostExtent};
use crate::shard::core::Core;
use crate::shard::disk_job::DiskJob;
use crate::shard::events::RequestId;
use crate::shard::turn::Turn;
use crate::types::{
    Ballot, ConnId, Extent, FormatLevel, LogId, LostRange, NodeId, Nodes, Slot, SlotRanges, Tick,
};
use crate::wire::peer::{LossAnswer, LossAsk, LossVerdict};
use std::collections::BTreeSet;

/// The declaration under way: one at a time, for each has every member read its disk.
#[derive(Debug, Default)]
pub struct Declarations {
    under_way: Option<Declaration>,
    attempts: u64,
}

/// A declaration under way.
#[derive(Debug)]
struct Declaration {
    attempt: u64,
    asked: RequestId,
    /// The leadership in which it was asked for.
    ballot: Ballot,
    log: LogId,
    range: LostRange,
    /// The rows of the index that have the entries; none before they are found.
    rows: Vec<Extent>,
    /// Payload bytes of the log in front of the first row that is not lost whole behind them.
    bytes_before: u64,
    /// Members whose answers have not come; none before they are asked.
    waits_for: BTreeSet<NodeId>,
    until: Tick,
}

/// What comes next.
#[derive(Debug)]
pub(in crate::shard) enum DeclareStep {
    /// Something is under way, or nothing is.
    Waits,
    /// All members are asked this, this node among them.
    Ask(LossAsk),
    /// No member has the entries: the command is proposed for this request.
    Ready(RequestId, LoseCommand),
}

impl Declarations {
    /// An operator asks.
    pub(in crate::shard) fn begin(
        &mut self,
        turn: &mut Turn<'_>,
        asked: RequestId,
        declare: &DeclareLost,
    ) {
        let range = LostRange { from: declare.from, before: declare.before };
        let checked = self.check(turn.core, declare, range);
        let (ballot, log) = match checked {
            Ok(checked) => checked,
            Err(error) if error.code == ErrorCode::UnknownLog => {
                return turn.answer_linearizable(asked, Reply::Error(error));
            }
            Err(error) => return turn.refuse(asked, error),
        };
        self.attempts += 1;
        let (attempt, until) = (self.attempts, turn.now.after(LOST_ANSWER_US));
        self.under_way = Some(Declaration {
            attempt,
            asked,
            ballot,
            log,
            range,
            rows: Vec::new(),
            bytes_before: 0,
            waits_for: BTreeSet::new(),
            until,
        });
        let runs = turn.core.index.runs().clone();
        turn.run(DiskJob::Loss(LossJob::Rows { attempt, runs, log, range }));
    }

    /// The leadership and the log, where members may be asked.
    fn check(
        &self,
        core: &Core,
        declare: &DeclareLost,
        range: LostRange,
    ) -> Result<(Ballot, LogId), RequestError> {
        let ballot = core.serving()?;
        let (level, needed) = (core.machine.levels().level(), FormatLevel::LOST_ENTRIES);
        if level < needed {
            let text = format!(
                "the cluster's format level is {level}, and entries can be declared lost from level \
                 {needed} on: upgrade every member first"
            );
            return Err(RequestError::new(ErrorCode::Unsupported, text));
        }
        let log = core.find(&declare.log)?;
        if range.from >= range.before {
            let text = format!("nothing lies from {} up to {}", range.from, range.before);
            return Err(RequestError::new(ErrorCode::BadRequest, text));
        }
        let logs = core.machine.logs();
        let (first, next) = (logs.first_index(log), logs.next_index(log));
        let (first, next) = (first.unwrap_or_default(), next.unwrap_or_default());
        if range.from < first {
            return Err(RequestError::trimmed(log, range.from, first));
        }
        if range.before > next {
            let text = format!("the log's next index is {next}: nothing behind it can be lost");
            let past_end = RequestError::past_end(log, next);
            return Err(RequestError { text, ..past_end });
        }
        if self.under_way.is_some() {
            let text = "another declaration is under way in this shard; try again in a moment";
            return Err(RequestError::new(ErrorCode::Overloaded, text));
        }
        let members = core.options.paxos.members.iter().copied();
        let is_away =
            |node: &NodeId| *node != core.options.paxos.me && !core.replica.may_hear(*node);
        let away: Vec<NodeId> = members.filter(is_away).collect();
        if away.is_empty() { Ok((ballot, log)) } else { Err(unreachable(&away)) }
    }

    /// The rows that have the entries were found.
    pub(in crate::shard) fn rows_found(
        &mut self,
        turn: &mut Turn<'_>,
        attempt: u64,
        rows: Result<Vec<Extent>, RunDamage>,
    ) -> DeclareStep {
        let is_it = |declaration: &&mut Declaration| declaration.attempt == attempt;
        let Some(declaration) = self.under_way.as_mut().filter(is_it) else {
            return DeclareStep::Waits;
        };
        let taken = rows.map_err(|damage| {
            turn.core.note_damage(&damage);
            damaged_index()
        });
        if let Err(error) = taken.and_then(|rows| declaration.take_rows(turn.core, rows)) {
            self.refuse(turn, error);
            return DeclareStep::Waits;
        }
        declaration.waits_for = turn.core.options.paxos.members.iter().copied().collect();
        let slots = SlotRanges::new(declaration.rows.iter().map(|row| (row.slot, row.slot)));
        let (log, LostRange { from, before }) = (declaration.log, declaration.range);
        DeclareStep::Ask(LossAsk { attempt, log, from, before, slots: slots.as_slice().to_vec() })
    }

    /// A member answered, or this node itself.
    pub(in crate::shard) fn hear(
        &mut self,
        turn: &mut Turn<'_>,
        node: NodeId,
        answer: &LossAnswer,
    ) -> DeclareStep {
        let is_it = |declaration: &&mut Declaration| declaration.attempt == answer.attempt;
        let Some(declaration) = self.under_way.as_mut().filter(is_it) else {
            return DeclareStep::Waits;
        };
        if let Some(error) = declaration.objection(node, answer.verdict) {
            self.refuse(turn, error);
            return DeclareStep::Waits;
        }
        declaration.waits_for.remove(&node);
        if !declaration.waits_for.is_empty() {
            return DeclareStep::Waits;
        }
        if turn.core.serving().ok() != Some(declaration.ballot) {
            self.lose_leadership(turn);
            return DeclareStep::Waits;
        }
        let command = declaration.command();
        let asked = declaration.asked;
        self.under_way = None;
        DeclareStep::Ready(asked, command)
    }

    /// The connection to a member is gone, and its answer with it.
    pub(in crate::shard) fn lost(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        if self.under_way.as_ref().is_some_and(|it| it.waits_for.contains(&node)) {
            self.refuse(turn, unreachable(&[node]));
        }
    }

    /// Refuses the one that has waited for too long.
    pub(in crate::shard) fn expire(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let Some(declaration) = self.under_way.as_ref().filter(|it| now >= it.until) else {
            return;
        };
        let silent: Vec<NodeId> = declaration.waits_for.iter().copied().collect();
        let text = match silent.as_slice() {
            [] => "the index was not read in time; try again".to_string(),
            nodes => format!("no answer came from {}, which may have the entries", Nodes(nodes)),
        };
        self.refuse(turn, RequestError::new(ErrorCode::NotLost, text));
    }

    /// When the one under way has waited for too long.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Tick> {
        self.under_way.as_ref().map(|declaration| declaration.until)
    }

    /// Leadership is gone: nothing was proposed.
    pub(in crate::shard) fn lose_leadership(&mut self, turn: &mut Turn<'_>) {
        if self.under_way.is_some() {
            let error = turn.core.serving().err().unwrap_or_else(|| turn.core.not_leader());
            self.refuse(turn, error);
        }
    }

    /// A connection is gone: nobody waits for what it asked.
    pub(in crate::shard) fn drop_conn(&mut self, conn: ConnId) {
        self.under_way.take_if(|declaration| declaration.asked.conn == conn);
    }

    /// The request that waits.
    pub(in crate::shard) fn waiting(&self) -> Option<RequestId> {
        self.under_way.as_ref().map(|declaration| declaration.asked)
    }

    fn refuse(&mut self, turn: &mut Turn<'_>, error: RequestError) {
        if let Some(declaration) = self.under_way.take() {
            turn.refuse(declaration.asked, error);
        }
    }
}

impl Declaration {
    /// Takes the rows, where they have all of the entries and are not too many.
    fn take_rows(&mut self, core: &Core, mut rows: Vec<Extent>) -> Result<(), RequestError> {
        let LostRange { from, before } = self.range;
        let behind = rows.pop_if(|row| row.first >= before);
        if let Some(last) = rows.get(LOST_ROWS_MAX - 1).filter(|_| rows.len() > LOST_ROWS_MAX) {
            let text = format!(
                "these are entries of more than {LOST_ROWS_MAX} appends; declare those before {} first",
                last.end()
            );
            return Err(RequestError::new(ErrorCode::TooLarge, text));
        }
        let end = rows.last().map_or(from, Extent::end);
        if end < before {
            let text = format!(
                "no checkpoint stands for the entries from {} on yet, so that they may still come; try \
                 again after the next one",
                end.max(from)
            );
            return Err(RequestError::new(ErrorCode::NotLost, text));
        }
        let cut = rows.last().filter(|row| row.end() > before).copied();
        let in_memory = || core.index.extent_at(self.log, before).copied();
        let at_end = || core.machine.logs().end(self.log).filter(|end| end.first == before);
        let behind = cut.or(behind).or_else(in_memory).or_else(at_end);
        self.bytes_before = behind.map_or(0, |row| row.bytes_before);
        self.rows = rows;
        Ok(())
    }

    /// Why the entries are not lost, by what a member says.
    fn objection(&self, node: NodeId, verdict: LossVerdict) -> Option<RequestError> {
        let text = match verdict {
            LossVerdict::Absent => return None,
            LossVerdict::Held(slot) => format!(
                "node {node} has {}, and the others fetch them from it by themselves",
                self.entries_of(slot)
            ),
            LossVerdict::Unclear(slot) => format!(
                "node {node} cannot say yet whether it has {}: it has no checkpoint behind them, looks for \
                 them, or its disk fails to read them; try again in a moment, and look at that disk if this stays",
                self.entries_of(slot)
            ),
            LossVerdict::InDoubt => {
                format!("the state of node {node} is in doubt, so that it cannot say what it has")
            }
        };
        Some(RequestError::new(ErrorCode::NotLost, text))
    }

    /// Those of the entries that are in a slot.
    fn entries_of(&self, slot: Slot) -> LostRange {
        let rows = || self.rows.iter().filter(|row| row.slot == slot);
        let from = rows().map(|row| row.first).min().unwrap_or(self.range.from);
        let before = rows().map(Extent::end).max().unwrap_or(self.range.before);
        LostRange { from: from.max(self.range.from), before: before.min(self.range.before) }
    }

    /// The command. Of rows that are lost in part only, the bytes stay counted.
    fn command(&self) -> LoseCommand {
        let whole = |row: &&Extent| self.range.from <= row.first && row.end() <= self.range.before;
        // Of a range without a whole row the bytes are none, and lie where they join those of its neighbours.
        let from = self.rows.iter().find(whole).map_or(self.bytes_before, |row| row.bytes_before);
        let bytes = (from, self.bytes_before.max(from));
        let extent = LostExtent { range: self.range, bytes };
        LoseCommand { log: self.log, extent }
    }
}

fn unreachable(nodes: &[NodeId]) -> RequestError {
    let text = format!("{} cannot be reached, and may have the entries", Nodes(nodes));
    RequestError::new(ErrorCode::NotLost, text)
}

fn damaged_index() -> RequestError {
    let text = "the index of the leader is damaged where it has these entries; a checkpoint of \
                another member takes its place: try again later";
    RequestError::new(ErrorCode::NotLost, text)
}

/// Why no more can be declared lost.
pub(in crate::shard) fn too_many() -> RequestError {
    let text = format!(
        "the shard has {LOST_RANGES_MAX} lost ranges, and takes no more: declare the entries between two of \
         them lost as well, or trim logs behind them"
    );
    RequestError::new(ErrorCode::TooLarge, text)
}
