//! Replies as bytes.

use super::error::{error, put_error};
use super::request::name;
use super::status::{map, put_map, put_status, status};
use crate::api::entries::EntriesRef;
use crate::api::{Appended, Created, Listed, LogStat, ReadDone, Reply, ReplyHeader};
use crate::limits::LIST_NAMES_MAX;
use crate::types::{Index, LogId, ShardId, Slot};
use crate::wire::codec::{DecodeError, ListLimit, Reader, Writer};
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};
use crate::wire::kind::ReplyKind;

/// Bytes of a [`LogStat`] with a name of one byte.
const LOG_STAT_BYTES_MIN: usize = 2 + 1 + 4 * 8;

impl Reply {
    /// The reply's kind.
    #[must_use]
    pub fn kind(&self) -> ReplyKind {
        match self {
            Reply::Created(_) => ReplyKind::Created,
            Reply::Deleted => ReplyKind::Deleted,
            Reply::Listed(_) => ReplyKind::Listed,
            Reply::Stated(_) => ReplyKind::Stated,
            Reply::Appended(_) => ReplyKind::Appended,
            Reply::ReadDone(_) => ReplyKind::ReadDone,
            Reply::Status(_) => ReplyKind::StatusReply,
            Reply::Map(_) => ReplyKind::MapReply,
            Reply::Pong => ReplyKind::Pong,
            Reply::Error(_) => ReplyKind::Error,
        }
    }
}

/// Appends one reply frame to `out`.
pub fn write_reply(out: &mut Vec<u8>, correlation: u64, header: &ReplyHeader, reply: &Reply) {
    write_frame(out, reply.kind().number(), correlation, |body| {
        put_header(body, header);
        match reply {
            Reply::Created(Created { id }) => body.put_u64(id.0),
            Reply::Deleted | Reply::Pong => {}
            Reply::Listed(Listed { logs, more }) => {
                body.put_list(logs, put_log_stat);
                body.put_bool(*more);
            }
            Reply::Stated(stat) => put_log_stat(body, stat),
            Reply::Appended(appended) => {
                body.put_u64(appended.id.0);
                body.put_u64(appended.first.0);
                body.put_u32(appended.count);
            }
            Reply::ReadDone(done) => {
                body.put_u64(done.id.0);
                body.put_u64(done.from.0);
                body.put_u64(done.next.0);
                body.put_u32(done.entries.count());
                body.put_bytes32(done.entries.raw());
            }
            Reply::Status(status) => put_status(body, status),
            Reply::Map(map) => put_map(body, map),
            Reply::Error(error) => put_error(body, error),
        }
    });
}

pub(in crate::wire) fn put_header(body: &mut Vec<u8>, header: &ReplyHeader) {
    body.put_u16(header.shard.0);
    body.put_ballot(header.epoch);
    body.put_u64(header.applied_upto.0);
}

fn put_log_stat(body: &mut Vec<u8>, stat: &LogStat) {
    body.put_text(&stat.name);
    body.put_u64(stat.id.0);
    body.put_u64(stat.next_index.0);
    body.put_u64(stat.bytes);
    body.put_u64(stat.created_ms);
}

/// Reads a reply; the checksums of entries are verified.
///
/// # Errors
/// [`DecodeError`]: the connection cannot be trusted any further.
pub fn read_reply(frame: &Frame<'_>) -> Result<(ReplyHeader, Reply), DecodeError> {
    if frame.flags & FLAGS_CRITICAL != 0 {
        return Err(DecodeError::Flags { flags: frame.flags });
    }
    let kind = ReplyKind::from_number(frame.kind).ok_or(DecodeError::Kind { kind: frame.kind })?;
    let mut body = Reader::new(frame.body);
    let header = header(&mut body)?;
    let reply = match kind {
        ReplyKind::Created => Reply::Created(Created { id: LogId(body.u64("id")?) }),
        ReplyKind::Deleted => Reply::Deleted,
        ReplyKind::Listed => {
            let limit = ListLimit { items_max: LIST_NAMES_MAX, item_bytes_min: LOG_STAT_BYTES_MIN };
            let logs = body.list("logs", limit, log_stat)?;
            Reply::Listed(Listed { logs, more: body.bool("more")? })
        }
        ReplyKind::Stated => Reply::Stated(log_stat(&mut body)?),
        ReplyKind::Appended => Reply::Appended(Appended {
            id: LogId(body.u64("id")?),
            first: Index(body.u64("first")?),
            count: body.u32("count")?,
        }),
        ReplyKind::ReadDone => Reply::ReadDone(read_done(&mut body)?),
        ReplyKind::StatusReply => Reply::Status(Box::new(status(&mut body)?)),
        ReplyKind::MapReply => Reply::Map(map(&mut body)?),
        ReplyKind::Pong => Reply::Pong,
        ReplyKind::Error => return Ok((header, Reply::Error(error(&mut body)?))),
    };
    body.finish()?;
    Ok((header, reply))
}

pub(in crate::wire) fn header(body: &mut Reader<'_>) -> Result<ReplyHeader, DecodeError> {
    Ok(ReplyHeader {
        shard: ShardId(body.u16("shard")?),
        epoch: body.ballot("epoch")?,
        applied_upto: Slot(body.u64("applied_upto")?),
    })
}

fn log_stat(body: &mut Reader<'_>) -> Result<LogStat, DecodeError> {
    Ok(LogStat {
        name: name(body)?,
        id: LogId(body.u64("id")?),
        next_index: Index(body.u64("next_index")?),
        bytes: body.u64("bytes")?,
        created_ms: body.u64("created_ms")?,
    })
}

fn read_done(body: &mut Reader<'_>) -> Result<ReadDone, DecodeError> {
    let id = LogId(body.u64("id")?);
    let from = Index(body.u64("from")?);
    let next = Index(body.u64("next")?);
    let count = body.u32("count")?;
    let entries = EntriesRef::parse(body.bytes32("entries")?, count)?.to_owned();
    Ok(ReadDone { id, from, next, entries })
}
