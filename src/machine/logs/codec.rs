//! The encoding of the commands on logs: a disk format.
//!
//! | kind | command | body |
//! | --- | --- | --- |
//! | 1 | create | name, created_ms u64, retain_bytes u64, retain_entries u64, retain_age_ms u64 |
//! | 2 | delete | log u64 |
//! | 3 | append | log u64, expect, count u32, entries |
//! | 4 | append or create | name, created_ms u64, expect, count u32, entries |
//! | 5 | trim | log u64, before u64, bytes_before u64 |
//! | 6 | retain | log u64, version u64, before u64, bytes_before u64 |
//! | 7 | set attributes | log u64, changed u8, retain_bytes u64, retain_entries u64, retain_age_ms u64 |
//!
//! A name is a `u16` length and UTF-8; `expect` is a `u8`, 0 or 1, and in the latter case a `u64`;
//! entries are as clients sent them ([`EntriesRef`]). `changed` has a bit for each attribute that changes:
//! 1 for retain_bytes, 2 for retain_entries, 4 for the seal, 8 for retain_age_ms; an attribute without its
//! bit is 0. Of a new log 0 is no limit.

use super::command::{LogCommand, LogCommandKind};
use crate::api::entries::{EntriesError, EntriesRef};
use crate::api::{AttributeChanges, Retention};
use crate::limits::{APPEND_BYTES_MAX, NAME_BYTES_MAX};
use crate::machine::feature::FeatureCommand;
use crate::types::{FormatLevel, Index, LogId};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// Bytes of the longest body, that of an append or create: `u16`, name, two `u64`, `u8`, `u32`,
/// entries. An append has an id instead of name and time.
pub(in crate::machine) const BODY_BYTES_MAX: usize =
    2 + NAME_BYTES_MAX + 2 * 8 + 1 + 4 + APPEND_BYTES_MAX;

impl FeatureCommand for LogCommand<'_> {
    fn kind_number(&self) -> u8 {
        self.kind() as u8
    }

    fn needed_level(&self) -> FormatLevel {
        match self.kind() {
            LogCommandKind::Create
            | LogCommandKind::Delete
            | LogCommandKind::Append
            | LogCommandKind::AppendCreate
            | LogCommandKind::Trim
            | LogCommandKind::Retain
            | LogCommandKind::SetAttributes => FormatLevel::FIRST,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match *self {
            LogCommand::Create { name, created_ms, retention } => {
                out.put_text(name);
                out.put_u64(created_ms);
                out.put_u64(retention.bytes);
                out.put_u64(retention.entries);
                out.put_u64(retention.age_ms);
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
            LogCommand::Trim { log, before, bytes_before } => {
                out.put_u64(log.0);
                out.put_u64(before.0);
                out.put_u64(bytes_before);
            }
            LogCommand::Retain { log, version, before, bytes_before } => {
                out.put_u64(log.0);
                out.put_u64(version);
                out.put_u64(before.0);
                out.put_u64(bytes_before);
            }
            LogCommand::SetAttributes { log, changes } => {
                out.put_u64(log.0);
                put_changes(out, &changes);
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
        LogCommandKind::Create => LogCommand::Create {
            name: reader.text("name")?,
            created_ms: reader.u64("created_ms")?,
            retention: Retention {
                bytes: reader.u64("retain_bytes")?,
                entries: reader.u64("retain_entries")?,
                age_ms: reader.u64("retain_age_ms")?,
            },
        },
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
        LogCommandKind::Trim => LogCommand::Trim {
            log: LogId(reader.u64("log")?),
            before: Index(reader.u64("before")?),
            bytes_before: reader.u64("bytes_before")?,
        },
        LogCommandKind::Retain => LogCommand::Retain {
            log: LogId(reader.u64("log")?),
            version: reader.u64("version")?,
            before: Index(reader.u64("before")?),
            bytes_before: reader.u64("bytes_before")?,
        },
        LogCommandKind::SetAttributes => {
            let log = LogId(reader.u64("log")?);
            LogCommand::SetAttributes { log, changes: take_changes(&mut reader)? }
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
        LogCommandKind::Create
        | LogCommandKind::Delete
        | LogCommandKind::Trim
        | LogCommandKind::Retain
        | LogCommandKind::SetAttributes => false,
        LogCommandKind::Append => reader.u64("log") == Ok(log.0),
        LogCommandKind::AppendCreate => reader.bytes16("name") == Ok(name.as_bytes()),
    }
}

/// Bits of the attributes that a change names.
const CHANGES_RETAIN_BYTES: u8 = 1;
const CHANGES_RETAIN_ENTRIES: u8 = 2;
const SEALS: u8 = 4;
const CHANGES_RETAIN_AGE: u8 = 8;

fn put_changes(out: &mut Vec<u8>, changes: &AttributeChanges) {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    out.put_u8(
        bit(changes.retain_bytes.is_some(), CHANGES_RETAIN_BYTES)
            | bit(changes.retain_entries.is_some(), CHANGES_RETAIN_ENTRIES)
            | bit(changes.seal, SEALS)
            | bit(changes.retain_age_ms.is_some(), CHANGES_RETAIN_AGE),
    );
    out.put_u64(changes.retain_bytes.unwrap_or(0));
    out.put_u64(changes.retain_entries.unwrap_or(0));
    out.put_u64(changes.retain_age_ms.unwrap_or(0));
}

fn take_changes(reader: &mut BodyReader<'_>) -> Result<AttributeChanges, DecodeError> {
    let changed = reader.u8("changed")?;
    let known = CHANGES_RETAIN_BYTES | CHANGES_RETAIN_ENTRIES | SEALS | CHANGES_RETAIN_AGE;
    let unknown = changed & !known;
    if unknown != 0 {
        return Err(DecodeError::UnknownBits { field: "changed", bits: u64::from(unknown) });
    }
    let mut named = |bit: u8, field: &'static str| match (changed & bit != 0, reader.u64(field)?) {
        (true, value) => Ok(Some(value)),
        (false, 0) => Ok(None),
        (false, found) => Err(DecodeError::Number { field, found }),
    };
    let retain_bytes = named(CHANGES_RETAIN_BYTES, "retain_bytes")?;
    let retain_entries = named(CHANGES_RETAIN_ENTRIES, "retain_entries")?;
    let retain_age_ms = named(CHANGES_RETAIN_AGE, "retain_age_ms")?;
    let seal = changed & SEALS != 0;
    Ok(AttributeChanges { retain_bytes, retain_entries, retain_age_ms, seal })
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
