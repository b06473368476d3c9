//! Files in a real directory.

use crate::limits;
use crate::storage::open_files::{OpenFiles, WRITTEN_MAX};
use crate::storage::seam::Storage;
use crate::storage::{direct, fill};
use crate::types::Trouble;
use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Write-back of what is appended to a file begins each time so many bytes are whole: to ask for it after each small
/// append would cost every core some time.
const WRITE_BACK_BYTES: u64 = 1 << 20;

/// A directory of a real file system. Files stay open in a small cache; every read and write names
/// its offset, so threads share the handles without a lock around the input and output itself.
#[derive(Debug)]
pub struct FileStorage {
    dir: PathBuf,
    /// Files are opened for writing too.
    writable: bool,
    /// Grows with every byte that is read.
    read_bytes: Arc<AtomicU64>,
    /// The file system refused a write past the page cache.
    refuses_direct: AtomicBool,
    open: Mutex<OpenFiles>,
}

impl FileStorage {
    /// The journal in this directory, which must exist.
    #[must_use]
    pub fn new(dir: &Path) -> FileStorage {
        FileStorage::bounded(dir, limits::READ_FILES_MAX, Arc::default())
    }

    /// The journal in this directory, which must exist. At most so many files are kept open that are
    /// only read, and the bytes that are read are added to the count.
    #[must_use]
    pub fn bounded(dir: &Path, read_max: usize, read_bytes: Arc<AtomicU64>) -> FileStorage {
        let open = Mutex::new(OpenFiles::new(read_max));
        FileStorage {
            dir: dir.to_path_buf(),
            writable: true,
            read_bytes,
            refuses_direct: AtomicBool::new(false),
            open,
        }
    }

    /// Descriptors that one journal takes beside the files that are only read: those that it writes
    /// to, its directory, one for each of two threads that have just opened a file, and two for writes past
    /// the page cache, of a batch and of a new file.
    pub const DESCRIPTORS: usize = WRITTEN_MAX + 5;

    /// The same for reading alone: files need not be writable, and the system refuses all writes.
    /// For [`crate::journal::inspect()`].
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
        let mut options = OpenOptions::new();
        let options = options.read(true).write(self.writable);
        let generation = {
            let mut open = self.open.lock();
            if let Some(file) = open.get(name) {
                return Ok(file);
            }
            open.generation()
        };
        // Opened without the lock, so that no other thread waits for the system. The handle is kept only if no file was
        // renamed or removed meanwhile: the name may mean another one since.
        let unlocked = options.open(self.path(name)).map(Arc::new);
        let mut open = self.open.lock();
        if let Some(file) = open.get(name) {
            return Ok(file);
        }
        let file = match unlocked {
            Ok(file) if open.generation() == generation => file,
            _ => Arc::new(opened(&mut open, || options.open(self.path(name)))?),
        };
        open.insert(name, &file);
        Ok(file)
    }

    /// The file, which is about to be written to: it stays open until what is written is synced, so
    /// that the sync goes by the descriptor that wrote (R01).
    fn file_to_write(&self, name: &str) -> io::Result<Arc<File>> {
        loop {
            let file = self.file(name)?;
            let mut open = self.open.lock();
            // A reader may have closed it in between, for want of descriptors.
            if open.holds(name, &file) {
                open.written(name);
                return Ok(file);
            }
        }
    }

    /// The file, for a write past the page cache, where the file system lets one.
    fn file_past_cache(&self, name: &str) -> Option<Arc<File>> {
        if self.refuses_direct.load(Ordering::Relaxed) {
            return None;
        }
        let mut open = self.open.lock();
        if let Some(file) = open.past_cache(name) {
            return Some(file);
        }
        let file = Arc::new(direct::open(&self.path(name)).ok()?);
        open.keep_past_cache(name, &file);
        Some(file)
    }

    /// The directory, opened once, so that no later sync of it needs a descriptor.
    fn directory(&self) -> io::Result<Arc<File>> {
        let mut open = self.open.lock();
        if let Some(dir) = &open.dir {
            return Ok(Arc::clone(dir));
        }
        let dir = Arc::new(opened(&mut open, || File::open(&self.dir))?);
        open.dir = Some(Arc::clone(&dir));
        Ok(dir)
    }

    /// A new file, open and empty.
    fn new_file(&self, name: &str) -> io::Result<Arc<File>> {
        self.directory()?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true);
        // Without the lock: a batch must not wait for a new file.
        let file = match options.open(self.path(name)) {
            Err(error) if Trouble::is_shortage(&error) && self.open.lock().make_room() => {
                options.open(self.path(name))
            }
            done => done,
        };
        Ok(Arc::new(file?))
    }

    /// A new file with what `fill` gives it.
    fn create_with(
        &self,
        name: &str,
        fill: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let file = self.new_file(name)?;
        let filled = fill(&file);
        match &filled {
            Ok(()) => {
                let mut open = self.open.lock();
                open.insert(name, &file);
                open.written(name);
                open.synced(name);
            }
            // Best effort: it would only take up space; recovery removes what stays behind.
            Err(_) => drop(std::fs::remove_file(self.path(name))),
        }
        filled
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
        let file = self.file_to_write(name)?;
        if direct::is_worth_it(offset, bytes.len())
            && let Some(past_cache) = self.file_past_cache(name)
        {
            // A failure shows here at once, and leaves nothing for the sync to report (R01).
            match direct::write(&past_cache, bytes, offset) {
                Err(error) if direct::is_refused(&error) => {
                    self.refuses_direct.store(true, Ordering::Relaxed);
                }
                done => return done,
            }
        }
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()?;
        self.open.lock().synced(name);
        Ok(())
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        let file = self.file(name)?;
        // Advice only: a file system without a page cache may refuse it.
        let _ = rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    fn will_need(&self, name: &str, offset: u64, bytes: u64) {
        if let Ok(file) = self.file(name) {
            let bytes = NonZeroU64::new(bytes);
            let _ = rustix::fs::fadvise(&*file, offset, bytes, rustix::fs::Advice::WillNeed);
        }
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.create_with(name, |file| fill::write_zeros(file, &self.path(name), bytes))
    }

    fn allocate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.create_with(name, |file| match fill::allocate(file, bytes)? {
            true => Ok(()),
            false => fill::write_zeros(file, &self.path(name), bytes),
        })
    }

    fn create_empty(&self, name: &str) -> io::Result<()> {
        let file = self.new_file(name)?;
        self.open.lock().insert(name, &file);
        Ok(())
    }

    fn extend(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.file_to_write(name)?;
        let end = file.metadata()?.len();
        file.write_all_at(bytes, end)?;
        start_write_back(&file, end, bytes.len() as u64);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut open = self.open.lock();
        std::fs::rename(self.path(from), self.path(to))?;
        open.rename(from, to);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = std::fs::remove_file(self.path(name));
        // Only now, so that no reader opens it once more: while it stays open, its space is not free.
        self.open.lock().remove(name);
        removed
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory()?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Starts the write-back of what was appended, now that the file has `bytes` more behind `end`. Else the sync would
/// have all of it to write at once, and hold up the syncs of other files meanwhile. On Linux this advice starts to
/// write dirty pages and does not wait for them. It is a hint: what fails to be written shows at the sync.
fn start_write_back(file: &File, end: u64, bytes: u64) {
    let whole = |offset: u64| offset / WRITE_BACK_BYTES * WRITE_BACK_BYTES;
    let (from, upto) = (whole(end), whole(end + bytes));
    if let Some(bytes) = NonZeroU64::new(upto - from) {
        let _ = rustix::fs::fadvise(file, from, Some(bytes), rustix::fs::Advice::DontNeed);
    }
}

/// Opens something; where descriptors are short, once more without the files that are only read.
fn opened(files: &mut OpenFiles, open: impl Fn() -> io::Result<File>) -> io::Result<File> {
    match open() {
        Err(error) if Trouble::is_shortage(&error) && files.make_room() => open(),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// R11: the space of a file that was read and removed is free at once: no handle of it stays open.
    #[test]
    fn r11_a_removed_file_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(dir.path());
        storage.create("a", 4096).unwrap();
        storage.read_at("a", 0, &mut [0; 8]).unwrap();
        let open = || {
            let open = std::fs::read_dir("/proc/self/fd").unwrap();
            let names = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
            names.filter(|name| name.starts_with(dir.path())).count()
        };
        let before = open();
        storage.remove("a").unwrap();
        assert_eq!(open(), before - 1, "its handle is open");
        assert_eq!(
            storage.read_at("a", 0, &mut [0; 8]).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(storage.remove("a").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
