//! The space on the disk of the data, for those who watch the node. The main thread looks, and the
//! shards report what it saw, so that none of them ever asks the system.

use crate::api::status::DiskSpace;
use crate::types::Tick;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system is asked no more often than this, in microseconds.
const LOOK_EVERY_US: u64 = 1_000_000;

/// What was seen last.
#[derive(Debug, Default)]
pub struct Space {
    free_bytes: AtomicU64,
    total_bytes: AtomicU64,
    /// When to look again.
    look_at: AtomicU64,
}

impl Space {
    /// Looks again, if it is time.
    pub fn refresh(&self, now: Tick, data_dir: &Path) {
        if now.0 < self.look_at.load(Ordering::Relaxed) {
            return;
        }
        self.look_at.store(now.after(LOOK_EVERY_US).0, Ordering::Relaxed);
        let (free, total) = free_and_total(data_dir);
        self.free_bytes.store(free, Ordering::Relaxed);
        self.total_bytes.store(total, Ordering::Relaxed);
    }

    /// What was seen last, beside the bound below which no segment is prepared.
    #[must_use]
    pub fn seen(&self, min_free_bytes: u64) -> DiskSpace {
        DiskSpace {
            free_bytes: self.free_bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
            min_free_bytes,
        }
    }
}

/// Bytes free for this process on the file system of a directory, and bytes in all; zeros where the
/// system does not say. The kernel answers from memory for a local file system, whatever its disk
/// does.
#[must_use]
pub fn free_and_total(dir: &Path) -> (u64, u64) {
    rustix::fs::statvfs(dir)
        .map_or((0, 0), |fs| (fs.f_bavail * fs.f_frsize, fs.f_blocks * fs.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system is asked once a second, however often the loop turns.
    #[test]
    fn the_system_is_asked_once_a_second() {
        let space = Space::default();
        space.refresh(Tick(0), Path::new("/"));
        let seen = space.seen(7);
        assert!(seen.total_bytes >= seen.free_bytes && seen.total_bytes > 0, "{seen:?}");
        assert_eq!(seen.min_free_bytes, 7);
        space.refresh(Tick(LOOK_EVERY_US - 1), Path::new("/nowhere/at/all"));
        assert_eq!(space.seen(7).total_bytes, seen.total_bytes);
        space.refresh(Tick(LOOK_EVERY_US), Path::new("/nowhere/at/all"));
        assert_eq!(space.seen(7).total_bytes, 0);
    }
}
