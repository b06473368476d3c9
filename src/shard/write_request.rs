//! Requests that change something: those that go through the sequence.

use crate::api::{Append, Create, Delete, LogRef};

/// A request that becomes a command.
#[derive(Clone, Debug)]
pub enum WriteRequest {
    /// A log is created.
    Create(Create),
    /// A log is deleted.
    Delete(Delete),
    /// Entries are appended.
    Append(Append),
}

/// Bytes that a request costs while it waits, beside those of its entries.
const APPEND_BYTES: usize = 128;
/// Likewise of one without entries, its name included.
const OTHER_BYTES: usize = 512;

impl WriteRequest {
    /// The append, if it is one.
    pub(super) fn append(&self) -> Option<&Append> {
        match self {
            WriteRequest::Append(append) => Some(append),
            WriteRequest::Create(_) | WriteRequest::Delete(_) => None,
        }
    }

    /// The log and the chain that it belongs to.
    pub(super) fn chain(&self) -> Option<(LogRef, u32)> {
        let append = self.append().filter(|append| append.chain != 0)?;
        Some((append.log.clone(), append.chain))
    }

    /// Bytes of its entries, as clients count them.
    pub(super) fn entry_bytes(&self) -> u64 {
        self.append().map_or(0, |append| append.entries.as_ref().data_len())
    }

    /// Bytes of memory that it takes while it waits.
    pub(super) fn memory_bytes(&self) -> usize {
        self.append().map_or(OTHER_BYTES, |append| append.entries.byte_len() + APPEND_BYTES)
    }
}
