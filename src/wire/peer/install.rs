//! How a node takes over the checkpoint of a peer (C29).

use super::chosen::CHOSEN;
use crate::limits::INSTALL_CHUNK_BYTES_MAX;
use crate::types::{Ballot, Index, InstallPlace, LogId, Slot, Value};
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::{Encoding, Field, message};

/// Asks for a part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallFetch {
    /// The checkpoint's slot.
    pub slot: Slot,
    /// From where on; nothing asks only for its digest.
    pub place: Option<InstallPlace>,
}

/// Answers an [`InstallFetch`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallChunk {
    /// The slot that was asked for.
    pub slot: Slot,
    /// The place that was asked for.
    pub place: Option<InstallPlace>,
    /// The digest of the sender's state at that slot; 0 where it has no such checkpoint.
    pub digest: u64,
    /// The sender's newest checkpoint.
    pub newest: Slot,
    /// What stands at that place; empty where the sender cannot say.
    pub bytes: Vec<u8>,
    /// The part ends with these bytes.
    pub is_last: bool,
    /// About how many bytes the part has; 0 where there are none.
    pub part_bytes: u64,
}

/// Asks for the values of slots that the sender passed over when it installed a checkpoint, or whose copy is
/// damaged there: those that the receiver still has. What it has released is needed by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValuesFetch {
    /// First slot wanted.
    pub from: Slot,
    /// Last slot wanted.
    pub upto: Slot,
}

/// Answers a [`ValuesFetch`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValuesChunk {
    /// The `from` of the request.
    pub from: Slot,
    /// Of the slots up to here the sender has no other values than these; below `from` where it
    /// cannot speak of that one.
    pub covered: Slot,
    /// The values, by rising slot, each with a ballot in which it was chosen.
    pub values: Vec<(Slot, Ballot, Value)>,
}

/// The bytes of a chunk.
struct ChunkBytes;

impl Encoding<Vec<u8>> for ChunkBytes {
    fn put(&self, value: &Vec<u8>, body: &mut Vec<u8>) {
        body.put_u32(value.len() as u32);
        body.extend_from_slice(value);
    }

    fn take(&self, body: &mut BodyReader<'_>, field: &'static str) -> Result<Vec<u8>, DecodeError> {
        let length = body.u32(field)?;
        if length as usize > INSTALL_CHUNK_BYTES_MAX {
            return Err(DecodeError::Number { field, found: u64::from(length) });
        }
        Ok(body.take(field, length as usize)?.to_vec())
    }
}

/// A number and two more, of which the state uses one: 0 for no place, 1 for the state, 2 for the extents.
impl Field for Option<InstallPlace> {
    fn put(&self, body: &mut Vec<u8>) {
        let (kind, first, second) = match self {
            None => (0, 0, 0),
            Some(InstallPlace::State(from)) => (1, *from, 0),
            Some(InstallPlace::Extents(log, index)) => (2, log.0, index.0),
        };
        body.put_u8(kind);
        body.put_u64(first);
        body.put_u64(second);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let kind = body.u8(field)?;
        let (first, second) = (body.u64(field)?, body.u64(field)?);
        match (kind, second) {
            (0, 0) if first == 0 => Ok(None),
            (1, 0) => Ok(Some(InstallPlace::State(first))),
            (2, _) => Ok(Some(InstallPlace::Extents(LogId(first), Index(second)))),
            (kind, _) => Err(DecodeError::Number { field, found: u64::from(kind) }),
        }
    }
}

message! {
    InstallFetch { slot, place }
    InstallChunk { slot, place, digest, newest, bytes as ChunkBytes, is_last, part_bytes }
    ValuesFetch { from, upto }
    ValuesChunk { from, covered, values as CHOSEN }
}
