//! Replies as bytes.

use super::operations::{ReplyKind, put_reply, take_reply};
use crate::api::{Reply, ReplyHeader};
use crate::wire::codec::{BodyReader, DecodeError};
use crate::wire::field::Field;
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};

/// Appends one reply frame to `out`.
pub fn write_reply(out: &mut Vec<u8>, correlation: u64, header: &ReplyHeader, reply: &Reply) {
    write_frame(out, reply.kind().number(), correlation, |body| {
        header.put(body);
        put_reply(reply, body);
    });
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
    let mut body = BodyReader::new(frame.body);
    let header = Field::take(&mut body, "header")?;
    let reply = take_reply(kind, &mut body)?;
    // What lies behind an error's fields is a newer node's.
    if kind != ReplyKind::Error {
        body.finish()?;
    }
    Ok((header, reply))
}
