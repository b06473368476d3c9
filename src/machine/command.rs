//! Commands: what the values in a shard's sequence ask of its state machine.
//!
//! A command is encoded as `kind u8, version u8, body length u32, body`, all little-endian.
//!
//! | kind | command | body |
//! | --- | --- | --- |
//! | 1 | create | name, created_ms u64 |
//! | 2 | delete | log u64 |
//! | 3 | append | log u64, expect, count u32, entries |
//! | 4 | append or create | name, created_ms u64, expect, count u32, entries |
//!
//! A name is a `u16` length and UTF-8; `expect` is a `u8`, 0 or 1, and in the latter case a `u64`;
//! entries are as clients sent them ([`EntriesRef`]). Numbers above 4 are free for what comes
//! later (sessions, locks, trim points, members); a number is never used for anything else. A kind
//! or a version that this node does not know is an error: a node that skipped a command would part
//! from its peers without noticing.

use crate::api::entries::{EntriesError, EntriesRef};
use crate::types::{Index, LogId};
use crate::wire::codec::{DecodeError, Reader, Writer};
use thiserror::Error;

/// Bytes in front of every command's body: kind, version, length.
pub const COMMAND_HEADER_BYTES: usize = 6;

/// The version that every kind has today. It rises, for one kind, when its body changes.
pub const COMMAND_VERSION: u8 = 1;

/// Bytes of the longest command beside a name and entries: header, `u16`, three `u64`, `u8`, `u32`.
pub const COMMAND_FIXED_BYTES_MAX: usize = COMMAND_HEADER_BYTES + 2 + 3 * 8 + 1 + 4;

/// A command, borrowed from the request or from the value that carries it: no entry is copied
/// while a value is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Creates a log.
    Create {
        /// Its name.
        name: &'a str,
        /// Milliseconds since 1970 on the proposing leader's clock.
        created_ms: u64,
    },
    /// Deletes a log with its entries.
    Delete {
        /// The log.
        log: LogId,
    },
    /// Appends entries as one atomic batch.
    Append {
        /// The log.
        log: LogId,
        /// Only if the log's next index is this one.
        expect: Option<Index>,
        /// The entries, at least one.
        entries: EntriesRef<'a>,
    },
    /// Appends entries to the log of this name, which is created if there is none; one atomic
    /// command: where the append is refused, nothing is created either.
    AppendCreate {
        /// The log's name.
        name: &'a str,
        /// Milliseconds since 1970 on the proposing leader's clock.
        created_ms: u64,
        /// Only if the log's next index is this one; that of a log to be created is 0.
        expect: Option<Index>,
        /// The entries, at least one.
        entries: EntriesRef<'a>,
    },
}

/// Number of each command in its encoding. Never used again for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CommandKind {
    /// [`Command::Create`].
    Create = 1,
    /// [`Command::Delete`].
    Delete = 2,
    /// [`Command::Append`].
    Append = 3,
    /// [`Command::AppendCreate`].
    AppendCreate = 4,
}

/// Why bytes are not commands that this node can apply. Offsets are bytes from the value's start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The value does not begin as values do.
    #[error("the value begins with {found:#06x}, which no value does")]
    Magic {
        /// What it begins with.
        found: u16,
    },
    /// The value was made by a newer version of this program.
    #[error("the value has format {found}, this node knows {known}: it needs an upgrade")]
    ValueVersion {
        /// The value's format.
        found: u16,
        /// The newest that this node knows.
        known: u16,
    },
    /// The value has a flag that this node does not know: made by a newer version of this program.
    #[error(
        "the value has flags {found:#06x}, of which this node knows 0x0001: it needs an upgrade"
    )]
    Flags {
        /// The value's flags.
        found: u16,
    },
    /// A command that this node does not know: made by a newer version of this program.
    #[error("the command at byte {offset} has the unknown kind {kind}: this node needs an upgrade")]
    UnknownKind {
        /// Where the command begins.
        offset: u32,
        /// Its kind.
        kind: u8,
    },
    /// A command of a version that this node does not know.
    #[error("the command at byte {offset}, of kind {kind}, has version {found}, not {known}")]
    CommandVersion {
        /// Where the command begins.
        offset: u32,
        /// Its kind.
        kind: u8,
        /// Its version.
        found: u8,
        /// The version that this node knows.
        known: u8,
    },
    /// The bytes end too early, too late, or hold what the format does not allow.
    #[error("the command at byte {offset}: {source}")]
    Malformed {
        /// Where the command, or the value's header, begins.
        offset: u32,
        /// What is wrong there.
        source: DecodeError,
    },
    /// The value holds another number of commands than it says.
    #[error("the value says that it holds {stated} commands, but holds {found}")]
    Count {
        /// The number in its header.
        stated: u32,
        /// The number found.
        found: u32,
    },
}

impl CommandKind {
    /// The kind of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<CommandKind> {
        [CommandKind::Create, CommandKind::Delete, CommandKind::Append, CommandKind::AppendCreate]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

impl<'a> Command<'a> {
    /// The command's kind.
    #[must_use]
    pub fn kind(&self) -> CommandKind {
        match self {
            Command::Create { .. } => CommandKind::Create,
            Command::Delete { .. } => CommandKind::Delete,
            Command::Append { .. } => CommandKind::Append,
            Command::AppendCreate { .. } => CommandKind::AppendCreate,
        }
    }

    /// Encodes the command behind what `out` holds.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind() as u8);
        out.put_u8(COMMAND_VERSION);
        let length_at = out.len();
        out.put_u32(0); // The body's length, known once it is written.
        match *self {
            Command::Create { name, created_ms } => {
                out.put_text(name);
                out.put_u64(created_ms);
            }
            Command::Delete { log } => out.put_u64(log.0),
            Command::Append { log, expect, entries } => {
                out.put_u64(log.0);
                put_entries(out, expect, entries);
            }
            Command::AppendCreate { name, created_ms, expect, entries } => {
                out.put_text(name);
                out.put_u64(created_ms);
                put_entries(out, expect, entries);
            }
        }
        let bytes = u32::try_from(out.len() - length_at - 4).expect("a value is below 4 GiB");
        out[length_at..length_at + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    /// Decodes a command's body.
    fn decode(kind: CommandKind, body: &'a [u8]) -> Result<Command<'a>, DecodeError> {
        let mut reader = Reader::new(body);
        let command = match kind {
            CommandKind::Create => Command::Create {
                name: reader.text("name")?,
                created_ms: reader.u64("created_ms")?,
            },
            CommandKind::Delete => Command::Delete { log: LogId(reader.u64("log")?) },
            CommandKind::Append => {
                let log = LogId(reader.u64("log")?);
                let (expect, entries) = take_entries(&mut reader)?;
                Command::Append { log, expect, entries }
            }
            CommandKind::AppendCreate => {
                let name = reader.text("name")?;
                let created_ms = reader.u64("created_ms")?;
                let (expect, entries) = take_entries(&mut reader)?;
                Command::AppendCreate { name, created_ms, expect, entries }
            }
        };
        reader.finish()?;
        Ok(command)
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

/// Takes the rest of a body: a condition and entries. Their checksums are looked at when they are
/// read; here the record's own checksum vouches for them.
fn take_entries<'a>(
    reader: &mut Reader<'a>,
) -> Result<(Option<Index>, EntriesRef<'a>), DecodeError> {
    let expect = if reader.bool("expect")? { Some(Index(reader.u64("expect")?)) } else { None };
    let count = reader.u32("count")?;
    if count == 0 {
        return Err(EntriesError::Empty.into());
    }
    let raw = reader.take("entries", reader.left())?;
    Ok((expect, EntriesRef::structured(raw, count)?))
}

/// A command whose body was not looked at yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawCommand<'a> {
    /// Where it begins, in bytes from the value's start.
    pub(super) offset: u32,
    kind: CommandKind,
    body: &'a [u8],
}

impl<'a> RawCommand<'a> {
    /// Takes a command's header off `reader`, which stands at byte `offset` of a value, and passes
    /// over its body.
    pub(super) fn take(
        reader: &mut Reader<'a>,
        offset: u32,
    ) -> Result<RawCommand<'a>, CommandError> {
        let malformed = |source| CommandError::Malformed { offset, source };
        let number = reader.u8("kind").map_err(malformed)?;
        let version = reader.u8("version").map_err(malformed)?;
        let body = reader.bytes32("body").map_err(malformed)?;
        let Some(kind) = CommandKind::from_number(number) else {
            return Err(CommandError::UnknownKind { offset, kind: number });
        };
        if version != COMMAND_VERSION {
            let (found, known) = (version, COMMAND_VERSION);
            return Err(CommandError::CommandVersion { offset, kind: number, found, known });
        }
        Ok(RawCommand { offset, kind, body })
    }

    /// Decodes the whole command.
    pub(super) fn decode(&self) -> Result<Command<'a>, CommandError> {
        Command::decode(self.kind, self.body)
            .map_err(|source| CommandError::Malformed { offset: self.offset, source })
    }

    /// True for an append to the log of this id and name. Looks at the first field only: a reader
    /// passes over thousands of other logs' commands.
    pub(super) fn appends_to(&self, log: LogId, name: &str) -> bool {
        let mut reader = Reader::new(self.body);
        match self.kind {
            CommandKind::Create | CommandKind::Delete => false,
            CommandKind::Append => reader.u64("log") == Ok(log.0),
            CommandKind::AppendCreate => reader.bytes16("name") == Ok(name.as_bytes()),
        }
    }
}
