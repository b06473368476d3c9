//! The client library's pipelines as what a load drives, and where its data come from.

use super::lane::{Finished, Pipe};
use super::tally::Work;
use crate::client::{Appender, Completed, FinishedRead, Reader};
use crate::types::{Index, Random};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Bytes of noise beyond one entry: entries begin anywhere in it, so that no two of them are alike
/// and a disk or file system that compresses finds nothing to compress.
const NOISE_BYTES: usize = 1 << 20;

/// The randomness of one of many connections.
#[must_use]
pub fn random_of(seed: u64, number: u64) -> Random {
    Random::new(seed ^ number.wrapping_mul(0xD134_2543_DE82_EF95))
}

/// The entries of one connection.
#[derive(Clone, Debug)]
pub struct Noise {
    bytes: Arc<[u8]>,
    size: usize,
    random: Random,
}

impl Noise {
    /// Entries of `size` bytes.
    #[must_use]
    pub fn new(seed: u64, size: usize) -> Noise {
        let mut random = random_of(seed, 0);
        let words = (size + NOISE_BYTES).div_ceil(8);
        let bytes: Vec<u8> = (0..words).flat_map(|_| random.draw().to_le_bytes()).collect();
        Noise { bytes: bytes.into(), size, random }
    }

    /// The same noise, cut elsewhere.
    #[must_use]
    pub fn for_connection(&self, seed: u64, number: u64) -> Noise {
        Noise { random: random_of(seed, number + 1), ..self.clone() }
    }

    /// The next entry.
    pub fn entry(&mut self) -> &[u8] {
        let from = self.random.below(NOISE_BYTES as u64) as usize;
        &self.bytes[from..from + self.size]
    }
}

/// Appends of one entry.
#[derive(Debug)]
pub struct Appends {
    /// The pipeline.
    pub appender: Appender,
    /// What is appended.
    pub noise: Noise,
}

impl Appends {
    fn back(&self, completed: Completed) -> Finished {
        let bytes = self.noise.size as u64;
        let result =
            completed.result.map(|appended| Work { entries: u64::from(appended.count), bytes });
        Finished { ticket: completed.ticket, result }
    }
}

impl Pipe for Appends {
    fn has_room(&self) -> bool {
        self.appender.has_room()
    }

    fn submit(&mut self) {
        if self.appender.is_broken() {
            // Each append stands for itself: one that failed holds up none of those to come.
            self.appender.resume(None);
        }
        self.appender.queue([self.noise.entry()]);
    }

    fn flush(&mut self) {
        self.appender.flush();
    }

    fn poll(&mut self) -> Option<Finished> {
        self.appender.poll().map(|completed| self.back(completed))
    }

    fn wait(&mut self) -> Option<Finished> {
        self.appender.wait().map(|completed| self.back(completed))
    }

    fn is_stuck(&self) -> bool {
        self.appender.is_stuck()
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.appender.socket()
    }
}

/// Reads at random places.
#[derive(Debug)]
pub struct ReadPipe {
    /// The pipeline.
    pub reader: Reader,
    /// Where the next read begins.
    pub random: Random,
    /// Reads begin below this index.
    pub below: u64,
}

fn fetched(fetched: FinishedRead) -> Finished {
    let result = fetched.result.map(|done| Work {
        entries: u64::from(done.entries.count()),
        bytes: done.entries.as_ref().data_len(),
    });
    Finished { ticket: fetched.ticket, result }
}

impl Pipe for ReadPipe {
    fn has_room(&self) -> bool {
        self.reader.has_room()
    }

    fn submit(&mut self) {
        self.reader.queue(Index(self.random.below(self.below)));
    }

    fn flush(&mut self) {
        self.reader.flush();
    }

    fn poll(&mut self) -> Option<Finished> {
        self.reader.poll().map(fetched)
    }

    fn wait(&mut self) -> Option<Finished> {
        self.reader.wait().map(fetched)
    }

    fn is_stuck(&self) -> bool {
        self.reader.is_stuck()
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.reader.socket()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed gives the same entries; another seed, or another connection, gives others; and
    /// every byte is as likely as any other, so that nothing can be compressed away.
    #[test]
    fn entries_come_from_the_seed_and_do_not_compress() {
        let entries = |seed, number| {
            let mut noise = Noise::new(seed, 512).for_connection(seed, number);
            (0..64).flat_map(|_| noise.entry().to_vec()).collect::<Vec<u8>>()
        };
        let bytes = entries(1, 0);
        assert_eq!((bytes.len(), &bytes), (64 * 512, &entries(1, 0)));
        assert!(bytes != entries(2, 0) && bytes != entries(1, 1));
        let mut counts = [0u32; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        assert!(counts.iter().all(|count| (64..=200).contains(count)), "{counts:?}");
    }
}
