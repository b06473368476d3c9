//! Chains of appends that failed on one connection: what was sent behind a failure is refused, and
//! its refusal leaves behind the error that it follows.

use crate::api::LogRef;
use crate::limits::CONN_REQUESTS_MAX;
use std::collections::BTreeMap;

/// Failed chains remembered per connection: each may have requests under way behind the one that
/// failed, and these must be refused. A connection with more takes no chains at all any more.
const FAILED_CHAINS_MAX: usize = CONN_REQUESTS_MAX;

/// An append that failed, or is bound to fail once it is applied.
#[derive(Clone, Copy, Debug)]
pub struct FailedAppend {
    /// Its place among the writes that arrived: those before it may still succeed.
    pub order: u64,
    /// Its correlation while its error has not left.
    pub unanswered: Option<u64>,
}

/// The failed chains of a connection.
#[derive(Debug, Default)]
pub struct Chains {
    failed: BTreeMap<(u32, LogRef), FailedAppend>,
    /// Appends whose error has not left, each with the refusals that must leave behind it.
    pending_refusals: BTreeMap<u64, Vec<u64>>,
}

impl Chains {
    /// Later appends of this log and chain are refused.
    pub(super) fn fail(&mut self, log: &LogRef, chain: u32, failure: FailedAppend) {
        if chain == 0 {
            return;
        }
        let too_many = self.has_too_many_failures();
        let key = (chain, log.clone());
        let known = self.failed.get(&key);
        if known.is_some_and(|known| known.order <= failure.order) || (known.is_none() && too_many)
        {
            return;
        }
        if let Some(correlation) = failure.unanswered {
            self.pending_refusals.entry(correlation).or_default();
        }
        self.failed.insert(key, failure);
    }

    /// True when an append that arrived at `order` is behind one of its chain that failed.
    pub(super) fn has_failed(&self, log: &LogRef, chain: u32, order: u64) -> bool {
        if chain == 0 || self.failed.is_empty() {
            return false;
        }
        match self.failed.get(&(chain, log.clone())) {
            Some(failure) => failure.order < order,
            None => self.has_too_many_failures(),
        }
    }

    /// Keeps the refusal of an append until the error that it follows has left; false when that has
    /// left already.
    pub(super) fn hold(&mut self, log: &LogRef, chain: u32, correlation: u64) -> bool {
        let failure = self.failed.get(&(chain, log.clone()));
        let Some(unanswered) = failure.and_then(|failure| failure.unanswered) else { return false };
        let Some(behind) = self.pending_refusals.get_mut(&unanswered) else { return false };
        behind.push(correlation);
        true
    }

    /// An answer left: the refusals that waited for it.
    pub(super) fn answered(&mut self, correlation: u64) -> Vec<u64> {
        self.pending_refusals.remove(&correlation).unwrap_or_default()
    }

    /// Refusals that wait for the error that they follow.
    pub(super) fn held_back(&self) -> usize {
        self.pending_refusals.values().map(Vec::len).sum()
    }

    /// So many chains have failed that no more can be distinguished.
    pub(super) fn has_too_many_failures(&self) -> bool {
        self.failed.len() >= FAILED_CHAINS_MAX
    }
}
