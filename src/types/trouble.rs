//! What a failed system call means: the one place that distinguishes a shortage from a fault of the
//! disk.
//!
//! A shortage (descriptors, memory, an interrupted call) says nothing about what is stored. It is
//! never taken for damage, and the call is made again wherever that is possible.

use std::io;

/// Too many open files in the system (`ENFILE`).
const ENFILE: i32 = 23;
/// Too many open files in this process (`EMFILE`).
const EMFILE: i32 = 24;
/// No buffer space (`ENOBUFS`).
const ENOBUFS: i32 = 105;

/// Kinds of failed system calls, by what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The system is short of something for now, or the call was interrupted: it did nothing, and
    /// is made again later.
    Shortage,
    /// No space, no inode, or a quota is used up: somebody must free some.
    NoSpace,
    /// The process may not do that: it takes somebody to change owner, mode or attributes.
    Denied,
    /// Everything else: the medium, the file system, or a path that is wrong.
    Fault,
}

impl Trouble {
    /// Returns what a failed call means, from its number or else its kind.
    #[must_use]
    pub fn of(error: &io::Error) -> Trouble {
        if matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS)) {
            return Trouble::Shortage;
        }
        match error.kind() {
            io::ErrorKind::OutOfMemory
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ResourceBusy => Trouble::Shortage,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::NoSpace,
            io::ErrorKind::PermissionDenied => Trouble::Denied,
            _ => Trouble::Fault,
        }
    }

    /// Returns true when the system was only short of something.
    #[must_use]
    pub fn is_shortage(error: &io::Error) -> bool {
        Trouble::of(error) == Trouble::Shortage
    }

    /// Returns true when there was no space: a full disk, no inodes, and an exhausted quota alike.
    #[must_use]
    pub fn is_no_space(error: &io::Error) -> bool {
        Trouble::of(error) == Trouble::NoSpace
    }

    /// Returns true when the process may not do that.
    #[must_use]
    pub fn is_denied(error: &io::Error) -> bool {
        Trouble::of(error) == Trouble::Denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number that the system may give falls into its kind; what a medium says is never a
    /// shortage.
    #[test]
    fn each_errno_has_its_meaning() {
        let of = |number| Trouble::of(&io::Error::from_raw_os_error(number));
        // EINTR, EAGAIN, ENOMEM, EBUSY, ENFILE, EMFILE, ENOBUFS.
        for number in [4, 11, 12, 16, 23, 24, 105] {
            assert_eq!(of(number), Trouble::Shortage, "errno {number}");
        }
        // ENOSPC, EDQUOT.
        for number in [28, 122] {
            assert_eq!(of(number), Trouble::NoSpace, "errno {number}");
        }
        // EPERM, EACCES.
        for number in [1, 13] {
            assert_eq!(of(number), Trouble::Denied, "errno {number}");
        }
        // ENOENT, EIO, ENXIO, EBADF, ENODEV, EROFS, EUCLEAN, EREMOTEIO.
        for number in [2, 5, 6, 9, 19, 30, 117, 121] {
            assert_eq!(of(number), Trouble::Fault, "errno {number}");
        }
        assert_eq!(Trouble::of(&io::ErrorKind::UnexpectedEof.into()), Trouble::Fault);
    }
}
