//! File systems that never write in place. On them, space that was prepared is not kept: a write to
//! it needs new blocks, which a full disk does not have (R11).
//!
//! btrfs writes in place where a directory says so before its files are made (`chattr +C`), so that
//! is what `paxosd init` does. The others have no such switch and are refused there.

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags, statfs};
use std::fs::File;
use std::io;
use std::path::Path;

/// A file system that copies on write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cow {
    /// Can be made to write in place.
    Btrfs,
    /// Cannot; its name.
    Always(&'static str),
}

impl Cow {
    /// What the directory lies on, if that copies on write.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn under(dir: &Path) -> io::Result<Option<Cow>> {
        // The type of the number depends on the machine, its low 32 bits do not.
        Ok(Cow::of_magic(statfs(dir)?.f_type as u32))
    }

    /// By the magic number of `statfs(2)`.
    fn of_magic(magic: u32) -> Option<Cow> {
        match magic {
            0x9123_683e => Some(Cow::Btrfs),
            0x2fc1_2fc1 => Some(Cow::Always("zfs")),
            0xca45_1a4e => Some(Cow::Always("bcachefs")),
            0x0000_3434 => Some(Cow::Always("nilfs2")),
            _ => None,
        }
    }
}

/// Files that are made in the directory from now on are written in place.
///
/// # Errors
/// Whatever the system says: the mount may not allow for it.
pub fn write_in_place(dir: &Path) -> io::Result<()> {
    let dir = File::open(dir)?;
    Ok(ioctl_setflags(&dir, ioctl_getflags(&dir)? | IFlags::NOCOW)?)
}

/// True when the file or directory says that it is written in place.
///
/// # Errors
/// Whatever the system says.
pub fn writes_in_place(path: &Path) -> io::Result<bool> {
    Ok(ioctl_getflags(File::open(path)?)?.contains(IFlags::NOCOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each file system that copies on write is known by its number, and no other is taken for one.
    #[test]
    fn each_copying_file_system_is_known() {
        assert_eq!(Cow::of_magic(0x9123_683e), Some(Cow::Btrfs));
        for (magic, name) in [(0x2fc1_2fc1, "zfs"), (0xca45_1a4e, "bcachefs"), (0x3434, "nilfs2")] {
            assert_eq!(Cow::of_magic(magic), Some(Cow::Always(name)));
        }
        // ext4, XFS, tmpfs, overlay, NFS.
        for magic in [0xef53, 0x5846_5342, 0x0102_1994, 0x794c_7630, 0x6969] {
            assert_eq!(Cow::of_magic(magic), None, "{magic:x}");
        }
    }
}
