//! File systems that are memory: a sync does nothing on them, and what a quorum of such nodes
//! acknowledged is gone when they lose power together. For tests that may be wanted, so it is said and
//! not refused.

use rustix::fs::statfs;
use std::path::Path;

/// Says so where the directory lies in memory. Where the system does not say, something else will.
pub fn warn(dir: &Path) {
    // The type of the number depends on the machine, its low 32 bits do not.
    let Some(kind) = statfs(dir).ok().and_then(|found| kind_of(found.f_type as u32)) else {
        return;
    };
    log::warn!(
        "{} lies on {kind}, which is memory: a sync does nothing there, and all is gone with the power; \
         put data_dir on a local disk with ext4 or XFS",
        dir.display()
    );
}

/// By the magic number of `statfs(2)`.
fn kind_of(magic: u32) -> Option<&'static str> {
    match magic {
        0x0102_1994 => Some("tmpfs"),
        0x8584_58f6 => Some("ramfs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory is known by its number, and no disk is taken for it.
    #[test]
    fn memory_is_no_disk() {
        assert_eq!(kind_of(0x0102_1994), Some("tmpfs"));
        assert_eq!(kind_of(0x8584_58f6), Some("ramfs"));
        // ext4, XFS, btrfs, overlay, NFS.
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630, 0x6969] {
            assert_eq!(kind_of(magic), None, "{magic:x}");
        }
    }
}
