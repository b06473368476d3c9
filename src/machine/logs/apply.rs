//! Executing the commands on logs: the one place where their state changes.

use super::command::LogCommand;
use super::digest::{self, LogSum};
use super::outcome::LogOutcome;
use super::state::{Log, Logs};
use crate::api::entries::EntriesRef;
use crate::api::name::LogName;
use crate::machine::feature::CommandPlace;
use crate::types::{Index, LogId};

impl Logs {
    /// Executes one command, which lies at `place`.
    pub(in crate::machine) fn execute(
        &mut self,
        place: CommandPlace,
        command: &LogCommand<'_>,
    ) -> LogOutcome {
        match *command {
            LogCommand::Create { name, created_ms } => match self.resolve(name) {
                Some(id) => LogOutcome::Exists(id),
                None => match self.create(name, created_ms, None) {
                    Ok(id) => LogOutcome::Created(id),
                    Err(refusal) => refusal,
                },
            },
            LogCommand::Delete { log } if self.remove(log) => LogOutcome::Deleted(log),
            LogCommand::Delete { log } => self.missing(log),
            LogCommand::Append { log, expect, entries } => {
                self.append(place, log, expect, entries).unwrap_or_else(|| self.missing(log))
            }
            LogCommand::AppendCreate { name, created_ms, expect, entries } => {
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
    fn missing(&self, log: LogId) -> LogOutcome {
        if log.shard() == self.home.shard { LogOutcome::UnknownLog } else { LogOutcome::WrongShard }
    }

    /// Creates the log of a name that is free, if it can be one of this shard's. Where `expect`
    /// says that the append to follow will be refused, nothing is created: a refused command
    /// leaves no trace.
    fn create(
        &mut self,
        name: &str,
        created_ms: u64,
        expect: Option<Index>,
    ) -> Result<LogId, LogOutcome> {
        let name = LogName::new(name).map_err(|_| LogOutcome::BadName)?;
        if !self.owns(&name) {
            return Err(LogOutcome::WrongShard);
        }
        let next = Index(0);
        if expect.is_some_and(|index| index != next) {
            return Err(LogOutcome::ExpectMismatch { log: None, next });
        }
        Ok(self.insert(name, created_ms))
    }

    /// Appends to a log; none when it does not exist.
    fn append(
        &mut self,
        place: CommandPlace,
        id: LogId,
        expect: Option<Index>,
        entries: EntriesRef<'_>,
    ) -> Option<LogOutcome> {
        let log = self.by_id.get_mut(&id)?;
        let first = log.next;
        if expect.is_some_and(|index| index != first) {
            // Readers count the appends of an extent: the next one must not join those before it.
            log.extents.interrupt();
            return Some(LogOutcome::ExpectMismatch { log: Some(id), next: first });
        }
        log.extend(id, place, entries, &mut self.sum);
        Some(LogOutcome::Appended { log: id, first, count: entries.count() })
    }
}

impl Log {
    /// Takes entries in; `sum` follows.
    fn extend(
        &mut self,
        id: LogId,
        place: CommandPlace,
        entries: EntriesRef<'_>,
        sum: &mut LogSum,
    ) {
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
