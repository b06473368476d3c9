//! What the system is short of says nothing about a run.

use crate::rig::{OWNER, Shard, spec, write_all, write_as};
use paxosd::index::{Run, RunError, RunSet, merge};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{FormatLevel, Index, RunId, Slot};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// EINTR, ENOMEM, EMFILE.
const SHORTAGES: [i32; 3] = [4, 12, 24];

/// A storage on which one call fails for want of something, and does nothing then.
struct Stingy<'a> {
    below: &'a MemStorage,
    calls: AtomicU64,
    fails: u64,
    errno: i32,
}

impl<'a> Stingy<'a> {
    fn new(below: &'a MemStorage, fails: u64, errno: i32) -> Stingy<'a> {
        Stingy { below, calls: AtomicU64::new(0), fails, errno }
    }

    fn call(&self) -> io::Result<&MemStorage> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call == self.fails {
            Err(io::Error::from_raw_os_error(self.errno))
        } else {
            Ok(self.below)
        }
    }

    fn has_failed(&self) -> bool {
        self.calls.load(Ordering::Relaxed) >= self.fails
    }
}

impl Storage for Stingy<'_> {
    fn list(&self) -> io::Result<Vec<String>> {
        self.call()?.list()
    }
    fn len(&self, name: &str) -> io::Result<u64> {
        self.call()?.len(name)
    }
    fn read_at(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.call()?.read_at(name, offset, buf)
    }
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.call()?.write_at(name, offset, bytes)
    }
    fn sync(&self, name: &str) -> io::Result<()> {
        self.call()?.sync(name)
    }
    fn forget(&self, name: &str) -> io::Result<()> {
        self.call()?.forget(name)
    }
    fn create(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.call()?.create(name, bytes)
    }
    fn allocate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.call()?.allocate(name, bytes)
    }
    fn create_empty(&self, name: &str) -> io::Result<()> {
        self.call()?.create_empty(name)
    }
    fn extend(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.call()?.extend(name, bytes)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call()?.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.call()?.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.call()?.sync_dir()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.call()?.free_bytes()
    }
}

/// Does something on a storage of which each call in turn fails for want of something, until none does:
/// no failure is taken for damage, and the same succeeds afterwards.
fn none_is_damage(below: &MemStorage, work: impl Fn(&dyn Storage) -> Result<(), RunError>) {
    for errno in SHORTAGES {
        for fails in 1.. {
            let stingy = Stingy::new(below, fails, errno);
            let done = work(&stingy);
            if !stingy.has_failed() {
                assert!(fails > 2 && done.is_ok(), "call {fails}: {done:?}");
                break;
            }
            assert!(matches!(done, Err(RunError::Storage(_))), "call {fails}: {done:?}");
            work(below).unwrap();
        }
    }
}

/// C31: whatever call fails because the system is short of something, the run is not damaged: opening,
/// reading, searching, reading back, writing and merging alike.
#[test]
fn c31_a_shortage_is_no_damage() {
    let storage = MemStorage::new();
    let mut shard = Shard::new(12);
    let (log, mut parts) = (shard.create(), Vec::new());
    for _ in 0..2 {
        let rows = shard.go_on(150);
        parts.push((shard.slot, rows));
    }
    let set = write_all(&storage, &parts);
    let name = set.runs()[0].name();
    none_is_damage(&storage, |storage| Run::open(storage, name, &OWNER).map(drop));
    none_is_damage(&storage, |storage| set.runs()[0].read_back(storage, &OWNER));
    none_is_damage(&storage, |storage| {
        let opened = |run: &std::sync::Arc<Run>| Run::open(storage, run.name(), &OWNER);
        let runs: Result<Vec<_>, _> =
            set.runs().iter().map(|run| opened(run).map(Into::into)).collect();
        let set = RunSet::new(runs?).unwrap();
        set.extents_from(storage, log, Index(0), usize::MAX).map(drop)
    });
    none_is_damage(&storage, |storage| {
        let spec = spec(8, Slot(0), parts[0].0, &parts[0].1);
        write_as(storage, &spec, &parts[0].1).map(drop).map_err(RunError::Storage)
    });
    none_is_damage(&storage, |storage| {
        let live = &mut shard.live.iter().map(|(log, first)| (*log, *first));
        merge(storage, &OWNER, set.runs(), (RunId(9), FormatLevel::FIRST), live).map(drop)
    });
}
