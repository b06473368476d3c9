//! Values of slots that a checkpoint stands for, held against the index before they are kept (C29).

use crate::api::name::LogName;
use crate::index::{RunDamage, RunError, RunSet, Search};
use crate::machine::{
    LogLosses, NamedExtent, appended_logs, chain_behind, cut_down, has_extent, keep_only,
};
use crate::storage::{Storage, StorageError};
use crate::types::{Ballot, Extent, Index, LogId, LostRange, NodeId, Slot, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of a log that are read at once: a slot has one, as a rule, and the one behind it is needed too.
const ROWS: usize = 4;

/// Values that arrived, and what the state says of the logs that they append to.
#[derive(Clone, Debug)]
pub struct VerifyValues {
    /// Who sent them.
    pub from: NodeId,
    /// The values, or what is left of them, by rising slot.
    pub values: Vec<(Slot, Ballot, Value)>,
    /// Other records of some of these slots. Of all that are right the one with the most live rows is taken; of several
    /// such, the value, or the first of these.
    pub beside: RecordsBeside,
    /// Only rows with entries of this range are looked at, in every log; all rows where it is none.
    pub among: Option<LostRange>,
    /// How much is kept of those that are right.
    pub wanted: KeptPart,
    /// The runs, which have the extents of those slots.
    pub runs: RunSet,
    /// The logs that exist.
    pub logs: BTreeMap<LogId, LogEnd>,
}

/// Of slots the records beside those that count, each with its ballot.
pub type RecordsBeside = BTreeMap<Slot, Vec<(Ballot, Value)>>;

/// How much is kept of a value that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptPart {
    /// All of it.
    Whole,
    /// All of it where nearly all of it is live; else what is live alone (C30).
    CutDown,
    /// What is live alone, for the rest of it need not be what was chosen.
    LiveOnly,
}

/// What is known of a log without its rows.
#[derive(Clone, Debug)]
pub struct LogEnd {
    /// Its name.
    pub name: LogName,
    /// What lies below is trimmed.
    pub first: Index,
    /// Entries that are declared lost: nobody asks for them, found again or not (C32b).
    pub lost: LogLosses,
    /// The chain value behind the last row of the runs.
    pub chain: u64,
}

/// The log of a row of the index, and the row's first entry: no other row has the same.
pub type RowName = (LogId, Index);

/// What became of the values.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who sent them.
    pub from: NodeId,
    /// Those that hold entries which can still be read, and are the very ones; cut down, where that was asked for.
    pub values: Vec<(Slot, Ballot, Value)>,
    /// The rows of live entries that each of these has.
    pub rows: BTreeMap<Slot, Vec<RowName>>,
    /// Of these slots another record was taken instead of the value; its ballot is no lower than that of the value.
    pub beside: BTreeSet<Slot>,
    /// The first slot whose value is not believed, the highest ballot of its records, and why; none behind it was looked
    /// at.
    pub refused: Option<(Slot, Ballot, ValueFault)>,
}

/// Why a value is not believed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ValueFault {
    /// It is not what the sequence had in its slot.
    #[error("{0}")]
    OtherValue(String),
    /// A run of the index is damaged, so that nothing can be said of it.
    #[error("{0}")]
    DamagedIndex(RunDamage),
}

/// Holds each value against the rows of its slot. Reads them: for a thread that may block.
///
/// # Errors
/// Only where the system is short of something.
pub fn verify(storage: &dyn Storage, verify: &VerifyValues) -> Result<Verified, StorageError> {
    let (from, values, rows, refused) = (verify.from, Vec::new(), BTreeMap::new(), None);
    let mut verified = Verified { from, values, rows, beside: BTreeSet::new(), refused };
    let by_name = verify.logs.iter().map(|(log, end)| (end.name.as_str(), *log)).collect();
    let verifier = Verifier { storage, verify, by_name };
    for (slot, ballot, value) in &verify.values {
        let mut best = (*ballot, verifier.live_value(*slot, value)?);
        for (other_ballot, other) in verify.beside.get(slot).into_iter().flatten() {
            let found = verifier.live_value(*slot, other)?;
            if is_better(&found, &best.1) {
                best = (best.0.max(*other_ballot), found);
                verified.beside.insert(*slot);
            }
        }
        match best {
            (_, Ok((_, rows))) if rows.is_empty() => {}
            (ballot, Ok((value, rows))) => {
                verified.values.push((*slot, ballot, value));
                verified.rows.insert(*slot, rows);
            }
            (_, Err(why)) => {
                let beside = verify.beside.get(slot).into_iter().flatten().map(|(it, _)| *it);
                let highest = beside.fold(*ballot, Ballot::max);
                verified.refused = Some((*slot, highest, why));
                break;
            }
        }
    }
    Ok(verified)
}

/// What is wanted of a value, and the live rows that it has; or why it is not believed.
type LiveValue = Result<(Value, Vec<RowName>), ValueFault>;

/// Holds values against the rows of the index.
struct Verifier<'a> {
    storage: &'a dyn Storage,
    verify: &'a VerifyValues,
    /// The ids of the logs by name: a value appends to a log by its id or by its name.
    by_name: BTreeMap<&'a str, LogId>,
}

impl<'a> Verifier<'a> {
    /// What is wanted of a value of this slot.
    fn live_value(&self, slot: Slot, value: &Value) -> Result<LiveValue, StorageError> {
        Ok(match self.live_rows(slot, value)? {
            Ok(live) if !live.is_empty() => cut(value, &live, self.verify.wanted),
            live => live.map(|live| (value.clone(), names(&live))),
        })
    }

    /// The rows that the value has of which somebody may ask for an entry; an error where it is another value than
    /// was chosen for the slot. Rows of logs that are not in the value are not looked for.
    fn live_rows(
        &self,
        slot: Slot,
        value: &Value,
    ) -> Result<Result<Vec<NamedExtent<'a>>, ValueFault>, StorageError> {
        let other = |why: String| Ok(Err(ValueFault::OtherValue(why)));
        let Verifier { storage, verify, by_name } = self;
        let (ids, names) = match appended_logs(value) {
            Ok(found) => found,
            Err(error) => return other(error.to_string()),
        };
        let named = names.iter().filter_map(|name| by_name.get(name.as_str()));
        let logs: BTreeSet<LogId> = ids.iter().chain(named).copied().collect();
        let mut live = Vec::new();
        for (log, end) in logs.iter().filter_map(|log| verify.logs.get_key_value(log)) {
            let rows = match rows_at(*storage, &verify.runs, *log, slot) {
                Ok(rows) => rows,
                Err(RunError::Damaged(damage)) => {
                    return Ok(Err(ValueFault::DamagedIndex(damage)));
                }
                Err(RunError::Storage(error)) => return Err(error),
            };
            for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.slot == slot) {
                let is_lost = end.lost.covers(row.first.max(end.first), row.end());
                let is_asked =
                    verify.among.is_none_or(|it| row.first < it.before && it.from < row.end());
                if row.end() <= end.first || is_lost || !is_asked || !has_extent(value, row) {
                    continue; // Trimmed, lost, not asked for, or not left of the value.
                }
                let expected = rows.get(at + 1).map_or(end.chain, |next| next.chain);
                match chain_behind(value, (*log, &end.name), row) {
                    Ok(chain) if chain == expected => live.push((*log, &end.name, *row)),
                    Ok(_) => {
                        return other(format!("log {log} has other entries from {}", row.first));
                    }
                    Err(damage) => return other(format!("log {log}: {damage}")),
                }
            }
        }
        Ok(Ok(live))
    }
}

/// The first is to be taken instead of the second: it has more live rows, or the second is not believed. That the index
/// is damaged goes before both: then nothing can be said of any record of the slot.
fn is_better(found: &LiveValue, other: &LiveValue) -> bool {
    match (found, other) {
        (_, Err(ValueFault::DamagedIndex(_))) => false,
        (Err(ValueFault::DamagedIndex(_)), _) => true,
        (Err(ValueFault::OtherValue(_)), _) => false,
        (Ok((_, rows)), Ok((_, others))) => rows.len() > others.len(),
        (Ok(_), Err(ValueFault::OtherValue(_))) => true,
    }
}

/// What is wanted of a value with these live rows, and their names.
fn cut(value: &Value, live: &[NamedExtent<'_>], wanted: KeptPart) -> LiveValue {
    let cut = match wanted {
        KeptPart::Whole => Ok(None),
        KeptPart::CutDown => cut_down(value, live),
        KeptPart::LiveOnly => keep_only(value, live),
    };
    let cut = cut.map_err(|damage| ValueFault::OtherValue(damage.to_string()))?;
    Ok((cut.unwrap_or_else(|| value.clone()), names(live)))
}

fn names(live: &[NamedExtent<'_>]) -> Vec<RowName> {
    live.iter().map(|(log, _, row)| (*log, row.first)).collect()
}

/// The rows of a log that are of a slot, and the one behind them.
fn rows_at(
    storage: &dyn Storage,
    runs: &RunSet,
    log: LogId,
    slot: Slot,
) -> Result<Vec<Extent>, RunError> {
    let Some(first) = runs.search(storage, log, Search::Slot(slot))? else { return Ok(Vec::new()) };
    let mut rows = vec![first];
    while rows.last().is_some_and(|row| row.slot == slot) {
        let next = rows.last().map_or(first.first, Extent::end);
        let more = runs.extents_from(storage, log, next, ROWS)?;
        if more.is_empty() {
            break;
        }
        rows.extend(more);
    }
    Ok(rows)
}
