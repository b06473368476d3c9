//! Compares what was reported to clients with what the logs hold: nothing acknowledged is lost,
//! moved or doubled, nothing refused is there, every replica has the same, and time runs forward.

use super::history::{Attempt, EntryId, Glimpse, History, Reported};
use std::collections::BTreeMap;

/// A log as it was read at the end; no identity where the bytes are no entry of the run.
pub type Contents = Vec<Option<EntryId>>;

/// One log at the end of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// As the leader has it.
    pub linearizable: Contents,
    /// As each node has it, by node.
    pub local: BTreeMap<u16, Contents>,
}

/// Everything that is wrong, a sentence each; nothing is wrong where it is empty.
pub fn judge(history: &History, logs: &[Outcome]) -> Vec<String> {
    let mut faults = Vec::new();
    for (log, outcome) in logs.iter().enumerate() {
        let attempts: Vec<&Attempt> =
            history.attempts.iter().filter(|attempt| attempt.log == log).collect();
        let glimpses: Vec<&Glimpse> =
            history.glimpses.iter().filter(|glimpse| glimpse.log == log).collect();
        let contents = &outcome.linearizable;
        let mut places = BTreeMap::new();
        let mut found = replicas(outcome);
        found.extend(strangers(&attempts, contents, &mut places));
        found.extend(attempts.iter().filter_map(|attempt| misplaced(attempt, contents, &places)));
        found.extend(order_of_time(&attempts));
        found.extend(order_of_writers(&attempts));
        found.extend(reads(&attempts, &glimpses, contents));
        faults.extend(found.into_iter().map(|fault| format!("log {log}: {fault}")));
    }
    faults
}

/// Every node has the same entries at the same indexes.
fn replicas(outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    for (node, local) in &outcome.local {
        let ours = &outcome.linearizable;
        if local.len() != ours.len() {
            let (theirs, ours) = (local.len(), ours.len());
            faults.push(format!("node {node} has {theirs} entries, the leader {ours}"));
        }
        if let Some(at) = local.iter().zip(ours).position(|(theirs, ours)| theirs != ours) {
            faults.push(format!("node {node} differs from the leader at index {at}"));
        }
    }
    faults
}

/// Every entry was appended to this log by somebody, and stands in it once. Notes where.
fn strangers(
    attempts: &[&Attempt],
    contents: &Contents,
    places: &mut BTreeMap<EntryId, usize>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ranges: BTreeMap<(u16, u32), &Attempt> = BTreeMap::new();
    for attempt in attempts {
        ranges.insert((attempt.writer, attempt.numbers.start), attempt);
    }
    for (at, entry) in contents.iter().enumerate() {
        let Some(entry) = entry else {
            faults.push(format!("index {at} holds bytes that nobody appended"));
            continue;
        };
        if let Some(first) = places.insert(*entry, at) {
            faults.push(format!("{entry} stands at index {first} and again at {at}"));
        }
        let before = ranges.range(..=(entry.writer, entry.number)).next_back();
        let of = |attempt: &Attempt| {
            attempt.writer == entry.writer && attempt.numbers.contains(&entry.number)
        };
        if !before.is_some_and(|(_, attempt)| of(attempt)) {
            faults.push(format!("{entry} at index {at} was never appended to this log"));
        }
    }
    faults
}

/// An append stands at the index that was reported, whole or not at all.
fn misplaced(
    attempt: &Attempt,
    contents: &Contents,
    places: &BTreeMap<EntryId, usize>,
) -> Option<String> {
    let wanted: Vec<Option<EntryId>> = attempt.entries().map(Some).collect();
    let first = wanted.first()?.as_ref()?;
    let place = |from: usize| contents.get(from..).and_then(|rest| rest.get(..wanted.len()));
    let found = || attempt.entries().find_map(|entry| places.get(&entry).copied());
    match attempt.reported {
        Reported::At(index) => {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if place(index) == Some(&wanted[..]) {
                return None;
            }
            Some(match found() {
                Some(at) if at == index => {
                    format!("{first}, acknowledged at {index}, is there in part")
                }
                Some(at) => format!("{first}, acknowledged at {index}, was moved to {at}"),
                None => format!("{first}, acknowledged at {index}, is lost"),
            })
        }
        Reported::Unknown => {
            let at = found()?;
            (place(at) != Some(&wanted[..])).then(|| format!("{first}, at {at}, is there in part"))
        }
        Reported::NotExecuted => {
            let at = found()?;
            Some(format!("{first}, not executed as reported to its writer, stands at {at}"))
        }
    }
}

/// Acknowledged appends in the order of their indexes.
fn acknowledged<'a>(attempts: &[&'a Attempt]) -> Vec<(u64, &'a Attempt)> {
    let at = |attempt: &&'a Attempt| match attempt.reported {
        Reported::At(index) => Some((index, *attempt)),
        Reported::Unknown | Reported::NotExecuted => None,
    };
    let mut all: Vec<(u64, &Attempt)> = attempts.iter().filter_map(at).collect();
    all.sort_by_key(|(index, _)| *index);
    all
}

/// What was acknowledged before another append was sent has the lower index.
fn order_of_time(attempts: &[&Attempt]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut earliest_end = u64::MAX;
    for (index, attempt) in acknowledged(attempts).into_iter().rev() {
        if earliest_end < attempt.started {
            let entry = attempt.entries().next().expect("an append has an entry");
            faults.push(format!("{entry} at {index} was sent after a higher index was reported"));
        }
        earliest_end = earliest_end.min(attempt.ended);
    }
    faults
}

/// One writer's acknowledged appends stand in the order in which it sent them.
fn order_of_writers(attempts: &[&Attempt]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last: BTreeMap<u16, u32> = BTreeMap::new();
    for (index, attempt) in acknowledged(attempts) {
        let number = attempt.numbers.start;
        let before = last.insert(attempt.writer, number);
        if before.is_some_and(|before| before > number) {
            let writer = attempt.writer;
            faults.push(format!(
                "w{writer}-{number} at {index} stands behind a later one of w{writer}"
            ));
        }
    }
    faults
}

/// A read shows what the log holds, all that was acknowledged before it began, nothing that was
/// appended after it ended, and no less than an earlier read.
fn reads(attempts: &[&Attempt], glimpses: &[&Glimpse], contents: &Contents) -> Vec<String> {
    let mut faults = Vec::new();
    let acks = acknowledged(attempts).into_iter();
    let acks = raised(acks.map(|(index, attempt)| (attempt.ended, index + attempt.count())));
    let seen = raised(glimpses.iter().map(|glimpse| (glimpse.ended, glimpse.next)));
    let starts: BTreeMap<(u16, u32), u64> = attempts
        .iter()
        .flat_map(|a| a.numbers.clone().map(|number| ((a.writer, number), a.started)))
        .collect();
    for glimpse in glimpses {
        let what = format!("the read of {} up to {}", glimpse.from, glimpse.next);
        let from = usize::try_from(glimpse.from).unwrap_or(usize::MAX);
        let same = contents.get(from..).and_then(|rest| rest.get(..glimpse.entries.len()));
        if !glimpse.entries.is_empty() && same != Some(&glimpse.entries[..]) {
            faults.push(format!("{what} brought other entries than the log holds"));
        }
        for (promised, why) in [(&acks, "acknowledged"), (&seen, "read")] {
            let before = promised.range(..glimpse.started).next_back();
            if let Some((_, next)) = before.filter(|(_, next)| **next > glimpse.next) {
                faults.push(format!("{what} missed index {}, {why} before it began", next - 1));
            }
        }
        let early = |entry: &EntryId| starts.get(&(entry.writer, entry.number));
        for entry in glimpse.entries.iter().flatten() {
            if early(entry).is_some_and(|started| *started > glimpse.ended) {
                faults.push(format!("{what} brought {entry} before it was sent"));
            }
        }
    }
    faults
}

/// By moment, the highest of the numbers up to that moment.
fn raised(facts: impl Iterator<Item = (u64, u64)>) -> BTreeMap<u64, u64> {
    let mut by_moment: BTreeMap<u64, u64> = BTreeMap::new();
    for (moment, number) in facts {
        let place = by_moment.entry(moment).or_insert(number);
        *place = number.max(*place);
    }
    let mut highest = 0;
    for number in by_moment.values_mut() {
        highest = highest.max(*number);
        *number = highest;
    }
    by_moment
}
