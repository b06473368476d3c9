//! Executing the commands on logs: the one place where their state changes.

use super::attributes::PackedAttributes;
use super::command::LogCommand;
use super::digest::{self, LogSum};
use super::outcome::LogOutcome;
use super::slot_extents::{AppendedRun, SlotExtents};
use super::state::{Log, Logs};
use crate::api::LogAttributes;
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
        extents: &mut SlotExtents,
    ) -> LogOutcome {
        match *command {
            LogCommand::Create { name, created_ms, retention } => match self.resolve(name) {
                Some(id) => LogOutcome::Exists(id),
                None => match self.create(name, created_ms, None) {
                    Ok(id) => self
                        .change(id, |id, log| {
                            let attributes = LogAttributes { retention, ..log.attributes.get() };
                            log.attributes = PackedAttributes::new(attributes);
                            LogOutcome::Created(id)
                        })
                        .expect("the log was made just before"),
                    Err(refusal) => refusal,
                },
            },
            LogCommand::Delete { log } if self.remove(log) => LogOutcome::Deleted(log),
            LogCommand::Delete { log } => self.missing(log),
            LogCommand::Append { log, expect, entries } => self
                .append((log, place), expect, entries, extents)
                .unwrap_or_else(|| self.missing(log)),
            LogCommand::AppendCreate { name, created_ms, expect, entries } => {
                let id = match self.resolve(name) {
                    Some(id) => id,
                    None => match self.create(name, created_ms, expect) {
                        Ok(id) => id,
                        Err(refusal) => return refusal,
                    },
                };
                self.append((id, place), expect, entries, extents)
                    .expect("the log was found or made above")
            }
            LogCommand::Trim { log, before, bytes_before } => self
                .change(log, |id, log| log.trim(id, before, bytes_before))
                .unwrap_or_else(|| self.missing(log)),
            LogCommand::Retain { log, version, before, bytes_before } => self
                .change(log, |id, log| log.retain(id, version, before, bytes_before))
                .unwrap_or_else(|| self.missing(log)),
            LogCommand::SetAttributes { log, changes } => self
                .change(log, |id, log| {
                    log.attributes =
                        PackedAttributes::new(changes.applied_to(log.attributes.get()));
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
        let (log, sum) = self.log_mut(id)?;
        let before = log.share();
        let outcome = change(id, log);
        log.hash = log.facts(id).hash();
        sum.replace(before, log.share());
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
        (id, place): (LogId, CommandPlace),
        expect: Option<Index>,
        entries: EntriesRef<'_>,
        extents: &mut SlotExtents,
    ) -> Option<LogOutcome> {
        let (log, sum) = self.log_mut(id)?;
        let first = log.next;
        if log.attributes.get().sealed {
            extents.interrupt(id);
            return Some(LogOutcome::Sealed { log: id, next: first });
        }
        if expect.is_some_and(|index| index != first) {
            extents.interrupt(id);
            return Some(LogOutcome::ExpectMismatch { log: Some(id), next: first });
        }
        let (bytes_before, chain) = (log.appended_bytes, log.content);
        log.extend(id, entries, sum);
        let (offset, count) = (place.offset, entries.count());
        extents.append(id, AppendedRun { first, count, offset, bytes_before, chain });
        Some(LogOutcome::Appended { log: id, first, count })
    }
}

impl Log {
    /// Trims what lies before an index that the log has come to. Whole extents below it have so many
    /// bytes together, as the leader found.
    fn trim(&mut self, id: LogId, before: Index, bytes_before: u64) -> LogOutcome {
        if before > self.next {
            return LogOutcome::PastEnd { log: id, next: self.next };
        }
        let (first, trimmed_bytes) = (self.first, self.trimmed_bytes);
        if before > self.first {
            self.first = before;
            self.trimmed_bytes = self.trimmed_bytes.max(bytes_before.min(self.appended_bytes));
        }
        LogOutcome::Trimmed {
            log: id,
            first: self.first,
            next: self.next,
            entries: self.first.0 - first.0,
            bytes: self.trimmed_bytes - trimmed_bytes,
        }
    }

    /// Trims as the retention of this version allows; the last entry stays whatever was computed.
    fn retain(&mut self, id: LogId, version: u64, before: Index, bytes_before: u64) -> LogOutcome {
        let last = Index(self.next.0.saturating_sub(1));
        let known = self.attributes.get().version;
        let before = if version == known { before.min(last) } else { self.first };
        self.trim(id, before, bytes_before)
    }

    /// Takes entries in; `sum` follows.
    fn extend(&mut self, id: LogId, entries: EntriesRef<'_>, sum: &mut LogSum) {
        let before = self.share();
        self.next = self.next.plus(u64::from(entries.count()));
        self.appended_bytes += entries.data_len();
        for entry in entries.iter() {
            self.content = digest::content_hash(self.content, entry.data);
        }
        self.hash = self.facts(id).hash();
        sum.replace(before, self.share());
    }
}
