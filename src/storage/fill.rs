//! New files of zeros: written from end to end, past the page cache where that can be, or allocated only.

use crate::limits::BLOCK_BYTES;
use crate::storage::direct;
use rustix::fs::{FallocateFlags, fallocate, fstatfs};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A new file is written in chunks of this size, and synced behind each, so that no more than one chunk of zeros ever
/// lies in front of a batch's sync on the same disk.
const CHUNK_BYTES: u64 = 1 << 20;

/// A disk that stalls is not waited for twice.
const REST_MAX: Duration = Duration::from_millis(20);

/// Gives a new, empty file its length in zeros, all of them written and synced: no later write to it
/// changes what the file system notes of the file, which would double the cost of a small sync.
pub(super) fn write_zeros(file: &File, path: &Path, bytes: u64) -> io::Result<()> {
    // Early notice of a full disk and fewer extents; file systems without it need neither.
    let _allocated = allocate_blocks(file, bytes)?;
    let chunk_bytes = CHUNK_BYTES.min(bytes.next_multiple_of(BLOCK_BYTES as u64)) as usize;
    let memory = vec![0; chunk_bytes + BLOCK_BYTES];
    let zeros = &memory[direct::block_start(&memory)..][..chunk_bytes];
    let mut past_cache = direct::open(path).ok();
    let mut at = 0;
    while at < bytes {
        let chunk = CHUNK_BYTES.min(bytes - at);
        let begun = Instant::now();
        write_chunk(file, &mut past_cache, &zeros[..chunk as usize], at)?;
        file.sync_data()?;
        at += chunk;
        if at < bytes {
            // Sleeps because batches' syncs go to the same disk: half of the time is theirs alone.
            thread::sleep(begun.elapsed().min(REST_MAX));
        }
    }
    file.sync_all()
}

/// Writes a chunk past the page cache; where that is refused, through it, from now on.
fn write_chunk(file: &File, past: &mut Option<File>, zeros: &[u8], at: u64) -> io::Result<()> {
    if let Some(past_cache) = past {
        match past_cache.write_all_at(zeros, at) {
            Err(error) if direct::is_refused(&error) => *past = None,
            done => return done,
        }
    }
    file.write_all_at(zeros, at)
}

/// Gives a new, empty file its length in blocks that are its own, synced, and read as zeros because they
/// were never written. False where there is no such thing, and the zeros must be written.
pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<bool> {
    // The type of the number depends on the machine, its low 32 bits do not.
    if !sets_room_aside(fstatfs(file)?.f_type as u32) || !allocate_blocks(file, bytes)? {
        return Ok(false);
    }
    file.sync_all()?;
    Ok(true)
}

/// False where the file system cannot allocate ahead.
fn allocate_blocks(file: &File, bytes: u64) -> io::Result<bool> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// True of file systems on which the first write to an allocated block never lacks space (R11): for what
/// they note of it ext4 and XFS have set some aside, and tmpfs notes nothing. btrfs notes it in trees that
/// it copies on write.
fn sets_room_aside(magic: u32) -> bool {
    matches!(magic, 0xef53 | 0x5846_5342 | 0x0102_1994)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R11: allocated space is trusted on file systems of which it is known that it may be.
    #[test]
    fn r11_only_known_file_systems_leave_zeros_unwritten() {
        // ext4, XFS, tmpfs.
        for magic in [0xef53, 0x5846_5342, 0x0102_1994] {
            assert!(sets_room_aside(magic), "{magic:x}");
        }
        // btrfs, zfs, bcachefs, overlay, FUSE, NFS.
        for magic in [0x9123_683e, 0x2fc1_2fc1, 0xca45_1a4e, 0x794c_7630, 0x6573_5546, 0x6969] {
            assert!(!sets_room_aside(magic), "{magic:x}");
        }
    }
}
