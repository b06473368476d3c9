//! What is left of a value when most of it is dead (C30): the appends that hold entries which can still be read.
//!
//! A *remnant* is `magic u16, format u16, count u32, round u64, node u16, flags u16, stamp u64, bytes u32`, so many
//! rows of `offset u32, end u32`, and the commands. Round, node, flags and stamp are those of the value, and `bytes` is
//! its length. A row stands for one extent: where in the *value* its first append began, which is what the index says
//! of it (C31), and where its appends end here, counted from the first byte behind the rows. Rows rise by both.
//!
//! Appends of an extent are kept all together or not at all, and those of one row are walked without a look at the
//! others: so a reader who asks for an extent gets its very appends, or hears that they are not here, and never takes
//! later appends of the log for them.
//!
//! A remnant is no value: nobody applies it, learns it, or takes it for what was chosen. Its magic says so.

use super::appends::{EntryDamage, entries_of, is_append_to};
use super::batch::{REMNANT_MAGIC, VALUE_HEADER_BYTES, VALUE_MAGIC, Walk};
use super::command::{COMMAND_HEADER_BYTES, CommandError, RawCommand};
use crate::api::name::LogName;
use crate::limits::{REMNANT_SHARE, VALUE_BYTES_MAX};
use crate::types::{Extent, LogId, Value};
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use std::ops::Range;

/// The newest format of remnants that this node reads.
pub const REMNANT_VERSION: u16 = 1;
/// Bytes in front of the first row.
pub(super) const REMNANT_HEADER_BYTES: usize = VALUE_HEADER_BYTES + 4;
/// Bytes of a row.
const ROW_BYTES: usize = 8;

const _: () = assert!(REMNANT_MAGIC != VALUE_MAGIC);
// Ends are 32 bits wide.
const _: () = assert!(VALUE_BYTES_MAX <= u32::MAX as usize);

/// An extent of a log that has this name.
pub type NamedExtent<'a> = (LogId, &'a LogName, Extent);

/// True for what is left of a value, false for a whole one.
#[must_use]
pub fn is_remnant(value: &Value) -> bool {
    has_magic(value.bytes())
}

fn has_magic(bytes: &[u8]) -> bool {
    bytes.get(..2) == Some(&REMNANT_MAGIC.to_le_bytes()[..])
}

/// A remnant, of which the header was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remnant<'a> {
    rows: &'a [u8],
    commands: &'a [u8],
    /// Bytes of the value that it is left of.
    value_bytes: u32,
}

impl<'a> Remnant<'a> {
    /// The remnant that these bytes are; nothing where they are a value.
    ///
    /// # Errors
    /// When it has a newer format, or ends too early.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Option<Remnant<'a>>, CommandError> {
        if !has_magic(bytes) {
            return Ok(None);
        }
        let malformed = |source| CommandError::Malformed { offset: 0, source };
        let mut reader = BodyReader::new(bytes);
        reader.u16("magic").map_err(malformed)?;
        let version = reader.u16("format").map_err(malformed)?;
        if version != REMNANT_VERSION {
            return Err(CommandError::ValueVersion { found: version, known: REMNANT_VERSION });
        }
        let count = reader.u32("count").map_err(malformed)? as usize;
        let too_short = DecodeError::Truncated {
            field: "rows",
            needed: REMNANT_HEADER_BYTES.saturating_add(count.saturating_mul(ROW_BYTES)),
            left: bytes.len(),
        };
        let rest = bytes.get(REMNANT_HEADER_BYTES..);
        let split = rest.and_then(|rest| rest.split_at_checked(count.checked_mul(ROW_BYTES)?));
        let (rows, commands) = split.ok_or(malformed(too_short))?;
        let value_bytes = number(&bytes[VALUE_HEADER_BYTES..]);
        Ok(Some(Remnant { rows, commands, value_bytes }))
    }

    fn count(&self) -> usize {
        self.rows.len() / ROW_BYTES
    }

    /// Where the extent of a row begins in the value.
    fn offset(&self, nth: usize) -> u32 {
        number(&self.rows[nth * ROW_BYTES..])
    }

    fn end(&self, nth: usize) -> usize {
        number(&self.rows[nth * ROW_BYTES + 4..]) as usize
    }

    /// The appends of a row, one behind the other.
    fn appends(&self, nth: usize) -> Result<&'a [u8], CommandError> {
        let start = nth.checked_sub(1).map_or(0, |before| self.end(before));
        let appends = self.commands.get(start..self.end(nth));
        appends.ok_or_else(|| CommandError::RemnantRow { offset: self.offset(nth) })
    }

    /// The appends of the extent that began at byte `offset` of the value.
    pub(super) fn at(&self, offset: u32) -> Result<&'a [u8], CommandError> {
        self.appends(self.find(offset).ok_or(CommandError::NotLeft { offset })?)
    }

    /// The row of the extent that began at byte `offset` of the value.
    fn find(&self, offset: u32) -> Option<usize> {
        let (mut from, mut upto) = (0, self.count());
        while from < upto {
            let middle = usize::midpoint(from, upto);
            match self.offset(middle).cmp(&offset) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => upto = middle,
            }
        }
        None
    }

    /// All its commands, row by row, each as if it followed the one before in the value.
    ///
    /// # Errors
    /// When rows or their ends do not rise, or do not take up all bytes.
    pub(super) fn walks(&self) -> Result<Vec<Walk<'a>>, CommandError> {
        let mut walks = Vec::with_capacity(self.count());
        let (mut before, mut end) = (None, 0);
        for nth in 0..self.count() {
            let (offset, appends) = (self.offset(nth), self.appends(nth)?);
            let lies_inside = offset as usize >= VALUE_HEADER_BYTES
                && offset as usize + appends.len() <= self.value_bytes as usize;
            if before >= Some(offset) || appends.is_empty() || !lies_inside {
                return Err(CommandError::RemnantRow { offset });
            }
            (before, end) = (Some(offset), self.end(nth));
            walks.push(Walk::behind(appends, offset));
        }
        if end != self.commands.len() {
            let source = DecodeError::Trailing { bytes: self.commands.len() - end };
            return Err(CommandError::Malformed { offset: self.value_bytes, source });
        }
        Ok(walks)
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// Walks over the commands from the one on with which an extent begins: in a value those of all logs, in a remnant
/// those of the extent alone.
pub(super) fn walk_from(bytes: &[u8], offset: u32) -> Result<Walk<'_>, CommandError> {
    match Remnant::of(bytes)? {
        Some(remnant) => Ok(Walk::behind(remnant.at(offset)?, offset)),
        None => Walk::new(bytes, offset),
    }
}

/// The appends of an extent are here: always, where this is a value.
#[must_use]
pub fn has_extent(value: &Value, extent: &Extent) -> bool {
    match Remnant::of(value.bytes()) {
        Ok(Some(remnant)) => remnant.at(extent.offset).is_ok(),
        Ok(None) | Err(_) => true,
    }
}

/// How many bytes of a remnant its header and rows take, which lie before its commands, as its first bytes say; nothing
/// where they are not those of a remnant.
#[must_use]
pub fn remnant_front_bytes(first: &[u8]) -> Option<u64> {
    let has_count = has_magic(first) && first.len() >= REMNANT_HEADER_BYTES;
    has_count
        .then(|| REMNANT_HEADER_BYTES as u64 + ROW_BYTES as u64 * u64::from(number(&first[4..])))
}

/// Where in a remnant the appends of these extents lie, each named by the byte of the value at which it began: a range
/// of bytes each. Goes by `front`, the header and the rows of the remnant, which nothing here verifies; nothing where
/// there is no row for one of them.
#[must_use]
pub fn places_in_remnant(front: &[u8], offsets: &[u32]) -> Option<Vec<Range<u32>>> {
    let remnant = Remnant::of(front).ok().flatten()?;
    let commands = front.len() - remnant.commands.len();
    let place = |offset: &u32| {
        let nth = remnant.find(*offset)?;
        let start = nth.checked_sub(1).map_or(0, |before| remnant.end(before));
        let place = |at: usize| u32::try_from(commands.checked_add(at)?).ok();
        Some(place(start)?..place(remnant.end(nth))?)
    };
    offsets.iter().map(place).collect()
}

/// What is left of a value, or of a remnant, when only these extents are kept. Nothing where it is not worth while, for
/// nearly all of a value would be kept, or where the value has no commands.
///
/// # Errors
/// [`EntryDamage`] when it does not have the entries of an extent.
pub fn cut_down(value: &Value, live: &[NamedExtent<'_>]) -> Result<Option<Value>, EntryDamage> {
    let is_cut = is_remnant(value);
    let pays = |left: &Value| {
        is_cut || left.len() as u64 * REMNANT_SHARE.1 <= value.len() as u64 * REMNANT_SHARE.0
    };
    Ok(keep_only(value, live)?.filter(pays))
}

/// The same, whether it saves space or not: for a value of which nothing but these extents is known to be what was
/// chosen. Nothing where the value has no commands.
///
/// # Errors
/// [`EntryDamage`] when it does not have the entries of an extent.
pub fn keep_only(value: &Value, live: &[NamedExtent<'_>]) -> Result<Option<Value>, EntryDamage> {
    if value.len() < VALUE_HEADER_BYTES {
        return Ok(None);
    }
    let source = Remnant::of(value.bytes())?;
    let value_bytes = source.map_or(value.len() as u32, |remnant| remnant.value_bytes);
    let mut live = live.to_vec();
    live.sort_unstable_by_key(|(_, _, extent)| extent.offset);
    let (mut rows, mut commands) = (Vec::new(), Vec::new());
    for (log, name, extent) in &live {
        match source {
            Some(remnant) => commands.extend_from_slice(remnant.at(extent.offset)?),
            None => take_appends(value.bytes(), (*log, name), extent, &mut commands)?,
        }
        rows.put_u32(extent.offset);
        rows.put_u32(commands.len() as u32);
    }
    let bytes = REMNANT_HEADER_BYTES + rows.len() + commands.len();
    let mut out = Vec::with_capacity(bytes);
    out.put_u16(REMNANT_MAGIC);
    out.put_u16(REMNANT_VERSION);
    out.put_u32(live.len() as u32);
    out.extend_from_slice(&value.bytes()[8..VALUE_HEADER_BYTES]);
    out.put_u32(value_bytes);
    out.extend_from_slice(&rows);
    out.extend_from_slice(&commands);
    Ok(Some(Value::new(out)))
}

/// Copies the appends that hold the entries of an extent.
fn take_appends(
    bytes: &[u8],
    (log, name): (LogId, &LogName),
    extent: &Extent,
    out: &mut Vec<u8>,
) -> Result<(), EntryDamage> {
    let mut at = extent.first;
    for raw in Walk::new(bytes, extent.offset)? {
        let raw = raw?;
        if !is_append_to(&raw, log, name) {
            if raw.offset == extent.offset {
                return Err(EntryDamage::OtherLog { offset: raw.offset });
            }
            continue;
        }
        let entries = entries_of(&raw)?;
        let entries = entries.ok_or(EntryDamage::OtherLog { offset: raw.offset })?;
        at = at.plus(u64::from(entries.count()));
        out.extend_from_slice(bytes_of(bytes, &raw));
        if at >= extent.end() {
            break;
        }
    }
    if at != extent.end() {
        return Err(EntryDamage::Extent { found: at, expected: extent.end() });
    }
    Ok(())
}

/// A command's header and body.
fn bytes_of<'a>(bytes: &'a [u8], raw: &RawCommand<'_>) -> &'a [u8] {
    let from = raw.offset as usize;
    &bytes[from..from + COMMAND_HEADER_BYTES + raw.body.len()]
}
