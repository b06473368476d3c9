//! Requests as bytes.

use super::operations::{put_request, take_request};
use super::refusal::Refusal;
use crate::api::entries::{Entries, EntriesLimit, EntriesRef};
use crate::api::{Append, LogRef, Request, RequestKind};
use crate::types::Index;
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::Field;
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};

/// Append option: create the log if its name is not taken.
const OPTION_CREATE: u16 = 1;
/// Append option: `expect` holds.
const OPTION_EXPECT: u16 = 2;

/// Appends one request frame to `out`. `correlation` is not 0 and not that of another request
/// under way on the connection.
pub fn write_request(out: &mut Vec<u8>, correlation: u64, request: &Request) {
    assert!(correlation != 0, "correlation {correlation} belongs to no request");
    write_frame(out, request.kind().number(), correlation, |body| put_request(request, body));
}

/// Reads a request, its entries held against `limit` and their checksums verified.
///
/// # Errors
/// [`Refusal`] has the answer, and says whether the connection goes on behind it.
pub fn read_request(frame: &Frame<'_>, limit: &EntriesLimit) -> Result<Request, Refusal> {
    let kind = kind(frame).map_err(|error| Refusal::new(&error, None))?;
    let body = BodyReader::new(frame.body);
    read_body(kind, body.clone(), limit).map_err(|error| Refusal::new(&error, chain(kind, body)))
}

fn kind(frame: &Frame<'_>) -> Result<RequestKind, DecodeError> {
    if frame.correlation == 0 {
        return Err(DecodeError::Number { field: "correlation", found: 0 });
    }
    if frame.flags & FLAGS_CRITICAL != 0 {
        return Err(DecodeError::Flags { flags: frame.flags });
    }
    RequestKind::from_number(frame.kind).ok_or(DecodeError::Kind { kind: frame.kind })
}

fn read_body(
    kind: RequestKind,
    mut body: BodyReader<'_>,
    limit: &EntriesLimit,
) -> Result<Request, DecodeError> {
    if kind == RequestKind::Append {
        let (append, entries) = take_append(&mut body)?;
        entries.validate(limit)?;
        entries.verify()?;
        body.finish()?;
        // Only what is taken is copied (R37).
        return Ok(Request::Append(Append { entries: entries.to_owned(), ..append }));
    }
    let request = take_request(kind, &mut body)?;
    body.finish()?;
    Ok(request)
}

/// The chain of an append that cannot be read, if it can be read as far as that: the chain breaks.
fn chain(kind: RequestKind, mut body: BodyReader<'_>) -> Option<(LogRef, u32)> {
    if kind != RequestKind::Append {
        return None;
    }
    let log = LogRef::take(&mut body, "log").ok()?;
    let chain = body.u32("chain").ok()?;
    (chain != 0).then_some((log, chain))
}

/// No list of fields: the options are bits, and one of them says whether `expect` holds. Of the
/// entries the structure alone is checked; [`read_request`] has their limits, and verifies them.
impl Field for Append {
    fn put(&self, body: &mut Vec<u8>) {
        self.log.put(body);
        self.chain.put(body);
        let create = if self.create { OPTION_CREATE } else { 0 };
        let expect = if self.expect.is_some() { OPTION_EXPECT } else { 0 };
        body.put_u16(create | expect);
        self.expect.unwrap_or(Index(0)).put(body);
        self.entries.put(body);
    }

    fn take(body: &mut BodyReader<'_>, _: &'static str) -> Result<Append, DecodeError> {
        let (append, entries) = take_append(body)?;
        Ok(Append { entries: entries.to_owned(), ..append })
    }
}

/// Takes an append without its entries, and these where they lie.
fn take_append<'a>(body: &mut BodyReader<'a>) -> Result<(Append, EntriesRef<'a>), DecodeError> {
    let log = Field::take(body, "log")?;
    let chain = body.u32("chain")?;
    let options = body.u16("options")?;
    let expect = Field::take(body, "expect")?;
    let count = body.u32("count")?;
    let raw = body.bytes32("entries")?;
    let unknown = options & !(OPTION_CREATE | OPTION_EXPECT);
    if unknown != 0 {
        return Err(DecodeError::UnknownBits { field: "options", bits: u64::from(unknown) });
    }
    let create = options & OPTION_CREATE != 0;
    if create && matches!(log, LogRef::Id(_)) {
        return Err(DecodeError::CreateById);
    }
    let entries = EntriesRef::structured(raw, count)?;
    let expect = (options & OPTION_EXPECT != 0).then_some(expect);
    Ok((Append { log, expect, chain, create, entries: Entries::new() }, entries))
}
