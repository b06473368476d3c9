//! What a failed call on a path of the data directory means for the process, and what to do.

use crate::daemon::exit::{FatalError, NodeExit};
use crate::journal::IdentityError;
use crate::storage::LockError;
use crate::types::Trouble;
use std::io;
use std::path::Path;

/// Something in a data directory that exists cannot be used.
#[must_use]
pub fn unusable(path: &Path, what: &str, error: &io::Error) -> FatalError {
    if Trouble::is_denied(error) {
        let (path, user) = (path.display(), rustix::process::geteuid().as_raw());
        let text = format!(
            "{path} {what}: {error}. This process runs as user {user}, to whom all of the data directory \
             must belong, with rwx for that user on its directories: was the node once initialised or \
             started as another user, such as root? Then chown -R the data directory; else look at \
             modes and attributes (ls -l, lsattr)"
        );
        return FatalError::new(NodeExit::Data, text);
    }
    let failure = disk_failure(path, what, error);
    match error.kind() {
        // It was there a moment ago: a disk that is being unmounted, or mounted.
        io::ErrorKind::NotFound => FatalError { exit: NodeExit::Temporary, ..failure },
        _ => failure,
    }
}

/// Something on a disk cannot be used.
#[must_use]
pub fn disk_failure(path: &Path, what: &str, error: &io::Error) -> FatalError {
    let (path, kind) = (path.display(), error.kind());
    match Trouble::of(error) {
        Trouble::Shortage => {
            let text = format!("{path} {what}: {error}: the system is short of something for now");
            FatalError::new(NodeExit::Temporary, text)
        }
        Trouble::NoSpace => {
            FatalError::new(NodeExit::Temporary, format!("{path} {what}: {error}; {ROOM}"))
        }
        Trouble::Denied => FatalError::new(NodeExit::Config, format!("{path} {what}: {error}")),
        Trouble::Fault => {
            let exit = match kind {
                // The path is at fault, not what lies on the disk.
                io::ErrorKind::NotADirectory
                | io::ErrorKind::NotFound
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::InvalidFilename => NodeExit::Config,
                _ => NodeExit::Disk,
            };
            FatalError::new(exit, format!("{path} {what}: {error}"))
        }
    }
}

/// What to do where there is no space, whatever it is that ran out.
pub const ROOM: &str =
    "make room: look at the disk's bytes (df), its inodes (df -i) and this user's quota (quota -v)";

/// The data directory is not this node's, or cannot be read.
#[must_use]
pub fn identity_failure(error: IdentityError) -> FatalError {
    match &error {
        IdentityError::Io { path, source } => unusable(path, "cannot be used", source),
        IdentityError::NoDirectory { .. }
        | IdentityError::Empty { .. }
        | IdentityError::NotPaxosd { .. }
        | IdentityError::NoIdentity { .. }
        | IdentityError::Shards { .. }
        | IdentityError::Damaged { .. }
        | IdentityError::FutureVersion { .. }
        | IdentityError::Other { .. }
        | IdentityError::Exists { .. } => FatalError::new(NodeExit::from(error.kind()), error),
    }
}

/// The data directory is in use, or cannot be locked.
#[must_use]
pub fn lock_failure(error: &LockError) -> FatalError {
    match error {
        // A process that is ending, or `paxosctl verify`, gives it back; and a second node that was
        // given the same directory never gets further than this.
        LockError::Held { .. } => FatalError::new(NodeExit::Temporary, error),
        LockError::Io { path, source } => unusable(path, "cannot be locked", source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each errno has the exit code and the advice that a person needs: a quota that is used up and a
    /// disk without inodes may pass, and so does a shortage; a medium that fails does not.
    #[test]
    fn each_failure_has_its_exit_and_its_advice() {
        let of = |number| {
            let error = io::Error::from_raw_os_error(number);
            unusable(Path::new("/data/shard-000"), "cannot be written to", &error)
        };
        for (number, exit, said) in [
            (1, NodeExit::Data, "lsattr"),
            (13, NodeExit::Data, "chown -R"),
            (28, NodeExit::Temporary, "df -i"),
            (122, NodeExit::Temporary, "quota -v"),
            (24, NodeExit::Temporary, "short of something"),
            (23, NodeExit::Temporary, "short of something"),
            (12, NodeExit::Temporary, "short of something"),
            (4, NodeExit::Temporary, "short of something"),
            (20, NodeExit::Config, "Not a directory"),
            (30, NodeExit::Disk, "Read-only"),
            (5, NodeExit::Disk, "Input/output"),
        ] {
            let failure = of(number);
            assert_eq!(failure.exit, exit, "{failure}");
            assert!(failure.text.contains(said), "{said}: {failure}");
            assert!(failure.text.contains("/data/shard-000"), "{failure}");
        }
    }
}
