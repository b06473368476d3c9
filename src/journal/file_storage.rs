//! Files in a real directory.

use super::storage::Storage;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most files kept open: the segments in use and those that readers walk through.
const OPEN_FILES_MAX: usize = 64;
/// A new file is written in chunks of this size.
const FILL_CHUNK_BYTES: u64 = 1 << 20;
/// A new file is synced each time so many bytes were written, so that its zeros never queue up in
/// front of a batch's sync on the same disk.
const FILL_SYNC_BYTES: u64 = 1 << 20;

/// A directory of a real file system. Files stay open in a small cache; every read and write names
/// its offset, so threads share the handles without a lock around the input and output itself.
#[derive(Debug)]
pub struct FileStorage {
    dir: PathBuf,
    /// Files are opened for writing too.
    writable: bool,
    /// Grows with every byte that is read.
    read_bytes: Arc<AtomicU64>,
    open: Mutex<OpenFiles>,
}

#[derive(Debug, Default)]
struct OpenFiles {
    /// By name: when last used, and the handle.
    files: BTreeMap<String, (u64, Arc<File>)>,
    clock: u64,
}

impl FileStorage {
    /// The journal in this directory, which must exist.
    #[must_use]
    pub fn new(dir: &Path) -> FileStorage {
        FileStorage::counting(dir, Arc::default())
    }

    /// Likewise, adding the bytes that are read to a count.
    #[must_use]
    pub fn counting(dir: &Path, read_bytes: Arc<AtomicU64>) -> FileStorage {
        FileStorage { dir: dir.to_path_buf(), writable: true, read_bytes, open: Mutex::default() }
    }

    /// The same for reading alone: files need not be writable, and the system refuses all writes.
    /// For [`super::inspect()`].
    #[must_use]
    pub fn read_only(dir: &Path) -> FileStorage {
        FileStorage { writable: false, ..FileStorage::new(dir) }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        let mut open = self.open.lock();
        open.clock += 1;
        let clock = open.clock;
        if let Some((used, file)) = open.files.get_mut(name) {
            *used = clock;
            return Ok(Arc::clone(file));
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(self.writable);
        let file = Arc::new(options.open(self.path(name))?);
        if open.files.len() >= OPEN_FILES_MAX {
            let oldest = open.files.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                open.files.remove(&oldest);
            }
        }
        open.files.insert(name.to_string(), (clock, Arc::clone(&file)));
        Ok(file)
    }

    fn fill(&self, name: &str, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.path(name))?;
        // Early notice of a full disk and fewer extents; file systems without it need neither.
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        // Allocated is not enough: an extent that was never written costs a journalled change of
        // metadata at the first write to it, which doubles the cost of a batch.
        let zeros = vec![0; FILL_CHUNK_BYTES as usize];
        let (mut at, mut synced) = (0, 0);
        while at < bytes {
            let chunk = FILL_CHUNK_BYTES.min(bytes - at);
            file.write_all_at(&zeros[..chunk as usize], at)?;
            at += chunk;
            if at - synced >= FILL_SYNC_BYTES {
                file.sync_data()?;
                synced = at;
            }
        }
        file.sync_all()
    }
}

impl Storage for FileStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(self.file(name)?.metadata()?.len())
    }

    fn read_at(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.file(name)?.read_exact_at(buf, offset)
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        let file = self.file(name)?;
        // Advice only: a file system without a page cache may refuse it.
        let _ = rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<()> {
        let filled = self.fill(name, bytes);
        if let Err(error) = &filled
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            // Best effort: it would only take up space; recovery removes what stays behind.
            let _ = std::fs::remove_file(self.path(name));
        }
        filled
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut open = self.open.lock();
        open.files.remove(from);
        open.files.remove(to);
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.open.lock().files.remove(name);
        std::fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
