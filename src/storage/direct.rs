//! Writes past the page cache: nothing is kept of them in memory, and nothing is left to be written later.

use crate::limits::{BLOCK_BYTES, BULK_BYTES, DIRECT_PIECE_BYTES};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

thread_local! {
    /// What a thread copies into before it writes: the disk takes memory only that begins at a block.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A handle of a file whose writes go past the page cache. Not every file system has such.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(OFlags::DIRECT.bits() as i32).open(path)
}

/// The write is of whole blocks, and large enough that the copy through the page cache costs more than the
/// later start of the write to the disk.
pub(super) fn is_worth_it(offset: u64, bytes: usize) -> bool {
    bytes >= BULK_BYTES
        && offset.is_multiple_of(BLOCK_BYTES as u64)
        && bytes.is_multiple_of(BLOCK_BYTES)
}

/// Writes whole blocks.
pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut memory = BUFFER.take();
    if memory.is_empty() {
        memory = vec![0; DIRECT_PIECE_BYTES + BLOCK_BYTES];
    }
    let from = block_start(&memory);
    let offsets = (offset..).step_by(DIRECT_PIECE_BYTES);
    let written = bytes.chunks(DIRECT_PIECE_BYTES).zip(offsets).try_for_each(|(piece, at)| {
        let aligned = &mut memory[from..from + piece.len()];
        aligned.copy_from_slice(piece);
        file.write_all_at(aligned, at)
    });
    BUFFER.set(memory);
    written
}

/// Where in some memory a block begins; it must be a block larger than what is put there.
pub(super) fn block_start(memory: &[u8]) -> usize {
    memory.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES)
}

/// The file system, the write's place or the size of the disk's own blocks does not allow for it. The page
/// cache takes every write.
pub(super) fn is_refused(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::OPNOTSUPP];
    refusals.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
