//! Reading and writing the protocol's basic types: little-endian, bounds checked, and no
//! allocation that the bytes at hand do not justify.

use crate::api::entries::EntriesError;
use crate::api::name::NameError;
use crate::types::{Ballot, ClusterId, NodeId, Slot};
use byteorder::{ByteOrder, LittleEndian};
use thiserror::Error;

/// The highest round or slot that is believed: nobody counts that far in a thousand years.
const COUNTED_MAX: u64 = 1 << 62;

/// Why bytes are not the message that they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The body ends inside a field.
    #[error("the body ends inside `{field}`: {needed} bytes needed, {left} left")]
    Truncated {
        /// The field.
        field: &'static str,
        /// Bytes that the field needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// There are bytes behind the last field.
    #[error("there are {bytes} bytes behind the last field")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A field has a number that means nothing.
    #[error("`{field}` is {found}, which means nothing")]
    Number {
        /// The field.
        field: &'static str,
        /// The number found.
        found: u64,
    },
    /// A field has a number that a later version may know.
    #[error("`{field}` is {found}, which this version does not know")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// The number found.
        found: u64,
    },
    /// A field has bits set that a later version may know.
    #[error("`{field}` has the bits {bits:#x}, which this version does not know")]
    UnknownBits {
        /// The field.
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
        /// The field.
        field: &'static str,
    },
    /// A field is longer than its limit.
    #[error("`{field}` has length {found}, the limit is {limit}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The length found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The frame has a kind that is not expected here.
    #[error("a frame of kind {kind:#06x} is not expected here")]
    Kind {
        /// The kind.
        kind: u16,
    },
    /// A frame carries a flag that must be understood and is not.
    #[error("the frame's flags {flags:#06x} hold one that must be understood and is not")]
    Flags {
        /// The flags.
        flags: u16,
    },
    /// A name breaks the rules for names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Entries are not what they should be.
    #[error(transparent)]
    Entries(#[from] EntriesError),
}

/// What a list may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLimit {
    /// Most items.
    pub items_max: usize,
    /// Bytes of the smallest item, so that memory is bounded by the bytes that did arrive.
    pub item_bytes_min: usize,
}

/// Takes fields from a message's body, front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over a whole body.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body }
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

    /// A ballot: round `u64`, node `u16`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`]; [`DecodeError::Number`] for a round that counting cannot reach.
    pub fn ballot(&mut self, field: &'static str) -> Result<Ballot, DecodeError> {
        Ok(Ballot { round: self.countable(field)?, node: NodeId(self.u16(field)?) })
    }

    /// A slot.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`]; [`DecodeError::Number`] for one that counting cannot reach.
    pub fn slot(&mut self, field: &'static str) -> Result<Slot, DecodeError> {
        self.countable(field).map(Slot)
    }

    /// A number that was counted up from 0: one more, or a few thousand, never overflows (R37).
    fn countable(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        match self.u64(field)? {
            found if found <= COUNTED_MAX => Ok(found),
            found => Err(DecodeError::Number { field, found }),
        }
    }

    /// A node, or nobody.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn node_or_none(&mut self, field: &'static str) -> Result<Option<NodeId>, DecodeError> {
        let node = NodeId(self.u16(field)?);
        Ok((node != NodeId(0)).then_some(node))
    }

    /// A cluster id: 16 bytes in the order of its hexadecimal digits.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn cluster(&mut self, field: &'static str) -> Result<ClusterId, DecodeError> {
        let bytes = self.take(field, 16)?;
        Ok(ClusterId(bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte))))
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

    /// A list: a `u32` count and so many items. The count is held against its limit and against
    /// the bytes that are left before anything is allocated.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], [`DecodeError::Truncated`] and what `item` returns.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        limit: ListLimit,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let ListLimit { items_max, item_bytes_min } = limit;
        let count = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        if count > items_max {
            let (found, limit) = (count as u64, items_max as u64);
            return Err(DecodeError::TooLong { field, found, limit });
        }
        let needed = count.saturating_mul(item_bytes_min.max(1));
        if needed > self.left() {
            return Err(DecodeError::Truncated { field, needed, left: self.left() });
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
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
    /// A ballot: round `u64`, node `u16`.
    fn put_ballot(&mut self, ballot: Ballot);
    /// A node, or nobody.
    fn put_node_or_none(&mut self, node: Option<NodeId>);
    /// A cluster id: 16 bytes in the order of its hexadecimal digits.
    fn put_cluster(&mut self, cluster: ClusterId);
    /// Bytes behind a `u16` length; cut off where the length ends.
    fn put_bytes16(&mut self, bytes: &[u8]);
    /// Bytes behind a `u32` length.
    fn put_bytes32(&mut self, bytes: &[u8]);
    /// A text behind a `u16` length; cut off at a character where the length ends.
    fn put_text(&mut self, text: &str);
    /// A list: a `u32` count and the items.
    fn put_list<T>(&mut self, items: &[T], item: impl FnMut(&mut Self, &T));
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

    fn put_ballot(&mut self, ballot: Ballot) {
        self.put_u64(ballot.round);
        self.put_u16(ballot.node.0);
    }

    fn put_node_or_none(&mut self, node: Option<NodeId>) {
        self.put_u16(node.unwrap_or(NodeId(0)).0);
    }

    fn put_cluster(&mut self, cluster: ClusterId) {
        self.extend_from_slice(&cluster.0.to_be_bytes());
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

    fn put_list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        let count = u32::try_from(items.len()).expect("no list comes near 4 billion items");
        self.put_u32(count);
        for each in items {
            item(self, each);
        }
    }
}

/// The ballot that most messages of peers begin with.
pub(super) fn ballot(body: &mut Reader<'_>) -> Result<Ballot, DecodeError> {
    body.ballot("ballot")
}

/// The sender's chosen watermark.
pub(super) fn chosen(body: &mut Reader<'_>) -> Result<Slot, DecodeError> {
    body.slot("chosen_upto")
}
