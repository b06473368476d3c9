//! Why the files of a journal are refused.

use crate::storage::{StorageError, StorageOp};
use crate::types::{FailureKind, FormatLevel, Lsn, Slot, Trouble};
use std::io;

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there.
    #[error(
        "the shard's directory holds no journal. Is its disk mounted? It is never made anew: restore it \
         from a copy, and keep the rest of the data directory; see docs/OPERATIONS.md, \"Data is \
         damaged\""
    )]
    NotFormatted,
    /// A file that must be there is missing.
    #[error("{file} is missing; keep the directory; see docs/OPERATIONS.md, \"Data is damaged\"")]
    Missing {
        /// The name of the missing file.
        file: String,
    },
    /// A file is shorter (or longer) than it must be.
    #[error(
        "{file} has {found} bytes, it must have {expected}; keep the directory; see \
         docs/OPERATIONS.md, \"Data is damaged\""
    )]
    Length {
        /// The file's name in the shard's directory.
        file: String,
        /// The length that it has, in bytes.
        found: u64,
        /// The length that it must have, in bytes.
        expected: u64,
    },
    /// A file cannot be opened or read at all.
    #[error("{file} cannot be opened: {source}")]
    Unopenable {
        /// The file's name in the shard's directory.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file was written by a newer program.
    #[error(
        "{file} has format version {found}, this program knows versions up to {known}; \
             run the newer program"
    )]
    FutureVersion {
        /// The file's name in the shard's directory.
        file: String,
        /// The version that the file names.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// The state in a checkpoint has a format level that this program does not know (C32c).
    #[error(
        "{file} has format level {found}, this program knows levels up to {known}; run the newer program; \
         see docs/OPERATIONS.md, \"Rolling upgrade\""
    )]
    FutureLevel {
        /// The file's name in the shard's directory.
        file: String,
        /// The level of the state.
        found: FormatLevel,
        /// The highest level known here.
        known: FormatLevel,
    },
    /// A file belongs to another cluster, node, incarnation, shard or segment.
    #[error(
        "{file} belongs to {found}, this is {expected}; it was copied from elsewhere: put this node's \
         own file back"
    )]
    Foreign {
        /// The file's name in the shard's directory.
        file: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// A segment does not begin where a checkpoint says. Another checkpoint may do.
    #[error("{file} does not begin with record {first_lsn}, as the checkpoint says, but {}", begins(*found))]
    StartMoved {
        /// The file's name in the shard's directory.
        file: String,
        /// The first LSN of the segment, where any batch of it verifies.
        found: Option<Lsn>,
        /// The first LSN that the checkpoint names.
        first_lsn: Lsn,
    },
    /// A segment that a start from a checkpoint reads is not there. Another checkpoint may do.
    #[error("{file} is missing, and a start from the checkpoint reads it")]
    StartGone {
        /// The name of the missing file.
        file: String,
    },
    /// Without a checkpoint the journal says nothing of what was released (C26).
    #[error(
        "no checkpoint serves, and what the journal held of slots up to {upto} was released: {segments} \
         segments are gone; keep the directory: what is left of it can be made whole from the other \
         members only; see docs/OPERATIONS.md, \"Data is damaged\""
    )]
    NoCheckpoint {
        /// How many segments are gone.
        segments: u64,
        /// The highest slot of a value in them.
        upto: Slot,
    },
    /// Neither copy of the hard state verifies: what was promised is unknown (C12).
    #[error(
        "{file}: neither copy of the hard state verifies ({first}; {second}); \
             without what it promised the node must not vote: leave it stopped and keep the directory; \
             see docs/OPERATIONS.md, \"Data is damaged\""
    )]
    HardStateLost {
        /// The file's name in the shard's directory.
        file: String,
        /// What is wrong with the first copy.
        first: String,
        /// What is wrong with the second copy.
        second: String,
    },
    /// A write or sync of recovery itself failed: exit 74.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn begins(found: Option<Lsn>) -> String {
    found.map_or("holds no batch that verifies".to_string(), |lsn| format!("with {lsn}"))
}

impl OpenError {
    /// A file that cannot be opened; where the system was only short of something, that is no word
    /// about the file.
    pub(crate) fn unopenable(file: &str, source: io::Error) -> OpenError {
        match Trouble::of(&source) {
            Trouble::Shortage => StorageError::at(StorageOp::Read, file, 0)(source).into(),
            Trouble::NoSpace | Trouble::Denied | Trouble::Fault => {
                OpenError::Unopenable { file: file.to_string(), source }
            }
        }
    }

    /// What kind of failure it is. It may pass where the system was only short of something, the disk
    /// is full, or may only be mounted late.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            OpenError::Storage(error) => match Trouble::of(&error.source) {
                Trouble::Shortage | Trouble::NoSpace => FailureKind::Temporary,
                Trouble::Denied | Trouble::Fault => FailureKind::Disk,
            },
            OpenError::NotFormatted => FailureKind::Temporary,
            OpenError::Missing { .. }
            | OpenError::Length { .. }
            | OpenError::Unopenable { .. }
            | OpenError::FutureVersion { .. }
            | OpenError::FutureLevel { .. }
            | OpenError::Foreign { .. }
            | OpenError::StartMoved { .. }
            | OpenError::StartGone { .. }
            | OpenError::NoCheckpoint { .. }
            | OpenError::HardStateLost { .. } => FailureKind::Data,
        }
    }
}
