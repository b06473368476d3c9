//! One process per data directory; or several, if all of them only read.

use crate::types::Trouble;
use fs2::FileExt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Holds a data directory for as long as it lives, and for no longer than the process does.
#[derive(Debug)]
pub struct DirLock {
    /// Closing it gives the lock back.
    _file: File,
    /// Locked as well: the file can be removed while a node runs, the directory cannot.
    _dir: File,
}

/// Why a data directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{path} is in use by another process ({by}); stop it first")]
    Held {
        /// The data directory.
        path: PathBuf,
        /// What the holder wrote about itself.
        by: String,
    },
    /// The lock file cannot be opened or locked.
    #[error("{path} cannot be locked: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl DirLock {
    /// The lock's file in the data directory. Never removed: a removed lock file can be locked twice.
    pub const FILE: &str = "lock";

    /// Locks a data directory, which must exist.
    ///
    /// # Errors
    /// When another process holds it, or the file system refuses.
    pub fn acquire(dir: &Path) -> Result<DirLock, LockError> {
        let path = dir.join(DirLock::FILE);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let held = File::open(dir).map_err(failed)?;
        if let Err(error) =
            FileExt::try_lock_exclusive(&held).and_then(|()| FileExt::try_lock_exclusive(&file))
        {
            return Err(refusal(dir, &path, &held, file, error));
        }
        let text = format!("process {}\n", std::process::id());
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(text.as_bytes()));
        match written {
            // The lock holds without it, and a full disk keeps no node from its votes (R11).
            Err(error) if !Trouble::is_no_space(&error) => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        Ok(DirLock { _file: file, _dir: held })
    }

    /// Keeps nodes away from a data directory while it is read, beside other readers. Writes
    /// nothing: a directory without a lock file is a copy that no node ever ran on, and gives
    /// nothing to hold.
    ///
    /// # Errors
    /// When a node holds it, or the file system refuses.
    pub fn acquire_shared(dir: &Path) -> Result<Option<DirLock>, LockError> {
        let path = dir.join(DirLock::FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LockError::Io { path, source }),
        };
        let held = File::open(dir).map_err(|source| LockError::Io { path: dir.into(), source })?;
        let locked = FileExt::try_lock_shared(&held).and_then(|()| FileExt::try_lock_shared(&file));
        match locked {
            Ok(()) => Ok(Some(DirLock { _file: file, _dir: held })),
            Err(error) => Err(refusal(dir, &path, &held, file, error)),
        }
    }
}

/// Why the lock cannot be had, and by whom it is held if it is.
fn refusal(dir: &Path, path: &Path, held: &File, mut file: File, error: io::Error) -> LockError {
    if error.kind() != fs2::lock_contended_error().kind() {
        return LockError::Io { path: path.to_path_buf(), source: error };
    }
    // Readers share the directory as well as the file. The file alone proves nothing: it may have
    // been removed under a node that runs, and made anew.
    let shared = FileExt::try_lock_shared(held).is_ok() && FileExt::try_lock_shared(&file).is_ok();
    let by = if shared {
        "it only reads, as `paxosctl verify` does".to_string()
    } else {
        let mut by = String::new();
        // What the holder wrote is a courtesy; the refusal does not depend on it.
        let _ = file.read_to_string(&mut by);
        match by.trim() {
            "" => "the lock file does not say which, for it was removed or emptied: `fuser -v` of the \
                   directory's files does"
                .to_string(),
            text => text.to_string(),
        }
    };
    LockError::Held { path: dir.to_path_buf(), by }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A second holder is refused, and the error names the first one; after the first, it may.
    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::acquire(dir.path()).unwrap();
        let refused = DirLock::acquire(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DirLock::acquire(dir.path()).unwrap();
    }

    /// Readers do not mind each other; a node and a reader do, and each refusal names who is there.
    #[test]
    fn readers_and_a_node_keep_each_other_out() {
        let dir = tempfile::tempdir().unwrap();
        assert!(DirLock::acquire_shared(dir.path()).unwrap().is_none(), "nothing to hold yet");
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "a reader wrote");
        let node = DirLock::acquire(dir.path()).unwrap();
        let refused = DirLock::acquire_shared(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(node);
        let first = DirLock::acquire_shared(dir.path()).unwrap();
        let second = DirLock::acquire_shared(dir.path()).unwrap();
        assert!(first.is_some() && second.is_some());
        let refused = DirLock::acquire(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("paxosctl verify"), "{refused}");
        drop((first, second));
        DirLock::acquire(dir.path()).unwrap();
    }

    /// A lock file that somebody removed, to get rid of a refusal, frees nothing.
    #[test]
    fn a_removed_lock_file_frees_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::acquire(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(DirLock::FILE)).unwrap();
        let refused = DirLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(refused, LockError::Held { .. }), "{refused}");
        // No command is blamed that does not run: a reader would have let a reader in.
        let said = refused.to_string();
        assert!(said.contains("was removed") && !said.contains("verify"), "{said}");
        drop(first);
        DirLock::acquire(dir.path()).unwrap();
    }
}
