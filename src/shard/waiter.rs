//! Who waits for a command, and how it is answered.

use super::chains::FailedAppend;
use super::events::RequestId;
use super::lost::too_many;
use super::turn::Turn;
use crate::api::error::{ErrorCode, RequestError};
use crate::api::{Appended, Created, DeclaredLost, LogRef, Reply, Trimmed};
use crate::machine::{LogOutcome, LostOutcome, MachineOutcome};
use crate::types::Index;

/// A write, and the chain that breaks if it is not executed or its outcome stays unknown.
#[derive(Debug)]
pub struct Chained {
    /// The request that is answered.
    pub asked: RequestId,
    /// The log as the append named it, and the chain's number; none where it is in no chain.
    pub chain: Option<(LogRef, u32)>,
}

/// A client that waits for one command's outcome.
#[derive(Debug)]
pub struct Waiter {
    /// Its request, and the chain of that; none where the shard itself proposed the command.
    pub write: Option<Chained>,
    /// The next index that its append expects; none where it has no condition.
    pub expect: Option<Index>,
    /// Bytes of the entries to append.
    pub entry_bytes: u64,
}

impl Chained {
    /// The command was not executed, or nobody knows.
    pub(super) fn refuse(self, turn: &mut Turn<'_>, error: RequestError) {
        let Chained { asked, chain } = self;
        if let Some((log, chain)) = chain {
            // Nothing of the chain is left waiting: whatever comes is behind the failure.
            let failure = FailedAppend { order: 0, unanswered: Some(asked.correlation) };
            turn.core.conns.fail_chain(asked.conn, &log, chain, failure);
        }
        turn.refuse(asked, error);
    }
}

impl Waiter {
    /// Nobody waits: the shard itself proposes the command.
    pub(super) fn nobody() -> Waiter {
        Waiter { write: None, expect: None, entry_bytes: 0 }
    }

    /// The command took effect, or was refused as it was applied.
    pub(super) fn answer(&self, turn: &mut Turn<'_>, outcome: &MachineOutcome) {
        let outcome = match outcome {
            MachineOutcome::Log(outcome) => outcome,
            MachineOutcome::Lost(outcome) => return self.answer_lost(turn, outcome),
            MachineOutcome::Cut | MachineOutcome::Level { .. } => return, // No client proposes one.
        };
        if let LogOutcome::Appended { count, .. } = outcome {
            let tally = &mut turn.core.tally;
            tally.appends += 1;
            tally.entries += u64::from(*count);
            tally.entry_bytes += self.entry_bytes;
        }
        let Some(write) = &self.write else { return };
        let reply = self.reply_of(outcome, turn.core.options.shards);
        turn.reply(write.asked, reply);
    }

    /// Entries were declared lost, or not.
    fn answer_lost(&self, turn: &mut Turn<'_>, outcome: &LostOutcome) {
        let Some(write) = &self.write else { return };
        let reply = match *outcome {
            LostOutcome::Declared { log, range } => {
                Reply::DeclaredLost(DeclaredLost { id: log, range })
            }
            LostOutcome::OutOfRange { log, first, .. } => {
                Reply::Error(RequestError::trimmed(log, first, first))
            }
            LostOutcome::TooMany => Reply::Error(too_many()),
            LostOutcome::UnknownLog => {
                Reply::Error(RequestError::new(ErrorCode::UnknownLog, "the log was deleted"))
            }
        };
        turn.reply(write.asked, reply);
    }

    /// The command was not executed, or nobody knows.
    pub(super) fn refuse(self, turn: &mut Turn<'_>, error: RequestError) {
        if let Some(write) = self.write {
            write.refuse(turn, error);
        }
    }

    /// The command was chosen and applied to a state that others do not share: what it came to there
    /// is nothing to rely on.
    pub(super) fn doubt(self, turn: &mut Turn<'_>) {
        let text = turn.core.doubt_text();
        self.refuse(turn, RequestError::new(ErrorCode::LeadershipLost, text));
    }

    fn reply_of(&self, outcome: &LogOutcome, shards: u16) -> Reply {
        match *outcome {
            LogOutcome::Created(id) => Reply::Created(Created { id }),
            LogOutcome::Exists(id) => Reply::Error(RequestError::log_exists(id)),
            LogOutcome::Deleted(_) => Reply::Deleted,
            LogOutcome::Appended { log, first, count } => {
                Reply::Appended(Appended { id: log, first, count })
            }
            LogOutcome::ExpectMismatch { log, next } => {
                Reply::Error(RequestError::expect_mismatch(
                    log.unwrap_or_default(),
                    self.expect.unwrap_or_default(),
                    next,
                ))
            }
            LogOutcome::Trimmed { log, first, next, .. } => {
                Reply::Trimmed(Trimmed { id: log, first, next })
            }
            LogOutcome::PastEnd { log, next } => Reply::Error(RequestError::past_end(log, next)),
            LogOutcome::AttributesSet(_) => Reply::AttributesSet,
            LogOutcome::Sealed { log, next } => Reply::Error(RequestError::sealed(log, next)),
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
}
