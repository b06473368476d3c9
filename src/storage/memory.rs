//! Files in memory, with every fault a disk has.
//!
//! What was written is split into what is durable and what is not: unsynced 512-byte sectors,
//! unsynced file lengths and unsynced directory operations, any subset of which survives a
//! [`MemStorage::crash`]. Deterministic: all chance comes in from outside.

use crate::limits::SECTOR_BYTES;
use crate::storage::seam::Storage;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;
type Sector = [u8; SECTOR_BYTES];
/// Where chance comes from: 64 fresh bits per call.
pub type Randomness<'a> = &'a mut dyn FnMut() -> u64;

/// A handle to a directory in memory; clones share it.
#[derive(Clone, Debug)]
pub struct MemStorage(Arc<Mutex<MemDisk>>);

#[derive(Clone, Debug, Default)]
struct MemDisk {
    files: BTreeMap<u64, Content>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    free_bytes: u64,
    script: Script,
}

/// What is to go wrong, and how far things went.
#[derive(Clone, Debug, Default)]
struct Script {
    /// Writes, syncs and directory operations so far.
    steps: u64,
    syncs: u64,
    halt_at: Option<u64>,
    halted: bool,
    fail_write_at: Option<u64>,
    fail_sync_at: Option<u64>,
    /// By the number of the file: one that takes its name later lies elsewhere on the medium.
    unreadable: Vec<(u64, Range<u64>)>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Created { name: String, file: u64 },
    Renamed { from: String, to: String, file: u64 },
    Removed { name: String },
}

#[derive(Clone, Debug, Default)]
struct Content {
    len: u64,
    durable_len: u64,
    /// Its pages were allocated and not written: see [`Content::crash`].
    unwritten: bool,
    /// The medium; a page that is not there is zero.
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
    /// Every version of a sector since the last sync, oldest first.
    unsynced: BTreeMap<u64, Vec<Sector>>,
    /// What the page cache still shows after a failed sync, and the medium does not have.
    phantom: BTreeMap<u64, Sector>,
}

impl Content {
    fn medium(&self, sector: u64) -> Sector {
        let (page, at) = place(sector);
        let mut bytes = [0; SECTOR_BYTES];
        if let Some(page) = self.pages.get(&page) {
            bytes.copy_from_slice(&page[at..at + SECTOR_BYTES]);
        }
        bytes
    }

    fn store(&mut self, sector: u64, bytes: &Sector) {
        let (page, at) = place(sector);
        let page = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES]));
        page[at..at + SECTOR_BYTES].copy_from_slice(bytes);
    }

    fn cached(&self, sector: u64) -> Sector {
        let newest = self.unsynced.get(&sector).and_then(|versions| versions.last());
        newest.or_else(|| self.phantom.get(&sector)).copied().unwrap_or_else(|| self.medium(sector))
    }

    /// The medium page by page, because recovery reads much, and over it what is not durable.
    fn read(&self, offset: u64, buf: &mut [u8]) {
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let within = (at % PAGE_BYTES as u64) as usize;
            let part = (PAGE_BYTES - within).min(buf.len() - done);
            match self.pages.get(&(at / PAGE_BYTES as u64)) {
                Some(page) => buf[done..done + part].copy_from_slice(&page[within..within + part]),
                None => buf[done..done + part].fill(0),
            }
            done += part;
        }
        let sector = SECTOR_BYTES as u64;
        let range = offset / sector..(offset + buf.len() as u64).div_ceil(sector);
        let newest = |entry: (&u64, &Vec<Sector>)| entry.1.last().map(|bytes| (*entry.0, *bytes));
        let phantom = self.phantom.range(range.clone()).map(|entry| (*entry.0, *entry.1));
        for (number, bytes) in phantom.chain(self.unsynced.range(range).filter_map(newest)) {
            let (start, end) = (number * sector, (number + 1) * sector);
            let (from, upto) = (start.max(offset), end.min(offset + buf.len() as u64));
            buf[(from - offset) as usize..(upto - offset) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(upto - start) as usize]);
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        each_sector(offset, bytes.len(), |sector, within, part| {
            let mut content = self.cached(sector);
            if content[within.clone()] == bytes[part.clone()] {
                return; // Whether such a write survives makes no difference to anyone.
            }
            content[within].copy_from_slice(&bytes[part]);
            self.unsynced.entry(sector).or_default().push(content);
        });
    }

    fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            if let Some(bytes) = versions.last() {
                self.store(sector, bytes);
            }
            self.phantom.remove(&sector);
        }
        self.durable_len = self.len;
    }

    /// A failed sync: the cache keeps showing what was written, and takes it for clean (R01).
    fn sync_failed(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            if let Some(bytes) = versions.last() {
                self.phantom.insert(sector, *bytes);
            }
        }
    }

    /// What lies behind the last byte is zero, should the file grow again.
    fn clear_beyond_end(&mut self) {
        let (sector, within) = (self.len / SECTOR_BYTES as u64, self.len as usize % SECTOR_BYTES);
        let (page, at) = place(sector);
        self.pages.split_off(&(page + 1));
        if let Some(page) = self.pages.get_mut(&page) {
            page[at + within..].fill(0);
        }
    }

    fn crash(&mut self, random: Randomness<'_>) {
        self.phantom.clear();
        if self.durable_len < self.len {
            self.len = match random() % 3 {
                0 => self.durable_len,
                1 => self.durable_len + random() % (self.len - self.durable_len),
                _ => self.len,
            };
            self.durable_len = self.len;
        }
        let mut lost_pages: BTreeMap<u64, bool> = BTreeMap::new();
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            // A page that was never written counts as zeros until the file system has noted that it was.
            // Without that note all that was written to it is gone, whatever reached the medium.
            let page = place(sector).0;
            if self.unwritten
                && !self.pages.contains_key(&page)
                && *lost_pages.entry(page).or_insert_with(|| random() & 1 == 1)
            {
                continue;
            }
            // Any version may have reached the medium, or none.
            let survivor = random() % (versions.len() as u64 + 1);
            if survivor > 0 && sector * (SECTOR_BYTES as u64) < self.len {
                self.store(sector, &versions[survivor as usize - 1]);
            }
        }
        self.clear_beyond_end();
    }
}

fn place(sector: u64) -> (u64, usize) {
    let per_page = (PAGE_BYTES / SECTOR_BYTES) as u64;
    (sector / per_page, (sector % per_page) as usize * SECTOR_BYTES)
}

/// Calls `visit(sector, range within the sector, range within the buffer)` for a span of a file.
fn each_sector(offset: u64, bytes: usize, mut visit: impl FnMut(u64, Range<usize>, Range<usize>)) {
    let mut done = 0;
    while done < bytes {
        let at = offset + done as u64;
        let within = (at % SECTOR_BYTES as u64) as usize;
        let part = (SECTOR_BYTES - within).min(bytes - done);
        visit(at / SECTOR_BYTES as u64, within..within + part, done..done + part);
        done += part;
    }
}

fn broken(text: &'static str) -> io::Error {
    io::Error::other(text)
}

impl MemDisk {
    /// Counts one step; true when the step is the one at which the machine stops.
    fn step(&mut self) -> io::Result<bool> {
        if self.script.halted {
            return Err(broken("the machine has stopped"));
        }
        self.script.steps += 1;
        if self.script.halt_at == Some(self.script.steps) {
            self.script.halted = true;
        }
        Ok(self.script.halted)
    }

    fn named(&self, name: &str) -> io::Result<u64> {
        if self.script.halted {
            return Err(broken("the machine has stopped"));
        }
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content(&mut self, name: &str) -> io::Result<&mut Content> {
        let file = self.named(name)?;
        Ok(self.files.get_mut(&file).expect("every name leads to a file"))
    }

    /// A new file of so many zeros, written or only allocated, and synced.
    fn create_synced(&mut self, name: &str, bytes: u64, unwritten: bool) -> io::Result<()> {
        if self.create(name, bytes)? {
            return Err(broken("the machine stopped during the creation"));
        }
        self.content(name)?.unwritten = unwritten;
        self.sync_one(name)
    }

    /// A new file of so many zeros; true when the machine stops at this very step.
    fn create(&mut self, name: &str, bytes: u64) -> io::Result<bool> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let halts = self.step()?;
        if bytes > self.free_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.free_bytes -= bytes;
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Content { len: bytes, ..Content::default() });
        self.names.insert(name.to_string(), file);
        self.unsynced_names.push(NameChange::Created { name: name.to_string(), file });
        Ok(halts)
    }

    fn sync_one(&mut self, name: &str) -> io::Result<()> {
        self.named(name)?;
        if self.step()? {
            return Err(broken("the machine stopped before the sync"));
        }
        self.script.syncs += 1;
        let fails = self.script.fail_sync_at == Some(self.script.syncs);
        let content = self.content(name)?;
        if fails {
            content.sync_failed();
            return Err(io::Error::from_raw_os_error(5));
        }
        content.sync();
        Ok(())
    }

    fn collect_nameless(&mut self) {
        let named =
            |names: &BTreeMap<String, u64>, file| names.values().any(|other| *other == file);
        let (names, durable, unsynced) = (&self.names, &self.durable_names, &self.unsynced_names);
        let pending = |file| {
            unsynced.iter().any(|change| match change {
                NameChange::Created { file: of, .. } | NameChange::Renamed { file: of, .. } => {
                    *of == file
                }
                NameChange::Removed { .. } => false,
            })
        };
        let mut freed = 0;
        self.files.retain(|file, content| {
            let kept = named(names, *file) || named(durable, *file) || pending(*file);
            freed += if kept { 0 } else { content.len };
            kept
        });
        self.free_bytes = self.free_bytes.saturating_add(freed);
    }
}

impl Default for MemStorage {
    fn default() -> MemStorage {
        MemStorage::new()
    }
}

impl MemStorage {
    /// An empty directory with a terabyte of space.
    #[must_use]
    pub fn new() -> MemStorage {
        MemStorage(Arc::new(Mutex::new(MemDisk { free_bytes: 1 << 40, ..MemDisk::default() })))
    }

    /// A disk of its own with the same content, durable and not, and the same script.
    #[must_use]
    pub fn duplicate(&self) -> MemStorage {
        MemStorage(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    /// Power fails: of every unsynced sector any version or none survives, of the unsynced
    /// directory operations any subset, in order. The machine runs again afterwards, and what was
    /// scripted is forgotten, unreadable ranges apart.
    pub fn crash(&self, random: Randomness<'_>) {
        let mut disk = self.0.lock();
        for change in std::mem::take(&mut disk.unsynced_names) {
            if random() & 1 == 1 {
                apply(&mut disk.durable_names, change);
            }
        }
        disk.names = disk.durable_names.clone();
        for content in disk.files.values_mut() {
            content.crash(random);
        }
        disk.collect_nameless();
        disk.script =
            Script { unreadable: std::mem::take(&mut disk.script.unreadable), ..Script::default() };
    }

    /// The process ends, the machine runs on: nothing is lost, nothing becomes durable.
    pub fn restart_process(&self) {
        let mut disk = self.0.lock();
        disk.script =
            Script { unreadable: std::mem::take(&mut disk.script.unreadable), ..Script::default() };
    }

    /// Writes, syncs and directory operations so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.0.lock().script.steps
    }

    /// Syncs of files so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.0.lock().script.syncs
    }

    /// The machine stops at the `step`-th write, sync or directory operation from the start: a
    /// write is still under way then, a sync has done nothing yet. All later calls fail.
    pub fn halt_at(&self, step: u64) {
        self.0.lock().script.halt_at = Some(step);
    }

    /// The `step`-th step, if it is a write, fails with EIO.
    pub fn fail_write_at(&self, step: u64) {
        self.0.lock().script.fail_write_at = Some(step);
    }

    /// The `count`-th sync of a file fails with EIO, and what it should have made durable never
    /// becomes durable, though reads still see it until [`Storage::forget`].
    pub fn fail_sync_at(&self, count: u64) {
        self.0.lock().script.fail_sync_at = Some(count);
    }

    /// Reads that touch this range of the file fail with EIO until a write covers it.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn make_unreadable(&self, name: &str, range: Range<u64>) {
        let mut disk = self.0.lock();
        let file = disk.named(name).expect("the file to make unreadable exists");
        disk.script.unreadable.push((file, range));
    }

    /// Sets the space that is left for new files.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.0.lock().free_bytes = bytes;
    }

    /// Rots the medium: `change` edits the durable bytes of a range.
    ///
    /// # Panics
    /// When there is no such file or range.
    pub fn rot(&self, name: &str, range: Range<u64>, change: impl FnOnce(&mut [u8])) {
        let mut disk = self.0.lock();
        let content = disk.content(name).expect("the file to rot exists");
        assert!(range.end <= content.len, "rot past the end: {} > {}", range.end, content.len);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        content.read(range.start, &mut bytes);
        change(&mut bytes);
        each_sector(range.start, bytes.len(), |sector, within, part| {
            let mut stored = content.medium(sector);
            stored[within].copy_from_slice(&bytes[part]);
            content.store(sector, &stored);
        });
    }

    /// Cuts a file short on the medium.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn truncate(&self, name: &str, bytes: u64) {
        let mut disk = self.0.lock();
        let content = disk.content(name).expect("the file to cut exists");
        (content.len, content.durable_len) = (bytes, bytes);
        content.clear_beyond_end();
    }
}

fn apply(names: &mut BTreeMap<String, u64>, change: NameChange) {
    match change {
        NameChange::Created { name, file } => {
            names.insert(name, file);
        }
        NameChange::Renamed { from, to, file } => {
            if names.get(&from) == Some(&file) {
                names.remove(&from);
            }
            names.insert(to, file);
        }
        NameChange::Removed { name } => {
            names.remove(&name);
        }
    }
}

impl Storage for MemStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let disk = self.0.lock();
        if disk.script.halted {
            return Err(broken("the machine has stopped"));
        }
        Ok(disk.names.keys().cloned().collect())
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(self.0.lock().content(name)?.len)
    }

    fn read_at(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut disk = self.0.lock();
        let end = offset + buf.len() as u64;
        let read = disk.named(name)?;
        let hit = |(file, range): &(u64, Range<u64>)| {
            *file == read && range.start < end && offset < range.end && offset < end
        };
        if disk.script.unreadable.iter().any(hit) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let content = disk.content(name)?;
        if end > content.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        content.read(offset, buf);
        Ok(())
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock();
        let end = offset + bytes.len() as u64;
        let len = disk.content(name)?.len;
        assert!(end <= len, "write past the end of {name}: {end} > {len}");
        let halts = disk.step()?;
        if disk.script.fail_write_at == Some(disk.script.steps) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let file = *disk.names.get(name).expect("the file was found above");
        disk.files.get_mut(&file).expect("every name leads to a file").write(offset, bytes);
        let covered = |range: &Range<u64>| offset <= range.start && range.end <= end;
        disk.script.unreadable.retain(|(of, range)| *of != file || !covered(range));
        if halts { Err(broken("the machine stopped during the write")) } else { Ok(()) }
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.0.lock().sync_one(name)
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        self.0.lock().content(name)?.phantom.clear();
        Ok(())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.0.lock().create_synced(name, bytes, false)
    }

    fn allocate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.0.lock().create_synced(name, bytes, true)
    }

    fn create_empty(&self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock();
        let halts = disk.create(name, 0)?;
        if halts { Err(broken("the machine stopped during the creation")) } else { Ok(()) }
    }

    fn extend(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock();
        let file = disk.named(name)?;
        let halts = disk.step()?;
        if disk.script.fail_write_at == Some(disk.script.steps) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let taken = bytes.len() as u64;
        if taken > disk.free_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.free_bytes -= taken;
        let content = disk.files.get_mut(&file).expect("every name leads to a file");
        let end = content.len;
        content.len += taken;
        content.write(end, bytes);
        if halts { Err(broken("the machine stopped during the write")) } else { Ok(()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.0.lock();
        let file = disk.named(from)?;
        let halts = disk.step()?;
        let change = NameChange::Renamed { from: from.to_string(), to: to.to_string(), file };
        apply(&mut disk.names, change.clone());
        disk.unsynced_names.push(change);
        if halts { Err(broken("the machine stopped during the rename")) } else { Ok(()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.named(name)?;
        let halts = disk.step()?;
        let change = NameChange::Removed { name: name.to_string() };
        apply(&mut disk.names, change.clone());
        disk.unsynced_names.push(change);
        disk.collect_nameless();
        if halts { Err(broken("the machine stopped during the removal")) } else { Ok(()) }
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.0.lock();
        if disk.step()? {
            return Err(broken("the machine stopped before the sync of the directory"));
        }
        for change in std::mem::take(&mut disk.unsynced_names) {
            apply(&mut disk.durable_names, change);
        }
        disk.collect_nameless();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().free_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::Random;

    /// A file that grows: what was synced stays whatever the crash, and of what was not any length and
    /// any sectors may be left.
    #[test]
    fn a_crash_leaves_any_part_of_what_was_not_synced() {
        let (mut lengths, mut holes) = (std::collections::BTreeSet::new(), 0);
        for seed in 0..200 {
            let disk = MemStorage::new();
            disk.create_empty("f").unwrap();
            disk.sync_dir().unwrap();
            disk.extend("f", &[1; 700]).unwrap();
            disk.sync("f").unwrap();
            disk.extend("f", &[2; 3000]).unwrap();
            let mut random = Random::new(seed);
            disk.crash(&mut || random.draw());
            let mut found = vec![0; disk.len("f").unwrap() as usize];
            disk.read_at("f", 0, &mut found).unwrap();
            assert!(found.len() >= 700 && found[..700].iter().all(|b| *b == 1), "seed {seed}");
            holes += u32::from(found[700..].contains(&0));
            lengths.insert(found.len());
            disk.extend("f", &[3; 9]).unwrap();
            let mut last = [0; 9];
            disk.read_at("f", found.len() as u64, &mut last).unwrap();
            assert_eq!(last, [3; 9], "seed {seed}");
        }
        assert!(lengths.len() > 20 && lengths.contains(&700) && lengths.contains(&3700));
        assert!(holes > 50, "{holes}");
    }
}
