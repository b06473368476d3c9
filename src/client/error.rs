//! Failures, typed by what the caller must know: did it happen, where did it end, what now?

use crate::api::entries::EntriesError;
use crate::api::error::{Detail, ErrorCode, Outcome, RequestError, Retry};
use crate::api::name::NameError;
use crate::api::{LogRef, Request};
use crate::types::{Index, ShardId};
use crate::wire::codec::DecodeError;
use crate::wire::frame::FrameError;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::time::Duration;
use thiserror::Error;

/// An operation did not succeed. [`Failure::outcome`] says whether it took effect all the same.
///
/// `Debug` shows the sentence of `Display` and the next step, as a program shows it whose `main` returns
/// the error. All fields are in the `Debug` of its [`Failure`].
pub struct ClientError(Box<Failure>);

/// What is known about an operation that did not succeed.
#[derive(Debug)]
pub struct Failure {
    /// The operation that the caller asked for.
    pub operation: Operation,
    /// Whether the operation took effect, as far as anybody can know.
    pub outcome: Outcome,
    /// How far the last attempt came.
    pub stage: Stage,
    /// The node that the last attempt asked, as `host:port`; none when it ended before any.
    pub endpoint: Option<String>,
    /// Why the last attempt failed; earlier attempts may have failed otherwise.
    pub cause: Cause,
    /// Attempts made, on whichever node; 0 when it ended before the first.
    pub attempts: u32,
    /// The time given, when running out of it ended the operation.
    pub gave_up_after: Option<Duration>,
    /// How the last attempts on other nodes ended, where others were tried in vain.
    pub elsewhere: Vec<Elsewhere>,
}

/// How the last attempt on another node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The node that was asked, as `host:port`.
    pub endpoint: String,
    /// How far the last attempt on that node came.
    pub stage: Stage,
    /// Why it failed, as a text for people.
    pub why: String,
}

/// How far an attempt came, in the order of the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Turning the endpoint's name into addresses.
    Resolve,
    /// Opening the connection to one of these addresses.
    Connect,
    /// Greeting the node: cluster, protocol version and port must fit.
    Hello,
    /// Finding the node that leads the shard.
    Leader,
    /// The node has the request and waits for a quorum.
    Quorum,
    /// The node's disk has no space, or does not give back what it was given.
    Disk,
    /// The node refuses the request for what it asks.
    Request,
}

/// Why an attempt on one node failed.
#[derive(Debug, Error)]
pub enum Cause {
    /// The node answered with an error.
    #[error("it answered {} ({})", .0.code, .0.text)]
    Refused(RequestError),
    /// A call of the operating system failed.
    #[error("{doing}: {source}")]
    Io {
        /// The step that failed, as words that begin a sentence.
        doing: &'static str,
        /// The error as the operating system gave it.
        source: io::Error,
    },
    /// The endpoint's name resolves to no address.
    #[error("the name has no address")]
    NoAddress,
    /// The node, or something on the way, closed the connection before the answer.
    #[error("it closed the connection before it answered")]
    Closed,
    /// The connection stands, and no answer came in time.
    #[error("no answer came within {}", Seconds(*.waited))]
    Silent {
        /// How long the client waited for it.
        waited: Duration,
    },
    /// The node does not speak the protocol as it should.
    #[error("it does not keep to the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The asked node knows of no leader.
    #[error("it knows of no leader of shard {shard}")]
    NoLeader {
        /// The shard whose leader was asked for.
        shard: ShardId,
    },
    /// No node was tried before the time was up.
    #[error("the time was up before a node could be asked")]
    NoTime,
    /// An earlier append of the same pipeline failed; this one was not executed because of it.
    #[error("an earlier append of the same pipeline failed")]
    PriorFailed,
    /// The request cannot be sent as it is.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Why a request cannot be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// The name breaks the rules for names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The entries break a limit of the cluster, or there are none.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// The options name no endpoint.
    #[error("no endpoint was given")]
    NoEndpoint,
    /// An endpoint is neither `host` nor `host:port`.
    #[error("{endpoint:?} is not a valid endpoint: {rule}")]
    Endpoint {
        /// The endpoint as it was given.
        endpoint: String,
        /// The rule that it breaks, as a text for people.
        rule: String,
    },
    /// The log's id names a shard that the cluster does not have.
    #[error("shard {shard} does not exist: the cluster has {shards}")]
    NoShard {
        /// The shard in the id's upper bits.
        shard: ShardId,
        /// How many shards the cluster has: the valid ones are below that.
        shards: u16,
    },
}

/// How a node breaks the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// It speaks HTTP: an admin port, a web server, a proxy.
    #[error("it speaks HTTP")]
    Http,
    /// Its first bytes are no frame's: another kind of server.
    #[error("it says \"{said}\", which no paxosd does")]
    Foreign {
        /// The first bytes that came, made printable.
        said: String,
    },
    /// Its bytes are no frames: a length or a checksum is wrong.
    #[error(transparent)]
    Frame(FrameError),
    /// A frame is whole, and its body is no message that this version can read.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// It answers what was not asked.
    #[error("an answer with correlation {correlation}, which was not asked")]
    Unasked {
        /// The correlation that the answer names.
        correlation: u64,
    },
    /// It answers with another kind of reply than the request has.
    #[error("an answer of another kind than the request")]
    WrongReply,
    /// Its greeting chose a protocol version that was not offered.
    #[error("it chose protocol version {0}, which was not offered")]
    Version(u16),
    /// Its cluster map names no shard or no member, so nothing can be asked.
    #[error("its cluster map names no shard or no member")]
    EmptyMap,
}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> ProtocolError {
        match error {
            // The first word of an HTTP answer stands where a frame has its length.
            FrameError::TooLarge { bytes, .. } if bytes.to_le_bytes() == *b"HTTP" => {
                ProtocolError::Http
            }
            FrameError::TooLarge { .. } | FrameError::Checksum { .. } => {
                ProtocolError::Frame(error)
            }
        }
    }
}

/// What was asked, as it is shown to people: a verb and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    verb: &'static str,
    object: Option<LogRef>,
    /// It appends, and could create its log.
    pub(super) appends: bool,
    /// The index that an append expects: it can be settled.
    pub(super) expects: Option<Index>,
}

impl Operation {
    /// Names an operation on nothing in particular.
    #[must_use]
    pub fn plain(verb: &'static str) -> Operation {
        Operation { verb, object: None, appends: false, expects: None }
    }

    /// Returns the operation that a request stands for.
    #[must_use]
    pub fn of(request: &Request) -> Operation {
        let operation =
            Operation { object: request.log(), ..Operation::plain(request.kind().name()) };
        if let Request::Append(append) = request {
            let expects = append.expect;
            return Operation { verb: "append to", appends: true, expects, ..operation };
        }
        if matches!(request, Request::Map) {
            return Operation::plain("reach the cluster");
        }
        operation
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            None => f.write_str(self.verb),
            Some(LogRef::Name(name)) => write!(f, "{} log \"{name}\"", self.verb),
            Some(LogRef::Id(id)) => write!(f, "{} log {id}", self.verb),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Resolve => "resolve",
            Stage::Connect => "connect",
            Stage::Hello => "hello",
            Stage::Leader => "leader",
            Stage::Quorum => "quorum",
            Stage::Disk => "disk",
            Stage::Request => "request",
        })
    }
}

impl Stage {
    /// Returns the stage at which a node gives this error.
    #[must_use]
    pub fn of(code: ErrorCode) -> Stage {
        match code {
            ErrorCode::TooManyConnections
            | ErrorCode::VersionMismatch
            | ErrorCode::WrongCluster
            | ErrorCode::WrongPort => Stage::Hello,
            ErrorCode::NotLeader | ErrorCode::NotReady | ErrorCode::ShuttingDown => Stage::Leader,
            ErrorCode::NoQuorum | ErrorCode::Overloaded | ErrorCode::LeadershipLost => {
                Stage::Quorum
            }
            ErrorCode::DiskFull | ErrorCode::Damaged => Stage::Disk,
            ErrorCode::WrongShard
            | ErrorCode::UnknownLog
            | ErrorCode::LogExists
            | ErrorCode::ExpectMismatch
            | ErrorCode::PriorFailed
            | ErrorCode::TooLarge
            | ErrorCode::BadName
            | ErrorCode::BadChecksum
            | ErrorCode::BadRequest
            | ErrorCode::Unsupported
            | ErrorCode::Denied
            | ErrorCode::Trimmed
            | ErrorCode::Sealed
            | ErrorCode::PastEnd
            | ErrorCode::Lost
            | ErrorCode::NotLost
            | ErrorCode::Internal
            | ErrorCode::Unrecognised(_) => Stage::Request,
        }
    }
}

impl Failure {
    /// Returns true when asking again cannot help: what was asked is no node of the cluster that is
    /// meant, or speaks another version.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        refuses_for_good(self.stage, &self.cause)
    }

    /// Returns the first index that can be read, where an entry was asked for that is trimmed.
    #[must_use]
    pub fn first_left(&self) -> Option<Index> {
        match self.wire()?.detail {
            Detail::First { first, .. } => Some(first),
            Detail::None
            | Detail::Lost { .. }
            | Detail::Leader(_)
            | Detail::Next { .. }
            | Detail::Log(_)
            | Detail::Shard(_)
            | Detail::Limit(_)
            | Detail::Versions { .. }
            | Detail::Unformed(_) => None,
        }
    }

    /// Returns the error that the node answered with, if it answered.
    #[must_use]
    pub fn wire(&self) -> Option<&RequestError> {
        match &self.cause {
            Cause::Refused(error) => Some(error),
            Cause::Io { .. }
            | Cause::NoAddress
            | Cause::Closed
            | Cause::Silent { .. }
            | Cause::Protocol(_)
            | Cause::NoLeader { .. }
            | Cause::NoTime
            | Cause::PriorFailed
            | Cause::Invalid(_) => None,
        }
    }

    /// Returns the code that the node answered with, if it answered.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.wire().map(|error| error.code)
    }
}

impl ClientError {
    /// Makes an error of a failure.
    #[must_use]
    pub fn new(failure: Failure) -> ClientError {
        ClientError(Box::new(failure))
    }

    /// The request cannot be sent as it is: nothing was.
    #[must_use]
    pub fn invalid(operation: Operation, what: impl Into<Invalid>) -> ClientError {
        let what = what.into();
        let stage = match &what {
            Invalid::Endpoint { .. } | Invalid::NoEndpoint => Stage::Resolve,
            Invalid::Name(_) | Invalid::Entries(_) | Invalid::NoShard { .. } => Stage::Request,
        };
        ClientError::new(Failure {
            operation,
            outcome: Outcome::NotExecuted,
            stage,
            endpoint: None,
            cause: Cause::Invalid(what),
            attempts: 0,
            gave_up_after: None,
            elsewhere: Vec::new(),
        })
    }

    /// Returns what is known, for taking apart.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        *self.0
    }
}

impl Deref for ClientError {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

/// What a `main` that returns the error prints: for people, with the next step.
impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}; next: {}", self.next_step())
    }
}

/// What was asked, whether it took effect, and why it failed. What can be done now is
/// [`Failure::next_step`].
impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = &self.0;
        write!(f, "{}: {}: ", failure.operation, failure.outcome)?;
        if let Some(endpoint) = &failure.endpoint {
            write!(f, "{endpoint}: ")?;
        }
        write!(f, "{}", failure.cause)?;
        // That a request was refused as a request says nothing new.
        let mut notes = Vec::new();
        if failure.stage != Stage::Request {
            notes.push(format!("stage {}", failure.stage));
        }
        if let Some(given) = failure.gave_up_after {
            let attempts = Attempts(failure.attempts);
            notes.push(format!("gave up after {} and {attempts}", Seconds(given)));
        }
        if !notes.is_empty() {
            write!(f, " ({})", notes.join("; "))?;
        }
        for Elsewhere { endpoint, stage, why } in &failure.elsewhere {
            write!(f, "; {endpoint}: {why} (stage {stage})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.cause)
    }
}

/// A duration for people.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

struct Attempts(u32);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempt{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// True when asking the same node again cannot help: it is not what the endpoint should be.
pub(super) fn refuses_for_good(stage: Stage, cause: &Cause) -> bool {
    stage == Stage::Hello
        && match cause {
            Cause::Refused(error) => error.retry == Retry::No,
            Cause::Protocol(_) => true,
            Cause::Io { .. }
            | Cause::NoAddress
            | Cause::Closed
            | Cause::Silent { .. }
            | Cause::NoLeader { .. }
            | Cause::NoTime
            | Cause::PriorFailed
            | Cause::Invalid(_) => false,
        }
}

/// What the operating system refused.
pub(super) fn io_cause(doing: &'static str, source: io::Error) -> Cause {
    Cause::Io { doing, source }
}
