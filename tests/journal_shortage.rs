//! What the system is short of says nothing about what is stored: it is waited for, or the start is
//! tried again, and never is it damage. And files that are cut short where nothing was in them.

#![allow(clippy::unwrap_used)]

mod journal_rig;

use journal_rig::{OPTIONS, Rig, Rng, Workload};
use paxosd::journal::{FindingKind, JobError, JournalEvent, OpenError, execute, inspect};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{FailureKind, Lsn, Slot};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// EINTR, EAGAIN, ENOMEM, EBUSY, ENFILE, EMFILE, ENOBUFS.
const SHORTAGES: [i32; 7] = [4, 11, 12, 16, 23, 24, 105];

/// A storage on which some calls fail for want of something, and do nothing then.
struct Stingy<'a> {
    below: &'a MemStorage,
    calls: AtomicU64,
    /// From this call on, so many fail; where that is none, a third of all does.
    fails: (u64, u64),
    errno: i32,
    /// Syncs are not counted: their handle is there since the write.
    with_syncs: bool,
}

impl<'a> Stingy<'a> {
    fn new(below: &'a MemStorage, fails: (u64, u64), errno: i32) -> Stingy<'a> {
        Stingy { below, calls: AtomicU64::new(0), fails, errno, with_syncs: false }
    }

    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let (first, count) = self.fails;
        let by_chance = count == 0 && Rng::new(first + call).percent(33);
        match by_chance || (first..first + count).contains(&call) {
            true => Err(io::Error::from_raw_os_error(self.errno)),
            false => Ok(()),
        }
    }

    fn sync_call(&self) -> io::Result<()> {
        if self.with_syncs { self.call() } else { Ok(()) }
    }
}

impl Storage for Stingy<'_> {
    fn list(&self) -> io::Result<Vec<String>> {
        self.call().and_then(|()| self.below.list())
    }
    fn len(&self, name: &str) -> io::Result<u64> {
        self.call().and_then(|()| self.below.len(name))
    }
    fn read_at(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.call().and_then(|()| self.below.read_at(name, offset, buf))
    }
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.call().and_then(|()| self.below.write_at(name, offset, bytes))
    }
    fn sync(&self, name: &str) -> io::Result<()> {
        self.sync_call().and_then(|()| self.below.sync(name))
    }
    fn forget(&self, name: &str) -> io::Result<()> {
        self.call().and_then(|()| self.below.forget(name))
    }
    fn create(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.call().and_then(|()| self.below.create(name, bytes))
    }
    fn allocate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.call().and_then(|()| self.below.allocate(name, bytes))
    }
    fn create_empty(&self, name: &str) -> io::Result<()> {
        self.call().and_then(|()| self.below.create_empty(name))
    }
    fn extend(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.call().and_then(|()| self.below.extend(name, bytes))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call().and_then(|()| self.below.rename(from, to))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.call().and_then(|()| self.below.remove(name))
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.sync_call().and_then(|()| self.below.sync_dir())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.call().and_then(|()| self.below.free_bytes())
    }
}

fn some_log() -> Rig {
    let mut rig = Rig::new(MemStorage::new());
    rig.run(&mut Workload::new(8), 60, true).unwrap();
    assert!(rig.storage.list().unwrap().len() > 4);
    rig
}

/// Whatever call of a start the system has no descriptor or memory for: the start ends with 75, to be
/// tried again, and nothing is taken for damaged, unreadable, or gone.
#[test]
fn a_start_that_lacks_descriptors_is_tried_again_and_finds_no_damage() {
    let rig = some_log();
    let clean = Rig::reopen(&rig.storage.duplicate()).unwrap().1;
    let read = |storage: &Stingy<'_>| {
        inspect(storage, &journal_rig::IDENTITY, journal_rig::SHARD, &|_| {})
    };
    let mut refused = 0;
    for call in 1.. {
        let storage = rig.storage.duplicate();
        let errno = SHORTAGES[call as usize % SHORTAGES.len()];
        let mut stingy = Stingy::new(&storage, (call, u64::MAX / 2), errno);
        stingy.with_syncs = true;
        match read(&stingy) {
            Ok(recovered) => {
                assert_eq!(recovered, clean, "call {call}");
                break;
            }
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    FailureKind::Temporary,
                    "call {call}, errno {errno}: {error}"
                );
                assert!(matches!(error, OpenError::Storage(_)), "call {call}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 20, "{refused} calls failed");
}

/// Jobs that meet a shortage anywhere come back, and what is left of them is run until it works: in
/// the end all is as if there had been plenty.
#[test]
fn jobs_wait_for_what_is_short_and_lose_nothing() {
    let mut waited = 0;
    for seed in 1..=4 {
        let mut rig = Rig::new(MemStorage::new());
        let mut workload = Workload::new(8);
        let storage = rig.storage.clone();
        let mut stingy = Stingy::new(&storage, (seed << 32, 0), 0);
        for _ in 0..60 {
            rig.push(workload.burst());
            while let Some(job) = rig.journal.next_job() {
                let mut left = job;
                let done = loop {
                    stingy.errno = SHORTAGES[waited % SHORTAGES.len()];
                    match execute(&stingy, left) {
                        Ok(done) => break done,
                        Err(JobError::Short { rest, .. }) => left = *rest,
                        Err(JobError::Fatal(error)) => panic!("a shortage was fatal: {error}"),
                    }
                    waited += 1;
                };
                if let Some(JournalEvent::Durable(lsn)) = rig.journal.done(done) {
                    rig.durable = lsn.0 as usize;
                }
            }
        }
        assert_eq!(rig.durable, rig.records.len());
        let (_, found) = Rig::reopen(&rig.storage).unwrap();
        let expected = rig.expected();
        assert!(found.findings.is_empty(), "seed {seed}: {:?}", found.findings);
        assert_eq!(found.next_lsn, Lsn(rig.records.len() as u64 + 1));
        assert_eq!((found.chosen_upto, found.open), (expected.chosen_upto, expected.open));
    }
    assert!(waited > 100, "{waited}");
}

/// A cold read for which there is no descriptor is no damage: it comes back whole, and is run again.
#[test]
fn a_read_without_a_descriptor_is_no_damage() {
    let rig = some_log();
    let (journal, recovered) = Rig::reopen(&rig.storage).unwrap();
    let upto = recovered.chosen_upto;
    for errno in SHORTAGES {
        let job = journal.read(3, Slot(1), upto, 1 << 20);
        let stingy = Stingy::new(&rig.storage, (1, u64::MAX / 2), errno);
        let Err(JobError::Short { rest, .. }) = execute(&stingy, job.clone()) else {
            panic!("errno {errno} was taken for an answer");
        };
        assert_eq!(*rest, job);
        assert_eq!(execute(&rig.storage, *rest).unwrap(), execute(&rig.storage, job).unwrap());
    }
    // What the medium says is one.
    let job = journal.read(3, Slot(1), upto, 1 << 20);
    assert!(execute(&Stingy::new(&rig.storage, (1, u64::MAX / 2), 5), job).is_ok());
}

/// R11: inodes and quotas that are used up are a full disk as well, and the log says which it may be,
/// beside bytes that are free.
#[test]
fn r11_inodes_and_quotas_are_a_full_disk_and_are_reported() {
    for (errno, said) in [(28, "No space left on device"), (122, "quota")] {
        let mut rig = Rig::new(MemStorage::new());
        let job = rig.journal.next_job().expect("a spare segment is prepared");
        // The first call asks for free space, the second one creates the file.
        let done = execute(&Stingy::new(&rig.storage, (2, 1), errno), job).unwrap();
        let Some(JournalEvent::NoRoom(why)) = rig.journal.done(done) else {
            panic!("there was room")
        };
        let text = why.to_string();
        assert!(why.free_bytes > 0 && text.contains(said) && text.contains("df -i"), "{text}");
    }
}

/// R01: a sync that fails is fatal whatever number it gives: no later success of it means anything.
#[test]
fn r01_a_failed_sync_is_fatal_whatever_its_number() {
    for errno in SHORTAGES {
        let mut rig = some_log();
        let storage = rig.storage.clone();
        rig.push(Workload::new(9).burst());
        let job = rig.journal.next_job().unwrap();
        let mut stingy = Stingy::new(&storage, (2, 1), errno);
        stingy.with_syncs = true;
        // The first call of a batch is a write, and a sync follows what was written.
        let mut call = 2;
        let failed = loop {
            match execute(&stingy, job.clone()) {
                Err(JobError::Fatal(error)) => break error,
                Err(JobError::Short { .. }) => {
                    call += 1;
                    stingy.fails = (call, 1);
                    stingy.calls.store(0, Ordering::Relaxed);
                }
                Ok(_) => panic!("no sync failed"),
            }
        };
        assert!(failed.to_string().starts_with("sync of"), "{failed}");
    }
}

/// A spare segment that is cut short is made anew, as one that is missing is; what it is cut to makes
/// no difference. Behind a sealed one it was in use, and refuses the start by its name.
#[test]
fn a_cut_spare_segment_is_made_anew() {
    let rig = some_log();
    let clean = Rig::reopen(&rig.storage.duplicate()).unwrap().1;
    let spare = rig.storage.list().unwrap().pop().unwrap();
    for bytes in [0, 1, 512, 4096, 4097, 8192, 40_000, OPTIONS.segment_bytes - 1] {
        let storage = rig.storage.duplicate();
        storage.truncate(&spare, bytes);
        let (mut journal, recovered) = Rig::reopen(&storage).unwrap();
        let kinds: Vec<_> = recovered.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Mended], "{bytes}: {:?}", recovered.findings);
        assert_eq!(recovered.findings[0].file, spare);
        assert_eq!((recovered.next_lsn, &recovered.open), (clean.next_lsn, &clean.open));
        while let Some(job) = journal.next_job() {
            journal.done(execute(&storage, job).unwrap());
        }
        assert_eq!(storage.len(&spare).unwrap(), OPTIONS.segment_bytes);
        let (_, again) = Rig::reopen(&storage).unwrap();
        assert!(again.findings.is_empty(), "{bytes}: {:?}", again.findings);
    }
    // A byte of something is left: it was in use.
    let storage = rig.storage.duplicate();
    storage.rot(&spare, 9000..9001, |bytes| bytes[0] = 1);
    storage.truncate(&spare, 12_288);
    let error = Rig::reopen(&storage).unwrap_err();
    assert!(matches!(&error, OpenError::Length { file, .. } if *file == spare), "{error}");
}
