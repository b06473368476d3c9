//! What every checkpoint has: its name, its header, and pieces that are good for one place only.
//!
//! A checkpoint is a header of 4 KiB, pieces of the state, one piece with the node's own part, and a
//! footer. Each piece has a checksum, seeded with the header's and the piece's number, so that a piece
//! of another place or file never passes (R03).

use crate::index::{RunDamage, RunFault};
use crate::journal::OpenError;
use crate::limits::{BLOCK_BYTES, CHECKPOINT_PIECE_BYTES_MAX};
use crate::storage::StorageError;
use crate::types::{FileOwner, FormatLevel, Slot};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The newest format version known.
const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"pxC\x89";
const OWNER_AT: usize = 16;
const CHECKSUM_AT: usize = 120;
/// Bytes in front of each piece's content: checksum, number, length.
pub const PIECE_OVERHEAD_BYTES: usize = 16;
/// Suffix of a checkpoint that is not complete.
pub(super) const UNFINISHED: &str = ".new";

// What is written at any level that is known can be read.
const _: () = assert!(FormatLevel::KNOWN.versions().checkpoint <= VERSION);

/// Why a checkpoint is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// The medium does not deliver it.
    #[error("{file} at offset {offset} cannot be read: {error}")]
    Unreadable {
        /// The file, by its name in the shard's directory.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What the system said.
        error: String,
    },
    /// Its bytes are not those that were written.
    #[error("{file} at offset {offset}: {what}")]
    Damaged {
        /// The file, by its name in the shard's directory.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

/// What is damaged of the index.
///
/// # Errors
/// When it is not damaged, but a newer program wrote it (C32c).
pub(super) fn not_newer(damage: RunDamage) -> Result<RunDamage, OpenError> {
    if let RunFault::Newer { found, known } = damage.fault {
        return Err(OpenError::FutureVersion { file: damage.file, found, known });
    }
    Ok(damage)
}

/// Why a checkpoint could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not believed.
    #[error(transparent)]
    Fault(#[from] CheckpointFault),
    /// A newer program wrote it, or a run that it names: that is no damage, and to pass it over would be to go
    /// on without what that program knew (C32c).
    #[error(transparent)]
    Newer(OpenError),
    /// The system was short of something: this says nothing about the file.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ReadError {
    /// What is damaged: another file takes its place, or the journal.
    ///
    /// # Errors
    /// What nothing may take the place of.
    pub(super) fn damage(self) -> Result<CheckpointFault, OpenError> {
        match self {
            ReadError::Fault(fault) => Ok(fault),
            ReadError::Newer(error) => Err(error),
            ReadError::Storage(error) => Err(error.into()),
        }
    }
}

/// The file name of the checkpoint at a slot.
#[must_use]
pub fn checkpoint_file_name(slot: Slot) -> String {
    format!("checkpoint-{:020}", slot.0)
}

/// The slot of a file name, if it is that of a checkpoint.
#[must_use]
pub fn parse_checkpoint_file_name(name: &str) -> Option<Slot> {
    let digits = name.strip_prefix("checkpoint-")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Slot)
}

/// A file that is read: its name, and the seed of the checksums of its pieces.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    pub(super) name: String,
    pub(super) seed: u64,
}

impl CheckpointFile {
    /// What is wrong at a place of this file.
    pub(super) fn damaged(&self, offset: u64, what: impl Into<String>) -> CheckpointFault {
        CheckpointFault::Damaged { file: self.name.clone(), offset, what: what.into() }
    }

    /// Reads a header's block: magic, version, checksum, owner and slot are checked apart.
    pub(super) fn of_header(
        slot: Slot,
        owner: &FileOwner,
        block: &[u8; BLOCK_BYTES],
    ) -> Result<CheckpointFile, ReadError> {
        let name = checkpoint_file_name(slot);
        let file = CheckpointFile { name, seed: xxh3_64(&block[..CHECKSUM_AT]) };
        if block[..4] != MAGIC {
            return Err(file.damaged(0, "it does not begin as a checkpoint does").into());
        }
        // Bytes that mean nothing are zero: one that is not has rotted, or means something elsewhere.
        let zero = block[CHECKSUM_AT + 8..].iter().all(|byte| *byte == 0);
        if u64_at(block, CHECKSUM_AT) != file.seed || !zero {
            return Err(file.damaged(0, "the checksum of its header does not verify").into());
        }
        let version = u16::from_le_bytes([block[4], block[5]]);
        if version > VERSION {
            let (file, found, known) = (file.name, version, VERSION);
            return Err(ReadError::Newer(OpenError::FutureVersion { file, found, known }));
        }
        if version != VERSION {
            let what = format!("no checkpoint has format version {version}");
            return Err(file.damaged(0, what).into());
        }
        if block[OWNER_AT..OWNER_AT + FileOwner::BYTES] != owner.to_bytes() {
            return Err(file.damaged(0, format!("it is not of {owner}")).into());
        }
        if u64_at(block, 8) != slot.0 {
            return Err(file.damaged(0, "it is of another slot than its name says").into());
        }
        Ok(file)
    }
}

/// The header's block of a checkpoint that is written at this format level, and the seed for the checksums
/// of its pieces.
#[must_use]
pub fn header_bytes(slot: Slot, owner: &FileOwner, level: FormatLevel) -> (Vec<u8>, u64) {
    let mut block = vec![0; BLOCK_BYTES];
    block[..4].copy_from_slice(&MAGIC);
    block[4..6].copy_from_slice(&level.versions().checkpoint.to_le_bytes());
    block[8..16].copy_from_slice(&slot.0.to_le_bytes());
    block[OWNER_AT..OWNER_AT + FileOwner::BYTES].copy_from_slice(&owner.to_bytes());
    let seed = xxh3_64(&block[..CHECKSUM_AT]);
    block[CHECKSUM_AT..CHECKSUM_AT + 8].copy_from_slice(&seed.to_le_bytes());
    (block, seed)
}

/// Makes a piece of its content, which stands behind [`PIECE_OVERHEAD_BYTES`] of space.
///
/// # Panics
/// When the space is missing or the content is larger than a piece may be.
#[must_use]
pub fn piece_bytes(mut bytes: Vec<u8>, seed: u64, number: u32) -> Vec<u8> {
    let (max, all) = (CHECKPOINT_PIECE_BYTES_MAX, bytes.len());
    assert!(
        (PIECE_OVERHEAD_BYTES..=PIECE_OVERHEAD_BYTES + max).contains(&all),
        "piece {number} has {all} bytes with its head, its content at most {max}"
    );
    let length = (all - PIECE_OVERHEAD_BYTES) as u32;
    bytes[8..12].copy_from_slice(&number.to_le_bytes());
    bytes[12..16].copy_from_slice(&length.to_le_bytes());
    let checksum = piece_checksum(seed, number, &bytes[8..]);
    bytes[..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The checksum of a piece: of its number, its length and its content.
pub(super) fn piece_checksum(seed: u64, number: u32, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, seed.wrapping_add(u64::from(number)))
}

/// The number at a place, which must be there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
