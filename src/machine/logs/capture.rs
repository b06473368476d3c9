//! What a snapshot under way needs of logs that were changed since it began.
//!
//! Logs are encoded in the order of their names. One that is changed or deleted ahead of the place that
//! the encoding has come to is kept here as it was, until it is encoded. Logs that were created since are
//! known by their ids, which only rise: they are no part of the snapshot, whatever their names.

use super::digest::LogFacts;
use crate::api::name::LogName;
use crate::types::LogId;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Memory that one kept log takes, its name's bytes not counted: a node of the map is half full at worst.
const KEPT_BYTES: usize = 2 * (size_of::<LogName>() + size_of::<LogFacts>());

/// A snapshot of the logs under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capture {
    /// How many logs were ever created when it began.
    created: u64,
    /// How many logs are left to encode.
    left: u64,
    /// The name that the encoding has come to: what comes behind it is not encoded yet.
    passed: Option<LogName>,
    /// Logs behind it that were changed since, as they were.
    kept: BTreeMap<LogName, LogFacts>,
    /// Memory that `kept` takes.
    kept_bytes: usize,
}

impl Capture {
    /// Begins with the logs as they are: so many were ever created, and so many exist.
    pub(super) fn new(created: u64, count: u64) -> Capture {
        Capture { created, left: count, passed: None, kept: BTreeMap::new(), kept_bytes: 0 }
    }

    /// True for a log that existed when the snapshot began, if it exists now.
    pub(super) fn covers(&self, id: LogId) -> bool {
        id.counter() <= self.created
    }

    /// A log is about to be changed or deleted: it is kept as it is, unless that was done, or is not
    /// needed.
    pub(super) fn keep(&mut self, id: LogId, name: &LogName, facts: impl FnOnce() -> LogFacts) {
        if !self.covers(id) || self.passed.as_ref().is_some_and(|passed| passed >= name) {
            return;
        }
        if let Entry::Vacant(place) = self.kept.entry(name.clone()) {
            place.insert(facts());
            self.kept_bytes += KEPT_BYTES + name.len();
        }
    }

    /// The name that the encoding has come to.
    pub(super) fn passed(&self) -> Option<&LogName> {
        self.passed.as_ref()
    }

    /// The first of the kept logs.
    pub(super) fn first_kept(&self) -> Option<(&LogName, &LogFacts)> {
        self.kept.first_key_value()
    }

    /// The first of the kept logs was encoded: its name.
    pub(super) fn take_first(&mut self) -> Option<LogName> {
        let (name, _) = self.kept.pop_first()?;
        self.kept_bytes -= KEPT_BYTES + name.len();
        self.count_encoded();
        Some(name)
    }

    /// A log was encoded.
    pub(super) fn count_encoded(&mut self) {
        assert!(self.left > 0, "more logs are encoded than there were: {:?}", self.passed);
        self.left -= 1;
    }

    /// The encoding has come to this name: a log of it was encoded, or is younger than the snapshot.
    pub(super) fn pass(&mut self, name: LogName) {
        self.passed = Some(name);
    }

    /// Checks that every log was encoded.
    ///
    /// # Panics
    /// When one was not.
    pub(super) fn check_whole(&self) {
        assert!(self.left == 0, "{} logs of the snapshot are not encoded", self.left);
    }

    /// Memory that kept logs take.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }
}
