//! What clients asked, what they were answered, and whether the decisions explain it.
//!
//! One shard is one linearizable object, and its decisions are totally ordered by slot. So every
//! operation has a place: the slot of its command, or a slot whose state explains what was read.
//! An operation that began after another had ended has no earlier place: each one notes the
//! highest place known at its beginning, its *floor*, and must find a place not below it.

use super::oracle::{Applied, LogHistory, Oracle, entry_hash};
use super::violation::{CheckResult, Violation, ensure};
use crate::api::error::{Detail, ErrorCode, Outcome, RequestError};
use crate::api::name::LogName;
use crate::api::{Consistency, LogRef, LogStat, ReadDone, Reply, ReplyHeader};
use crate::types::{ConnId, Index, LogId, LostRange, Slot};
use std::collections::BTreeMap;

/// Entries of one append get numbers below this.
const ENTRIES_MAX: u64 = 1 << 16;

/// What an operation asks for.
#[derive(Clone, Debug)]
pub(super) enum OperationKind {
    Create(LogName),
    Delete(LogRef),
    /// The hash of each entry, in order.
    Append {
        log: LogRef,
        expect: Option<Index>,
        chain: u32,
        hashes: Vec<u64>,
    },
    Read {
        log: LogRef,
        from: Index,
        consistency: Consistency,
    },
    Stat {
        log: LogRef,
        consistency: Consistency,
    },
    List(Consistency),
    Trim(LogRef),
    Set(LogRef),
    Declare(LogId, LostRange),
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperationState {
    Pending,
    Done,
    /// Answered with an error that says it was not executed.
    Refused,
    Unknown,
}

/// One request of a client.
#[derive(Debug)]
pub(super) struct RecordedOperation {
    pub(super) conn: ConnId,
    pub(super) sent_at: u64,
    floor: Slot,
    pub(super) what: OperationKind,
    pub(super) state: OperationState,
    /// Where the decisions have it, if it is an append.
    applied: Option<(Slot, LogId, Index)>,
}

/// All operations of all clients, by their numbers.
#[derive(Debug, Default)]
pub(super) struct History {
    operations: Vec<RecordedOperation>,
    /// The highest place of an operation that has ended.
    floor: Slot,
    /// When the youngest acknowledged append had begun.
    pub(super) acknowledged_since: u64,
    pub(super) acknowledged: u64,
    pub(super) reads: u64,
    /// Disks rot: an answer may be that an entry is damaged.
    damage_expected: bool,
}

/// What marks an entry as the `entry`-th of an operation: its first eight bytes.
pub(super) fn mark(operation: usize, entry: u64) -> [u8; 8] {
    assert!(entry < ENTRIES_MAX, "too many entries: {entry}");
    (operation as u64 * ENTRIES_MAX + entry).to_le_bytes()
}

impl History {
    pub(super) fn new(damage_expected: bool) -> History {
        History { damage_expected, ..History::default() }
    }

    /// The number of the next operation.
    pub(super) fn next(&self) -> usize {
        self.operations.len()
    }

    pub(super) fn begin(&mut self, conn: ConnId, sent_at: u64, what: OperationKind) -> usize {
        let (floor, state) = (self.floor, OperationState::Pending);
        self.operations.push(RecordedOperation {
            conn,
            sent_at,
            floor,
            what,
            state,
            applied: None,
        });
        self.operations.len() - 1
    }

    pub(super) fn operation(&self, number: usize) -> &RecordedOperation {
        &self.operations[number]
    }

    /// The client gave up waiting.
    pub(super) fn give_up(&mut self, number: usize) {
        self.operations[number].state = OperationState::Unknown;
    }

    /// An append was decided: it is one that a client sent, whole, once, and never refused.
    pub(super) fn applied(&mut self, applied: &Applied, oracle: &Oracle) -> CheckResult {
        let check = "appends are what clients sent";
        let Applied { slot, log, first, marks } = applied;
        let number = (marks[0] / ENTRIES_MAX) as usize;
        let Some(operation) = self.operations.get_mut(number) else {
            let text = format!("slot {slot}, log {log}, index {first}: {:#x}", marks[0]);
            return Err(Violation::new(check, text));
        };
        let OperationKind::Append { hashes, .. } = &operation.what else {
            let text = format!("operation {number} in slot {slot} is {:?}", operation.what);
            return Err(Violation::new(check, text));
        };
        let past = oracle.past(*log);
        let found = |k: usize| past.and_then(|past| past.entry(first.plus(k as u64)));
        let whole = hashes.len() == marks.len()
            && hashes.iter().enumerate().all(|(k, hash)| found(k).is_some_and(|e| e.hash == *hash));
        ensure(whole, check, || {
            format!("operation {number} is not whole in slot {slot}: {operation:?}")
        })?;
        ensure(operation.applied.is_none(), "no duplicates", || {
            format!("operation {number} is applied again in slot {slot}: {operation:?}")
        })?;
        ensure(operation.state != OperationState::Refused, "refused is not executed", || {
            format!("operation {number} was refused, and is in slot {slot}: {operation:?}")
        })?;
        operation.applied = Some((*slot, *log, *first));
        Ok(())
    }

    /// An answer arrived: the decisions must explain it.
    pub(super) fn answer(
        &mut self,
        number: usize,
        header: &ReplyHeader,
        reply: &Reply,
        oracle: &Oracle,
    ) -> CheckResult {
        let operation = &mut self.operations[number];
        let upto = header.applied_upto;
        ensure(upto <= oracle.last(), "applied is chosen", || {
            format!("an answer is of slot {upto}, {} is the last decided", oracle.last())
        })?;
        operation.state = match reply {
            Reply::Error(error) if error.outcome == Outcome::Unknown => OperationState::Unknown,
            Reply::Error(error) if error.outcome == Outcome::NotExecuted => OperationState::Refused,
            _ => OperationState::Done,
        };
        let damaged = |error: &RequestError| error.code == ErrorCode::Damaged;
        if self.damage_expected && matches!(reply, Reply::Error(error) if damaged(error)) {
            return Ok(());
        }
        let place = place_of(operation, upto, reply, oracle).map_err(|mut violation| {
            violation.text += &format!("\n  operation {number}: {operation:?}");
            violation.text += &format!("\n  answered at {upto}: {reply:?}");
            violation
        })?;
        if let Some(place) = place {
            self.floor = self.floor.max(place);
        }
        if matches!(reply, Reply::Appended(_)) {
            self.acknowledged += 1;
            self.acknowledged_since = self.acknowledged_since.max(operation.sent_at);
        } else if operation.state == OperationState::Done {
            self.reads += 1;
        }
        Ok(())
    }

    /// What can only be said of the whole: order on one connection, and chains.
    pub(super) fn check_order(&self) -> CheckResult {
        let mut last: BTreeMap<(ConnId, LogId), (Index, usize)> = BTreeMap::new();
        let mut broken: BTreeMap<(ConnId, &LogRef, u32), usize> = BTreeMap::new();
        for (number, operation) in self.operations.iter().enumerate() {
            let OperationKind::Append { log, chain, .. } = &operation.what else { continue };
            if let Some((_, id, first)) = operation.applied {
                let before = last.insert((operation.conn, id), (first, number));
                ensure(before.is_none_or(|before| before.0 < first), "order of sending", || {
                    format!("operation {number} stands before {before:?}: {operation:?}")
                })?;
            }
            if *chain == 0 {
                continue;
            }
            let key = (operation.conn, log, *chain);
            let failed = broken.get(&key);
            ensure(operation.applied.is_none() || failed.is_none(), "chains break", || {
                format!("operation {number} follows {failed:?}, which failed: {operation:?}")
            })?;
            if operation.applied.is_none() {
                broken.entry(key).or_insert(number);
            }
        }
        Ok(())
    }
}

impl RecordedOperation {
    /// It may be answered from what the answering node has applied.
    fn is_local(&self) -> bool {
        match &self.what {
            OperationKind::Read { consistency, .. }
            | OperationKind::Stat { consistency, .. }
            | OperationKind::List(consistency) => *consistency == Consistency::Local,
            OperationKind::Create(_)
            | OperationKind::Delete(_)
            | OperationKind::Append { .. }
            | OperationKind::Trim(_)
            | OperationKind::Declare(..)
            | OperationKind::Set(_) => false,
        }
    }
}

/// The place of an operation among the decisions, where its answer gives it one.
fn place_of(
    operation: &RecordedOperation,
    upto: Slot,
    reply: &Reply,
    oracle: &Oracle,
) -> Result<Option<Slot>, Violation> {
    let floor = operation.floor;
    let unexplained = |check| Violation::new(check, "no state of the log explains the answer");
    match (reply, &operation.what) {
        (Reply::Appended(done), OperationKind::Append { expect, hashes, .. }) => {
            let here = operation.applied.filter(|at| (at.1, at.2) == (done.id, done.first));
            let Some((slot, ..)) = here.filter(|_| hashes.len() == done.count as usize) else {
                return Err(unexplained("acknowledged is present"));
            };
            let wanted = expect.is_none_or(|expect| expect == done.first);
            ensure(wanted, "expect", || format!("appended at {}", done.first))?;
            let fresh = slot > floor && slot <= upto;
            ensure(fresh, "real-time order", || format!("slot {slot}, floor {floor}"))?;
            Ok(Some(slot))
        }
        (Reply::Created(done), OperationKind::Create(name)) => {
            let past = oracle.past(done.id).filter(|past| past.name() == name);
            let created =
                past.map(LogHistory::created).filter(|slot| *slot > floor && *slot <= upto);
            created.map(Some).ok_or(unexplained("created logs exist"))
        }
        (Reply::Deleted, OperationKind::Delete(log)) => {
            let deleted =
                |past: &LogHistory| past.deleted().filter(|at| *at > floor && *at <= upto);
            let found = oracle.meant(log).filter_map(deleted).min();
            found.map(Some).ok_or(unexplained("deleted logs are gone"))
        }
        (Reply::ReadDone(done), OperationKind::Read { log, from, consistency }) => {
            let earliest = if *consistency == Consistency::Local { upto } else { floor };
            let place = place_of_read(done, (log, *from), (earliest, upto), oracle)?;
            place.map(Some).ok_or(unexplained("linearizable reads"))
        }
        (Reply::Stated(stat), OperationKind::Stat { consistency, .. }) => {
            let earliest = if *consistency == Consistency::Local { upto } else { floor };
            let past = oracle.past(stat.id);
            let place = past.and_then(|past| past.when_stat(stat, earliest, upto));
            place.map(Some).ok_or(unexplained("linearizable stats"))
        }
        (Reply::Listed(listed), OperationKind::List(consistency)) => {
            let earliest = if *consistency == Consistency::Local { upto } else { floor };
            let place = place_of_list(&listed.logs, earliest, upto, oracle);
            place.map(Some).ok_or(unexplained("linearizable lists"))
        }
        (Reply::Trimmed(done), OperationKind::Trim(_)) => {
            let past = oracle.past(done.id);
            let place = past.and_then(|past| past.trimmed((done.first, done.next), floor, upto));
            place.map(Some).ok_or(unexplained("trims are decided"))
        }
        (Reply::AttributesSet, OperationKind::Set(log)) => {
            let place = place_of_set(log, floor, upto, oracle);
            place.map(Some).ok_or(unexplained("attributes are decided"))
        }
        (Reply::DeclaredLost(done), OperationKind::Declare(log, _)) => {
            let past = oracle.past(*log).filter(|_| done.id == *log);
            let place = past.and_then(|past| past.declared(done.range, floor, upto));
            place.map(Some).ok_or(unexplained("declarations are decided"))
        }
        (Reply::Error(error), _) => check_error(operation, upto, error, oracle),
        (reply, what) => {
            let text = format!("{what:?} was answered with {reply:?}");
            Err(Violation::new("answers fit their requests", text))
        }
    }
}

/// The first slot from `earliest` to `upto` that explains an answer to a read.
fn place_of_read(
    done: &ReadDone,
    (log, from): (&LogRef, Index),
    (earliest, upto): (Slot, Slot),
    oracle: &Oracle,
) -> Result<Option<Slot>, Violation> {
    check_entries(done, (log, from), earliest, oracle)?;
    let past = oracle.past(done.id).expect("its entries were compared just before");
    ensure(from >= done.first, "trimmed is gone", || {
        format!("read from {from}, though the first index is {}", done.first)
    })?;
    Ok(past.when((done.first, done.next), earliest, upto))
}

/// A slot behind `floor`, up to `upto`, in which attributes of the log were set.
fn place_of_set(log: &LogRef, floor: Slot, upto: Slot, oracle: &Oracle) -> Option<Slot> {
    oracle.meant(log).filter_map(|past| past.set(floor, upto)).min()
}

/// The first slot from `earliest` to `upto` after which exactly these logs exist.
fn place_of_list(listed: &[LogStat], earliest: Slot, upto: Slot, oracle: &Oracle) -> Option<Slot> {
    let explains = |slot: &Slot| {
        let there = oracle.logs().filter(|(_, past)| past.exists(*slot)).count();
        let fits = |stat: &LogStat| oracle.past(stat.id).is_some_and(|p| p.explains(stat, *slot));
        there == listed.len()
            && listed.is_sorted_by(|a, b| a.name < b.name)
            && listed.iter().all(fits)
    };
    (earliest.0..=upto.0).map(Slot).find(explains)
}

/// They are what was appended, and none of them was lost at the earliest place of the read.
fn check_entries(
    done: &ReadDone,
    (log, from): (&LogRef, Index),
    earliest: Slot,
    oracle: &Oracle,
) -> CheckResult {
    let check = "reads return what was appended";
    let past = oracle.past(done.id).filter(|past| match log {
        LogRef::Id(id) => *id == done.id,
        LogRef::Name(name) => past.name() == name,
    });
    let Some(past) = past else {
        return Err(Violation::new(check, format!("there is no log {}", done.id)));
    };
    ensure(done.from == from, check, || format!("asked from {from}, answered {}", done.from))?;
    for (at, entry) in done.entries.iter().enumerate() {
        let index = from.plus(at as u64);
        let expected = past.entry(index);
        let same = index < done.next && expected.is_some_and(|e| e.hash == entry_hash(entry.data));
        ensure(same, check, || format!("entry {index} is another, or is not there"))?;
        let is_lost = past.is_lost(index, earliest);
        ensure(!is_lost, "what is lost is not read (C32b)", || format!("entry {index}"))?;
    }
    ensure(!done.entries.is_empty() || from >= done.next, check, || {
        format!("nothing from {from}, though the next index is {}", done.next)
    })
}

/// Errors that say what a log is or is not are reads, too.
fn check_error(
    operation: &RecordedOperation,
    upto: Slot,
    error: &RequestError,
    oracle: &Oracle,
) -> Result<Option<Slot>, Violation> {
    let floor = operation.floor;
    let log = match &operation.what {
        OperationKind::Create(name) => Some(LogRef::Name(name.clone())),
        OperationKind::Delete(log)
        | OperationKind::Append { log, .. }
        | OperationKind::Trim(log)
        | OperationKind::Set(log) => Some(log.clone()),
        OperationKind::Read { log, consistency, .. } | OperationKind::Stat { log, consistency } => {
            (*consistency == Consistency::Linearizable).then(|| log.clone())
        }
        OperationKind::Declare(log, _) => Some(LogRef::Id(*log)),
        OperationKind::List(_) => None,
    };
    ensure(
        operation.applied.is_none() || error.outcome != Outcome::NotExecuted,
        "refused",
        || format!("a decided append was refused: {error}"),
    )?;
    let place = match (error.code, &error.detail, log) {
        (ErrorCode::UnknownLog, _, Some(LogRef::Name(name))) => {
            oracle.name_was(&name, None, floor, upto)
        }
        (ErrorCode::UnknownLog, _, Some(LogRef::Id(id))) => match oracle.past(id) {
            Some(past) => past.deleted().filter(|deleted| *deleted <= upto),
            None => Some(floor),
        },
        (ErrorCode::UnknownLog, _, None) => return Ok(None),
        (ErrorCode::LogExists, Detail::Log(id), Some(LogRef::Name(name))) => {
            oracle.name_was(&name, Some(*id), floor, upto)
        }
        (ErrorCode::ExpectMismatch, Detail::Next { log, next }, _) => match oracle.past(*log) {
            Some(past) => past.next_was(*next, floor, upto),
            None => Some(floor).filter(|_| *next == Index(0)),
        },
        (ErrorCode::Trimmed, Detail::First { log, first }, _) => {
            let earliest = if operation.is_local() { upto } else { floor };
            oracle.past(*log).and_then(|past| past.when_first(*first, earliest, upto))
        }
        (ErrorCode::Lost, Detail::Lost { log, range }, _) => {
            let is_lost = |past: &&LogHistory| {
                (range.from.0..range.before.0).all(|index| past.is_lost(Index(index), upto))
            };
            let asked = match &operation.what {
                OperationKind::Read { from, .. } => range.contains(*from),
                _ => false,
            };
            oracle.past(*log).filter(is_lost).filter(|_| asked).map(|_| floor)
        }
        (ErrorCode::Sealed, Detail::Next { log, .. }, _) => {
            let sealed = oracle.past(*log).and_then(LogHistory::sealed);
            sealed.filter(|sealed| *sealed <= upto).map(|sealed| sealed.max(floor))
        }
        (ErrorCode::PastEnd, Detail::Next { log, next }, _) => {
            oracle.past(*log).and_then(|past| past.next_was(*next, floor, upto))
        }
        (code, ..) => {
            ensure(is_expected(code), "errors that may happen", || format!("{error:?}"))?;
            return Ok(None);
        }
    };
    place.map(Some).ok_or_else(|| {
        Violation::new("errors about logs are linearizable", format!("nothing explains {error:?}"))
    })
}

fn is_expected(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeader
            | ErrorCode::NoQuorum
            | ErrorCode::NotReady
            | ErrorCode::Overloaded
            | ErrorCode::DiskFull
            | ErrorCode::ShuttingDown
            | ErrorCode::LeadershipLost
            | ErrorCode::PriorFailed
            | ErrorCode::NotLost
    )
}
