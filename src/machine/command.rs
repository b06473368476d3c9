//! Commands one by one, as they lie in a value: the encoding that all features share.
//!
//! A command is encoded as `kind u8, version u8, body length u32, body`, all little-endian. Which kinds
//! there are says [`super::assembly`], and what a body is says the feature. A kind or a version that
//! this node does not know is an error: a node that skipped a command would part from its peers without
//! noticing.

use super::assembly::{CommandKind, MachineCommand};
use super::feature::FeatureCommand;
use crate::types::FormatLevel;
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use thiserror::Error;

/// Bytes in front of every command's body: kind, version, length.
pub const COMMAND_HEADER_BYTES: usize = 6;

/// The version that every kind has today. It rises, for one kind, when its body changes.
pub const COMMAND_VERSION: u8 = 1;

/// Why bytes are not commands that this node can apply. Offsets are bytes from the value's start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The value does not begin as values do.
    #[error("the value begins with {found:#06x}, which no value does")]
    Magic {
        /// What it begins with.
        found: u16,
    },
    /// This is what was kept of a value whose other commands are dead (C30): nothing can be applied of it.
    #[error("it is a remnant: what is left of a value, not the value that was chosen")]
    Remnant,
    /// What is left of a value does not have the commands of this extent.
    #[error("what is left of the value has no commands from byte {offset} of the value on")]
    NotLeft {
        /// Where in the value the extent begins.
        offset: u32,
    },
    /// A row of a remnant names what is not in it, or does not lie behind the row before.
    #[error("the remnant's row for byte {offset} of the value is of no use")]
    RemnantRow {
        /// Where in the value the row's extent begins, as it says.
        offset: u32,
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
        /// The number of its kind in the encoding.
        kind: u8,
    },
    /// A command of a version that this node does not know.
    #[error("the command at byte {offset}, of kind {kind}, has version {found}, not {known}")]
    CommandVersion {
        /// Where the command begins.
        offset: u32,
        /// The number of its kind in the encoding.
        kind: u8,
        /// The version that its encoding names.
        found: u8,
        /// The version that this node knows.
        known: u8,
    },
    /// The value raises the format level to one that this node does not know.
    #[error(
        "the value raises the format level to {found}, this node knows {known}: it needs an upgrade; \
         see docs/OPERATIONS.md, \"Rolling upgrade\""
    )]
    Level {
        /// The level that it names.
        found: FormatLevel,
        /// The highest that this node knows.
        known: FormatLevel,
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

/// Encodes a command behind what `out` holds.
pub(super) fn encode(command: &dyn FeatureCommand, out: &mut Vec<u8>) {
    out.put_u8(command.kind_number());
    out.put_u8(COMMAND_VERSION);
    let length_at = out.len();
    out.put_u32(0); // The body's length, known once it is written.
    command.encode_body(out);
    let bytes = u32::try_from(out.len() - length_at - 4).expect("a value is below 4 GiB");
    out[length_at..length_at + 4].copy_from_slice(&bytes.to_le_bytes());
}

/// A command whose body was not looked at yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawCommand<'a> {
    /// Where it begins, in bytes from the value's start.
    pub(super) offset: u32,
    pub(super) kind: CommandKind,
    pub(super) body: &'a [u8],
}

impl<'a> RawCommand<'a> {
    /// Takes a command's header off `reader`, which stands at byte `offset` of a value, and passes
    /// over its body.
    pub(super) fn take(
        reader: &mut BodyReader<'a>,
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
    pub(super) fn decode(&self) -> Result<MachineCommand<'a>, CommandError> {
        MachineCommand::decode_body(self.kind, self.body)
            .map_err(|source| CommandError::Malformed { offset: self.offset, source })
    }
}
