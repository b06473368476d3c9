//! The state of the machine: how far it is, whose values take effect, and the features' states.

use super::assembly::{DIGEST_WORDS, FeatureStates, FeatureWords};
use super::cuts::Cuts;
use super::digest::hash_words;
use super::feature::HomeShard;
use super::levels::Levels;
use super::logs::{Logs, LookupError};
use super::lost::LostEntries;
use super::snapshot::SnapshotProgress;
use crate::api::{LogRef, LogStat};
use crate::types::{Ballot, FormatLevel, Index, LogId, ShardId, Slot};

/// Words of the machine itself in its digest.
const OWN_WORDS: usize = 5;

/// The replicated state machine of one shard: a pure function of the values applied (R22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub(super) home: HomeShard,
    /// The highest format level that this node's program knows; no part of the replicated state.
    pub(super) known: FormatLevel,
    /// The last slot applied.
    pub(super) applied_upto: Slot,
    /// The leadership whose values take effect now: each slot from its last first value to
    /// `applied_upto` holds a value of its own. None after a no-op, or where one did not fit.
    pub(super) applying_leadership: Option<Ballot>,
    /// The highest stamp of a value that took effect: ms since 1970. It never falls (C28).
    pub(super) stamp_ms: u64,
    pub(super) features: FeatureStates,
    /// The snapshot that is under way.
    pub(super) snapshot: Option<SnapshotProgress>,
}

impl Machine {
    /// The state before slot 1 of one of a cluster's `shards`.
    ///
    /// # Panics
    /// When `shard` is not below `shards`.
    #[must_use]
    pub fn new(shard: ShardId, shards: u16) -> Machine {
        assert!(shard.0 < shards, "shard {shard} of {shards} does not exist");
        let home = HomeShard { shard, shards };
        Machine {
            home,
            known: FormatLevel::KNOWN,
            applied_upto: Slot(0),
            applying_leadership: None,
            stamp_ms: 0,
            features: FeatureStates::new(home),
            snapshot: None,
        }
    }

    /// The highest format level that this node's program knows; [`FormatLevel::KNOWN`] unless set otherwise.
    pub fn set_known_level(&mut self, known: FormatLevel) {
        self.known = known;
    }

    /// The last slot applied, 0 for none.
    #[must_use]
    pub fn applied_upto(&self) -> Slot {
        self.applied_upto
    }

    /// The highest stamp of a value that took effect: ms since 1970, 0 for none.
    #[must_use]
    pub fn stamp_ms(&self) -> u64 {
        self.stamp_ms
    }

    /// The logs.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.features.logs
    }

    /// The cuts.
    #[must_use]
    pub fn cuts(&self) -> &Cuts {
        &self.features.cuts
    }

    /// The format level, and since when.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.features.levels
    }

    /// The entries that are declared lost.
    #[must_use]
    pub fn lost(&self) -> &LostEntries {
        &self.features.lost
    }

    /// Some entry of the log from `first` up to `end`, which is not one of them, can still be asked for: the log
    /// exists, and it is neither trimmed nor lost. What is so no more never is again.
    #[must_use]
    pub fn is_live(&self, log: LogId, first: Index, end: Index) -> bool {
        let Some(untrimmed) = self.logs().first_index(log) else { return false };
        let first = first.max(untrimmed);
        let is_lost = || self.lost().of(log).is_some_and(|losses| losses.covers(first, end));
        first < end && !is_lost()
    }

    /// Payload bytes of all live entries, about: of extents that are trimmed or lost in part, of all their
    /// entries.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        let lost = self.lost().logs().map(|(log, _)| self.lost_bytes(log)).sum();
        self.logs().live_bytes().saturating_sub(lost)
    }

    /// What clients may ask of a log.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn stat(&self, log: &LogRef) -> Result<LogStat, LookupError> {
        self.logs().stat(log).map(|stat| self.without_lost(stat))
    }

    /// See [`Logs::list`].
    #[must_use]
    pub fn list(&self, prefix: &str, after: &str, limit: usize) -> (Vec<LogStat>, bool) {
        let (logs, more) = self.logs().list(prefix, after, limit);
        (logs.into_iter().map(|stat| self.without_lost(stat)).collect(), more)
    }

    fn without_lost(&self, stat: LogStat) -> LogStat {
        let lost = self.lost_bytes(stat.id);
        LogStat { bytes: stat.bytes.saturating_sub(lost), ..stat }
    }

    fn lost_bytes(&self, log: LogId) -> u64 {
        let trimmed = self.logs().retained(log).map_or(0, |log| log.trimmed_bytes);
        self.lost().live_bytes(log, trimmed)
    }

    /// Makes the state another one, as memory that fails would; false where there is nothing to change. For
    /// tests of what follows from that (C32).
    pub fn spoil(&mut self) -> bool {
        self.features.logs.spoil()
    }

    /// The digest of the whole state, in constant time. Equal states have equal digests whatever
    /// built them (R23).
    #[must_use]
    pub fn digest(&self) -> u64 {
        let own = OwnFacts {
            home: self.home,
            applied_upto: self.applied_upto,
            applying_leadership: self.applying_leadership,
            stamp_ms: self.stamp_ms,
        };
        own.digest_with(&self.features.digest_words())
    }
}

/// What the digest covers of the machine itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnFacts {
    pub(super) home: HomeShard,
    pub(super) applied_upto: Slot,
    pub(super) applying_leadership: Option<Ballot>,
    pub(super) stamp_ms: u64,
}

impl OwnFacts {
    /// The digest of a state of which the features have these words.
    pub(super) fn digest_with(&self, of_features: &FeatureWords) -> u64 {
        let cluster = u64::from(self.home.shard.0) << 16 | u64::from(self.home.shards);
        let leadership = self.applying_leadership;
        let node = leadership.map_or(u64::MAX, |ballot| u64::from(ballot.node.0));
        let round = leadership.map_or(0, |ballot| ballot.round);
        let mut words = [0; OWN_WORDS + DIGEST_WORDS];
        let (own, features) = words.split_at_mut(OWN_WORDS);
        own.copy_from_slice(&[cluster, self.applied_upto.0, round, node, self.stamp_ms]);
        features.copy_from_slice(&of_features.all);
        let digest = hash_words(&words);
        match of_features.lost {
            Some([ranges, sum]) => hash_words(&[digest, ranges, sum]),
            None => digest,
        }
    }
}
