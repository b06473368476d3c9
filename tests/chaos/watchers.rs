//! Clients that hold on to one node each, and ask it again and again without waiting and without
//! ever going elsewhere: a read and an append each time. What they asked while the node was frozen
//! it answers when it goes on, and no such answer may be stale; meanwhile those at the next leader
//! are the first to append there.

use crate::rig::Cluster;
use crate::rig::history::{Attempt, EntryId, Glimpse, History, Moment, Reported, Stopwatch};
use crate::rig::raw::{Raw, append, read};
use crate::rig::writer::RunLog;
use paxosd::api::Reply;
use paxosd::api::error::Outcome;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);
/// Entries asked for: a few near the end are enough.
const ENTRIES: u32 = 8;

/// One client of one node.
#[derive(Debug)]
pub struct Watcher {
    endpoint: String,
    shard: u16,
    log: RunLog,
    watch: Stopwatch,
    writer: u16,
    next_number: u32,
    /// The log's next index, as last seen.
    next: u64,
    /// What was asked and not answered.
    asked: BTreeMap<u64, (Moment, Asked)>,
    history: History,
}

/// What was asked.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// Entries from an index on.
    Read(u64),
    /// To append the entry of this number.
    Append(u32),
}

impl Watcher {
    /// A client of one node, which uses one log.
    pub fn new(cluster: &Cluster, node: u16, shard: u16, log: &RunLog, watch: Stopwatch) -> Self {
        Watcher {
            endpoint: cluster.endpoint(node),
            shard,
            log: log.clone(),
            watch,
            writer: 1000 + node * 100 + shard,
            next_number: 0,
            next: 0,
            asked: BTreeMap::new(),
            history: History::default(),
        }
    }

    /// Asks until it is asked to stop; returns what was reported to it.
    pub fn run(mut self, stop: &AtomicBool) -> History {
        while !stop.load(Ordering::Relaxed) {
            match Raw::try_open(&self.endpoint, self.shard) {
                Ok(mut raw) => {
                    // It ends with the connection; a new one is made then.
                    let _ended = self.hold_on(&mut raw, stop);
                    self.give_up();
                }
                Err(_) => crate::rig::poll::pass(PAUSE),
            }
        }
        self.history
    }

    /// Asks for as long as the connection stands.
    fn hold_on(&mut self, raw: &mut Raw, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.ask(raw)?;
            let again = Instant::now() + PAUSE;
            while let Some(left) = again.checked_duration_since(Instant::now()) {
                match raw.receive(left.max(Duration::from_millis(1))) {
                    Ok((number, reply)) => {
                        let asked = self.asked.remove(&number).expect("it was asked");
                        self.take(asked, reply);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, raw: &mut Raw) -> io::Result<()> {
        let from = self.next.saturating_sub(1);
        let started = self.watch.now();
        let number = raw.send(&read(&self.log.name, from, ENTRIES))?;
        self.asked.insert(number, (started, Asked::Read(from)));
        let entry = EntryId { writer: self.writer, number: self.next_number };
        self.next_number += 1;
        let started = self.watch.now();
        let sent = raw.send(&append(&self.log.name, entry.bytes()));
        // One that could not be sent whole may have arrived all the same.
        let number = sent.as_ref().map_or(u64::MAX, |number| *number);
        self.asked.insert(number, (started, Asked::Append(entry.number)));
        sent.map(drop)
    }

    fn take(&mut self, (started, asked): (Moment, Asked), reply: Reply) {
        match (asked, reply) {
            (Asked::Read(from), Reply::ReadDone(read)) => {
                self.next = read.next.0;
                let entries = read.entries.iter();
                let entries = entries.map(|entry| EntryId::of_bytes(entry.data)).collect();
                let (log, ended, next) = (self.log.number, self.watch.now(), read.next.0);
                let glimpse = Glimpse { log, started, ended, from, entries, next };
                self.history.glimpses.push(glimpse);
            }
            (Asked::Append(number), Reply::Appended(appended)) => {
                self.note(started, number, Reported::At(appended.first.0));
            }
            (Asked::Append(number), Reply::Error(error)) => {
                self.note(
                    started,
                    number,
                    match error.outcome {
                        Outcome::NotExecuted => Reported::NotExecuted,
                        Outcome::Executed | Outcome::Unknown => Reported::Unknown,
                    },
                );
            }
            // A refusal, as it should be where the node does not lead.
            (Asked::Read(_), Reply::Error(_)) => {}
            (asked, reply) => panic!("{reply:?} is no answer to {asked:?}"),
        }
    }

    /// The connection is gone, and with it the answers.
    fn give_up(&mut self) {
        for (started, asked) in std::mem::take(&mut self.asked).into_values() {
            match asked {
                Asked::Append(number) => self.note(started, number, Reported::Unknown),
                Asked::Read(_) => {}
            }
        }
    }

    fn note(&mut self, started: Moment, number: u32, reported: Reported) {
        let (log, writer, ended) = (self.log.number, self.writer, self.watch.now());
        let numbers = number..number + 1;
        self.history.attempts.push(Attempt { log, writer, numbers, started, ended, reported });
    }
}
