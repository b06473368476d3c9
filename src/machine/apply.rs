//! Applying chosen values: the one place where the state changes.

use super::batch::Commands;
use super::command::{Command, CommandError};
use super::digest::{self, LogSum};
use super::state::{Log, Machine};
use crate::api::entries::EntriesRef;
use crate::api::name::LogName;
use crate::types::{Index, LogId, Slot, Value};
use thiserror::Error;

/// What became of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The log was created.
    Created(LogId),
    /// Nothing was created: this log has the name.
    Exists(LogId),
    /// The log was deleted and its name is free; its id is never used again.
    Deleted(LogId),
    /// Every entry was appended, at consecutive indexes.
    Appended {
        /// The log; a new one if `first` is 0 and the command was [`Command::AppendCreate`].
        log: LogId,
        /// Index of the first entry.
        first: Index,
        /// How many entries.
        count: u32,
    },
    /// Nothing was appended: the log's next index is not the one expected.
    ExpectMismatch {
        /// The log; none when it would have had to be created.
        log: Option<LogId>,
        /// Its next index.
        next: Index,
    },
    /// Nothing was done: there is no such log, or no longer.
    UnknownLog,
    /// Nothing was done: the log belongs to another shard (C22).
    WrongShard,
    /// Nothing was done: no log can have that name.
    BadName,
}

/// A chosen value that this node cannot apply. Nothing of it was applied. The node must stop: to
/// skip what its peers may have understood would be to part from them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("slot {slot} cannot be applied: {source}")]
pub struct MachineError {
    /// The slot.
    pub slot: Slot,
    /// What is wrong with its value.
    pub source: CommandError,
}

/// Where a command lies.
#[derive(Clone, Copy)]
struct Place {
    slot: Slot,
    /// In bytes from the start of the slot's value.
    offset: u32,
}

impl Machine {
    /// Applies the value chosen for `slot`, the next one (R18), and returns one outcome per
    /// command, in their order; none for a no-op. The watermark moves with the effects: either all
    /// of the value is applied or, in case of an error, nothing.
    ///
    /// A leadership proposes its values for consecutive slots, and a later one may find some of
    /// them and not others, because what it finds depends on whom it asks. So that nothing takes
    /// effect without all that the same leadership proposed before, on whatever connection it was
    /// sent, a value is *void*, with no outcomes, unless every slot from the last value that its
    /// leadership marked as a first one up to it holds a value of that leadership. What a leader
    /// acknowledges is never void: it was chosen in one ballot together with all of these. A leadership
    /// marks a value as first when all that it proposed before is chosen.
    ///
    /// # Errors
    /// When the value holds anything that this node does not understand.
    ///
    /// # Panics
    /// When `slot` is not the one after [`Machine::applied_upto`].
    pub fn apply(&mut self, slot: Slot, value: &Value) -> Result<Vec<Outcome>, MachineError> {
        let next = self.applied_upto.next();
        assert!(slot == next, "slots are applied in order: slot={slot} next={next}");
        let outcomes = if value.is_noop() {
            self.applying_leadership = None;
            Vec::new()
        } else {
            self.execute_all(slot, value).map_err(|source| MachineError { slot, source })?
        };
        self.applied_upto = slot;
        Ok(outcomes)
    }

    fn execute_all(&mut self, slot: Slot, value: &Value) -> Result<Vec<Outcome>, CommandError> {
        // All of it is decoded before anything takes effect, so that an error leaves no half of it.
        let count = Commands::check(value)?;
        let commands = Commands::new(value)?;
        let leadership = Some(commands.leadership());
        if !commands.is_first() && self.applying_leadership != leadership {
            self.applying_leadership = None;
            return Ok(Vec::new());
        }
        self.applying_leadership = leadership;
        let mut outcomes = Vec::with_capacity(count as usize);
        for item in commands {
            let (offset, command) = item.expect("the whole value was decoded just before");
            outcomes.push(self.execute(Place { slot, offset }, &command));
        }
        Ok(outcomes)
    }

    fn execute(&mut self, place: Place, command: &Command<'_>) -> Outcome {
        match *command {
            Command::Create { name, created_ms } => match self.resolve(name) {
                Some(id) => Outcome::Exists(id),
                None => match self.create(name, created_ms, None) {
                    Ok(id) => Outcome::Created(id),
                    Err(refusal) => refusal,
                },
            },
            Command::Delete { log } if self.remove(log) => Outcome::Deleted(log),
            Command::Delete { log } => self.missing(log),
            Command::Append { log, expect, entries } => {
                self.append(place, log, expect, entries).unwrap_or_else(|| self.missing(log))
            }
            Command::AppendCreate { name, created_ms, expect, entries } => {
                let id = match self.resolve(name) {
                    Some(id) => id,
                    None => match self.create(name, created_ms, expect) {
                        Ok(id) => id,
                        Err(refusal) => return refusal,
                    },
                };
                self.append(place, id, expect, entries).expect("the log was found or made above")
            }
        }
    }

    /// Why there is no log of this id.
    fn missing(&self, log: LogId) -> Outcome {
        if log.shard() == self.shard { Outcome::UnknownLog } else { Outcome::WrongShard }
    }

    /// Creates the log of a name that is free, if it can be one of this shard's. Where `expect`
    /// says that the append to follow will be refused, nothing is created: a refused command
    /// leaves no trace.
    fn create(
        &mut self,
        name: &str,
        created_ms: u64,
        expect: Option<Index>,
    ) -> Result<LogId, Outcome> {
        let name = LogName::new(name).map_err(|_| Outcome::BadName)?;
        if !self.owns(&name) {
            return Err(Outcome::WrongShard);
        }
        let next = Index(0);
        if expect.is_some_and(|index| index != next) {
            return Err(Outcome::ExpectMismatch { log: None, next });
        }
        Ok(self.insert(name, created_ms))
    }

    /// Appends to a log; none when it does not exist.
    fn append(
        &mut self,
        place: Place,
        id: LogId,
        expect: Option<Index>,
        entries: EntriesRef<'_>,
    ) -> Option<Outcome> {
        let log = self.logs.get_mut(&id)?;
        let first = log.next;
        if expect.is_some_and(|index| index != first) {
            log.extents.interrupt();
            return Some(Outcome::ExpectMismatch { log: Some(id), next: first });
        }
        log.extend(id, place, entries, &mut self.sum);
        Some(Outcome::Appended { log: id, first, count: entries.count() })
    }
}

impl Log {
    /// Takes entries in; `sum` follows.
    fn extend(&mut self, id: LogId, place: Place, entries: EntriesRef<'_>, sum: &mut LogSum) {
        let count = entries.count();
        self.extents.record(self.next, count, place.slot, place.offset);
        self.next = self.extents.end();
        self.bytes += entries.data_len();
        for entry in entries.iter() {
            self.content = digest::content_hash(self.content, entry.data);
        }
        let before = self.hash;
        self.hash = self.facts(id).hash();
        sum.replace(before, self.hash);
    }
}
