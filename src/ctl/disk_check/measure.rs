//! The measurement: batches as the journal writes them, one sync each.

use super::super::progress::TransientBar;
use crate::limits::BLOCK_BYTES;
use crate::storage::{FileStorage, Storage};
use crate::types::Random;
use hdrhistogram::Histogram;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of a batch's data, one after the other: mostly lone appends, now and then a full group.
const BATCHES: [usize; 10] = [4, 4, 8, 4, 16, 4, 32, 4, 8, 64];
/// Each batch has descriptors in a block of their own, at the other end of the file.
const DESCRIPTOR_BYTES: usize = BLOCK_BYTES;
/// The longest sync that the histogram distinguishes, in microseconds: an hour.
const SYNC_US_MAX: u64 = 3_600_000_000;

/// What was measured.
pub struct Measured {
    /// How long each sync took, in microseconds.
    pub sync_us: Histogram<u64>,
    /// How long it took to prepare the file.
    pub preparing: Duration,
    /// How long the batches took in all.
    pub elapsed: Duration,
    /// Bytes written by the batches.
    pub bytes: u64,
}

/// The file, for as long as it is needed: removed when dropped, and when a signal ends the process.
struct Scratch {
    path: PathBuf,
    signals: Handle,
    watcher: Option<JoinHandle<()>>,
}

impl Scratch {
    fn new(path: PathBuf) -> io::Result<Scratch> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
        let (handle, doomed) = (signals.handle(), path.clone());
        // A thread of its own: the measurement may be held up in a sync for long.
        let watcher = std::thread::Builder::new().name("signals".to_string()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let _it_may_not_be_there_yet = fs::remove_file(&doomed);
                let _ends_the_process = emulate_default_handler(signal);
            }
        })?;
        Ok(Scratch { path, signals: handle, watcher: Some(watcher) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _it_may_not_be_there = fs::remove_file(&self.path);
        self.signals.close();
        if let Some(watcher) = self.watcher.take() {
            let _it_has_nothing_to_say = watcher.join();
        }
    }
}

/// Writes batches to a prepared file of `file_bytes` in `dir` for so long.
///
/// # Errors
/// Any failure of the disk, with what was being done.
pub fn measure(
    dir: &Path,
    file_bytes: u64,
    duration: Duration,
) -> Result<Measured, (&'static str, io::Error)> {
    let name = format!("paxosd-disk-check-{}.tmp", std::process::id());
    let _removed_at_the_end = Scratch::new(dir.join(&name)).map_err(|e| ("starting", e))?;
    let storage = FileStorage::new(dir);
    let started = Instant::now();
    storage.create(&name, file_bytes).map_err(|error| ("preparing a file", error))?;
    storage.sync_dir().map_err(|error| ("syncing the directory", error))?;
    let preparing = started.elapsed();
    let bytes = noise();
    let mut sync_us =
        Histogram::new_with_bounds(1, SYNC_US_MAX, 3).expect("the bounds are constant and right");
    let progress = TransientBar::of_time("Syncing", duration);
    let (mut low, mut high) = (0, file_bytes);
    let mut written = 0;
    let started = Instant::now();
    for size in BATCHES.iter().cycle().map(|blocks| blocks * 1024) {
        if (high - low) < (size + DESCRIPTOR_BYTES) as u64 {
            (low, high) = (0, file_bytes);
        }
        high -= DESCRIPTOR_BYTES as u64;
        let write = |at, bytes: &[u8]| {
            storage.write_at(&name, at, bytes).map_err(|error| ("a write", error))
        };
        write(low, &bytes[..size])?;
        write(high, &bytes[..DESCRIPTOR_BYTES])?;
        low += size as u64;
        let before = Instant::now();
        storage.sync(&name).map_err(|error| ("a sync", error))?;
        sync_us.saturating_record(u64::try_from(before.elapsed().as_micros()).unwrap_or(u64::MAX));
        written += (size + DESCRIPTOR_BYTES) as u64;
        let passed = started.elapsed();
        progress.at_time(passed);
        if passed >= duration {
            break;
        }
    }
    Ok(Measured { sync_us, preparing, elapsed: started.elapsed(), bytes: written })
}

/// Bytes that do not compress: some file systems would not write the others.
fn noise() -> Vec<u8> {
    let mut random = Random::new(1);
    (0..8 << 10).flat_map(|_| random.draw().to_le_bytes()).collect()
}
