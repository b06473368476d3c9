//! Requests that change something: those that go through the sequence.

use crate::api::name::LogName;
use crate::api::{Append, Create, Delete, LogRef, SetAttributes, Trim};
use crate::machine::{LoseCommand, Machine};
use crate::types::LogId;

/// A request that becomes a command.
#[derive(Clone, Debug)]
pub enum WriteRequest {
    /// A log is created.
    Create(Create),
    /// A log is deleted.
    Delete(Delete),
    /// Entries are appended.
    Append(Append),
    /// Entries are trimmed; how many bytes they have in whole extents, where that was looked up on disk, and
    /// in which log.
    Trim(Trim, Option<(LogId, u64)>),
    /// Attributes are changed.
    SetAttributes(SetAttributes),
    /// Entries are declared lost that no member has.
    Lose(LoseCommand),
}

/// Bytes that a request costs while it waits, beside those of its entries.
const APPEND_BYTES: usize = 128;
/// Bytes that a request without entries costs while it waits, its name included.
const OTHER_BYTES: usize = 512;

impl WriteRequest {
    /// The append, if it is one.
    pub(super) fn append(&self) -> Option<&Append> {
        if let WriteRequest::Append(append) = self { Some(append) } else { None }
    }

    /// It appends to a log that exists, whatever that holds.
    pub(super) fn is_plain_append(&self) -> bool {
        self.append().is_some_and(|append| append.expect.is_none() && !append.create)
    }

    /// Entries go by it, or come to go.
    pub(super) fn frees_space(&self) -> bool {
        match self {
            WriteRequest::Trim(..)
            | WriteRequest::Delete(_)
            | WriteRequest::SetAttributes(_)
            | WriteRequest::Lose(_) => true,
            WriteRequest::Create(_) | WriteRequest::Append(_) => false,
        }
    }

    /// The name of the log that it is about, if there is one.
    pub(super) fn name<'a>(&'a self, machine: &'a Machine) -> Option<&'a LogName> {
        let log = match self {
            WriteRequest::Create(create) => return Some(&create.name),
            WriteRequest::Delete(delete) => &delete.log,
            WriteRequest::Append(append) => &append.log,
            WriteRequest::Trim(trim, _) => &trim.log,
            WriteRequest::SetAttributes(set) => &set.log,
            WriteRequest::Lose(lose) => return machine.logs().name(lose.log),
        };
        match log {
            LogRef::Name(name) => Some(name),
            LogRef::Id(id) => machine.logs().name(*id),
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
