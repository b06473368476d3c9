//! The state: logs by name and by id, and the counters beside them.

use super::digest::{self, LogFacts, LogSum};
use super::extents::{Extent, Extents};
use crate::api::name::LogName;
use crate::api::{LogRef, LogStat};
use crate::limits::LIST_NAMES_MAX;
use crate::types::{Ballot, Index, LogId, ShardId, Slot};
use std::collections::BTreeMap;
use std::ops::Bound;
use thiserror::Error;

/// The replicated state machine of one shard: a pure function of the values applied (R22).
///
/// Entries stay in the journal; the machine knows where they lie ([`Machine::extents`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub(super) shard: ShardId,
    /// Shards of the cluster: with a name, they say which shard a log belongs to (C22).
    pub(super) shards: u16,
    /// The last slot applied.
    pub(super) applied_upto: Slot,
    /// The leadership whose values take effect now: each slot from its last first value to
    /// `applied_upto` holds a value of its own. None after a no-op, or where one did not fit.
    pub(super) applying_leadership: Option<Ballot>,
    /// How many logs were ever created: the counter of the newest id. Never falls, so that no id is
    /// used again.
    pub(super) created: u64,
    /// Every log's name; exactly the names in `logs`.
    pub(super) names: BTreeMap<LogName, LogId>,
    /// Every log that exists.
    pub(super) logs: BTreeMap<LogId, Log>,
    /// The sum of the hashes of `logs`.
    pub(super) sum: LogSum,
}

/// What is known of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    /// Also its key in [`Machine::names`].
    pub(super) name: LogName,
    pub(super) name_hash: u64,
    /// Index of the next entry; equal to the end of `extents`.
    pub(super) next: Index,
    /// Payload bytes of all entries.
    pub(super) bytes: u64,
    pub(super) created_ms: u64,
    /// Hash of all entries.
    pub(super) content: u64,
    /// The share of this log in [`Machine::sum`]; follows every change of the fields above.
    pub(super) hash: u64,
    pub(super) extents: Extents,
}

impl Log {
    pub(super) fn facts(&self, id: LogId) -> LogFacts {
        LogFacts {
            id,
            name: self.name_hash,
            next: self.next,
            bytes: self.bytes,
            created_ms: self.created_ms,
            content: self.content,
        }
    }

    fn stat(&self, id: LogId) -> LogStat {
        LogStat {
            name: self.name.clone(),
            id,
            next_index: self.next,
            bytes: self.bytes,
            created_ms: self.created_ms,
        }
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

impl Machine {
    /// The state before slot 1 of one of a cluster's `shards`.
    ///
    /// # Panics
    /// When `shard` is not below `shards`.
    #[must_use]
    pub fn new(shard: ShardId, shards: u16) -> Machine {
        assert!(shard.0 < shards, "shard {shard} of {shards} does not exist");
        Machine {
            shard,
            shards,
            applied_upto: Slot(0),
            applying_leadership: None,
            created: 0,
            names: BTreeMap::new(),
            logs: BTreeMap::new(),
            sum: LogSum::default(),
        }
    }

    /// The last slot applied, 0 for none.
    #[must_use]
    pub fn applied_upto(&self) -> Slot {
        self.applied_upto
    }

    /// The digest of the whole state, in constant time. Equal states have equal digests whatever
    /// built them; where entries lie is no part of it, what they hold is (R23).
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.sum.digest(
            self.shard,
            self.shards,
            self.applied_upto,
            self.applying_leadership,
            self.created,
        )
    }

    /// How many logs exist.
    #[must_use]
    pub fn logs_count(&self) -> usize {
        self.logs.len()
    }

    /// True when a log of this name belongs to this shard (C22).
    #[must_use]
    pub fn owns(&self, name: &str) -> bool {
        ShardId::of_name(name, self.shards) == self.shard
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
            LogRef::Id(id) => (self.logs.contains_key(id).then_some(*id), id.shard() == self.shard),
        };
        match found {
            Some(id) => Ok(id),
            None if ours => Err(LookupError::UnknownLog),
            None => Err(LookupError::WrongShard),
        }
    }

    /// What is known of a log.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn stat(&self, log: &LogRef) -> Result<LogStat, LookupError> {
        let id = self.lookup(log)?;
        Ok(self.logs.get(&id).expect("lookup returns ids of logs that exist").stat(id))
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
            .map(|(_, id)| self.logs.get(id).expect("names hold ids of logs that exist").stat(*id))
            .collect();
        (logs, found.next().is_some())
    }

    /// The next index of a log, none when it does not exist.
    #[must_use]
    pub fn next_index(&self, log: LogId) -> Option<Index> {
        self.logs.get(&log).map(|log| log.next)
    }

    /// The name of a log, none when it does not exist.
    #[must_use]
    pub fn name(&self, log: LogId) -> Option<&LogName> {
        self.logs.get(&log).map(|log| &log.name)
    }

    /// Where a log's entries from `from` on lie, by rising index. None when the log does not exist
    /// or `from` is past its end.
    pub fn extents(&self, log: LogId, from: Index) -> impl Iterator<Item = &Extent> {
        self.logs.get(&log).into_iter().flat_map(move |log| log.extents.from(from))
    }

    /// Adds a log that does not exist yet, and returns its id.
    pub(super) fn insert(&mut self, name: LogName, created_ms: u64) -> LogId {
        self.created += 1;
        assert!(self.created < 1 << 48, "the counter of log ids has 48 bits: {}", self.created);
        let id = LogId::new(self.shard, self.created);
        let mut log = Log {
            name_hash: digest::name_hash(&name),
            name: name.clone(),
            next: Index(0),
            bytes: 0,
            created_ms,
            content: 0,
            hash: 0,
            extents: Extents::default(),
        };
        log.hash = log.facts(id).hash();
        self.sum.add(log.hash);
        let namesake = self.names.insert(name, id);
        assert!(namesake.is_none(), "log {id} takes the name of {namesake:?}");
        self.logs.insert(id, log);
        id
    }

    /// Removes a log and frees its name; true if it existed.
    pub(super) fn remove(&mut self, id: LogId) -> bool {
        let Some(log) = self.logs.remove(&id) else {
            return false;
        };
        let named = self.names.remove(&log.name);
        assert!(named == Some(id), "log {id} was known by name as {named:?}");
        self.sum.remove(log.hash);
        true
    }
}
