//! A client that notes all that it does and all its answers.

use super::history::{Attempt, EntryId, Glimpse, History, Moment, Reported, Stopwatch};
use super::verdict::{Contents, Outcome as LogOutcome};
use super::{Cluster, poll};
use paxosd::client::{
    AppendOptions, Appended, Client, ClientError, ClientOptions, Consistency, Entries, ErrorCode,
    Outcome, ReadOptions,
};
use paxosd::types::Index;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A log of a run: its number and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLog {
    /// Its number in the run.
    pub number: usize,
    /// Its name.
    pub name: String,
}

/// One client of a run.
#[derive(Debug)]
pub struct Writer {
    /// The client.
    pub client: Client,
    /// What it did so far.
    pub history: History,
    /// The run's time.
    pub watch: Stopwatch,
    id: u16,
    next_number: u32,
}

/// What an answer says.
pub fn reported(result: &Result<Appended, ClientError>) -> Reported {
    match result {
        Ok(appended) => Reported::At(appended.first.0),
        Err(error) => match error.outcome {
            Outcome::NotExecuted => Reported::NotExecuted,
            // Executed at an index that nobody reported: as good as unknown to a checker.
            Outcome::Executed | Outcome::Unknown => Reported::Unknown,
        },
    }
}

impl Writer {
    /// A writer with its own client.
    ///
    /// # Errors
    /// [`ClientError`] when no node answers.
    pub fn new(id: u16, watch: Stopwatch, options: ClientOptions) -> Result<Writer, ClientError> {
        let client = Client::connect(options)?;
        Ok(Writer { client, history: History::default(), watch, id, next_number: 0 })
    }

    /// Numbers for new entries.
    pub fn take_numbers(&mut self, count: u32) -> Range<u32> {
        let first = self.next_number;
        self.next_number += count;
        first..self.next_number
    }

    /// The bytes of its entries of these numbers.
    pub fn bytes(&self, numbers: &Range<u32>) -> Vec<Vec<u8>> {
        let writer = self.id;
        numbers.clone().map(|number| EntryId { writer, number }.bytes()).collect()
    }

    /// Notes an append whose answer came now.
    pub fn note(&mut self, log: &RunLog, numbers: Range<u32>, started: Moment, reported: Reported) {
        self.note_at(log, numbers, (started, self.watch.now()), reported);
    }

    /// Notes an append, with the moments before it was sent and after its answer came.
    pub fn note_at(
        &mut self,
        log: &RunLog,
        numbers: Range<u32>,
        (started, ended): (Moment, Moment),
        reported: Reported,
    ) {
        let (log, writer) = (log.number, self.id);
        self.history.attempts.push(Attempt { log, writer, numbers, started, ended, reported });
    }

    /// Appends new entries as one batch, and notes what came of it.
    ///
    /// # Errors
    /// [`ClientError`], which is noted as well.
    pub fn append(
        &mut self,
        log: &RunLog,
        count: u32,
        expect: Option<Index>,
    ) -> Result<Appended, ClientError> {
        let numbers = self.take_numbers(count);
        let entries = self.bytes(&numbers);
        let options = AppendOptions { expect, create: false };
        let started = self.watch.now();
        let result = self.client.append_with(&log.name, &entries, options);
        self.note(log, numbers, started, reported(&result));
        result
    }

    /// Reads linearizably from `from`, and notes what was seen; a failed read shows nothing.
    pub fn glimpse(&mut self, log: &RunLog, from: Index) -> Option<Index> {
        let started = self.watch.now();
        let answer = self.client.read(&log.name, from, ReadOptions::default()).ok()?;
        let glimpse = Glimpse {
            log: log.number,
            started,
            ended: self.watch.now(),
            from: from.0,
            entries: identities(&answer.entries),
            next: answer.next.0,
        };
        self.history.glimpses.push(glimpse);
        Some(answer.next)
    }
}

/// Which entries these are.
fn identities(entries: &Entries) -> Contents {
    entries.iter().map(|entry| EntryId::of_bytes(entry.data)).collect()
}

/// A whole log.
///
/// # Errors
/// [`ClientError`] when some part of it cannot be read.
pub fn contents(
    client: &mut Client,
    log: &str,
    consistency: Consistency,
) -> Result<Contents, ClientError> {
    let mut contents = Vec::new();
    let options = ReadOptions { consistency, ..ReadOptions::default() };
    loop {
        let from = Index(contents.len() as u64);
        let answer = client.read(log, from, options)?;
        if answer.entries.is_empty() {
            return Ok(contents);
        }
        contents.extend(identities(&answer.entries));
    }
}

impl Cluster {
    /// What a log holds, linearizably and on every node.
    #[track_caller]
    pub fn outcome(&self, log: &str) -> LogOutcome {
        self.outcomes(&[log]).remove(0)
    }

    /// What logs hold, linearizably and on every node; all nodes are asked at once.
    #[track_caller]
    pub fn outcomes(&self, logs: &[&str]) -> Vec<LogOutcome> {
        let read = |mut client: Client, consistency| -> Vec<Contents> {
            let whole = |log: &&str| {
                let read = contents(&mut client, log, consistency);
                read.unwrap_or_else(|error| panic!("{log}: {error}"))
            };
            logs.iter().map(whole).collect()
        };
        thread::scope(|scope| {
            let leader = scope.spawn(|| read(self.client(), Consistency::Linearizable));
            let nodes = self
                .ids()
                .map(|id| (id, scope.spawn(move || read(self.client_of(id), Consistency::Local))));
            let nodes: Vec<_> = nodes.collect();
            let outcome = |linearizable| LogOutcome { linearizable, ..LogOutcome::default() };
            let read = leader.join().expect("the leader's logs are read");
            let mut outcomes: Vec<LogOutcome> = read.into_iter().map(outcome).collect();
            for (id, node) in nodes {
                let read = node.join().expect("the node's logs are read");
                for (outcome, local) in outcomes.iter_mut().zip(read) {
                    outcome.local.insert(id, local);
                }
            }
            outcomes
        })
    }

    /// Waits until all nodes report the same digest of a shard for the same slot.
    #[track_caller]
    pub fn wait_same_digest(&self, shard: u16) {
        let size = usize::from(self.size());
        poll::until(&format!("all nodes report one digest of shard {shard}"), || {
            let states = self.shard_states(shard);
            let facts = |at: usize| (states[at].1.applied_upto, states[at].1.digest);
            let same = states.len() == size && (1..size).all(|at| facts(at) == facts(0));
            let differs = |at: &usize| facts(*at).0 == facts(0).0 && facts(*at).1 != facts(0).1;
            if let Some(at) = (1..states.len()).find(differs) {
                panic!("digests differ at one slot: {:?} and {:?}", states[0], states[at]);
            }
            same.then_some(())
        });
    }
}

/// A client that appends one entry after the other, in a thread of its own, until it is asked to
/// stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    thread: JoinHandle<History>,
}

impl Load {
    /// Starts appending to a log, which is created if need be.
    #[track_caller]
    pub fn start(cluster: &Cluster, id: u16, log: RunLog, watch: Stopwatch) -> Load {
        let options = cluster.options();
        let mut writer = Writer::new(id, watch, options).expect("a node of the cluster answers");
        match writer.client.create(&log.name) {
            Ok(_) => {}
            Err(error) if error.code() == Some(ErrorCode::LogExists) => {}
            Err(error) => panic!("{error}"),
        }
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (asked_to_stop, count) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = thread::spawn(move || {
            while !asked_to_stop.load(Ordering::Relaxed) {
                match writer.append(&log, 1, None) {
                    Ok(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
                    // Shown when the test fails.
                    Err(error) => println!("{error}"),
                }
            }
            writer.history
        });
        Load { stop, acknowledged, thread }
    }

    /// Waits until that many more appends were acknowledged.
    #[track_caller]
    pub fn wait_more(&self, more: u64) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + more;
        poll::until(&format!("{more} more appends are acknowledged"), || {
            (self.acknowledged.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Ends it; returns what it did.
    #[track_caller]
    pub fn finish(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load's thread does not panic")
    }
}

/// The longest time between two acknowledgements that follow each other.
pub fn longest_gap(history: &History) -> Duration {
    let acknowledged = history.attempts.iter().filter(|a| matches!(a.reported, Reported::At(_)));
    let mut moments: Vec<Moment> = acknowledged.map(|attempt| attempt.ended).collect();
    moments.sort_unstable();
    let gaps = moments.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_nanos(gaps.max().unwrap_or(0))
}
