//! What happened, as a hash always and as text on demand.

use std::collections::VecDeque;
use std::io::Write;
use xxhash_rust::xxh3::Xxh3;

/// Lines kept for the report of a failure.
const LINES_MAX: usize = 400;

/// How much text a run leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// None: only the hash.
    Hash,
    /// The last lines are kept.
    Tail,
    /// Every line is printed at once.
    Print,
}

/// The trace of one run.
pub(super) struct Trace {
    verbosity: Verbosity,
    hash: Xxh3,
    tail: VecDeque<String>,
}

impl Trace {
    pub(super) fn new(verbosity: Verbosity) -> Trace {
        Trace { verbosity, hash: Xxh3::new(), tail: VecDeque::new() }
    }

    /// Takes numbers into the hash.
    pub(super) fn count<const N: usize>(&mut self, numbers: [u64; N]) {
        for number in numbers {
            self.hash.update(&number.to_le_bytes());
        }
    }

    /// Adds a line, which is only made if somebody wants it.
    pub(super) fn line(&mut self, now: u64, text: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Hash {
            return;
        }
        let line = format!("{:>4}.{:06} {}", now / 1_000_000, now % 1_000_000, text());
        if self.verbosity == Verbosity::Print {
            print_line(&line);
        }
        if self.tail.len() == LINES_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// The hash of everything that happened.
    pub(super) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// The last lines.
    pub(super) fn tail(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tail).into()
    }
}

/// Prints a line; a reader that went away is no reason to fail.
pub(super) fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
