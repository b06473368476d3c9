//! Real files: what is made of zeros, what goes past the page cache, and a journal over both.

#![allow(clippy::unwrap_used)]

use paxosd::journal::{Fill, Identity, Job, Journal, JournalOptions, execute, format, recover};
use paxosd::limits::BULK_BYTES;
use paxosd::storage::{FileStorage, Storage};
use paxosd::types::{
    Ballot, ClusterId, Incarnation, Lsn, NodeId, Random, Record, ShardId, Slot, Value,
};
use rustix::fs::{SeekFrom, seek};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tempfile::TempDir;

/// Folders on the file systems that there are: the disk of temporary files, and memory.
fn folders() -> Vec<TempDir> {
    let memory = Path::new("/dev/shm");
    let mut folders = vec![tempfile::tempdir().unwrap()];
    folders.extend(tempfile::tempdir_in(memory));
    folders
}

fn content(storage: &FileStorage, name: &str) -> Vec<u8> {
    let mut bytes = vec![7; storage.len(name).unwrap() as usize];
    storage.read_at(name, 0, &mut bytes).unwrap();
    bytes
}

/// A5, R11: a new file has its length and its space and reads as zeros, whatever its length, on every
/// file system; where zeros are to be written, no block is left unwritten.
#[test]
fn r11_a_new_file_of_zeros_has_its_space() {
    for folder in folders() {
        let storage = FileStorage::new(folder.path());
        for (number, bytes) in [4096, 4100, 128 << 10, (9 << 20) + 4096, 1].into_iter().enumerate()
        {
            for allocated in [false, true] {
                let name = format!("file-{number}-{allocated}");
                let made = match allocated {
                    true => storage.allocate(&name, bytes),
                    false => storage.create(&name, bytes),
                };
                made.unwrap();
                let context = format!("{}: {name}, {bytes} bytes", folder.path().display());
                let file = File::open(folder.path().join(&name)).unwrap();
                let found = file.metadata().unwrap();
                assert_eq!(found.len(), bytes, "{context}");
                assert!(found.blocks() * 512 >= bytes, "{context}: {} blocks", found.blocks());
                assert!(content(&storage, &name).iter().all(|byte| *byte == 0), "{context}");
                if !allocated {
                    assert_eq!(seek(&file, SeekFrom::Hole(0)).unwrap(), bytes, "{context}");
                }
            }
        }
    }
}

/// Whatever is written in whatever pieces, past the page cache or through it, to written zeros and to
/// unwritten ones: reads find what was written last.
#[test]
fn writes_past_the_page_cache_are_seen() {
    for folder in folders() {
        for seed in 0..6 {
            let mut random = Random::new(seed);
            let storage = FileStorage::new(folder.path());
            let bytes = 4 << 20;
            let name = format!("file-{seed}");
            match seed % 2 {
                0 => storage.create(&name, bytes as u64).unwrap(),
                _ => storage.allocate(&name, bytes as u64).unwrap(),
            }
            let mut model = vec![0; bytes];
            for step in 0..80 {
                let len = match random.below(3) {
                    0 => 1 + random.below(9000) as usize,
                    1 => 4096 * (1 + random.below(30) as usize),
                    _ => BULK_BYTES + 4096 * random.below(400) as usize,
                };
                let unit = if len.is_multiple_of(4096) && random.below(8) > 0 { 4096 } else { 1 };
                let offset = random.below((bytes - len) as u64 + 1) / unit * unit;
                let data: Vec<u8> = (0..len).map(|at| (at as u64 * 31 + step) as u8 | 1).collect();
                let (from, upto) = (offset as usize, offset as usize + len);
                storage.write_at(&name, offset, &data).unwrap();
                model[from..upto].copy_from_slice(&data);
                if random.below(3) == 0 {
                    storage.sync(&name).unwrap();
                }
                let around = from.saturating_sub(5000)..(upto + 5000).min(bytes);
                let mut found = vec![0; around.len()];
                storage.read_at(&name, around.start as u64, &mut found).unwrap();
                assert!(found == model[around], "seed {seed} step {step}: {len} at {offset}");
            }
            storage.sync(&name).unwrap();
            storage.forget(&name).unwrap();
            assert!(content(&storage, &name) == model, "seed {seed}");
        }
    }
}

/// R11: a file that bulk was written to is closed when it is removed or renamed, so that its space is free
/// and no later write goes to another file.
#[test]
fn r11_a_file_that_took_bulk_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path());
    let open = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let names = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
        names.filter(|name| name.starts_with(folder.path())).count()
    };
    let bulk = vec![3; BULK_BYTES];
    storage.create("a", BULK_BYTES as u64).unwrap();
    storage.sync_dir().unwrap();
    storage.write_at("a", 0, &bulk).unwrap();
    storage.remove("a").unwrap();
    assert_eq!(open(), 1, "beside the directory nothing is open");
    storage.create("a", BULK_BYTES as u64).unwrap();
    storage.write_at("a", 0, &bulk).unwrap();
    storage.rename("a", "b").unwrap();
    storage.create("a", BULK_BYTES as u64).unwrap();
    storage.write_at("a", 0, &vec![4; BULK_BYTES]).unwrap();
    assert!(content(&storage, "a") == vec![4; BULK_BYTES]);
    assert!(content(&storage, "b") == bulk);
}

const IDENTITY: Identity =
    Identity { cluster: ClusterId(77), node: NodeId(2), incarnation: Incarnation(5), shards: 1 };
const OPTIONS: JournalOptions = JournalOptions { segment_bytes: 1 << 20, min_free_bytes: 0 };

/// Appends one value after another, each in a batch of its own, and says how segments were filled.
fn append(
    storage: &FileStorage,
    journal: &mut Journal,
    values: impl Iterator<Item = Value>,
) -> Vec<Fill> {
    let mut fills = Vec::new();
    let ballot = Ballot::new(1, NodeId(2));
    for value in values {
        let lsn = journal.durable_upto().next();
        let (slot, chosen_upto) = (Slot(lsn.0), Slot(lsn.0 - 1));
        journal.push(lsn, Record::Accepted { slot, ballot, chosen_upto, value });
        while let Some(job) = journal.next_job() {
            if let Job::Prepare(prepare) = &job {
                fills.push(prepare.fill());
            }
            journal.done(execute(storage, job).unwrap());
        }
        assert_eq!(journal.durable_upto(), lsn);
    }
    fills
}

/// A5, C11: on real files too, bulk goes to segments that nobody wrote before, small batches do not, and a
/// start finds all of both, and goes on behind it.
#[test]
fn c11_a_journal_of_unwritten_segments_is_read_back() {
    for folder in folders() {
        let storage = FileStorage::new(folder.path());
        format(&storage, &IDENTITY, ShardId(0), &OPTIONS).unwrap();
        let open = || recover(&storage, &IDENTITY, ShardId(0), &OPTIONS, None).unwrap();
        let value = |number: u64, bytes: usize| {
            let bytes: Vec<u8> = (0..bytes as u64).map(|at| (at / 700 * number) as u8).collect();
            Value::new(bytes)
        };
        let mut journal = open().0;
        let small = append(&storage, &mut journal, (1..=300).map(|n| value(n, 2000)));
        assert!(small.iter().all(|fill| *fill == Fill::Written), "{small:?}");
        let bulk = append(&storage, &mut journal, (301..=450).map(|n| value(n, 200_000)));
        let unwritten = bulk.iter().filter(|fill| **fill == Fill::Allocated).count();
        assert!(unwritten > 10, "{bulk:?}");
        drop(journal);

        let (mut journal, recovered) = open();
        assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
        assert_eq!(recovered.next_lsn, Lsn(451));
        append(&storage, &mut journal, (451..=460).map(|n| value(n, 150_000)));
        drop(journal);
        let (journal, recovered) = open();
        assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
        assert_eq!((recovered.next_lsn, recovered.chosen_upto), (Lsn(461), Slot(459)));
        for slot in 1..=459 {
            let job = journal.read(1, Slot(slot), Slot(slot), usize::MAX);
            let paxosd::journal::Done::Read(done) = execute(&storage, job).unwrap() else {
                panic!("not a read");
            };
            let bytes = match slot {
                ..=300 => 2000,
                301..=450 => 200_000,
                451.. => 150_000,
            };
            assert!(done.values[0].1.as_ref().unwrap().1 == value(slot, bytes), "slot {slot}");
        }
    }
}
