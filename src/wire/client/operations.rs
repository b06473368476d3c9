//! The operations of clients as bytes: their numbers, and the fields of requests and replies.

use crate::api::entries::{Entries, EntriesRef};
use crate::api::name::LogName;
use crate::api::{
    Appended, AttributeChanges, Consistency, Create, Created, DeclareLost, DeclaredLost, Delete,
    List, ListLost, Listed, ListedLost, LogAttributes, LogRef, LogStat, Read, ReadDone, Reply,
    ReplyHeader, Request, RequestKind, Retention, SetAttributes, Stat, Trim, Trimmed,
};
use crate::limits::{LIST_NAMES_MAX, LOST_RANGES_MAX, NAME_BYTES_MAX};
use crate::types::LostRange;
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::{Field, ListLimit, TextLimit, Uncounted, message};
use crate::wire::kind::REPLY;

/// A piece of a name, which needs to be none itself.
const PART: TextLimit = TextLimit(NAME_BYTES_MAX);
/// The smallest [`LogStat`] has a name of one byte.
const LOGS: ListLimit = ListLimit { items_max: LIST_NAMES_MAX, item_bytes_min: 2 + 1 + 9 * 8 + 1 };

const RANGES: ListLimit = ListLimit { items_max: LOST_RANGES_MAX, item_bytes_min: 16 };

/// Makes the numbers of requests, the kinds of replies, and both directions of a [`Request`] and a
/// [`Reply`] by one row an operation: the request's number, kind and content, and the reply's kind,
/// variant and content.
macro_rules! operations {
    ($(
        $number:literal $request:ident $(($asked:ident))?
            => $kind:ident: $reply:ident $(($answer:ident))?;
    )*) => {
        impl RequestKind {
            /// The number on the wire. Numbers are never used again for anything else.
            #[must_use]
            pub fn number(self) -> u16 {
                match self {
                    $(RequestKind::$request => $number,)*
                }
            }

            /// The kind of a number; none for one that this version does not know.
            #[must_use]
            pub fn from_number(number: u16) -> Option<RequestKind> {
                match number {
                    $($number => Some(RequestKind::$request),)*
                    _ => None,
                }
            }
        }

        /// Appends a request's body.
        #[inline]
        pub(super) fn put_request(request: &Request, body: &mut Vec<u8>) {
            match request {
                $(Request::$request $(($asked))? => { $($asked.put(body);)? })*
            }
        }

        /// Takes the body of a request of this kind.
        #[inline]
        pub(super) fn take_request(
            kind: RequestKind,
            body: &mut BodyReader<'_>,
        ) -> Result<Request, DecodeError> {
            Ok(match kind {
                $(RequestKind::$request => {
                    $(let $asked = Field::take(body, stringify!($asked))?;)?
                    Request::$request $(($asked))?
                })*
            })
        }

        /// What a node answers: each kind has its request's number, with [`REPLY`] set. Numbers are
        /// never used again for anything else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum ReplyKind {
            /// Answers any request that was not done.
            Error = REPLY,
            $(
                #[doc = concat!("Answers a [`Request::", stringify!($request), "`].")]
                $kind = REPLY | $number,
            )*
        }

        impl ReplyKind {
            /// Every kind that this version knows.
            pub const ALL: &'static [ReplyKind] = &[ReplyKind::Error, $(ReplyKind::$kind,)*];

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                self as u16
            }

            /// The kind of a number; none for one that this version does not know.
            #[must_use]
            pub fn from_number(number: u16) -> Option<ReplyKind> {
                match number.checked_sub(REPLY)? {
                    0 => Some(ReplyKind::Error),
                    $($number => Some(ReplyKind::$kind),)*
                    _ => None,
                }
            }
        }

        impl Reply {
            /// The reply's kind.
            #[must_use]
            pub fn kind(&self) -> ReplyKind {
                match self {
                    Reply::Error(_) => ReplyKind::Error,
                    $(Reply::$reply { .. } => ReplyKind::$kind,)*
                }
            }
        }

        /// Appends a reply's body behind its header.
        #[inline]
        pub(super) fn put_reply(reply: &Reply, body: &mut Vec<u8>) {
            match reply {
                Reply::Error(error) => error.put(body),
                $(Reply::$reply $(($answer))? => { $($answer.put(body);)? })*
            }
        }

        /// Takes the body of a reply of this kind behind its header.
        #[inline]
        pub(super) fn take_reply(
            kind: ReplyKind,
            body: &mut BodyReader<'_>,
        ) -> Result<Reply, DecodeError> {
            Ok(match kind {
                ReplyKind::Error => Reply::Error(Field::take(body, "error")?),
                $(ReplyKind::$kind => {
                    $(let $answer = Field::take(body, stringify!($answer))?;)?
                    Reply::$reply $(($answer))?
                })*
            })
        }
    };
}

operations! {
    0x0002 Ping           => Pong: Pong;
    0x0003 Status         => StatusReply: Status(status);
    0x0004 Map            => MapReply: Map(map);
    0x0010 Create(create) => Created: Created(created);
    0x0011 Delete(delete) => Deleted: Deleted;
    0x0012 List(list)     => Listed: Listed(listed);
    0x0013 Stat(stat)     => Stated: Stated(stat);
    0x0014 Append(append) => Appended: Appended(appended);
    0x0015 Read(read)     => ReadDone: ReadDone(done);
    0x0016 Trim(trim)     => Trimmed: Trimmed(trimmed);
    0x0017 SetAttributes(set) => AttributesSet: AttributesSet;
    0x0018 DeclareLost(declare) => DeclaredLost: DeclaredLost(declared);
    0x0019 ListLost(list) => ListedLost: ListedLost(listed);
}

message! {
    Create { name, retention }
    Delete { log }
    List { prefix as PART, after as PART, limit, consistency }
    Stat { log, consistency }
    Read { log, from, max_entries, max_bytes, wait_ms, consistency }
    Trim { log, before }
    SetAttributes { log, changes }
    AttributeChanges { retain_bytes, retain_entries, retain_age_ms, seal }

    ReplyHeader { shard, epoch, applied_upto as Uncounted }
    Created { id }
    Listed { logs as LOGS, more }
    LogStat { name, id, first_index, next_index, bytes, created_ms, attributes }
    LogAttributes { version, retention, sealed }
    Retention { bytes, entries, age_ms }
    Trimmed { id, first, next }
    Appended { id, first, count }
    ReadDone { id, from, first, next, entries }

    DeclareLost { log, from, before }
    DeclaredLost { id, range }
    ListLost { log, consistency }
    ListedLost { id, ranges as RANGES }
    LostRange { from, before }
}

/// A number, or none: whether there is one, and the number, 0 for none.
impl Field for Option<u64> {
    fn put(&self, body: &mut Vec<u8>) {
        self.is_some().put(body);
        self.unwrap_or(0).put(body);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Option<u64>, DecodeError> {
        match (body.bool(field)?, body.u64(field)?) {
            (true, number) => Ok(Some(number)),
            (false, 0) => Ok(None),
            (false, found) => Err(DecodeError::Number { field, found }),
        }
    }
}

impl Field for LogName {
    fn put(&self, body: &mut Vec<u8>) {
        body.put_text(self);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<LogName, DecodeError> {
        Ok(LogName::from_bytes(body.bytes16(field)?)?)
    }
}

impl Field for LogRef {
    fn put(&self, body: &mut Vec<u8>) {
        match self {
            LogRef::Name(name) => {
                body.put_u8(0);
                name.put(body);
            }
            LogRef::Id(id) => {
                body.put_u8(1);
                id.put(body);
            }
        }
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<LogRef, DecodeError> {
        match body.u8(field)? {
            0 => Field::take(body, "name").map(LogRef::Name),
            1 => Field::take(body, field).map(LogRef::Id),
            found => Err(DecodeError::Number { field, found: u64::from(found) }),
        }
    }
}

impl Field for Consistency {
    fn put(&self, body: &mut Vec<u8>) {
        body.put_u8(*self as u8);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Consistency, DecodeError> {
        match body.u8(field)? {
            0 => Ok(Consistency::Linearizable),
            1 => Ok(Consistency::Local),
            found => Err(DecodeError::Unsupported { field, found: u64::from(found) }),
        }
    }
}

/// The entries of an answer: their number, then their bytes, whose checksums are verified.
impl Field for Entries {
    fn put(&self, body: &mut Vec<u8>) {
        body.put_u32(self.count());
        body.put_bytes32(self.raw());
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Entries, DecodeError> {
        let count = body.u32("count")?;
        Ok(EntriesRef::parse(body.bytes32(field)?, count)?.to_owned())
    }
}
