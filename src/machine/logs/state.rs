//! The state: logs by name and by id, and the counters beside them.

use super::attributes::PackedAttributes;
use super::capture::Capture;
use super::digest::{self, DIGEST_WORDS, LogFacts, LogShare, LogSum};
use super::table::LogTable;
use crate::api::name::LogName;
use crate::api::{LogAttributes, LogRef, LogStat, Retention};
use crate::limits::{LIST_NAMES_MAX, LOG_MEMORY_BYTES};
use crate::machine::feature::HomeShard;
use crate::types::{Extent, Index, LogId, ShardId, Slot};
use std::collections::BTreeMap;
use std::ops::Bound;
use thiserror::Error;

/// All logs of one shard. Entries stay in the journal, and where they lie in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    pub(super) home: HomeShard,
    /// How many logs were ever created: the counter of the newest id. Never falls, so that no id is
    /// used again.
    pub(super) created: u64,
    /// Every log's name; exactly the names in `by_id`.
    pub(super) names: BTreeMap<LogName, LogId>,
    /// Every log that exists.
    by_id: LogTable<Log>,
    /// The sum of the hashes of `by_id`.
    pub(super) sum: LogSum,
    /// Bytes of the texts of all names.
    name_bytes: usize,
    /// What a snapshot under way needs: whoever changes a log has it kept there first.
    pub(super) capture: Option<Capture>,
}

/// The state of one log. There may be millions: what it takes is counted in tests/machine_memory.rs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    /// Also its key in [`Logs::names`], which shares the text.
    pub(super) name: LogName,
    pub(super) name_hash: u64,
    /// The first index that is not trimmed.
    pub(super) first: Index,
    /// Index of the next entry.
    pub(super) next: Index,
    /// Payload bytes of all entries, trimmed ones too.
    pub(super) appended_bytes: u64,
    /// Payload bytes of entries that are trimmed: of those in whole extents below `first`, as the leader
    /// found them when it proposed to trim.
    pub(super) trimmed_bytes: u64,
    pub(super) created_ms: u64,
    /// Hash of all entries, trimmed ones too.
    pub(super) content: u64,
    pub(super) attributes: PackedAttributes,
    /// The share of this log in [`Logs::sum`]; follows every change of the fields above.
    pub(super) hash: u64,
}

impl Log {
    pub(super) fn facts(&self, id: LogId) -> LogFacts {
        LogFacts {
            id,
            name: self.name_hash,
            first: self.first,
            next: self.next,
            appended_bytes: self.appended_bytes,
            trimmed_bytes: self.trimmed_bytes,
            created_ms: self.created_ms,
            content: self.content,
            attributes: self.attributes.get(),
        }
    }

    /// Its share of the sums, as its hash was computed last.
    pub(super) fn share(&self) -> LogShare {
        LogShare { hash: self.hash, live_bytes: self.appended_bytes - self.trimmed_bytes }
    }

    fn retained(&self) -> RetainedLog {
        let LogAttributes { version, retention, .. } = self.attributes.get();
        RetainedLog {
            version,
            retention,
            first: self.first,
            next: self.next,
            appended_bytes: self.appended_bytes,
            trimmed_bytes: self.trimmed_bytes,
        }
    }

    fn stat(&self, id: LogId) -> LogStat {
        LogStat {
            name: self.name.clone(),
            id,
            first_index: self.first,
            next_index: self.next,
            bytes: self.appended_bytes - self.trimmed_bytes,
            created_ms: self.created_ms,
            attributes: self.attributes.get(),
        }
    }
}

/// What the retention of a log goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedLog {
    /// The version of its attributes.
    pub version: u64,
    /// What its attributes say.
    pub retention: Retention,
    /// Its first index that is not trimmed.
    pub first: Index,
    /// Its next index.
    pub next: Index,
    /// Payload bytes of all its entries, trimmed ones too.
    pub appended_bytes: u64,
    /// Payload bytes of those in whole extents that are trimmed.
    pub trimmed_bytes: u64,
}

impl RetainedLog {
    /// It has more than it must keep, or comes to have with time; the last entry stays whatever it may.
    #[must_use]
    pub fn has_more(&self) -> bool {
        let Retention { bytes, entries, age_ms } = self.retention;
        let kept = self.next.0 - self.first.0;
        let live = self.appended_bytes - self.trimmed_bytes;
        kept > 1 && (age_ms > 0 || bytes > 0 && live > bytes || entries > 0 && kept > entries)
    }
}

/// Why a log cannot be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// The name or id belongs to another shard (C22).
    #[error("the log belongs to another shard")]
    WrongShard,
    /// No such log, or no longer.
    #[error("there is no such log")]
    UnknownLog,
}

impl Logs {
    /// No logs.
    pub(in crate::machine) fn new(home: HomeShard) -> Logs {
        Logs {
            home,
            created: 0,
            names: BTreeMap::new(),
            by_id: LogTable::new(),
            sum: LogSum::default(),
            name_bytes: 0,
            capture: None,
        }
    }

    /// The logs of a snapshot, and their names, which rise.
    pub(super) fn restored(
        home: HomeShard,
        created: u64,
        names: Vec<(LogName, LogId)>,
        mut by_id: LogTable<Log>,
        sum: LogSum,
    ) -> Logs {
        // Built of sorted items, a map takes time that grows with their number alone.
        let name_bytes = names.iter().map(|(name, _)| name.as_str().len()).sum();
        let names = BTreeMap::from_iter(names);
        by_id.shrink();
        Logs { home, created, names, by_id, sum, name_bytes, capture: None }
    }

    /// The facts of a log that exists.
    pub(super) fn facts(&self, id: LogId) -> LogFacts {
        self.by_id.get(id).expect("names hold ids of logs that exist").facts(id)
    }

    /// Every log that exists.
    pub(super) fn by_id(&self) -> &LogTable<Log> {
        &self.by_id
    }

    /// How many logs exist.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of memory, about: names and facts of all logs, with their share of the maps and what the allocator
    /// adds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.by_id.len() * LOG_MEMORY_BYTES + self.name_bytes
    }

    /// Payload bytes of all live entries; of extents that are trimmed in part, of all their entries.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.sum.live_bytes()
    }

    /// What the machine's digest covers of the logs; where their entries lie is no part of it, what
    /// the entries hold is.
    pub(in crate::machine) fn digest_words(&self) -> [u64; DIGEST_WORDS] {
        self.sum.words(self.created)
    }

    /// True when a log of this name belongs to this shard (C22).
    #[must_use]
    pub fn owns(&self, name: &str) -> bool {
        ShardId::of_name(name, self.home.shards) == self.home.shard
    }

    /// The id of the log of this name.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<LogId> {
        self.names.get(name).copied()
    }

    /// The id of the log that a request means.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn lookup(&self, log: &LogRef) -> Result<LogId, LookupError> {
        let (found, ours) = match log {
            LogRef::Name(name) => (self.resolve(name), self.owns(name)),
            LogRef::Id(id) => (self.by_id.get(*id).map(|_| *id), id.shard() == self.home.shard),
        };
        match found {
            Some(id) => Ok(id),
            None if ours => Err(LookupError::UnknownLog),
            None => Err(LookupError::WrongShard),
        }
    }

    /// What clients may ask of a log.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn stat(&self, log: &LogRef) -> Result<LogStat, LookupError> {
        let id = self.lookup(log)?;
        Ok(self.by_id.get(id).expect("lookup returns ids of logs that exist").stat(id))
    }

    /// The logs whose names begin with `prefix` and come after `after` (which need not exist; the
    /// empty text comes before every name), in the order of the names' bytes, at most `limit` and
    /// [`LIST_NAMES_MAX`] of them; and whether there are more behind.
    #[must_use]
    pub fn list(&self, prefix: &str, after: &str, limit: usize) -> (Vec<LogStat>, bool) {
        let limit = limit.min(LIST_NAMES_MAX);
        let start = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let mut found = self
            .names
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix));
        let logs = found
            .by_ref()
            .take(limit)
            .map(|(_, id)| {
                self.by_id.get(*id).expect("names hold ids of logs that exist").stat(*id)
            })
            .collect();
        (logs, found.next().is_some())
    }

    /// The next index of a log, none when it does not exist.
    #[must_use]
    pub fn next_index(&self, log: LogId) -> Option<Index> {
        self.by_id.get(log).map(|log| log.next)
    }

    /// The log exists and takes no more entries.
    #[must_use]
    pub fn is_sealed(&self, log: LogId) -> bool {
        self.by_id.get(log).is_some_and(|log| log.attributes.get().sealed)
    }

    /// An extent without entries that stands behind the last one of a log, none when the log does not
    /// exist.
    #[must_use]
    pub fn end(&self, log: LogId) -> Option<Extent> {
        let Log { next, appended_bytes, content, .. } = *self.by_id.get(log)?;
        Some(Extent {
            first: next,
            count: 0,
            offset: 0,
            slot: Slot(u64::MAX),
            bytes_before: appended_bytes,
            stamp_ms: u64::MAX,
            chain: content,
        })
    }

    /// The first index of a log that is not trimmed, none when the log does not exist.
    #[must_use]
    pub fn first_index(&self, log: LogId) -> Option<Index> {
        self.by_id.get(log).map(|log| log.first)
    }

    /// A log's chain value, the running hash of all its entries; none when the log does not exist.
    #[must_use]
    pub fn chain(&self, log: LogId) -> Option<u64> {
        self.by_id.get(log).map(|log| log.content)
    }

    /// The logs that have more than they must keep, or come to have with time.
    pub fn over_retention(&self) -> impl Iterator<Item = LogId> {
        self.by_id.iter().filter(|(_, log)| log.retained().has_more()).map(|(id, _)| id)
    }

    /// What the retention of a log goes by, none when the log does not exist.
    #[must_use]
    pub fn retained(&self, log: LogId) -> Option<RetainedLog> {
        self.by_id.get(log).map(Log::retained)
    }

    /// The name of a log, none when it does not exist.
    #[must_use]
    pub fn name(&self, log: LogId) -> Option<&LogName> {
        self.by_id.get(log).map(|log| &log.name)
    }

    /// Adds a log that does not exist yet, and returns its id.
    pub(super) fn insert(&mut self, name: LogName, created_ms: u64) -> LogId {
        self.created += 1;
        assert!(self.created < 1 << 48, "the counter of log ids has 48 bits: {}", self.created);
        let id = LogId::new(self.home.shard, self.created);
        let mut log = Log {
            name_hash: digest::name_hash(&name),
            name: name.clone(),
            first: Index(0),
            next: Index(0),
            appended_bytes: 0,
            trimmed_bytes: 0,
            created_ms,
            content: 0,
            attributes: PackedAttributes::default(),
            hash: 0,
        };
        log.hash = log.facts(id).hash();
        self.sum.add(log.share());
        self.name_bytes += name.as_str().len();
        let namesake = self.names.insert(name, id);
        assert!(namesake.is_none(), "log {id} takes the name of {namesake:?}");
        assert!(self.by_id.insert(id, log), "log {id} is there already");
        id
    }

    /// A log to be changed, the one way to change what exists, with the sum, which follows its hash.
    pub(super) fn log_mut(&mut self, id: LogId) -> Option<(&mut Log, &mut LogSum)> {
        let log = self.by_id.get_mut(id)?;
        if let Some(capture) = &mut self.capture {
            capture.keep(id, &log.name, || log.facts(id)); // C24
        }
        Some((log, &mut self.sum))
    }

    /// Makes the chain value of the first log another one, as memory that fails would; false where there is
    /// no log. For tests of what follows from that (C32).
    pub(in crate::machine) fn spoil(&mut self) -> bool {
        let Some((id, _)) = self.by_id.iter().next() else { return false };
        let Some((log, sum)) = self.log_mut(id) else { return false };
        let before = log.share();
        log.content ^= 1;
        log.hash = log.facts(id).hash();
        sum.replace(before, log.share());
        true
    }

    /// Removes a log and frees its name; true if it existed.
    pub(super) fn remove(&mut self, id: LogId) -> bool {
        let Some(log) = self.by_id.remove(id) else {
            return false;
        };
        if let Some(capture) = &mut self.capture {
            capture.keep(id, &log.name, || log.facts(id)); // It may be anew by then: another log of its name (C24).
        }
        let named = self.names.remove(&log.name);
        assert!(named == Some(id), "log {id} was known by name as {named:?}");
        self.sum.remove(log.share());
        self.name_bytes -= log.name.as_str().len();
        true
    }
}
