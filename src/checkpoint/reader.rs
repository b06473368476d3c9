//! Reading a checkpoint, piece by piece, each checked before it is handed on.

use super::file::{
    CheckpointFault, CheckpointFile, PIECE_OVERHEAD_BYTES, ReadError, checkpoint_file_name,
};
use super::file::{piece_checksum, u64_at};
use super::footer::{CheckpointFooter, FOOTER_BYTES};
use super::manifest::Manifest;
use crate::journal::OpenError;
use crate::limits::{BLOCK_BYTES, CHECKPOINT_PIECE_BYTES_MAX};
use crate::machine::{RecordFault, SnapshotError};
use crate::storage::{Storage, StorageError, read_some};
use crate::types::{FileOwner, Slot, Trouble};
use xxhash_rust::xxh3::Xxh3;

/// Reads the checkpoint at a slot whole. `visit` is given the state in pieces, in order, and says what
/// is wrong with one.
///
/// # Errors
/// When the file is not believed, or the system is short of something.
pub fn read_checkpoint(
    storage: &dyn Storage,
    owner: &FileOwner,
    slot: Slot,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), SnapshotError>,
) -> Result<(CheckpointFooter, Manifest), ReadError> {
    let (mut pieces, ending) = Pieces::open(storage, owner, slot)?;
    let (mut content, mut bytes) = (Xxh3::new(), 0);
    for _ in 0..ending.pieces {
        if pieces.offset >= ending.manifest_at {
            let what = "it has fewer pieces than its footer says";
            return Err(pieces.file.damaged(pieces.offset, what).into());
        }
        let at = pieces.offset;
        let piece = pieces.next()?;
        content.update(piece);
        bytes += piece.len() as u64;
        visit(piece).map_err(|error| refused(&pieces.file, at, &error))?;
    }
    if (bytes, content.digest()) != (ending.state_bytes, ending.content) {
        let what = "its pieces are not those that its footer is of";
        return Err(pieces.file.damaged(pieces.offset, what).into());
    }
    Ok((ending, pieces.manifest(&ending)?))
}

/// Reads only what the checkpoint at a slot says of itself and of this node.
///
/// # Errors
/// As [`read_checkpoint`].
pub fn read_manifest(
    storage: &dyn Storage,
    owner: &FileOwner,
    slot: Slot,
) -> Result<(CheckpointFooter, Manifest), ReadError> {
    let (mut pieces, ending) = Pieces::open(storage, owner, slot)?;
    (pieces.offset, pieces.number) = (ending.manifest_at, ending.pieces as u32);
    Ok((ending, pieces.manifest(&ending)?))
}

/// Reads the state of the checkpoint at a slot from a byte of it on: about so many bytes, and whether they
/// are the last ones.
///
/// # Errors
/// As [`read_checkpoint`].
pub fn read_state(
    storage: &dyn Storage,
    owner: &FileOwner,
    slot: Slot,
    from: u64,
    bytes_wanted: usize,
) -> Result<(Vec<u8>, bool), ReadError> {
    let (mut pieces, ending) = Pieces::open(storage, owner, slot)?;
    let (mut at, mut bytes) = (0, Vec::new());
    while u64::from(pieces.number) < ending.pieces && bytes.len() < bytes_wanted {
        let length = pieces.length()? as u64;
        if at + length <= from {
            pieces.skip(length);
        } else {
            let piece = pieces.next()?;
            bytes.extend_from_slice(&piece[from.saturating_sub(at) as usize..]);
        }
        at += length;
    }
    Ok((bytes, u64::from(pieces.number) == ending.pieces))
}

/// The pieces of a file, one after the other.
struct Pieces<'a> {
    storage: &'a dyn Storage,
    file: CheckpointFile,
    /// Where the footer begins.
    end: u64,
    /// The next piece, and where it begins.
    number: u32,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> Pieces<'a> {
    fn open(
        storage: &'a dyn Storage,
        owner: &FileOwner,
        slot: Slot,
    ) -> Result<(Pieces<'a>, CheckpointFooter), ReadError> {
        let name = checkpoint_file_name(slot);
        let bytes = storage.len(&name).map_err(|error| unreadable(&name, 0, error))?;
        let mut block = [0; BLOCK_BYTES];
        let short = (BLOCK_BYTES + PIECE_OVERHEAD_BYTES + FOOTER_BYTES) as u64;
        if bytes < short {
            let what = format!("it has {bytes} bytes, and no checkpoint has fewer than {short}");
            return Err(CheckpointFault::Damaged { file: name, offset: bytes, what }.into());
        }
        read(storage, &name, 0, &mut block)?;
        let file = CheckpointFile::of_header(slot, owner, &block)?;
        let (end, mut footer) = (bytes - FOOTER_BYTES as u64, [0; FOOTER_BYTES]);
        read(storage, &name, end, &mut footer)?;
        let ending = CheckpointFooter::decode(&file, end, &footer)?;
        let offset = BLOCK_BYTES as u64;
        let last = end - PIECE_OVERHEAD_BYTES as u64;
        if !(offset..=last).contains(&ending.manifest_at) || ending.pieces > u64::from(u32::MAX) {
            return Err(file.damaged(end, "its footer names a place that it does not have").into());
        }
        let pieces = Pieces { storage, file, end, number: 0, offset, buffer: Vec::new() };
        Ok((pieces, ending))
    }

    /// Passes over the next piece, which is so long by its head: a head that is wrong leads to a place where
    /// no piece verifies.
    fn skip(&mut self, length: u64) {
        self.number += 1;
        self.offset += PIECE_OVERHEAD_BYTES as u64 + length;
    }

    /// How long the next piece is, by its head.
    fn length(&self) -> Result<usize, ReadError> {
        let (at, mut head) = (self.offset, [0; PIECE_OVERHEAD_BYTES]);
        if at + PIECE_OVERHEAD_BYTES as u64 > self.end {
            return Err(self.file.damaged(at, "a piece is missing").into());
        }
        read(self.storage, &self.file.name, at, &mut head)?;
        Ok((u64_at(&head, 8) >> 32) as usize)
    }

    /// The content of the next piece.
    fn next(&mut self) -> Result<&[u8], ReadError> {
        let (at, mut head) = (self.offset, [0; PIECE_OVERHEAD_BYTES]);
        let damaged = |what: &str| Err(self.file.damaged(at, what).into());
        if at + PIECE_OVERHEAD_BYTES as u64 > self.end {
            return damaged("a piece is missing");
        }
        read(self.storage, &self.file.name, at, &mut head)?;
        let lengths = u64_at(&head, 8);
        let (number, length) = (lengths as u32, (lengths >> 32) as usize);
        let left = (self.end - at) as usize - PIECE_OVERHEAD_BYTES;
        if length > CHECKPOINT_PIECE_BYTES_MAX || length > left {
            return damaged("a piece is longer than can be");
        }
        // Number and length are under the checksum, with the content.
        self.buffer.resize(8 + length, 0);
        read(self.storage, &self.file.name, at + 8, &mut self.buffer)?;
        let checksum = piece_checksum(self.file.seed, self.number, &self.buffer);
        if number != self.number || checksum != u64_at(&head, 0) {
            return damaged("the checksum of a piece does not verify");
        }
        self.number += 1;
        self.offset += (PIECE_OVERHEAD_BYTES + length) as u64;
        Ok(&self.buffer[8..])
    }

    /// The node's own part, which is the last piece.
    fn manifest(mut self, ending: &CheckpointFooter) -> Result<Manifest, ReadError> {
        let at = self.offset;
        if at != ending.manifest_at {
            let what = "its pieces do not end where its footer says";
            return Err(self.file.damaged(at, what).into());
        }
        let decoded = Manifest::take(self.next()?);
        if self.offset != self.end {
            return Err(self.file.damaged(self.offset, "something lies behind its pieces").into());
        }
        decoded.map_err(|error| self.file.damaged(at, error.to_string()).into())
    }
}

fn unreadable(file: &str, offset: u64, error: std::io::Error) -> ReadError {
    match Trouble::is_shortage(&error) {
        true => StorageError::at(crate::storage::StorageOp::Read, file, offset)(error).into(),
        false => {
            let (file, error) = (file.to_string(), error.to_string());
            CheckpointFault::Unreadable { file, offset, error }.into()
        }
    }
}

fn read(
    storage: &dyn Storage,
    file: &str,
    offset: u64,
    buffer: &mut [u8],
) -> Result<(), ReadError> {
    read_some(storage, file, offset, buffer)?.map_err(|error| unreadable(file, offset, error))
}

/// Why the state at a place of a file was refused.
fn refused(file: &CheckpointFile, offset: u64, error: &SnapshotError) -> ReadError {
    let name = file.name.clone();
    match *error {
        SnapshotError::Record { fault: RecordFault::Version { found, known }, .. } => {
            ReadError::Newer(OpenError::FutureVersion { file: name, found, known })
        }
        SnapshotError::Record { fault: RecordFault::Level { found, known }, .. } => {
            ReadError::Newer(OpenError::FutureLevel { file: name, found, known })
        }
        SnapshotError::Record { .. }
        | SnapshotError::Incomplete { .. }
        | SnapshotError::Duplicate { .. }
        | SnapshotError::StrayLoss { .. }
        | SnapshotError::Digest { .. } => file.damaged(offset, error.to_string()).into(),
    }
}
