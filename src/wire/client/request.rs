//! Requests as bytes.

use super::refusal::Refusal;
use crate::api::entries::{EntriesLimit, EntriesRef};
use crate::api::name::LogName;
use crate::api::{Append, Consistency, Create, Delete, List, LogRef, Read, Request, Stat};
use crate::limits::NAME_BYTES_MAX;
use crate::types::{Index, LogId};
use crate::wire::codec::{DecodeError, Reader, Writer};
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};
use crate::wire::kind::RequestKind;

/// Append option: create the log if its name is not taken.
const OPTION_CREATE: u16 = 1;
/// Append option: `expect` holds.
const OPTION_EXPECT: u16 = 2;

impl Request {
    /// The request's kind.
    #[must_use]
    pub fn kind(&self) -> RequestKind {
        match self {
            Request::Create(_) => RequestKind::Create,
            Request::Delete(_) => RequestKind::Delete,
            Request::List(_) => RequestKind::List,
            Request::Stat(_) => RequestKind::Stat,
            Request::Append(_) => RequestKind::Append,
            Request::Read(_) => RequestKind::Read,
            Request::Status => RequestKind::Status,
            Request::Map => RequestKind::Map,
            Request::Ping => RequestKind::Ping,
        }
    }
}

/// Appends one request frame to `out`. `correlation` is not 0 and not that of another request
/// under way on the connection.
pub fn write_request(out: &mut Vec<u8>, correlation: u64, request: &Request) {
    debug_assert!(correlation != 0, "correlation 0 belongs to no request");
    write_frame(out, request.kind().number(), correlation, |body| match request {
        Request::Create(Create { name }) => body.put_text(name),
        Request::Delete(Delete { log }) => put_log(body, log),
        Request::List(list) => put_list(body, list),
        Request::Stat(Stat { log, consistency }) => {
            put_log(body, log);
            body.put_u8(*consistency as u8);
        }
        Request::Append(append) => put_append(body, append),
        Request::Read(read) => put_read(body, read),
        Request::Status | Request::Map | Request::Ping => {}
    });
}

fn put_log(body: &mut Vec<u8>, log: &LogRef) {
    match log {
        LogRef::Name(name) => {
            body.put_u8(0);
            body.put_text(name);
        }
        LogRef::Id(id) => {
            body.put_u8(1);
            body.put_u64(id.0);
        }
    }
}

fn put_list(body: &mut Vec<u8>, list: &List) {
    body.put_text(&list.prefix);
    body.put_text(&list.after);
    body.put_u32(list.limit);
    body.put_u8(list.consistency as u8);
}

fn put_append(body: &mut Vec<u8>, append: &Append) {
    put_log(body, &append.log);
    body.put_u32(append.chain);
    let create = if append.create { OPTION_CREATE } else { 0 };
    let expect = if append.expect.is_some() { OPTION_EXPECT } else { 0 };
    body.put_u16(create | expect);
    body.put_u64(append.expect.unwrap_or(Index(0)).0);
    body.put_u32(append.entries.count());
    body.put_bytes32(append.entries.raw());
}

fn put_read(body: &mut Vec<u8>, read: &Read) {
    put_log(body, &read.log);
    body.put_u64(read.from.0);
    body.put_u32(read.max_entries);
    body.put_u32(read.max_bytes);
    body.put_u32(read.wait_ms);
    body.put_u8(read.consistency as u8);
}

/// Reads a request, its entries held against `limit` and their checksums verified.
///
/// # Errors
/// [`Refusal`] has the answer, and says whether the connection goes on behind it.
pub fn read_request(frame: &Frame<'_>, limit: &EntriesLimit) -> Result<Request, Refusal> {
    let mut chain = None;
    read_body(frame, limit, &mut chain).map_err(|error| Refusal::new(&error, chain))
}

fn read_body(
    frame: &Frame<'_>,
    limit: &EntriesLimit,
    chain: &mut Option<(LogRef, u32)>,
) -> Result<Request, DecodeError> {
    if frame.correlation == 0 {
        return Err(DecodeError::Number { field: "correlation", found: 0 });
    }
    if frame.flags & FLAGS_CRITICAL != 0 {
        return Err(DecodeError::Flags { flags: frame.flags });
    }
    let mut body = Reader::new(frame.body);
    let request =
        match RequestKind::from_number(frame.kind).ok_or(DecodeError::Kind { kind: frame.kind })? {
            RequestKind::Create => Request::Create(Create { name: name(&mut body)? }),
            RequestKind::Delete => Request::Delete(Delete { log: log(&mut body)? }),
            RequestKind::List => Request::List(list(&mut body)?),
            RequestKind::Stat => {
                let log = log(&mut body)?;
                Request::Stat(Stat { log, consistency: consistency(&mut body)? })
            }
            RequestKind::Append => Request::Append(append(&mut body, limit, chain)?),
            RequestKind::Read => Request::Read(read(&mut body)?),
            RequestKind::Status => Request::Status,
            RequestKind::Map => Request::Map,
            RequestKind::Ping => Request::Ping,
        };
    body.finish()?;
    Ok(request)
}

pub(in crate::wire) fn name(body: &mut Reader<'_>) -> Result<LogName, DecodeError> {
    Ok(LogName::from_bytes(body.bytes16("name")?)?)
}

fn log(body: &mut Reader<'_>) -> Result<LogRef, DecodeError> {
    match body.u8("log")? {
        0 => Ok(LogRef::Name(name(body)?)),
        1 => Ok(LogRef::Id(LogId(body.u64("log")?))),
        found => Err(DecodeError::Number { field: "log", found: u64::from(found) }),
    }
}

fn consistency(body: &mut Reader<'_>) -> Result<Consistency, DecodeError> {
    let field = "consistency";
    match body.u8(field)? {
        0 => Ok(Consistency::Linearizable),
        1 => Ok(Consistency::Local),
        found => Err(DecodeError::Unsupported { field, found: u64::from(found) }),
    }
}

fn list(body: &mut Reader<'_>) -> Result<List, DecodeError> {
    let [prefix, after] = ["prefix", "after"].map(|field| {
        let text = body.text(field)?;
        if text.len() > NAME_BYTES_MAX {
            let (found, limit) = (text.len() as u64, NAME_BYTES_MAX as u64);
            return Err(DecodeError::TooLong { field, found, limit });
        }
        Ok(text.to_string())
    });
    Ok(List {
        prefix: prefix?,
        after: after?,
        limit: body.u32("limit")?,
        consistency: consistency(body)?,
    })
}

fn append(
    body: &mut Reader<'_>,
    limit: &EntriesLimit,
    failed_chain: &mut Option<(LogRef, u32)>,
) -> Result<Append, DecodeError> {
    let log = log(body)?;
    let chain = body.u32("chain")?;
    if chain != 0 {
        *failed_chain = Some((log.clone(), chain));
    }
    let options = body.u16("options")?;
    let expect = Index(body.u64("expect")?);
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
    entries.validate(limit)?;
    entries.verify()?;
    Ok(Append {
        log,
        expect: (options & OPTION_EXPECT != 0).then_some(expect),
        chain,
        create,
        entries: entries.to_owned(),
    })
}

fn read(body: &mut Reader<'_>) -> Result<Read, DecodeError> {
    Ok(Read {
        log: log(body)?,
        from: Index(body.u64("from")?),
        max_entries: body.u32("max_entries")?,
        max_bytes: body.u32("max_bytes")?,
        wait_ms: body.u32("wait_ms")?,
        consistency: consistency(body)?,
    })
}
