//! Real files: what is made of zeros, and what goes past the page cache.

#![allow(clippy::unwrap_used)]

use paxosd::limits::BULK_BYTES;
use paxosd::storage::{FileStorage, Storage};
use paxosd::types::Random;
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
