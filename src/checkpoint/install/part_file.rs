//! Part files: what has arrived of a checkpoint, in frames that are checked one by one.
//!
//! A frame is `length u32, number u32, checksum u64`, then so many bytes. The checksum is XXH3-64 of
//! length, number and bytes, seeded with the checkpoint's slot. A file ends with any number of whole
//! frames, and perhaps with a part of one that a crash cut off.

use crate::checkpoint::file::UNFINISHED;
use crate::limits::INSTALL_CHUNK_BYTES_MAX;
use crate::storage::{Storage, StorageError, StorageOp, complete_file, read_some, remove_if_there};
use crate::types::{InstallPlace, Slot, Trouble};
use std::io;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const FRAME_HEAD_BYTES: usize = 16;

/// So much is copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// The name of the file in which a part of the checkpoint at a slot gathers.
pub(super) fn part_file_name(slot: Slot, part: InstallPlace) -> String {
    let suffix = match part {
        InstallPlace::State(_) => "state",
        InstallPlace::Extents(..) => "extents",
    };
    format!("install-{:020}.{suffix}", slot.0)
}

/// The names of all files in which the checkpoint at a slot gathers.
#[must_use]
pub fn part_file_names(slot: Slot) -> [String; 2] {
    [InstallPlace::STATE, InstallPlace::EXTENTS].map(|part| part_file_name(slot, part))
}

/// The slot of a file name, if it is that of a part file.
#[must_use]
pub fn part_file_slot(name: &str) -> Option<Slot> {
    let (digits, suffix) = name.strip_prefix("install-")?.split_once('.')?;
    let is_number = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    let is_part = is_number && matches!(suffix, "state" | "extents");
    digits.parse().ok().map(Slot).filter(|_| is_part)
}

/// Bytes of both part files of a checkpoint.
pub(super) fn part_file_bytes(storage: &dyn Storage, slot: Slot) -> Result<u64, StorageError> {
    let [state, extents] = [InstallPlace::STATE, InstallPlace::EXTENTS];
    let state = Frames::open(storage, slot, state)?.file_bytes;
    Ok(state + Frames::open(storage, slot, extents)?.file_bytes)
}

/// One frame around these bytes.
pub(super) fn frame(slot: Slot, number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_HEAD_BYTES + bytes.len());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    let checksum = frame_checksum(slot, &out, bytes);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(bytes);
    out
}

fn frame_checksum(slot: Slot, head: &[u8], bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, xxh3_64_with_seed(head, slot.0))
}

/// The frames of a part file, one after the other.
pub(super) struct Frames<'a> {
    storage: &'a dyn Storage,
    slot: Slot,
    name: String,
    file_bytes: u64,
    /// Where the next frame begins, and its number.
    pub offset: u64,
    pub number: u32,
    buffer: Vec<u8>,
}

impl<'a> Frames<'a> {
    /// Those of a file, which may not be there: then it has none.
    pub(super) fn open(
        storage: &'a dyn Storage,
        slot: Slot,
        part: InstallPlace,
    ) -> Result<Frames<'a>, StorageError> {
        let name = part_file_name(slot, part);
        let file_bytes = match storage.len(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            found => found.map_err(StorageError::at(StorageOp::Read, &name, 0))?,
        };
        let buffer = Vec::new();
        Ok(Frames { storage, slot, name, file_bytes, offset: 0, number: 0, buffer })
    }

    /// The next frame's bytes; nothing at the end of what is whole.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, StorageError> {
        let left = self.file_bytes - self.offset;
        let mut head = [0; FRAME_HEAD_BYTES];
        if left < head.len() as u64 || !self.read(self.offset, &mut head)? {
            return Ok(None);
        }
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, ordinal) = (number(0) as usize, number(4));
        let fits = length <= INSTALL_CHUNK_BYTES_MAX && (length as u64) <= left - head.len() as u64;
        if !fits || ordinal != self.number {
            return Ok(None);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length, 0);
        let read = self.read(self.offset + head.len() as u64, &mut buffer);
        self.buffer = buffer;
        let checksum = frame_checksum(self.slot, &head[..8], &self.buffer).to_le_bytes();
        if !read? || head[8..] != checksum {
            return Ok(None);
        }
        self.number += 1;
        self.offset += (head.len() + length) as u64;
        Ok(Some(&self.buffer))
    }

    /// True when nothing lies behind the frames that were read.
    pub(super) fn is_at_end(&self) -> bool {
        self.offset == self.file_bytes
    }

    /// Keeps of the file the frames that were read, as another file that takes its place: nothing is ever cut off
    /// a file. False where there is no space for that.
    pub(super) fn keep_whole(&mut self) -> Result<bool, StorageError> {
        let aside = format!("{}{UNFINISHED}", self.name);
        match self.copy_to(&aside) {
            Ok(()) => {
                complete_file(self.storage, &aside, &self.name)?;
                self.file_bytes = self.offset;
                Ok(true)
            }
            Err(error) if Trouble::is_no_space(&error.source) => {
                remove_if_there(self.storage, &aside)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn copy_to(&self, aside: &str) -> Result<(), StorageError> {
        remove_if_there(self.storage, aside)?;
        self.storage.create_empty(aside).map_err(StorageError::at(StorageOp::Create, aside, 0))?;
        let mut at = 0;
        while at < self.offset {
            let mut bytes = vec![0; (self.offset - at).min(COPY_BYTES) as usize];
            let read = self.storage.read_at(&self.name, at, &mut bytes);
            read.map_err(StorageError::at(StorageOp::Read, &self.name, at))?;
            let written = self.storage.extend(aside, &bytes);
            written.map_err(StorageError::at(StorageOp::Write, aside, at))?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Reads from the file; false where the medium does not deliver it.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, StorageError> {
        Ok(read_some(self.storage, &self.name, offset, buffer)?.is_ok())
    }
}
