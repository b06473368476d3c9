//! What a client asked for, as long as that is remembered: until it is answered.

use crate::api::error::Outcome;
use crate::api::{Read, Reply, Request};

/// A kind of request that is answered as soon as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Create a log.
    Create,
    /// Delete a log.
    Delete,
    /// List logs.
    List,
    /// Show a log.
    Stat,
    /// Append entries.
    Append,
    /// Read entries that are there.
    Read,
    /// Answer.
    Ping,
    /// The node's state.
    Status,
    /// The cluster's map.
    Map,
}

impl Asked {
    /// The kind of a request; nothing for a read that waits for new entries: it takes as long as it
    /// was asked to.
    #[must_use]
    pub fn of(request: &Request) -> Option<Asked> {
        Some(match request {
            Request::Read(Read { wait_ms: 1.., .. }) => return None,
            Request::Read(_) => Asked::Read,
            Request::Append(_) => Asked::Append,
            Request::Create(_) => Asked::Create,
            Request::Delete(_) => Asked::Delete,
            Request::List(_) => Asked::List,
            Request::Stat(_) => Asked::Stat,
            Request::Ping => Asked::Ping,
            Request::Status => Asked::Status,
            Request::Map => Asked::Map,
        })
    }

    /// What it is called in a warning.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Asked::Create => "a create",
            Asked::Delete => "a delete",
            Asked::List => "a list",
            Asked::Stat => "a stat",
            Asked::Append => "an append",
            Asked::Read => "a read",
            Asked::Ping => "a ping",
            Asked::Status => "a status",
            Asked::Map => "a map",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It was answered as asked.
    Ok,
    /// It was answered with an error of this outcome.
    Failed(Outcome),
}

impl Became {
    /// What an answer says.
    #[must_use]
    pub fn of(reply: &Reply) -> Became {
        match reply {
            Reply::Error(error) => Became::Failed(error.outcome),
            Reply::Created(_)
            | Reply::Deleted
            | Reply::Listed(_)
            | Reply::Stated(_)
            | Reply::Appended(_)
            | Reply::ReadDone(_)
            | Reply::Status(_)
            | Reply::Map(_)
            | Reply::Pong => Became::Ok,
        }
    }
}
