//! Reading and writing the protocol's basic types: little-endian, bounds checked, and no
//! allocation that the bytes at hand do not justify.

use crate::api::entries::EntriesError;
use crate::api::name::NameError;
use byteorder::{ByteOrder, LittleEndian};
use thiserror::Error;

/// Why bytes are not the message that they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The body ends inside a field.
    #[error("the body ends inside `{field}`: {needed} bytes needed, {left} left")]
    Truncated {
        /// The name of the field, as docs/PROTOCOL.md has it.
        field: &'static str,
        /// Bytes that the field needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// There are bytes behind the last field.
    #[error("there are {bytes} bytes behind the last field")]
    Trailing {
        /// Bytes behind the last field, at least one.
        bytes: usize,
    },
    /// A field has a number that means nothing.
    #[error("`{field}` is {found}, which means nothing")]
    Number {
        /// The name of the field, as docs/PROTOCOL.md has it.
        field: &'static str,
        /// The number found.
        found: u64,
    },
    /// A field has a number that a later version may know.
    #[error("`{field}` is {found}, which this version does not know")]
    Unsupported {
        /// The name of the field, as docs/PROTOCOL.md has it.
        field: &'static str,
        /// The number found.
        found: u64,
    },
    /// A field has bits set that a later version may know.
    #[error("`{field}` has the bits {bits:#x}, which this version does not know")]
    UnknownBits {
        /// The name of the field, as docs/PROTOCOL.md has it.
        field: &'static str,
        /// The bits that are not known.
        bits: u64,
    },
    /// An append is to create a log that it names by its id.
    #[error("bit 0 of `options` creates the log by its name: it does not go with a log id")]
    CreateById,
    /// A greeting does not start as one.
    #[error(
        "the greeting starts with \"{}\", not with \"{}\"",
        found.escape_ascii(),
        wanted.escape_ascii()
    )]
    Magic {
        /// The bytes found.
        found: [u8; 4],
        /// The bytes of a greeting on this port.
        wanted: [u8; 4],
    },
    /// A text is not UTF-8.
    #[error("`{field}` is not UTF-8")]
    NotUtf8 {
        /// The name of the field, as docs/PROTOCOL.md has it.
        field: &'static str,
    },
    /// A field is longer than its limit.
    #[error("`{field}` has length {found}, the limit is {limit}")]
    TooLong {
        /// The name of the field, as docs/PROTOCOL.md has it.
        field: &'static str,
        /// The length found, in bytes or items.
        found: u64,
        /// The longest that the field may be, in the same unit.
        limit: u64,
    },
    /// The frame has a kind that is not expected here.
    #[error("a frame of kind {kind:#06x} is not expected here")]
    Kind {
        /// The number of the kind found.
        kind: u16,
    },
    /// A frame carries a flag that must be understood and is not.
    #[error("the frame's flags {flags:#06x} hold one that must be understood and is not")]
    Flags {
        /// All flags of the frame.
        flags: u16,
    },
    /// A name breaks the rules for names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Entries are not what they should be.
    #[error(transparent)]
    Entries(#[from] EntriesError),
}

/// Takes fields from a message's body, front to back.
#[derive(Clone, Debug)]
pub struct BodyReader<'a> {
    rest: &'a [u8],
}

impl<'a> BodyReader<'a> {
    /// A reader over a whole body.
    #[must_use]
    pub fn new(body: &'a [u8]) -> BodyReader<'a> {
        BodyReader { rest: body }
    }

    /// Bytes not yet taken.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Checks that every byte was taken.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`].
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], as for every method below.
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let left = self.rest.len();
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated {
            field,
            needed: count,
            left,
        })?;
        self.rest = rest;
        Ok(taken)
    }

    /// A `u8`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take(field, 1)?[0])
    }

    /// A `u16`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(LittleEndian::read_u16(self.take(field, 2)?))
    }

    /// A `u32`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(LittleEndian::read_u32(self.take(field, 4)?))
    }

    /// A `u64`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(LittleEndian::read_u64(self.take(field, 8)?))
    }

    /// Checks the four bytes that a greeting starts with.
    ///
    /// # Errors
    /// Also [`DecodeError::Magic`].
    pub fn magic(&mut self, wanted: [u8; 4]) -> Result<(), DecodeError> {
        let mut found = [0; 4];
        found.copy_from_slice(self.take("magic", 4)?);
        if found == wanted { Ok(()) } else { Err(DecodeError::Magic { found, wanted }) }
    }

    /// A bool: 0 or 1.
    ///
    /// # Errors
    /// Also [`DecodeError::Number`].
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(DecodeError::Number { field, found: u64::from(found) }),
        }
    }

    /// Bytes behind a `u16` length.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn bytes16(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u16(field)?;
        self.take(field, usize::from(len))
    }

    /// Bytes behind a `u32` length.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn bytes32(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u32(field)?;
        self.take(field, usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// A text: UTF-8 behind a `u16` length.
    ///
    /// # Errors
    /// Also [`DecodeError::NotUtf8`].
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes16(field)?).map_err(|_| DecodeError::NotUtf8 { field })
    }
}

/// Appends fields to a message's body.
pub trait Writer {
    /// A `u8`.
    fn put_u8(&mut self, number: u8);
    /// A `u16`.
    fn put_u16(&mut self, number: u16);
    /// A `u32`.
    fn put_u32(&mut self, number: u32);
    /// A `u64`.
    fn put_u64(&mut self, number: u64);
    /// A bool: 0 or 1.
    fn put_bool(&mut self, yes: bool);
    /// Bytes behind a `u16` length; cut off where the length ends.
    fn put_bytes16(&mut self, bytes: &[u8]);
    /// Bytes behind a `u32` length.
    fn put_bytes32(&mut self, bytes: &[u8]);
    /// A text behind a `u16` length; cut off at a character where the length ends.
    fn put_text(&mut self, text: &str);
}

impl Writer for Vec<u8> {
    fn put_u8(&mut self, number: u8) {
        self.push(number);
    }

    fn put_u16(&mut self, number: u16) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_bool(&mut self, yes: bool) {
        self.push(u8::from(yes));
    }

    fn put_bytes16(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.put_u16(len);
        self.extend_from_slice(&bytes[..usize::from(len)]);
    }

    fn put_bytes32(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).expect("no value or append comes near 4 GiB");
        self.put_u32(len);
        self.extend_from_slice(bytes);
    }

    fn put_text(&mut self, text: &str) {
        let mut end = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.put_bytes16(&text.as_bytes()[..end]);
    }
}
