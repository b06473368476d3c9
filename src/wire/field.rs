//! Fields of messages: each type has one encoding, and a message is a list of fields.
//!
//! [`message!`] takes a message's fields in the order of its bytes, once, and makes both directions
//! of the list. So writing and reading cannot differ in order, in names or in what they leave out:
//! a field that the list lacks, or has twice, does not compile. The round trips of `tests/wire` and
//! the vectors of `docs/protocol-vectors.txt` check the encodings of the types themselves.

use super::codec::{BodyReader, DecodeError, Writer};
use crate::types::{
    Ballot, ClusterId, ConfigurationNumber, FormatLevel, Incarnation, Index, LogId, Lsn, NodeId,
    ShardId, Slot, Tick,
};
use std::collections::BTreeSet;

/// The highest round, slot or configuration number that is believed: nobody counts that far in a
/// thousand years.
const COUNTED_MAX: u64 = 1 << 62;

/// A type with one encoding. Implementations are inlined, so that a list of fields becomes the code that
/// one would write for it by hand: the compiler does not do so across codegen units by itself.
pub(in crate::wire) trait Field: Sized {
    /// Appends the value.
    fn put(&self, body: &mut Vec<u8>);

    /// Takes the value that the body has next. An error names `field`, or a field of the message if
    /// this is one.
    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Self, DecodeError>;
}

/// An encoding of `T` that a list of fields asks for by name: one that needs a limit, or differs from
/// the type's own.
pub(in crate::wire) trait Encoding<T> {
    /// Appends the value.
    fn put(&self, value: &T, body: &mut Vec<u8>);

    /// Takes the value that the body has next.
    fn take(&self, body: &mut BodyReader<'_>, field: &'static str) -> Result<T, DecodeError>;
}

/// Makes a [`Field`] of each struct by the list of its fields. A field's encoding is that of its type;
/// `field as LIMIT` has the [`Encoding`] `LIMIT`, and errors call `field = "name"` by that name.
macro_rules! message {
    ($($name:ident {
        $($field:ident $(= $label:literal)? $(as $encoding:expr)?),* $(,)?
    })*) => {$(
        impl $crate::wire::field::Field for $name {
            #[inline]
            fn put(&self, body: &mut Vec<u8>) {
                let $name { $($field),* } = self;
                $($crate::wire::field::put!(body, $field $(as $encoding)?);)*
            }

            #[inline]
            fn take(
                body: &mut $crate::wire::codec::BodyReader<'_>,
                _: &'static str,
            ) -> Result<$name, $crate::wire::codec::DecodeError> {
                Ok($name {
                    $($field: $crate::wire::field::take!(
                        body, $field $(= $label)? $(as $encoding)?
                    )?,)*
                })
            }
        }
    )*};
}

/// Appends one field of a [`message!`].
macro_rules! put {
    ($body:ident, $field:ident) => {
        $crate::wire::field::Field::put($field, $body)
    };
    ($body:ident, $field:ident as $encoding:expr) => {
        $crate::wire::field::Encoding::put(&$encoding, $field, $body)
    };
}

/// Takes one field of a [`message!`].
macro_rules! take {
    ($body:ident, $field:ident) => {
        $crate::wire::field::Field::take($body, stringify!($field))
    };
    ($body:ident, $field:ident = $label:literal) => {
        $crate::wire::field::Field::take($body, $label)
    };
    ($body:ident, $field:ident as $encoding:expr) => {
        $crate::wire::field::Encoding::take(&$encoding, $body, stringify!($field))
    };
}

/// Makes a [`Field`] of each tuple by its parts, named for errors.
macro_rules! tuple {
    ($(($($field:ident: $type:ty),*))*) => {$(
        impl $crate::wire::field::Field for ($($type,)*) {
            #[inline]
            fn put(&self, body: &mut Vec<u8>) {
                let ($($field,)*) = self;
                $($crate::wire::field::put!(body, $field);)*
            }

            #[inline]
            fn take(
                body: &mut $crate::wire::codec::BodyReader<'_>,
                _: &'static str,
            ) -> Result<Self, $crate::wire::codec::DecodeError> {
                Ok(($($crate::wire::field::take!(body, $field)?,)*))
            }
        }
    )*};
}

pub(in crate::wire) use {message, put, take, tuple};

/// The basic types, each by the methods that [`Writer`] and [`BodyReader`] have for it.
macro_rules! basic {
    ($($type:ty: $put:ident, $take:ident;)*) => {$(
        impl Field for $type {
            #[inline]
            fn put(&self, body: &mut Vec<u8>) {
                body.$put(*self);
            }

            #[inline]
            fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<$type, DecodeError> {
                body.$take(field)
            }
        }
    )*};
}

basic! {
    u8: put_u8, u8;
    u16: put_u16, u16;
    u32: put_u32, u32;
    u64: put_u64, u64;
    bool: put_bool, bool;
}

/// Names of numbers, each encoded as its number.
macro_rules! numbers {
    ($($name:ident)*) => {$(
        impl Field for $name {
            #[inline]
            fn put(&self, body: &mut Vec<u8>) {
                self.0.put(body);
            }

            #[inline]
            fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<$name, DecodeError> {
                Field::take(body, field).map($name)
            }
        }
    )*};
}

numbers! { FormatLevel NodeId ShardId LogId Index Lsn Tick Incarnation }

/// A slot that was counted up from 0; [`Uncounted`] is the encoding of one that is only shown.
impl Field for Slot {
    #[inline]
    fn put(&self, body: &mut Vec<u8>) {
        self.0.put(body);
    }

    #[inline]
    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Slot, DecodeError> {
        counted(body, field).map(Slot)
    }
}

impl Field for ConfigurationNumber {
    #[inline]
    fn put(&self, body: &mut Vec<u8>) {
        self.0.put(body);
    }

    #[inline]
    fn take(
        body: &mut BodyReader<'_>,
        field: &'static str,
    ) -> Result<ConfigurationNumber, DecodeError> {
        counted(body, field).map(ConfigurationNumber)
    }
}

impl Field for Ballot {
    #[inline]
    fn put(&self, body: &mut Vec<u8>) {
        self.round.put(body);
        self.node.put(body);
    }

    #[inline]
    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Ballot, DecodeError> {
        Ok(Ballot { round: counted(body, field)?, node: Field::take(body, field)? })
    }
}

/// A number that was counted up from 0: one more, or a few thousand, never overflows (R37).
#[inline]
fn counted(body: &mut BodyReader<'_>, field: &'static str) -> Result<u64, DecodeError> {
    match body.u64(field)? {
        found if found <= COUNTED_MAX => Ok(found),
        found => Err(DecodeError::Number { field, found }),
    }
}

/// A node, or nobody: 0 names no node.
impl Field for Option<NodeId> {
    #[inline]
    fn put(&self, body: &mut Vec<u8>) {
        self.unwrap_or(NodeId(0)).put(body);
    }

    #[inline]
    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Option<NodeId>, DecodeError> {
        let node = Field::take(body, field)?;
        Ok((node != NodeId(0)).then_some(node))
    }
}

/// 16 bytes in the order of the id's hexadecimal digits.
impl Field for ClusterId {
    #[inline]
    fn put(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(&self.0.to_be_bytes());
    }

    #[inline]
    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<ClusterId, DecodeError> {
        let bytes = body.take(field, 16)?;
        Ok(ClusterId(bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte))))
    }
}

impl Field for String {
    #[inline]
    fn put(&self, body: &mut Vec<u8>) {
        body.put_text(self);
    }

    #[inline]
    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<String, DecodeError> {
        body.text(field).map(str::to_string)
    }
}

impl<T: Field> Field for Box<T> {
    #[inline]
    fn put(&self, body: &mut Vec<u8>) {
        T::put(self, body);
    }

    #[inline]
    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Box<T>, DecodeError> {
        T::take(body, field).map(Box::new)
    }
}

/// What a list may hold. It is the list's encoding as well, so that no list is read without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct ListLimit {
    /// Most items.
    pub items_max: usize,
    /// Bytes of the smallest item, so that memory is bounded by the bytes that did arrive.
    pub item_bytes_min: usize,
}

/// A list: a `u32` count and so many items. The count is held against its limit and against the
/// bytes that are left before anything is allocated.
impl<T: Field> Encoding<Vec<T>> for ListLimit {
    #[inline]
    fn put(&self, items: &Vec<T>, body: &mut Vec<u8>) {
        put_items(body, items.len(), items.iter());
    }

    #[inline]
    fn take(&self, body: &mut BodyReader<'_>, field: &'static str) -> Result<Vec<T>, DecodeError> {
        let count = usize::try_from(body.u32(field)?).unwrap_or(usize::MAX);
        if count > self.items_max {
            let (found, limit) = (count as u64, self.items_max as u64);
            return Err(DecodeError::TooLong { field, found, limit });
        }
        let needed = count.saturating_mul(self.item_bytes_min.max(1));
        if needed > body.left() {
            return Err(DecodeError::Truncated { field, needed, left: body.left() });
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(T::take(body, field)?);
        }
        Ok(items)
    }
}

/// A set: the list of its items, by rising order as written and in any order as read.
impl<T: Field + Ord> Encoding<BTreeSet<T>> for ListLimit {
    #[inline]
    fn put(&self, items: &BTreeSet<T>, body: &mut Vec<u8>) {
        put_items(body, items.len(), items.iter());
    }

    #[inline]
    fn take(
        &self,
        body: &mut BodyReader<'_>,
        field: &'static str,
    ) -> Result<BTreeSet<T>, DecodeError> {
        let items: Vec<T> = Encoding::take(self, body, field)?;
        Ok(items.into_iter().collect())
    }
}

fn put_items<'a, T: Field + 'a>(
    body: &mut Vec<u8>,
    count: usize,
    items: impl Iterator<Item = &'a T>,
) {
    body.put_u32(u32::try_from(count).expect("no list comes near 4 billion items"));
    for item in items {
        item.put(body);
    }
}

/// A number that no sender means to be higher than that (R37).
pub(in crate::wire) struct AtMost(pub u64);

impl Encoding<u64> for AtMost {
    #[inline]
    fn put(&self, number: &u64, body: &mut Vec<u8>) {
        number.put(body);
    }

    #[inline]
    fn take(&self, body: &mut BodyReader<'_>, field: &'static str) -> Result<u64, DecodeError> {
        match body.u64(field)? {
            found if found <= self.0 => Ok(found),
            found => Err(DecodeError::Number { field, found }),
        }
    }
}

/// A text of at most so many bytes.
pub(in crate::wire) struct TextLimit(pub usize);

impl Encoding<String> for TextLimit {
    #[inline]
    fn put(&self, text: &String, body: &mut Vec<u8>) {
        body.put_text(text);
    }

    #[inline]
    fn take(&self, body: &mut BodyReader<'_>, field: &'static str) -> Result<String, DecodeError> {
        let text = body.text(field)?;
        if text.len() > self.0 {
            let (found, limit) = (text.len() as u64, self.0 as u64);
            return Err(DecodeError::TooLong { field, found, limit });
        }
        Ok(text.to_string())
    }
}

/// Bytes behind a `u16` length.
pub(in crate::wire) struct Bytes16;

impl Encoding<Vec<u8>> for Bytes16 {
    #[inline]
    fn put(&self, bytes: &Vec<u8>, body: &mut Vec<u8>) {
        body.put_bytes16(bytes);
    }

    #[inline]
    fn take(&self, body: &mut BodyReader<'_>, field: &'static str) -> Result<Vec<u8>, DecodeError> {
        body.bytes16(field).map(<[u8]>::to_vec)
    }
}

/// A slot that nothing is computed from: any number is taken.
pub(in crate::wire) struct Uncounted;

impl Encoding<Slot> for Uncounted {
    #[inline]
    fn put(&self, slot: &Slot, body: &mut Vec<u8>) {
        slot.put(body);
    }

    #[inline]
    fn take(&self, body: &mut BodyReader<'_>, field: &'static str) -> Result<Slot, DecodeError> {
        body.u64(field).map(Slot)
    }
}
