//! File systems that are mounted for as long as a test needs them.

#![allow(clippy::unwrap_used)] // A test that cannot go on has failed, and says so.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Bytes that a ballast is written with at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// A directory on which a file system is mounted until this is dropped.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    // Where it is mounted, and the disk, as far as they were made for it.
    _folders: Vec<TempDir>,
}

impl Mounted {
    /// What `mount` with these arguments mounts.
    #[track_caller]
    pub fn new(arguments: &[&str]) -> Mounted {
        let folder = TempDir::new().unwrap();
        let mut mounted = Mounted::over(folder.path(), arguments);
        mounted._folders.push(folder);
        mounted
    }

    /// Likewise, over a folder that is there and outlives it.
    #[track_caller]
    fn over(folder: &Path, arguments: &[&str]) -> Mounted {
        run(Command::new("mount").args(arguments).arg(folder));
        Mounted { path: folder.to_path_buf(), _folders: Vec::new() }
    }

    /// A fresh file system of that kind on a loop device of so many bytes.
    #[track_caller]
    pub fn image(kind: &str, bytes: u64) -> Mounted {
        let image = TempDir::new().unwrap();
        let file = image.path().join("disk");
        make_image(&file, kind, bytes);
        let mut mounted = Mounted::new(&["-o", "loop", file.to_str().unwrap()]);
        mounted._folders.push(image);
        mounted
    }

    /// Likewise, in a file of the caller's choice and over a folder that is there; both outlive it.
    #[track_caller]
    pub fn image_over(folder: &Path, file: &Path, kind: &str, bytes: u64) -> Mounted {
        make_image(file, kind, bytes);
        Mounted::over(folder, &["-o", "loop", file.to_str().unwrap()])
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that may still be written to it.
    pub fn free_bytes(&self) -> u64 {
        fs2::available_space(self.path()).unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _a_leak_at_worst = Command::new("umount").arg(self.path()).status();
    }
}

#[track_caller]
fn make_image(file: &Path, kind: &str, bytes: u64) {
    File::create(file).unwrap().set_len(bytes).unwrap();
    run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(file));
}

#[track_caller]
fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}; .ci/run tools installs it");
}

/// Somebody else's file that takes up space until this is dropped.
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Ballast {
    /// Takes up all space but so many bytes.
    #[track_caller]
    pub fn leaving(disk: &Mounted, bytes: u64) -> Ballast {
        let path = disk.path().join("ballast");
        let file = File::create(&path).unwrap();
        let mut at = 0;
        // The file system's own book-keeping takes up space too, so look after every chunk.
        while disk.free_bytes() > bytes {
            let more = CHUNK_BYTES.min((disk.free_bytes() - bytes) as usize);
            match file.write_all_at(&vec![b'x'; more], at).and_then(|()| file.sync_data()) {
                Ok(()) => at += more as u64,
                // Some file systems cannot use up what they call free.
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        Ballast(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        // It may be gone with its file system.
        let _ = fs::remove_file(&self.0);
    }
}
