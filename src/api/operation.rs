//! The operations of clients: one row each, with what is asked, what is answered, and what may be done
//! with it. `docs/PROTOCOL.md` has every field's place in the frame.

use super::error::RequestError;
use super::logs::{
    Append, Appended, Create, Created, Delete, List, Listed, LogRef, LogStat, Read, ReadDone,
    SetAttributes, Stat, Trim, Trimmed,
};
use super::lost::{DeclareLost, DeclaredLost, ListLost, ListedLost};
use super::status::{ClusterMap, StatusReply};
use crate::types::{Ballot, ShardId, Slot};

/// What an operation does, from which follows who may answer it and how often it may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// It changes the state, and so takes a slot: the shard's leader answers. Sent twice, it may take
    /// effect twice.
    Write,
    /// As [`Access::Write`], but a second time changes nothing more, and is answered as the first.
    Repeatable,
    /// It reads the shard's state: the leader answers, or any node to which [`super::Consistency`]
    /// leaves it.
    Read,
    /// It is about nodes: any of them answers, whatever shard the connection is for.
    Node,
}

/// Makes [`Request`], [`RequestKind`] and [`Reply`] of the rows of the table.
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $request:ident $(($asked:ty))? = $access:ident $name:literal
            => $reply:ident $(($answer:ty))?;
    )*) => {
        /// What a client asks of one shard of a node.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Request {
            $($(#[$doc])* $request $(($asked))?,)*
        }

        /// What a request asks for, without its content.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RequestKind {
            $($(#[$doc])* $request,)*
        }

        /// A node's answer to one request.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Reply {
            $(
                #[doc = concat!("Answers [`Request::", stringify!($request), "`].")]
                $reply $(($answer))?,
            )*
            /// To any request: it was not done, or it is not known whether it was.
            Error(RequestError),
        }

        impl Request {
            /// The request's kind.
            #[must_use]
            pub fn kind(&self) -> RequestKind {
                match self {
                    $(Request::$request { .. } => RequestKind::$request,)*
                }
            }
        }

        impl RequestKind {
            /// Every kind.
            pub const ALL: &'static [RequestKind] = &[$(RequestKind::$request,)*];

            /// The operation's name, as metrics and messages have it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(RequestKind::$request => $name,)*
                }
            }

            fn access(self) -> Access {
                match self {
                    $(RequestKind::$request => Access::$access,)*
                }
            }
        }
    };
}

operations! {
    /// Creates a log.
    Create(Create) = Write "create" => Created(Created);
    /// Deletes a log with its entries.
    Delete(Delete) = Write "delete" => Deleted;
    /// Lists this shard's logs by prefix.
    List(List) = Read "list" => Listed(Listed);
    /// Asks for one log's data.
    Stat(Stat) = Read "stat" => Stated(LogStat);
    /// Appends entries as one atomic batch.
    Append(Append) = Write "append" => Appended(Appended);
    /// Reads a range of entries.
    Read(Read) = Read "read" => ReadDone(ReadDone);
    /// Trims entries from a log's beginning.
    Trim(Trim) = Repeatable "trim" => Trimmed(Trimmed);
    /// Changes a log's attributes.
    SetAttributes(SetAttributes) = Write "set-attributes" => AttributesSet;
    /// Declares entries lost that no member has any more.
    DeclareLost(DeclareLost) = Repeatable "declare-lost" => DeclaredLost(DeclaredLost);
    /// Asks which entries of a log are lost.
    ListLost(ListLost) = Read "list-lost" => ListedLost(ListedLost);
    /// Asks for the state of the node and of the shard that answers.
    Status = Node "status" => Status(Box<StatusReply>);
    /// Asks for the members, the number of shards and the leaders.
    Map = Node "map" => Map(ClusterMap);
    /// Asks for an answer and nothing else: a sign of life.
    Ping = Node "ping" => Pong;
}

impl RequestKind {
    /// It changes something, and so goes through the shard's sequence.
    #[must_use]
    pub fn is_write(self) -> bool {
        matches!(self.access(), Access::Write | Access::Repeatable)
    }

    /// Sent a second time, it may take effect a second time.
    #[must_use]
    pub fn takes_effect_twice(self) -> bool {
        self.access() == Access::Write
    }

    /// Any node answers it, on a connection for any shard or for none.
    #[must_use]
    pub fn is_node_level(self) -> bool {
        self.access() == Access::Node
    }
}

impl Request {
    /// It changes something, and so goes through the shard's sequence.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.kind().is_write()
    }

    /// Sent a second time, it may take effect a second time.
    #[must_use]
    pub fn takes_effect_twice(&self) -> bool {
        self.kind().takes_effect_twice()
    }

    /// The log that it is about, if it is about one.
    #[must_use]
    pub fn log(&self) -> Option<LogRef> {
        match self {
            Request::Create(Create { name, .. }) => Some(LogRef::Name(name.clone())),
            Request::Delete(Delete { log })
            | Request::Stat(Stat { log, .. })
            | Request::Append(Append { log, .. })
            | Request::Trim(Trim { log, .. })
            | Request::SetAttributes(SetAttributes { log, .. })
            | Request::DeclareLost(DeclareLost { log, .. })
            | Request::ListLost(ListLost { log, .. })
            | Request::Read(Read { log, .. }) => Some(log.clone()),
            Request::List(_) | Request::Status | Request::Map | Request::Ping => None,
        }
    }
}

/// Stands in front of every reply: who answered, and how far it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The shard that answered; [`NO_SHARD`] when no shard did.
    pub shard: ShardId,
    /// The leadership that the answering node knows of.
    pub epoch: Ballot,
    /// Slots that the answering node has applied.
    pub applied_upto: Slot,
}

/// In a Hello: any shard, for Status, Map and Ping only. In a reply: no shard answered.
pub const NO_SHARD: ShardId = ShardId(0xFFFF);

impl ReplyHeader {
    /// The header of a reply that no shard gave.
    pub const NOBODY: ReplyHeader =
        ReplyHeader { shard: NO_SHARD, epoch: Ballot::ZERO, applied_upto: Slot(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may be sent twice, and what any node answers, by name: a row of the table that says
    /// otherwise is a bug.
    #[test]
    fn writes_and_questions_to_nodes_are_distinguished() {
        let named = |is: fn(RequestKind) -> bool| -> Vec<&str> {
            let kinds = RequestKind::ALL.iter().filter(|kind| is(**kind));
            kinds.map(|kind| kind.name()).collect()
        };
        assert_eq!(
            named(RequestKind::is_write),
            ["create", "delete", "append", "trim", "set-attributes", "declare-lost"]
        );
        let once = ["create", "delete", "append", "set-attributes"];
        assert_eq!(named(RequestKind::takes_effect_twice), once);
        assert_eq!(named(RequestKind::is_node_level), ["status", "map", "ping"]);
    }
}
