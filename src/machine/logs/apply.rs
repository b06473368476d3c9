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
            LogCommand::Create { name, created_ms, retention } => match self.resolve(name) {
                Some(id) => LogOutcome::Exists(id),
                None => match self.create(name, created_ms, None) {
                    Ok(id) => self
                        .change(id, |id, log| {
                            log.attributes.retention = retention;
                            LogOutcome::Created(id)
                        })
                        .expect("the log was made just before"),
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
            LogCommand::Trim { log, before } => self
                .change(log, |id, log| log.trim(id, before))
                .unwrap_or_else(|| self.missing(log)),
            LogCommand::Retain { log, version, before } => self
                .change(log, |id, log| log.retain(id, version, before))
                .unwrap_or_else(|| self.missing(log)),
            LogCommand::SetAttributes { log, changes } => self
                .change(log, |id, log| {
                    log.attributes = changes.applied_to(log.attributes);
                    LogOutcome::AttributesSet(id)
                })
                .unwrap_or_else(|| self.missing(log)),
        }
    }

    /// Changes a log, and its share of the digest with it; none when it does not exist.
    fn change(
        &mut self,
        id: LogId,
        change: impl FnOnce(LogId, &mut Log) -> LogOutcome,
    ) -> Option<LogOutcome> {
        let log = self.by_id.get_mut(&id)?;
        let outcome = change(id, log);
        let before = log.hash;
        log.hash = log.facts(id).hash();
        self.sum.replace(before, log.hash);
        Some(outcome)
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
        if log.attributes.sealed {
            return Some(LogOutcome::Sealed { log: id, next: first });
        }
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
    /// Trims what lies before an index that the log has come to.
    fn trim(&mut self, id: LogId, before: Index) -> LogOutcome {
        if before > self.next {
            return LogOutcome::PastEnd { log: id, next: self.next };
        }
        if before > self.first {
            self.first = before;
            self.live_bytes -= self.extents.trim(before);
        }
        LogOutcome::Trimmed { log: id, first: self.first, next: self.next }
    }

    /// Trims as the retention of this version allows; the last entry stays whatever was computed.
    fn retain(&mut self, id: LogId, version: u64, before: Index) -> LogOutcome {
        let last = Index(self.next.0.saturating_sub(1));
        let before = if version == self.attributes.version { before.min(last) } else { self.first };
        self.trim(id, before)
    }

    /// Takes entries in; `sum` follows.
    fn extend(
        &mut self,
        id: LogId,
        place: CommandPlace,
        entries: EntriesRef<'_>,
        sum: &mut LogSum,
    ) {
        let count = entries.count();
        let bytes = u32::try_from(entries.data_len()).expect("an append is far below 4 GiB");
        self.extents.record((self.next, count), bytes, place.slot, place.offset);
        self.next = self.extents.end();
        self.appended_bytes += u64::from(bytes);
        self.live_bytes += u64::from(bytes);
        for entry in entries.iter() {
            self.content = digest::content_hash(self.content, entry.data);
        }
        let before = self.hash;
        self.hash = self.facts(id).hash();
        sum.replace(before, self.hash);
    }
}
