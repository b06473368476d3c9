//! The clients of a run: one append at a time and many, with and without conditions.

use crate::rig::Cluster;
use crate::rig::history::{History, Moment, Reported, Stopwatch};
use crate::rig::random::Random;
use crate::rig::writer::{RunLog, Writer, reported};
use paxosd::api::error::Detail;
use paxosd::client::{
    AppenderOptions, Cause, ClientError, ClientOptions, Completed, ErrorCode, Settlement,
};
use paxosd::types::Index;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many there are.
pub const CLIENTS: u16 = 32;
/// Most appends that a pipelining client has under way.
const WINDOW: usize = 8;
/// Pipelines are drained and made anew after so many appends, for another log.
const PIPELINE: usize = 64;
/// How often an open outcome is settled by the same append once more.
const SETTLE_TRIES: usize = 3;

/// How a client appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One at a time, to logs that it shares; reads now and then.
    Single,
    /// Many at once, to logs that it shares.
    Pipelined,
    /// One at a time with `expect`, to logs that it shares; settles what is unknown.
    Conditional,
    /// Many at once with `expect`, to a log of its own.
    Private,
}

impl Mode {
    /// How that client appends.
    pub fn of(id: u16) -> Mode {
        match id % 8 {
            0..4 => Mode::Single,
            4 | 5 => Mode::Pipelined,
            6 => Mode::Conditional,
            _ => Mode::Private,
        }
    }
}

/// The clients' options: they give up soon, so that a run has many outcomes of every kind.
pub fn options(cluster: &Cluster) -> ClientOptions {
    ClientOptions {
        timeout: Duration::from_secs(3),
        attempt_timeout: Duration::from_millis(500),
        ..cluster.options()
    }
}

/// One client, before it starts.
#[derive(Debug)]
pub struct Start {
    /// Its number.
    pub id: u16,
    /// The run's time.
    pub watch: Stopwatch,
    /// Its own chance.
    pub random: Random,
    /// The logs that it uses.
    pub logs: Vec<RunLog>,
}

impl Start {
    /// Appends until it is asked to stop; returns all that was reported to it.
    pub fn run(mut self, options: ClientOptions, stop: &AtomicBool) -> History {
        let mut writer = loop {
            match Writer::new(self.id, self.watch, options.clone()) {
                Ok(writer) => break writer,
                Err(error) if stop.load(Ordering::Relaxed) => panic!("never connected: {error}"),
                Err(_) => {}
            }
        };
        while !stop.load(Ordering::Relaxed) {
            let at = self.random.below(self.logs.len() as u64);
            let log = self.logs[usize::try_from(at).unwrap()].clone();
            match Mode::of(self.id) {
                Mode::Single => self.single(&mut writer, &log),
                Mode::Pipelined => pipeline(&mut writer, &log, None, stop),
                Mode::Conditional => conditional(&mut writer, &log),
                Mode::Private => {
                    if let Ok(stat) = writer.client.stat(&log.name) {
                        pipeline(&mut writer, &log, Some(stat.next_index), stop);
                    }
                }
            }
        }
        writer.history
    }

    fn single(&mut self, writer: &mut Writer, log: &RunLog) {
        let count = if self.random.percent(15) { self.random.between(2, 5) } else { 1 };
        // The answer is in the history, whatever it was.
        let result = writer.append(log, u32::try_from(count).unwrap(), None);
        if self.random.percent(10) {
            let near =
                result.map_or(Index(0), |appended| Index(appended.first.0.saturating_sub(20)));
            writer.glimpse(log, near);
        }
    }
}

/// Appends where the log ends, as far as this client knows; an unknown outcome is settled.
fn conditional(writer: &mut Writer, log: &RunLog) {
    let Ok(stat) = writer.client.stat(&log.name) else { return };
    let mut next = stat.next_index;
    for _ in 0..16 {
        let numbers = writer.take_numbers(1);
        let started = writer.watch.now();
        let reported = settled(writer, log, next, &numbers);
        writer.note(log, numbers, started, reported.0);
        match reported {
            (Reported::At(index), _) => next = Index(index + 1),
            (Reported::NotExecuted, Some(actual)) => next = actual,
            (Reported::NotExecuted | Reported::Unknown, _) => return,
        }
    }
}

/// Appends with `expect`, and settles an unknown outcome as far as that is possible. With what
/// is known of the log's next index.
fn settled(
    writer: &mut Writer,
    log: &RunLog,
    next: Index,
    numbers: &Range<u32>,
) -> (Reported, Option<Index>) {
    let entries = writer.bytes(numbers);
    let mut doubted = false;
    for _ in 0..SETTLE_TRIES {
        let result = writer.client.append_expect(&log.name, next, &entries);
        match (reported(&result), doubted) {
            (Reported::At(index), _) => return (Reported::At(index), None),
            (Reported::NotExecuted, false) => {
                return (Reported::NotExecuted, result.err().and_then(|error| actual(&error)));
            }
            // An earlier try of the same append may have taken effect: look.
            (Reported::NotExecuted, true) | (Reported::Unknown, _) => doubted = true,
        }
        match writer.client.settle(&log.name, next, &entries) {
            Ok(Settlement::Executed { .. }) => return (Reported::At(next.0), None),
            Ok(Settlement::NotExecuted { next }) => return (Reported::NotExecuted, Some(next)),
            Ok(Settlement::Open { .. }) | Err(_) => {}
        }
    }
    (Reported::Unknown, None)
}

/// The log's next index, where a refusal says it.
fn actual(error: &ClientError) -> Option<Index> {
    match &error.wire()?.detail {
        Detail::Next { next, .. } => Some(*next),
        Detail::None
        | Detail::First { .. }
        | Detail::Lost { .. }
        | Detail::Leader(_)
        | Detail::Log(_)
        | Detail::Shard(_)
        | Detail::Limit(_)
        | Detail::Versions { .. }
        | Detail::Unformed(_) => None,
    }
}

/// Appends many at once, until one fails for good or it is time for another log.
fn pipeline(writer: &mut Writer, log: &RunLog, expect: Option<Index>, stop: &AtomicBool) {
    let mut under_way: VecDeque<(u64, Range<u32>, Moment)> = VecDeque::new();
    let mut notes: Vec<(Range<u32>, Moment, Reported, Moment)> = Vec::new();
    let batches: Vec<(Range<u32>, Vec<Vec<u8>>)> = (0..PIPELINE)
        .map(|at| {
            let numbers = writer.take_numbers(if at % 7 == 6 { 3 } else { 1 });
            let bytes = writer.bytes(&numbers);
            (numbers, bytes)
        })
        .collect();
    let watch = writer.watch;
    let options = AppenderOptions { window: WINDOW, expect, create: false };
    let mut appender = writer.client.appender(&log.name, options).expect("the name is good");
    let mut take = |under_way: &mut VecDeque<(u64, Range<u32>, Moment)>, done: Completed| {
        let (ticket, numbers, started) = under_way.pop_front().expect("one was under way");
        assert_eq!(ticket, done.ticket, "results come in the order of submission");
        notes.push((numbers, started, reported(&done.result), watch.now()));
    };
    for (ticket, (numbers, bytes)) in batches.into_iter().enumerate() {
        if appender.is_broken() || stop.load(Ordering::Relaxed) {
            break;
        }
        under_way.push_back((ticket as u64, numbers, watch.now()));
        if let Some(done) = appender.push(&bytes) {
            take(&mut under_way, done);
        }
    }
    while let Some(done) = appender.wait() {
        if let Err(error) = &done.result {
            let known = matches!(error.cause, Cause::PriorFailed)
                || error.code() != Some(ErrorCode::PriorFailed);
            assert!(known, "the node's PriorFailed is the library's to translate: {error}");
        }
        take(&mut under_way, done);
    }
    assert!(under_way.is_empty(), "results that never came: {under_way:?}");
    drop(appender);
    for (numbers, started, reported, ended) in notes {
        writer.note_at(log, numbers, (started, ended), reported);
    }
}
