//! What was reported to clients, moment by moment, to be compared with what the logs hold at the
//! end.

use std::fmt;
use std::ops::Range;
use std::time::Instant;

/// Nanoseconds since the start of the run.
pub type Moment = u64;

/// Moments of one run.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Now.
    pub fn now(&self) -> Moment {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a run is shorter than 500 years")
    }
}

/// An entry of a run, distinguished from every other by writer and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Who wrote it.
    pub writer: u16,
    /// Its number among all that the writer ever tried to append.
    pub number: u32,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}-{}", self.writer, self.number)
    }
}

impl EntryId {
    /// The entry's bytes: its name, and padding that depends on the name.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = format!("{self};").into_bytes();
        let mut fill = self.number.wrapping_mul(0x9E37_79B9) ^ u32::from(self.writer);
        for _ in 0..fill % 200 {
            fill = fill.rotate_left(5).wrapping_add(0x7F4A_7C15);
            bytes.push(fill.to_le_bytes()[0]);
        }
        bytes
    }

    /// The entry that has these bytes, all of them.
    pub fn of_bytes(bytes: &[u8]) -> Option<EntryId> {
        let name = bytes.split(|byte| *byte == b';').next()?;
        let (writer, number) =
            std::str::from_utf8(name).ok()?.strip_prefix('w')?.split_once('-')?;
        let id = EntryId { writer: writer.parse().ok()?, number: number.parse().ok()? };
        (id.bytes() == bytes).then_some(id)
    }
}

/// What was reported to the writer of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Acknowledged, its first entry at this index.
    At(u64),
    /// The outcome is unknown.
    Unknown,
    /// Certainly not executed.
    NotExecuted,
}

/// One append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The log, by its number in the run.
    pub log: usize,
    /// Who wrote.
    pub writer: u16,
    /// Numbers of its entries.
    pub numbers: Range<u32>,
    /// Before it was sent.
    pub started: Moment,
    /// After its answer came.
    pub ended: Moment,
    /// The answer.
    pub reported: Reported,
}

impl Attempt {
    /// How many entries it has.
    pub fn count(&self) -> u64 {
        u64::from(self.numbers.end - self.numbers.start)
    }

    /// Its entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = EntryId> + use<> {
        let writer = self.writer;
        self.numbers.clone().map(move |number| EntryId { writer, number })
    }
}

/// One linearizable read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// The log, by its number in the run.
    pub log: usize,
    /// Before it was sent.
    pub started: Moment,
    /// After its answer came.
    pub ended: Moment,
    /// Index of its first entry.
    pub from: u64,
    /// The entries that it brought; none where the bytes are no entry of the run.
    pub entries: Vec<Option<EntryId>>,
    /// The log's next index, as the answer had it.
    pub next: u64,
}

/// All that clients did, and the answers that they got.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Appends, each writer's in the order in which it sent them.
    pub attempts: Vec<Attempt>,
    /// Linearizable reads.
    pub glimpses: Vec<Glimpse>,
}

impl History {
    /// Adds what another client did.
    pub fn add(&mut self, other: History) {
        self.attempts.extend(other.attempts);
        self.glimpses.extend(other.glimpses);
    }

    /// Appends acknowledged, unknown, and not executed.
    pub fn outcomes(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Reported) -> bool| {
            self.attempts.iter().filter(|attempt| wanted(&attempt.reported)).count()
        };
        (
            count(|reported| matches!(reported, Reported::At(_))),
            count(|reported| matches!(reported, Reported::Unknown)),
            count(|reported| matches!(reported, Reported::NotExecuted)),
        )
    }
}
