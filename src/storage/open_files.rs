//! The files of one journal that stay open: those that are written to always, those that are only
//! read as far as descriptors go.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

/// Files that were written to and stay open: the hard state, the segment in use, the one that is
/// begun in the same batch, two spares, and one in preparation. A batch needs no descriptor for
/// them, and what was not synced is synced by the descriptor that wrote it (R01).
pub(crate) const WRITTEN_MAX: usize = 6;

/// A cache of handles. The one that was not used for longest, of those that are only read, makes room.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    files: BTreeMap<String, OpenFile>,
    /// Names of those that are only read, by the clock of their last use.
    read_by_use: BTreeMap<u64, String>,
    /// The directory itself, once it was needed.
    pub(crate) dir: Option<Arc<File>>,
    /// The file that was last written to past the page cache.
    past_cache: Option<(String, Arc<File>)>,
    /// Most files kept open that are only read.
    read_max: usize,
    /// Grows with every use of a file.
    clock: u64,
    /// Grows with every rename and removal.
    generation: u64,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    /// The clock at its last use.
    used: u64,
    written: bool,
    unsynced: bool,
}

impl OpenFiles {
    pub(crate) fn new(read_max: usize) -> OpenFiles {
        OpenFiles {
            files: BTreeMap::new(),
            read_by_use: BTreeMap::new(),
            dir: None,
            past_cache: None,
            read_max: read_max.max(1),
            clock: 0,
            generation: 0,
        }
    }

    /// The handle of a file, if it is open.
    pub(crate) fn get(&mut self, name: &str) -> Option<Arc<File>> {
        self.clock += 1;
        let open = self.files.get_mut(name)?;
        if let Some(name) = self.read_by_use.remove(&open.used) {
            self.read_by_use.insert(self.clock, name);
        }
        open.used = self.clock;
        Some(Arc::clone(&open.file))
    }

    /// Differs once a name may mean another file than before: a handle that was opened meanwhile is not to be kept.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The handle of a file for writes past the page cache, if it is open.
    pub(crate) fn past_cache(&self, name: &str) -> Option<Arc<File>> {
        let (of, file) = self.past_cache.as_ref()?;
        (of == name).then(|| Arc::clone(file))
    }

    /// Keeps that handle, and none of another file.
    pub(crate) fn keep_past_cache(&mut self, name: &str, file: &Arc<File>) {
        self.past_cache = Some((name.to_string(), Arc::clone(file)));
    }

    /// True while this very handle of a file is kept.
    pub(crate) fn holds(&self, name: &str, file: &Arc<File>) -> bool {
        self.files.get(name).is_some_and(|open| Arc::ptr_eq(&open.file, file))
    }

    /// Keeps a handle.
    pub(crate) fn insert(&mut self, name: &str, file: &Arc<File>) {
        self.take(name);
        self.clock += 1;
        let (file, used) = (Arc::clone(file), self.clock);
        let open = OpenFile { file, used, written: false, unsynced: false };
        self.files.insert(name.to_string(), open);
        self.read_by_use.insert(used, name.to_string());
        self.evict();
    }

    /// The file is about to be written to.
    pub(crate) fn written(&mut self, name: &str) {
        let Some(open) = self.files.get_mut(name) else { return };
        open.unsynced = true;
        if !std::mem::replace(&mut open.written, true) {
            self.read_by_use.remove(&open.used);
            self.evict();
        }
    }

    /// What was written is durable.
    pub(crate) fn synced(&mut self, name: &str) {
        if let Some(open) = self.files.get_mut(name) {
            open.unsynced = false;
        }
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        self.generation += 1;
        self.take(to);
        self.past_cache = None; // It may be of either.
        if let Some(open) = self.take(from) {
            if !open.written {
                self.read_by_use.insert(open.used, to.to_string());
            }
            self.files.insert(to.to_string(), open);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.generation += 1;
        self.take(name);
        self.past_cache.take_if(|(of, _)| of == name);
    }

    /// Takes a handle out of the cache.
    fn take(&mut self, name: &str) -> Option<OpenFile> {
        let open = self.files.remove(name)?;
        self.read_by_use.remove(&open.used);
        Some(open)
    }

    /// Closes all files that are only read. Says whether there were any.
    pub(crate) fn make_room(&mut self) -> bool {
        let read = std::mem::take(&mut self.read_by_use);
        for name in read.values() {
            self.files.remove(name);
        }
        !read.is_empty()
    }

    fn evict(&mut self) {
        // All files are looked at, but seldom: few are written to.
        if self.files.len() - self.read_by_use.len() > WRITTEN_MAX {
            let clean = self.files.iter_mut().filter(|(_, open)| open.written && !open.unsynced);
            if let Some((name, open)) = clean.min_by_key(|(_, open)| open.used) {
                open.written = false;
                self.read_by_use.insert(open.used, name.clone());
            }
        }
        while self.read_by_use.len() > self.read_max {
            let Some((_, oldest)) = self.read_by_use.pop_first() else { return };
            self.files.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn opened(files: &mut OpenFiles, name: &str) {
        files.insert(name, &Arc::new(File::open("/dev/null").unwrap()));
    }

    fn names(files: &OpenFiles) -> Vec<&str> {
        files.files.keys().map(String::as_str).collect()
    }

    /// However many files are read, those that are written to stay open, and the others are few.
    #[test]
    fn readers_never_close_what_is_written() {
        let mut files = OpenFiles::new(3);
        for name in ["hard-state", "tail", "spare"] {
            opened(&mut files, name);
            files.written(name);
            files.synced(name);
        }
        for number in 0..500 {
            opened(&mut files, &format!("old-{number}"));
            assert!(files.files.len() <= 6, "{:?}", names(&files));
        }
        for name in ["hard-state", "tail", "spare", "old-499", "old-498", "old-497"] {
            assert!(files.get(name).is_some(), "{name}: {:?}", names(&files));
        }
        assert!(files.make_room());
        assert_eq!(names(&files), ["hard-state", "spare", "tail"]);
        assert!(!files.make_room());
    }

    /// A file that is no longer written to makes room for the next one, but never before its sync.
    #[test]
    fn what_is_not_synced_stays_open() {
        let mut files = OpenFiles::new(1);
        for number in 0..40 {
            let name = format!("segment-{number:02}");
            opened(&mut files, &name);
            files.written(&name);
            if number != 3 {
                files.synced(&name);
            }
            assert!(files.files.len() <= WRITTEN_MAX + 1, "{:?}", names(&files));
        }
        assert!(files.get("segment-03").is_some(), "{:?}", names(&files));
        assert!(files.get("segment-02").is_none(), "{:?}", names(&files));
    }

    /// A prepared file keeps its handle when it gets its name.
    #[test]
    fn a_renamed_file_stays_open() {
        let mut files = OpenFiles::new(1);
        opened(&mut files, "a.new");
        files.written("a.new");
        files.rename("a.new", "a");
        assert_eq!(names(&files), ["a"]);
    }
}
