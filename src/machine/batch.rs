//! Values as batches of commands: built command by command, taken apart without copying.
//!
//! A value is `magic u16, format u16, count u32, round u64, node u16, flags u16, stamp u64` and so
//! many commands, one behind the other. Round and node name the leadership that first proposed the
//! value, whoever proposes it again; flag 1 says that it is the first one of that leadership, or
//! that all that the leadership proposed before it is chosen. The stamp is the
//! time at which the value was built, in ms since 1970, on that leadership's clock (C28). A no-op has no bytes at all, and never reaches this file. The journal's record around a value has
//! the checksum.

use super::assembly::{BODY_BYTES_MAX, MachineCommand};
use super::command::{self, COMMAND_HEADER_BYTES, CommandError, RawCommand};
use super::feature::FeatureCommand;
use crate::limits::{VALUE_BYTES_MAX, VALUE_BYTES_TARGET, VALUE_COMMANDS_MAX};
use crate::types::{Ballot, FormatLevel, NodeId, Value};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// Bytes in front of a value's first command.
pub const VALUE_HEADER_BYTES: usize = 28;
/// What a value begins with: "PV" read as a little-endian number.
pub const VALUE_MAGIC: u16 = 0x5650;
/// What the remnant of a value begins with, which is none: "PR" read as a little-endian number.
pub const REMNANT_MAGIC: u16 = 0x5250;
/// The newest value format that this node reads.
pub const VALUE_VERSION: u16 = 1;
/// Flag: the first value of its leadership.
const FLAG_FIRST: u16 = 1;

// What is written at any level that is known can be read.
const _: () = assert!(FormatLevel::KNOWN.versions().value <= VALUE_VERSION);
// A batch that is not full takes any command that keeps the limits.
const _: () =
    assert!(VALUE_BYTES_TARGET + COMMAND_HEADER_BYTES + BODY_BYTES_MAX <= VALUE_BYTES_MAX);
// Offsets into a value are 32 bits wide.
const _: () = assert!(VALUE_BYTES_MAX <= u32::MAX as usize);

/// Builds values from commands.
#[derive(Clone, Debug)]
pub struct ValueBuilder {
    /// The value so far, with space for its header.
    bytes: Vec<u8>,
    count: u32,
    /// The cluster has reached it: it says what may be proposed, and in which format.
    level: FormatLevel,
}

impl Default for ValueBuilder {
    fn default() -> ValueBuilder {
        ValueBuilder::new()
    }
}

impl ValueBuilder {
    /// A builder without commands, for a cluster of the first format level.
    #[must_use]
    pub fn new() -> ValueBuilder {
        let level = FormatLevel::FIRST;
        ValueBuilder { bytes: vec![0; VALUE_HEADER_BYTES], count: 0, level }
    }

    /// The format level that the applied state has reached. It never falls.
    pub fn set_level(&mut self, level: FormatLevel) {
        self.level = self.level.max(level);
    }

    /// Adds a command and returns its ordinal, from 0: the place of its outcome in what
    /// [`Machine::apply`](super::Machine::apply) returns.
    ///
    /// # Panics
    /// When the builder [is full](ValueBuilder::is_full), or the command needs a format level that the
    /// cluster has not reached, or does not keep the limits of `limits.rs`, which requests are checked
    /// against long before: nothing may be proposed that a peer could not apply (R38, C44d).
    pub fn push<'c>(&mut self, command: impl Into<MachineCommand<'c>>) -> u32 {
        self.push_feature(command.into().of_feature())
    }

    /// Adds a command of whatever feature.
    pub(super) fn push_feature(&mut self, command: &dyn FeatureCommand) -> u32 {
        assert!(!self.is_full(), "push to a full value: {} commands", self.count);
        let (kind, needed) = (command.kind_number(), command.needed_level());
        let level = self.level;
        assert!(needed <= level, "kind {kind} needs level {needed}, the cluster has level {level}");
        command.check_limits();
        command::encode(command, &mut self.bytes);
        let (bytes, max) = (self.bytes.len(), VALUE_BYTES_MAX);
        assert!(bytes <= max, "a value of {bytes} bytes passes the limit {max}");
        self.count += 1;
        self.count - 1
    }

    /// True when the value has reached its target size or its number of commands: build it before
    /// the next command. While false, any command fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= VALUE_BYTES_TARGET || self.count as usize >= VALUE_COMMANDS_MAX
    }

    /// How many commands the value has so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True when there is no command to build a value of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the value that [`build`](ValueBuilder::build) would return.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The value of the commands so far, proposed by `leadership` at this time (ms since
    /// 1970), as its first one or behind others. The builder is empty afterwards and can be used again.
    ///
    /// # Panics
    /// When there is no command: a leader with nothing to say proposes nothing.
    pub fn build(&mut self, leadership: Ballot, first: bool, stamp_ms: u64) -> Value {
        assert!(self.count > 0, "a value of no commands");
        let mut header = Vec::with_capacity(VALUE_HEADER_BYTES);
        header.put_u16(VALUE_MAGIC);
        header.put_u16(self.level.versions().value);
        header.put_u32(self.count);
        header.put_u64(leadership.round);
        header.put_u16(leadership.node.0);
        header.put_u16(if first { FLAG_FIRST } else { 0 });
        header.put_u64(stamp_ms);
        self.bytes[..VALUE_HEADER_BYTES].copy_from_slice(&header);
        let value = Value::new(self.bytes.as_slice());
        self.bytes.truncate(VALUE_HEADER_BYTES);
        self.bytes.shrink_to(2 * VALUE_BYTES_TARGET); // A rare large append is not kept for ever.
        self.count = 0;
        value
    }
}

/// The commands of a value, decoded one by one as they are asked for. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    walk: Walk<'a>,
    leadership: Ballot,
    first: bool,
    stamp_ms: u64,
    stated: u32,
    found: u32,
}

impl<'a> Commands<'a> {
    /// The commands of a value that is not a no-op. Only its header is looked at.
    ///
    /// # Errors
    /// When the value does not begin as values do, or has a newer format.
    pub fn new(value: &'a Value) -> Result<Commands<'a>, CommandError> {
        let malformed = |source| CommandError::Malformed { offset: 0, source };
        let mut reader = BodyReader::new(value.bytes());
        let magic = reader.u16("magic").map_err(malformed)?;
        if magic == REMNANT_MAGIC {
            return Err(CommandError::Remnant);
        }
        if magic != VALUE_MAGIC {
            return Err(CommandError::Magic { found: magic });
        }
        let version = reader.u16("format").map_err(malformed)?;
        if version != VALUE_VERSION {
            return Err(CommandError::ValueVersion { found: version, known: VALUE_VERSION });
        }
        let stated = reader.u32("count").map_err(malformed)?;
        let round = reader.u64("round").map_err(malformed)?;
        let node = NodeId(reader.u16("node").map_err(malformed)?);
        let flags = reader.u16("flags").map_err(malformed)?;
        if flags & !FLAG_FIRST != 0 {
            return Err(CommandError::Flags { found: flags });
        }
        let stamp_ms = reader.u64("stamp").map_err(malformed)?;
        let walk = Walk::new(value.bytes(), VALUE_HEADER_BYTES as u32)?;
        let (leadership, first) = (Ballot { round, node }, flags & FLAG_FIRST != 0);
        Ok(Commands { walk, leadership, first, stamp_ms, stated, found: 0 })
    }

    /// The leadership that first proposed the value.
    #[must_use]
    pub fn leadership(&self) -> Ballot {
        self.leadership
    }

    /// True for the first value of its leadership.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// When the value was built, on its leadership's clock: ms since 1970.
    #[must_use]
    pub fn stamp_ms(&self) -> u64 {
        self.stamp_ms
    }

    /// Decodes every command of a value that is not a no-op. Returns how many there are, and the highest
    /// format level that one of them names.
    ///
    /// # Errors
    /// The first thing in it that this node cannot apply.
    pub fn check(value: &Value) -> Result<(u32, FormatLevel), CommandError> {
        let (mut commands, mut level) = (Commands::new(value)?, FormatLevel::FIRST);
        for item in commands.by_ref() {
            if let (_, MachineCommand::Level(raise)) = item? {
                level = level.max(raise.level);
            }
        }
        Ok((commands.found, level))
    }
}

impl<'a> Iterator for Commands<'a> {
    /// Where the command begins, in bytes from the value's start, and the command.
    type Item = Result<(u32, MachineCommand<'a>), CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.walk.next() {
            Some(raw) => {
                self.found += 1;
                let item = raw.and_then(|raw| Ok((raw.offset, raw.decode()?)));
                if item.is_err() {
                    self.walk.end();
                    self.stated = self.found; // One error is enough.
                }
                Some(item)
            }
            None if self.found != self.stated => {
                let (stated, found) = (self.stated, self.found);
                self.stated = found;
                Some(Err(CommandError::Count { stated, found }))
            }
            None => None,
        }
    }
}

/// Walks over a value's commands from one of them on, without looking at their bodies.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    reader: BodyReader<'a>,
    len: usize,
}

impl<'a> Walk<'a> {
    /// Starts at the command at byte `offset` of a value.
    pub(super) fn new(bytes: &'a [u8], offset: u32) -> Result<Walk<'a>, CommandError> {
        match bytes.get(offset as usize..) {
            Some(rest) => Ok(Walk { reader: BodyReader::new(rest), len: bytes.len() }),
            None => Err(CommandError::Malformed {
                offset,
                source: DecodeError::Truncated {
                    field: "value",
                    needed: offset as usize,
                    left: bytes.len(),
                },
            }),
        }
    }

    /// Walks over commands alone, the first of which began at byte `offset` of its value. Later ones are said to
    /// begin where they would if they had followed it at once.
    pub(super) fn behind(commands: &'a [u8], offset: u32) -> Walk<'a> {
        let reader = BodyReader::new(commands);
        Walk { reader, len: commands.len().saturating_add(offset as usize) }
    }

    fn end(&mut self) {
        self.reader = BodyReader::new(&[]);
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<RawCommand<'a>, CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.left() == 0 {
            return None;
        }
        let offset = self.len - self.reader.left();
        let offset = u32::try_from(offset).unwrap_or(u32::MAX); // Values are far below 4 GiB.
        let item = RawCommand::take(&mut self.reader, offset);
        if item.is_err() {
            self.end();
        }
        Some(item)
    }
}
