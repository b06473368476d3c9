//! The seam between the journal and files: one directory, a handful of blocking operations.

use crate::types::Trouble;
use std::fmt;
use std::io;

/// The files of one shard's journal. One directory, no sub-directories; names are plain.
///
/// Implemented by [`crate::storage::FileStorage`] over a real directory and by [`crate::storage::MemStorage`] over
/// memory with every fault a disk has. Operations block. An offset is in bytes from the start.
pub trait Storage: Send + Sync {
    /// The names of all files, sorted.
    ///
    /// # Errors
    /// Whatever the directory says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Length of a file in bytes.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    fn len(&self, name: &str) -> io::Result<u64>;

    /// Fills `buf` from the file at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end; any error of the medium.
    fn read_at(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, inside the file's length. Durable only after [`sync`].
    ///
    /// [`sync`]: Storage::sync
    ///
    /// # Errors
    /// After any error nothing may be assumed about the file's content.
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes every completed write to the file durable (`fdatasync`).
    ///
    /// # Errors
    /// After an error no later success of this call means anything (R01).
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Drops what the page cache holds of the file, so that the next read comes from the medium.
    ///
    /// # Errors
    /// `NotFound` when there is no such file. An advice that the system refuses is no error.
    fn forget(&self, name: &str) -> io::Result<()>;

    /// So many bytes of a file will be read soon: a page cache may begin to. Nothing waits for it, and
    /// nothing depends on it.
    fn will_need(&self, _name: &str, _offset: u64, _bytes: u64) {}

    /// A new file of `bytes` zeros: allocated, written and synced, but its name is durable only
    /// after [`sync_dir`](Storage::sync_dir).
    ///
    /// # Errors
    /// `AlreadyExists`; `StorageFull` when there is no space (the file is then gone again).
    fn create(&self, name: &str, bytes: u64) -> io::Result<()>;

    /// A new file of `bytes` zeros of which none need be written: its space is its own, and it reads as
    /// zeros, but the first write to each block of it costs more than to one of a file that was
    /// [created](Storage::create). All else is as there, and where a file system cannot do that, the
    /// zeros are written.
    ///
    /// # Errors
    /// Those of [`create`](Storage::create).
    fn allocate(&self, name: &str, bytes: u64) -> io::Result<()>;

    /// A new file without bytes, which grows by [`extend`](Storage::extend); its name is durable only
    /// after [`sync_dir`](Storage::sync_dir).
    ///
    /// # Errors
    /// `AlreadyExists`, or whatever the directory says.
    fn create_empty(&self, name: &str) -> io::Result<()>;

    /// Writes all of `bytes` behind the file's last byte. They, and the file's new length, are durable
    /// only after [`sync`](Storage::sync); until then a power cut may leave any length in between.
    ///
    /// # Errors
    /// `StorageFull` when there is no space. After any error nothing may be assumed about what lies
    /// behind the last byte that was synced.
    fn extend(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, replacing a file of that name.
    ///
    /// # Errors
    /// `NotFound`, or whatever the directory says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, or whatever the directory says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// As for [`sync`](Storage::sync).
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that new files could take.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// What a storage was asked to do when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageOp {
    /// Listing the directory.
    List,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Syncing a file.
    Sync,
    /// Creating a file.
    Create,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Syncing the directory.
    SyncDir,
    /// Asking for free space.
    Space,
}

impl fmt::Display for StorageOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageOp::List => "listing the directory",
            StorageOp::Read => "read",
            StorageOp::Write => "write",
            StorageOp::Sync => "sync",
            StorageOp::Create => "creation",
            StorageOp::Rename => "rename",
            StorageOp::Remove => "removal",
            StorageOp::SyncDir => "sync of the directory",
            StorageOp::Space => "asking for free space",
        })
    }
}

/// A failure on durable state. Fatal unless it [may pass](StorageError::may_pass): the process ends
/// with exit 74 and nothing leaves the node afterwards; never retried, because the page cache can no
/// longer be trusted (R01).
#[derive(Debug, thiserror::Error)]
#[error("{op} of {file} at offset {offset} failed: {source}")]
pub struct StorageError {
    /// The file, by its name in the journal's directory; the directory itself is ".".
    pub file: String,
    /// Where in the file, in bytes; zero where that means nothing.
    pub offset: u64,
    /// What was asked for.
    pub op: StorageOp,
    /// What the system said, the error number included.
    #[source]
    pub source: io::Error,
}

impl StorageError {
    /// True when the system was short of something for now, and nothing that is stored depends on
    /// it. A sync that failed is never of that kind: no later success of it means anything (R01).
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let syncs = matches!(self.op, StorageOp::Sync | StorageOp::SyncDir);
        !syncs && Trouble::is_shortage(&self.source)
    }

    /// Names the place of an error; meant for `map_err`.
    pub(crate) fn at(op: StorageOp, file: &str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_string();
        move |source| StorageError { file, offset, op, source }
    }
}

/// Completes a file that was written aside, in this order: sync it, only then give it its name, sync the
/// directory (R07).
pub(crate) fn complete_file(
    storage: &dyn Storage,
    aside: &str,
    name: &str,
) -> Result<(), StorageError> {
    storage.sync(aside).map_err(StorageError::at(StorageOp::Sync, aside, 0))?;
    storage.rename(aside, name).map_err(StorageError::at(StorageOp::Rename, aside, 0))?;
    storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))
}

/// Removes a file that need not be there.
pub(crate) fn remove_if_there(storage: &dyn Storage, name: &str) -> Result<(), StorageError> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::at(StorageOp::Remove, name, 0)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A read whose failure says something about the medium, or nothing at all: a shortage is an error
/// of its own.
pub(crate) fn read_some(
    storage: &dyn Storage,
    file: &str,
    offset: u64,
    buf: &mut [u8],
) -> Result<io::Result<()>, StorageError> {
    match storage.read_at(file, offset, buf) {
        Err(error) if Trouble::is_shortage(&error) => {
            Err(StorageError::at(StorageOp::Read, file, offset)(error))
        }
        read => Ok(read),
    }
}
