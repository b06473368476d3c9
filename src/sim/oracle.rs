//! What the cluster decided, slot by slot, and what follows from it for every log at every slot.
//!
//! The oracle learns every slot that any node takes for chosen. The first one to say so fixes
//! the value; whoever says otherwise later breaks agreement. It applies the values to a state
//! machine of its own, so that the state at any slot of the past can be asked for.

use super::violation::{CheckResult, Violation, ensure};
use crate::api::entries::EntriesRef;
use crate::api::name::LogName;
use crate::api::{LogAttributes, LogRef, LogStat};
use crate::machine::{
    Commands, LogCommand, LogOutcome, LostOutcome, Machine, MachineCommand, MachineOutcome,
};
use crate::types::{Ballot, FormatLevel, Index, LogId, LostRange, ShardId, Slot, Value};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// The decisions, and the history that they make.
#[derive(Debug)]
pub(super) struct Oracle {
    machine: Machine,
    slots: Vec<Decision>,
    names: BTreeMap<LogName, Vec<(Slot, Option<LogId>)>>,
    logs: BTreeMap<LogId, LogHistory>,
    /// Disks rot: a leader whose index is damaged does not know how many bytes a trim lets go.
    rots: bool,
    /// The slot whose value has rotted on all nodes: of it alone entries may be declared lost.
    pub(super) rotten: Option<Slot>,
}

#[derive(Debug)]
struct Decision {
    /// The lowest ballot in which a node said the slot was chosen.
    ballot: Ballot,
    value: Value,
    /// Of the state after the slot.
    digest: u64,
}

/// One log's history.
#[derive(Debug)]
pub(super) struct LogHistory {
    name: LogName,
    created: Slot,
    created_ms: u64,
    deleted: Option<Slot>,
    /// After each slot that changed it: the next index, and the bytes of all entries.
    tails: Vec<(Slot, Index, u64)>,
    /// Every command that trimmed it, or found it trimmed: its slot, and the first and next index then.
    trims: Vec<(Slot, Index, Index)>,
    /// What its attributes were from its creation on.
    born: LogAttributes,
    /// After each command that set its attributes: the slot, and what they are.
    attributes: Vec<(Slot, LogAttributes)>,
    entries: Vec<AppendedEntry>,
    /// Every command that declared entries lost.
    lost: Vec<(Slot, LostRange)>,
    /// Its bytes may be said to be more than they are.
    counts_high: bool,
}

/// One entry, by the slot that brought it and the hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppendedEntry {
    pub(super) slot: Slot,
    pub(super) hash: u64,
    /// Payload bytes of all entries of the log before this one.
    before: u64,
}

/// An append that took effect.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) slot: Slot,
    pub(super) log: LogId,
    pub(super) first: Index,
    /// The bytes of each entry that say which operation it belongs to.
    pub(super) marks: Vec<u64>,
}

/// The hash by which an entry's bytes are compared.
pub(super) fn entry_hash(data: &[u8]) -> u64 {
    xxh3_64(data)
}

impl Oracle {
    pub(super) fn new(rots: bool) -> Oracle {
        let mut machine = Machine::new(ShardId(0), 1);
        machine.set_known_level(FormatLevel(u16::MAX)); // Whatever some node knows.
        Oracle {
            machine,
            slots: Vec::new(),
            names: BTreeMap::new(),
            logs: BTreeMap::new(),
            rots,
            rotten: None,
        }
    }

    /// The highest slot decided.
    pub(super) fn last(&self) -> Slot {
        Slot(self.slots.len() as u64)
    }

    fn decision(&self, slot: Slot) -> Option<&Decision> {
        self.slots.get(slot.0.checked_sub(1)? as usize)
    }

    /// The digest of the state after `slot`.
    pub(super) fn digest(&self, slot: Slot) -> Option<u64> {
        match slot {
            Slot(0) => Some(Machine::new(ShardId(0), 1).digest()),
            slot => self.decision(slot).map(|decision| decision.digest),
        }
    }

    /// A node takes `value` for chosen in `slot`. Returns the appends that this decides.
    ///
    /// # Errors
    /// When another value was decided there before: two values for one slot.
    pub(super) fn chosen(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        value: &Value,
    ) -> Result<Vec<Applied>, Violation> {
        let next = self.last().next();
        if slot > next {
            let text = format!("slot {slot} is chosen somewhere, {next} nowhere yet");
            return Err(Violation::new("slots are chosen in order", text));
        }
        if slot < next {
            let decision = &mut self.slots[slot.0 as usize - 1];
            decision.ballot = decision.ballot.min(ballot);
            let (ours, digest) = (&decision.value, decision.ballot);
            ensure(ours == value, "one value per slot", || {
                format!("slot {slot}: {ours:?} (ballot {digest}) and {value:?} (ballot {ballot})")
            })?;
            return Ok(Vec::new());
        }
        let applied = self.machine.apply(slot, value).map_err(|error| {
            Violation::new("chosen values can be applied", format!("slot {slot}: {error}"))
        })?;
        let digest = self.machine.digest();
        self.slots.push(Decision { ballot, value: value.clone(), digest });
        for outcome in &applied.outcomes {
            self.record_loss(slot, *outcome)?;
        }
        Ok(self.record(slot, value, &applied.outcomes))
    }

    /// Entries were declared lost: no node had any of them.
    fn record_loss(&mut self, slot: Slot, outcome: MachineOutcome) -> CheckResult {
        let MachineOutcome::Lost(LostOutcome::Declared { log, range }) = outcome else {
            return Ok(());
        };
        let rotten = self.rotten;
        let past = self.existing(log);
        let is_rotten = |index: u64| past.entry(Index(index)).map(|entry| entry.slot) == rotten;
        let all = rotten.is_some() && (range.from.0..range.before.0).all(is_rotten);
        ensure(all, "what a node has is not lost (C32b)", || {
            format!("{range} of log {log} are lost from slot {slot} on; rotten is {rotten:?}")
        })?;
        past.lost.push((slot, range));
        Ok(())
    }

    /// The value decided for a slot.
    pub(super) fn value(&self, slot: Slot) -> Option<&Value> {
        self.decision(slot).map(|decision| &decision.value)
    }

    /// The format level, by the values chosen so far.
    pub(super) fn level(&self) -> FormatLevel {
        self.machine.levels().level()
    }

    /// The latest stamp of the values chosen so far.
    pub(super) fn stamp_ms(&self) -> u64 {
        self.machine.stamp_ms()
    }

    fn record(&mut self, slot: Slot, value: &Value, outcomes: &[MachineOutcome]) -> Vec<Applied> {
        let mut applied = Vec::new();
        if value.is_noop() {
            return applied;
        }
        let commands = Commands::new(value).expect("the machine decoded the value just before");
        for (item, outcome) in commands.zip(outcomes) {
            let (_, command) = item.expect("the machine decoded the value just before");
            let (MachineCommand::Log(command), MachineOutcome::Log(outcome)) = (command, outcome)
            else {
                continue; // A cut or a level changes no log.
            };
            match (&command, *outcome) {
                (LogCommand::Create { name, created_ms, retention }, LogOutcome::Created(id)) => {
                    self.created(slot, name, *created_ms, id);
                    self.existing(id).born.retention = *retention;
                }
                (_, LogOutcome::Deleted(id)) => self.deleted(slot, id),
                (LogCommand::Append { entries, .. }, LogOutcome::Appended { log, first, .. }) => {
                    applied.push(self.appended(slot, log, first, *entries));
                }
                (
                    LogCommand::AppendCreate { entries, name, created_ms, .. },
                    LogOutcome::Appended { log, first, .. },
                ) => {
                    if !self.logs.contains_key(&log) {
                        self.created(slot, name, *created_ms, log);
                    }
                    applied.push(self.appended(slot, log, first, *entries));
                }
                (_, LogOutcome::Trimmed { log, first, next, .. }) => {
                    self.existing(log).trims.push((slot, first, next));
                }
                (LogCommand::SetAttributes { changes, .. }, LogOutcome::AttributesSet(log)) => {
                    let past = self.existing(log);
                    let before = past.attributes.last().map_or(past.born, |last| last.1);
                    past.attributes.push((slot, changes.applied_to(before)));
                }
                (
                    LogCommand::Create { .. }
                    | LogCommand::Delete { .. }
                    | LogCommand::Append { .. }
                    | LogCommand::AppendCreate { .. }
                    | LogCommand::Trim { .. }
                    | LogCommand::Retain { .. }
                    | LogCommand::SetAttributes { .. },
                    _,
                ) => {}
            }
        }
        applied
    }

    fn created(&mut self, slot: Slot, name: &str, created_ms: u64, id: LogId) {
        let name = LogName::new(name).expect("the machine created a log of this name");
        self.names.entry(name.clone()).or_default().push((slot, Some(id)));
        let tails = vec![(slot, Index(0), 0)];
        let past = LogHistory {
            name,
            created: slot,
            created_ms,
            deleted: None,
            tails,
            trims: Vec::new(),
            born: LogAttributes::default(),
            attributes: Vec::new(),
            entries: Vec::new(),
            lost: Vec::new(),
            counts_high: self.rots,
        };
        self.logs.insert(id, past);
    }

    fn existing(&mut self, id: LogId) -> &mut LogHistory {
        self.logs.get_mut(&id).expect("a log was created before anything else is done with it")
    }

    fn deleted(&mut self, slot: Slot, id: LogId) {
        let past = self.logs.get_mut(&id).expect("a log was created before it was deleted");
        past.deleted = Some(slot);
        self.names.entry(past.name.clone()).or_default().push((slot, None));
    }

    fn appended(&mut self, slot: Slot, id: LogId, first: Index, all: EntriesRef<'_>) -> Applied {
        let past = self.logs.get_mut(&id).expect("a log was created before it was appended to");
        assert_eq!(first.0, past.entries.len() as u64, "indexes are dense");
        let mut marks = Vec::with_capacity(all.count() as usize);
        let mut before = past.tails.last().map_or(0, |tail| tail.2);
        for entry in all.iter() {
            past.entries.push(AppendedEntry { slot, hash: entry_hash(entry.data), before });
            before += entry.data.len() as u64;
            let mark = entry.data.first_chunk().map_or(u64::MAX, |mark| u64::from_le_bytes(*mark));
            marks.push(mark);
        }
        let bytes = past.tails.last().map_or(0, |tail| tail.2) + all.data_len();
        past.tails.push((slot, Index(past.entries.len() as u64), bytes));
        Applied { slot, log: id, first, marks }
    }

    /// A proposal of `value` for `slot` in `ballot`: if the slot was chosen in a ballot not above,
    /// it must be the value chosen (P2b of Paxos Made Simple).
    pub(super) fn check_proposal(&self, slot: Slot, ballot: Ballot, value: &Value) -> CheckResult {
        let Some(decision) = self.decision(slot) else { return Ok(()) };
        ensure(ballot < decision.ballot || *value == decision.value, "P2b", || {
            format!(
                "slot {slot} was chosen in ballot {} with {:?}, and ballot {ballot} has {value:?}",
                decision.ballot, decision.value
            )
        })
    }

    /// A log's history.
    pub(super) fn past(&self, log: LogId) -> Option<&LogHistory> {
        self.logs.get(&log)
    }

    /// The logs that a request may mean: the one of this id, or all that ever had this name.
    pub(super) fn meant<'a>(&'a self, log: &'a LogRef) -> impl Iterator<Item = &'a LogHistory> {
        let named = move |(id, past): &(LogId, &LogHistory)| match log {
            LogRef::Id(wanted) => wanted == id,
            LogRef::Name(name) => past.name() == name,
        };
        self.logs().filter(named).map(|(_, past)| past)
    }

    /// Every log ever created.
    pub(super) fn logs(&self) -> impl Iterator<Item = (LogId, &LogHistory)> {
        self.logs.iter().map(|(id, past)| (*id, past))
    }

    /// A slot in or after which, from `floor` to `upto`, the name leads to `id`, or to nothing.
    /// Commands of one slot see each other, so that what holds inside a slot counts too.
    pub(super) fn name_was(
        &self,
        name: &LogName,
        id: Option<LogId>,
        floor: Slot,
        upto: Slot,
    ) -> Option<Slot> {
        let none = Vec::new();
        let changes = self.names.get(name).unwrap_or(&none);
        let begins = std::iter::once((Slot(0), None)).chain(changes.iter().copied());
        let ends = changes.iter().map(|change| change.0).chain([Slot(u64::MAX)]);
        begins
            .zip(ends)
            .find(|((begin, to), end)| *to == id && *begin <= upto && *end > floor)
            .map(|((begin, _), _)| begin.max(floor))
    }
}

impl LogHistory {
    pub(super) fn name(&self) -> &LogName {
        &self.name
    }

    pub(super) fn created(&self) -> Slot {
        self.created
    }

    pub(super) fn deleted(&self) -> Option<Slot> {
        self.deleted
    }

    /// True when the log exists after `slot`.
    pub(super) fn exists(&self, slot: Slot) -> bool {
        self.created <= slot && self.deleted.is_none_or(|deleted| slot < deleted)
    }

    /// The log's next index and bytes after `slot`.
    pub(super) fn tail(&self, slot: Slot) -> Option<(Index, u64)> {
        if !self.exists(slot) {
            return None;
        }
        let at = self.tails.partition_point(|tail| tail.0 <= slot);
        self.tails.get(at.checked_sub(1)?).map(|tail| (tail.1, tail.2))
    }

    /// The log's first index after `slot`.
    pub(super) fn first(&self, slot: Slot) -> Index {
        let at = self.trims.partition_point(|trim| trim.0 <= slot);
        at.checked_sub(1).map_or(Index(0), |at| self.trims[at].1)
    }

    /// The log's attributes after `slot`.
    fn attributes(&self, slot: Slot) -> LogAttributes {
        let at = self.attributes.partition_point(|set| set.0 <= slot);
        at.checked_sub(1).map_or(self.born, |at| self.attributes[at].1)
    }

    /// The first slot from `from` to `upto` after which the log has these indexes, whole slots only:
    /// nobody reads between two commands of one slot.
    pub(super) fn when(
        &self,
        (first, next): (Index, Index),
        from: Slot,
        upto: Slot,
    ) -> Option<Slot> {
        let has = |slot: &Slot| {
            self.first(*slot) == first && self.tail(*slot).is_some_and(|tail| tail.0 == next)
        };
        self.changes(from, upto).find(has)
    }

    /// The first slot from `from` to `upto` after which the log's first index is this one.
    pub(super) fn when_first(&self, first: Index, from: Slot, upto: Slot) -> Option<Slot> {
        let has = |slot: &Slot| self.exists(*slot) && self.first(*slot) == first;
        self.changes(from, upto).find(has)
    }

    /// The first slot from `from` to `upto` that explains what was said of the log.
    pub(super) fn when_stat(&self, stat: &LogStat, from: Slot, upto: Slot) -> Option<Slot> {
        self.changes(from, upto).find(|slot| self.explains(stat, *slot))
    }

    /// The slots from `from` to `upto` after which the log may be other than before: the first one, and
    /// those that changed it.
    fn changes(&self, from: Slot, upto: Slot) -> impl Iterator<Item = Slot> {
        let mut slots: Vec<Slot> = std::iter::once(from)
            .chain(self.tails.iter().map(|tail| tail.0))
            .chain(self.trims.iter().map(|trim| trim.0))
            .chain(self.attributes.iter().map(|set| set.0))
            .filter(|slot| from <= *slot && *slot <= upto)
            .collect();
        slots.sort_unstable();
        slots.into_iter()
    }

    /// A slot behind `floor`, up to `upto`, in which a command trimmed the log to these indexes.
    pub(super) fn trimmed(&self, indexes: (Index, Index), floor: Slot, upto: Slot) -> Option<Slot> {
        let fits = |trim: &&(Slot, Index, Index)| {
            trim.0 > floor && trim.0 <= upto && (trim.1, trim.2) == indexes
        };
        self.trims.iter().find(fits).map(|trim| trim.0)
    }

    /// A slot behind `floor`, up to `upto`, in which a command set attributes.
    pub(super) fn set(&self, floor: Slot, upto: Slot) -> Option<Slot> {
        let slots = self.attributes.iter().map(|set| set.0);
        slots.into_iter().find(|slot| *slot > floor && *slot <= upto)
    }

    /// The first slot that sealed the log.
    pub(super) fn sealed(&self) -> Option<Slot> {
        self.attributes.iter().find(|set| set.1.sealed).map(|set| set.0)
    }

    /// As [`LogHistory::when`] of the next index alone, but what holds inside a slot, between two commands, counts too.
    pub(super) fn next_was(&self, next: Index, floor: Slot, upto: Slot) -> Option<Slot> {
        let at = self.tails.partition_point(|tail| tail.1 < next);
        let begin = self.tails.get(at).filter(|tail| tail.1 == next)?.0;
        let end = self.tails.get(at + 1).map(|tail| tail.0).or(self.deleted);
        (begin <= upto && end.is_none_or(|end| end > floor)).then(|| begin.max(floor))
    }

    /// The slots of the entries that are left after `slot`.
    pub(super) fn live_slots(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let first = self.first(slot).0 as usize;
        self.entries.iter().skip(first).map(|entry| entry.slot)
    }

    /// The entries that `of` brought, of those that are left after `slot`.
    pub(super) fn live_of(&self, of: Slot, slot: Slot) -> Option<LostRange> {
        let bound = |at: Slot| Index(self.entries.partition_point(|e| e.slot < at) as u64);
        let range = LostRange { from: bound(of).max(self.first(slot)), before: bound(of.next()) };
        (range.from < range.before).then_some(range)
    }

    /// An entry was declared lost, in a slot up to that.
    pub(super) fn is_lost(&self, index: Index, upto: Slot) -> bool {
        self.lost.iter().any(|(slot, range)| *slot <= upto && range.contains(index))
    }

    /// A slot behind `floor`, up to `upto`, in which a command declared exactly these lost.
    pub(super) fn declared(&self, range: LostRange, floor: Slot, upto: Slot) -> Option<Slot> {
        let fits =
            |(slot, lost): &&(Slot, LostRange)| *slot > floor && *slot <= upto && *lost == range;
        self.lost.iter().find(fits).map(|lost| lost.0)
    }

    pub(super) fn entry(&self, index: Index) -> Option<&AppendedEntry> {
        self.entries.get(index.0 as usize)
    }

    /// Whether `Stat` may say this after `slot`. Bytes of trimmed entries may count while others of their
    /// slot are left.
    pub(super) fn explains(&self, stat: &LogStat, slot: Slot) -> bool {
        let Some((next_index, all)) = self.tail(slot) else { return false };
        let first_index = self.first(slot);
        let before = |index: Index| self.entry(index).map_or(all, |entry| entry.before);
        let of_slot = self.entry(first_index).map_or(first_index, |first| {
            Index(self.entries.partition_point(|entry| entry.slot < first.slot) as u64)
        });
        let counted = if self.counts_high { 0 } else { before(of_slot) };
        let (least, most) = (all - before(first_index), all - counted);
        let lost = |range: &LostRange| before(range.before) - before(range.from);
        let least = least.saturating_sub(self.lost.iter().map(|(_, range)| lost(range)).sum());
        stat.name == self.name
            && stat.created_ms == self.created_ms
            && (stat.first_index, stat.next_index) == (first_index, next_index)
            && (least..=most).contains(&stat.bytes)
            && stat.attributes == self.attributes(slot)
    }
}
