//! The encoding of the commands on logs: a disk format.
//!
//! | kind | command | body |
//! | --- | --- | --- |
//! | 1 | create | name, created_ms u64 |
//! | 2 | delete | log u64 |
//! | 3 | append | log u64, expect, count u32, entries |
//! | 4 | append or create | name, created_ms u64, expect, count u32, entries |
//!
//! A name is a `u16` length and UTF-8; `expect` is a `u8`, 0 or 1, and in the latter case a `u64`;
//! entries are as clients sent them ([`EntriesRef`]).

use super::command::{LogCommand, LogCommandKind};
use crate::api::entries::{EntriesError, EntriesRef};
use crate::limits::{APPEND_BYTES_MAX, NAME_BYTES_MAX};
use crate::machine::feature::FeatureCommand;
use crate::types::{Index, LogId};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// Bytes of the longest body, that of an append or create: `u16`, name, two `u64`, `u8`, `u32`,
/// entries. An append has an id instead of name and time.
pub(in crate::machine) const BODY_BYTES_MAX: usize =
    2 + NAME_BYTES_MAX + 2 * 8 + 1 + 4 + APPEND_BYTES_MAX;

impl FeatureCommand for LogCommand<'_> {
    fn kind_number(&self) -> u8 {
        self.kind() as u8
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match *self {
            LogCommand::Create { name, created_ms } => {
                out.put_text(name);
                out.put_u64(created_ms);
            }
            LogCommand::Delete { log } => out.put_u64(log.0),
            LogCommand::Append { log, expect, entries } => {
                out.put_u64(log.0);
                put_entries(out, expect, entries);
            }
            LogCommand::AppendCreate { name, created_ms, expect, entries } => {
                out.put_text(name);
                out.put_u64(created_ms);
                put_entries(out, expect, entries);
            }
        }
    }

    fn check_limits(&self) {
        if let Some(name) = self.name() {
            let (bytes, max) = (name.len(), NAME_BYTES_MAX);
            assert!(bytes <= max, "a name of {bytes} bytes, max {max}");
        }
        if let Some(entries) = self.entries() {
            let (bytes, max) = (entries.raw().len(), APPEND_BYTES_MAX);
            assert!(!entries.is_empty(), "an append without entries: {self:?}");
            assert!(bytes <= max, "an append of {bytes} bytes, max {max}");
        }
    }
}

/// Decodes the body of a command of this kind.
pub(in crate::machine) fn decode_body(
    kind: LogCommandKind,
    body: &[u8],
) -> Result<LogCommand<'_>, DecodeError> {
    let mut reader = BodyReader::new(body);
    let command = match kind {
        LogCommandKind::Create => {
            LogCommand::Create { name: reader.text("name")?, created_ms: reader.u64("created_ms")? }
        }
        LogCommandKind::Delete => LogCommand::Delete { log: LogId(reader.u64("log")?) },
        LogCommandKind::Append => {
            let log = LogId(reader.u64("log")?);
            let (expect, entries) = take_entries(&mut reader)?;
            LogCommand::Append { log, expect, entries }
        }
        LogCommandKind::AppendCreate => {
            let name = reader.text("name")?;
            let created_ms = reader.u64("created_ms")?;
            let (expect, entries) = take_entries(&mut reader)?;
            LogCommand::AppendCreate { name, created_ms, expect, entries }
        }
    };
    reader.finish()?;
    Ok(command)
}

/// True for the body of an append to the log of this id and name. Only the first field is decoded: a
/// reader passes over thousands of other logs' commands.
pub(in crate::machine) fn appends_to(
    kind: LogCommandKind,
    body: &[u8],
    log: LogId,
    name: &str,
) -> bool {
    let mut reader = BodyReader::new(body);
    match kind {
        LogCommandKind::Create | LogCommandKind::Delete => false,
        LogCommandKind::Append => reader.u64("log") == Ok(log.0),
        LogCommandKind::AppendCreate => reader.bytes16("name") == Ok(name.as_bytes()),
    }
}

fn put_entries(out: &mut Vec<u8>, expect: Option<Index>, entries: EntriesRef<'_>) {
    out.put_bool(expect.is_some());
    if let Some(index) = expect {
        out.put_u64(index.0);
    }
    out.put_u32(entries.count());
    out.extend_from_slice(entries.raw());
}

/// Takes the rest of a body: a condition and entries. The entries' checksums are verified when they
/// are read; here the record's own checksum covers them.
fn take_entries<'a>(
    reader: &mut BodyReader<'a>,
) -> Result<(Option<Index>, EntriesRef<'a>), DecodeError> {
    let expect = if reader.bool("expect")? { Some(Index(reader.u64("expect")?)) } else { None };
    let count = reader.u32("count")?;
    if count == 0 {
        return Err(EntriesError::Empty.into());
    }
    let raw = reader.take("entries", reader.left())?;
    Ok((expect, EntriesRef::structured(raw, count)?))
}
