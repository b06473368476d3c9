//! Exit codes: the one place that knows what a failure means to a script.

use crate::client::{Cause, ClientError, ErrorCode, Invalid, Outcome};
use signal_hook::consts::{SIGHUP, SIGTERM};
use std::ffi::c_int;
use std::fmt;
use std::io;

/// What `paxosctl` exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed for another reason.
    Other = 1,
    /// Wrong usage.
    Usage = 2,
    /// The log was not found.
    NotFound = 3,
    /// The precondition did not hold.
    Precondition = 4,
    /// The log exists already.
    Exists = 5,
    /// Not executed: no node, leader, quorum or disk space in time. Trying again is safe.
    NotExecuted = 6,
    /// It may or may not have been executed.
    Unknown = 7,
    /// Denied.
    Denied = 8,
    /// The entries were trimmed.
    Trimmed = 9,
    /// Something of the cluster is missing.
    Unhealthy = 10,
    /// Damage was found.
    Damage = 11,
    /// The entries were declared lost.
    Lost = 12,
    /// SIGHUP ended it, in order.
    HungUp = 129,
    /// SIGINT ended it, in order.
    Interrupted = 130,
    /// Nobody read its output any more.
    PipeClosed = 141,
    /// SIGTERM ended it, in order.
    Terminated = 143,
}

/// Why a command did not succeed.
#[derive(Debug)]
pub enum CommandFailure {
    /// The cluster did not do what was asked.
    Client(ClientError),
    /// The same, with what the command knows beside it.
    Noted(ClientError, String),
    /// Standard output did not take the result.
    Output(io::Error),
    /// Standard output did not take all of the result of something that changed the cluster.
    Unprinted {
        /// The operating system's error.
        source: io::Error,
        /// What was executed all the same.
        note: String,
    },
    /// A signal ended it in order; the note says how far it came.
    Signalled {
        /// The number of the signal.
        signal: c_int,
        /// What was executed until then.
        note: String,
    },
    /// An entry of the input cannot be appended: it was not sent.
    BadInput(String),
    /// Standard input did not give the data.
    Input(io::Error),
    /// The arguments do not go together.
    Usage(String),
    /// The log's index was taken by somebody else's entry.
    Precondition(String),
    /// Something of the cluster is missing.
    Unhealthy(String),
    /// Damage was found.
    Damage(String),
    /// What was to be looked at is not there.
    NotFound(String),
    /// It cannot be done now; later it may.
    NotExecuted(String),
    /// It may or may not have been executed.
    Unknown(String),
    /// Something else is in the way.
    Other(String),
}

impl CommandFailure {
    /// What the process exits with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            CommandFailure::Client(error) | CommandFailure::Noted(error, _) => Exit::of(error),
            // The reader has seen enough: `paxosctl read … | head`.
            CommandFailure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            CommandFailure::Output(_) | CommandFailure::Input(_) | CommandFailure::Other(_) => {
                Exit::Other
            }
            // A reader that has seen enough did not see all that was done: as other programs that
            // change something, it ends by the signal of a closed pipe.
            CommandFailure::Unprinted { source, .. }
                if source.kind() == io::ErrorKind::BrokenPipe =>
            {
                Exit::PipeClosed
            }
            CommandFailure::Unprinted { .. } | CommandFailure::BadInput(_) => Exit::Other,
            CommandFailure::Signalled { signal, .. } => Exit::of_signal(*signal),
            CommandFailure::NotFound(_) => Exit::NotFound,
            CommandFailure::NotExecuted(_) => Exit::NotExecuted,
            CommandFailure::Unknown(_) => Exit::Unknown,
            CommandFailure::Usage(_) => Exit::Usage,
            CommandFailure::Precondition(_) => Exit::Precondition,
            CommandFailure::Unhealthy(_) => Exit::Unhealthy,
            CommandFailure::Damage(_) => Exit::Damage,
        }
    }
}

impl Exit {
    /// All of them, by rising number.
    #[cfg(test)]
    pub const ALL: &'static [Exit] = &[
        Exit::Ok,
        Exit::Other,
        Exit::Usage,
        Exit::NotFound,
        Exit::Precondition,
        Exit::Exists,
        Exit::NotExecuted,
        Exit::Unknown,
        Exit::Denied,
        Exit::Trimmed,
        Exit::Unhealthy,
        Exit::Damage,
        Exit::Lost,
        Exit::HungUp,
        Exit::Interrupted,
        Exit::PipeClosed,
        Exit::Terminated,
    ];

    /// The code of a failed operation: what is known of its outcome comes first.
    #[must_use]
    pub fn of(error: &ClientError) -> Exit {
        match error.outcome {
            Outcome::Unknown => return Exit::Unknown,
            Outcome::Executed => return Exit::Other,
            Outcome::NotExecuted => {}
        }
        match &error.cause {
            Cause::Refused(refusal) => Exit::of_code(refusal.code),
            Cause::Invalid(Invalid::Name(_) | Invalid::Endpoint { .. } | Invalid::NoEndpoint) => {
                Exit::Usage
            }
            Cause::Io { .. }
            | Cause::NoAddress
            | Cause::Closed
            | Cause::Silent { .. }
            | Cause::NoLeader { .. }
            | Cause::NoTime => Exit::NotExecuted,
            Cause::Protocol(_)
            | Cause::PriorFailed
            | Cause::Invalid(Invalid::Entries(_) | Invalid::NoShard { .. }) => Exit::Other,
        }
    }

    /// The code of a node's refusal that was certainly not executed.
    fn of_code(code: ErrorCode) -> Exit {
        match code {
            ErrorCode::UnknownLog => Exit::NotFound,
            ErrorCode::ExpectMismatch
            | ErrorCode::Sealed
            | ErrorCode::PastEnd
            | ErrorCode::NotLost => Exit::Precondition,
            ErrorCode::Trimmed => Exit::Trimmed,
            ErrorCode::Lost => Exit::Lost,
            ErrorCode::LogExists => Exit::Exists,
            ErrorCode::Denied => Exit::Denied,
            ErrorCode::Damaged => Exit::Damage,
            ErrorCode::BadName => Exit::Usage,
            ErrorCode::NotLeader
            | ErrorCode::NoQuorum
            | ErrorCode::NotReady
            | ErrorCode::Overloaded
            | ErrorCode::DiskFull
            | ErrorCode::ShuttingDown
            | ErrorCode::LeadershipLost
            | ErrorCode::TooManyConnections => Exit::NotExecuted,
            ErrorCode::WrongShard
            | ErrorCode::PriorFailed
            | ErrorCode::TooLarge
            | ErrorCode::BadChecksum
            | ErrorCode::BadRequest
            | ErrorCode::Unsupported
            | ErrorCode::VersionMismatch
            | ErrorCode::WrongCluster
            | ErrorCode::WrongPort
            | ErrorCode::Internal
            | ErrorCode::Unrecognised(_) => Exit::Other,
        }
    }

    /// The code of a command that a signal ended in order.
    fn of_signal(signal: c_int) -> Exit {
        match signal {
            SIGHUP => Exit::HungUp,
            SIGTERM => Exit::Terminated,
            _ => Exit::Interrupted,
        }
    }

    /// The signal that the process ends by, so that a shell sees what it expects: a loop that was
    /// interrupted ends with the command in it.
    #[must_use]
    pub fn signal(self) -> Option<c_int> {
        let number = c_int::from(self.number());
        (number > 128).then_some(number - 128)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl From<ClientError> for CommandFailure {
    fn from(error: ClientError) -> CommandFailure {
        CommandFailure::Client(error)
    }
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandFailure::Client(error) => write!(f, "{error}; next: {}", error.next_step()),
            CommandFailure::Noted(error, note) => {
                write!(f, "{error}; next: {}\n{note}", error.next_step())
            }
            CommandFailure::Output(error) => write!(f, "cannot write to standard output: {error}"),
            CommandFailure::Unprinted { source, note } => {
                write!(f, "cannot write to standard output: {source}\n{note}")
            }
            CommandFailure::Input(error) => write!(f, "cannot read standard input: {error}"),
            CommandFailure::Usage(text)
            | CommandFailure::Precondition(text)
            | CommandFailure::BadInput(text)
            | CommandFailure::Signalled { note: text, .. }
            | CommandFailure::NotFound(text)
            | CommandFailure::NotExecuted(text)
            | CommandFailure::Unknown(text)
            | CommandFailure::Other(text) => f.write_str(text),
            CommandFailure::Unhealthy(text) => write!(f, "unhealthy: {text}"),
            CommandFailure::Damage(text) => write!(f, "damage found: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{NameError, Operation, RequestError, Stage};
    use crate::types::ShardId;
    use std::time::Duration;

    fn failed(outcome: Outcome, stage: Stage, cause: Cause) -> ClientError {
        ClientError::new(crate::client::Failure {
            operation: Operation::plain("append"),
            outcome,
            stage,
            endpoint: Some("n1:7420".to_string()),
            cause,
            attempts: 1,
            gave_up_after: None,
            elsewhere: Vec::new(),
        })
    }

    fn refused(code: ErrorCode) -> ClientError {
        let error = RequestError::new(code, "");
        failed(error.outcome, Stage::of(code), Cause::Refused(error))
    }

    /// Each code of the manual is reached, by what the manual says.
    #[test]
    fn each_exit_code_is_reached_by_its_failure() {
        for (code, exit) in [
            (ErrorCode::Internal, 7),
            (ErrorCode::TooLarge, 1),
            (ErrorCode::WrongCluster, 1),
            (ErrorCode::BadName, 2),
            (ErrorCode::UnknownLog, 3),
            (ErrorCode::ExpectMismatch, 4),
            (ErrorCode::LogExists, 5),
            (ErrorCode::NoQuorum, 6),
            (ErrorCode::NotLeader, 6),
            (ErrorCode::DiskFull, 6),
            (ErrorCode::LeadershipLost, 7),
            (ErrorCode::Denied, 8),
            (ErrorCode::Damaged, 11),
        ] {
            assert_eq!(Exit::of(&refused(code)).number(), exit, "{code}");
        }
        let text = || "text".to_string();
        let broken = |kind| CommandFailure::Output(io::Error::from(kind));
        for (failure, exit) in [
            (CommandFailure::Client(refused(ErrorCode::LogExists)), 5),
            (CommandFailure::Noted(refused(ErrorCode::UnknownLog), text()), 3),
            (broken(io::ErrorKind::BrokenPipe), 0),
            (broken(io::ErrorKind::StorageFull), 1),
            (CommandFailure::Input(io::Error::from(io::ErrorKind::NotFound)), 1),
            (
                CommandFailure::Unprinted {
                    source: io::ErrorKind::BrokenPipe.into(),
                    note: text(),
                },
                141,
            ),
            (
                CommandFailure::Unprinted {
                    source: io::ErrorKind::StorageFull.into(),
                    note: text(),
                },
                1,
            ),
            (CommandFailure::Signalled { signal: 2, note: text() }, 130),
            (CommandFailure::Signalled { signal: 15, note: text() }, 143),
            (CommandFailure::Signalled { signal: 1, note: text() }, 129),
            (CommandFailure::BadInput(text()), 1),
            (CommandFailure::Usage(text()), 2),
            (CommandFailure::Precondition(text()), 4),
            (CommandFailure::Unhealthy(text()), 10),
            (CommandFailure::Damage(text()), 11),
            (CommandFailure::NotFound(text()), 3),
            (CommandFailure::NotExecuted(text()), 6),
            (CommandFailure::Unknown(text()), 7),
            (CommandFailure::Other(text()), 1),
        ] {
            assert_eq!(failure.exit().number(), exit, "{failure}");
        }
    }

    /// An unknown outcome is 7, whatever it came from: a script must never take it for "not done".
    #[test]
    fn an_unknown_outcome_is_never_taken_for_another() {
        for code in ErrorCode::ALL {
            let error = RequestError { outcome: Outcome::Unknown, ..RequestError::new(*code, "") };
            let error = failed(Outcome::Unknown, Stage::Quorum, Cause::Refused(error));
            assert_eq!(Exit::of(&error), Exit::Unknown, "{code}");
        }
        let silent = Cause::Silent { waited: Duration::from_secs(1) };
        assert_eq!(Exit::of(&failed(Outcome::Unknown, Stage::Quorum, silent)), Exit::Unknown);
    }

    /// What nobody answered in time was not executed; what cannot work is something else.
    #[test]
    fn silence_is_distinguished_from_nonsense() {
        let io = || Cause::Io { doing: "cannot connect", source: io::ErrorKind::NotFound.into() };
        let at = |stage, cause| Exit::of(&failed(Outcome::NotExecuted, stage, cause));
        assert_eq!(at(Stage::Connect, io()), Exit::NotExecuted);
        assert_eq!(at(Stage::Resolve, io()), Exit::NotExecuted);
        let nobody = Cause::NoLeader { shard: ShardId(0) };
        assert_eq!(at(Stage::Leader, nobody), Exit::NotExecuted);
        let name = Cause::Invalid(Invalid::Name(NameError::Empty));
        assert_eq!(at(Stage::Request, name), Exit::Usage);
    }
}
