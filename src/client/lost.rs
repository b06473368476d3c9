//! Entries that no member has any more: declaring them lost, and asking which are.

use super::core::{Client, RoutedRequest, Target};
use super::error::{ClientError, Failure};
use super::options::ToLog;
use crate::api::error::Detail;
use crate::api::{Consistency, DeclareLost, DeclaredLost, ListLost, Reply, Request};
use crate::limits::LOST_ANSWER_US;
use crate::types::{Index, LostRange};
use std::time::Duration;

/// Entries that a reader cannot have, and where it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first index behind them.
    pub upto: Index,
    /// Why they are gone.
    pub why: GapReason,
}

/// Why entries are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// They were trimmed.
    Trimmed,
    /// They were declared lost: no member has them any more.
    Lost,
}

impl GapReason {
    /// The word for it, as programs read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GapReason::Trimmed => "trimmed",
            GapReason::Lost => "lost",
        }
    }
}

impl Client {
    /// Declares the entries from `from` up to `before`, which is not one of them, lost for good, on all nodes.
    /// Every member is asked first whether it has any of them. Asking twice is the same as asking once.
    ///
    /// # Errors
    /// [`ClientError`] with the code `NotLost` when a member has one of them, or may have, or does not answer;
    /// `Trimmed` or `PastEnd` when the log has no such entries; `UnknownLog` when there is no such log;
    /// `Unsupported` while a member runs a program that knows of no lost entries.
    pub fn declare_lost(
        &mut self,
        log: &(impl ToLog + ?Sized),
        (from, before): (Index, Index),
    ) -> Result<DeclaredLost, ClientError> {
        let (log, shard) = self.place("declare entries lost of log", log)?;
        let request = &Request::DeclareLost(DeclareLost { log, from, before });
        // The members read their disks before the leader answers.
        let wait = Duration::from_micros(LOST_ANSWER_US);
        let routed = RoutedRequest { shard, target: Target::Leader, request, wait };
        let Reply::DeclaredLost(declared) = self.run(&routed)?.reply else {
            unreachable!("a session gives no answer of another kind than the request's")
        };
        Ok(declared)
    }

    /// Returns the lost entries of a log that are not trimmed, by rising index.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is no such log; `Unsupported` where the node that
    /// answers knows of no lost entries.
    pub fn lost_ranges(
        &mut self,
        log: &(impl ToLog + ?Sized),
        consistency: Consistency,
    ) -> Result<Vec<LostRange>, ClientError> {
        let (log, shard) = self.place("list lost entries of log", log)?;
        let request = Request::ListLost(ListLost { log, consistency });
        let Reply::ListedLost(listed) = self.ask(shard, consistency, &request)?.reply else {
            unreachable!("a session gives no answer of another kind than the request's")
        };
        Ok(listed.ranges)
    }
}

impl Failure {
    /// Returns what a reader comes to that asked for an entry which is trimmed or lost.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        match self.wire()?.detail {
            Detail::First { first, .. } => Some(Gap { upto: first, why: GapReason::Trimmed }),
            Detail::Lost { range, .. } => Some(Gap { upto: range.before, why: GapReason::Lost }),
            Detail::None
            | Detail::Leader(_)
            | Detail::Next { .. }
            | Detail::Log(_)
            | Detail::Shard(_)
            | Detail::Limit(_)
            | Detail::Versions { .. }
            | Detail::Unformed(_) => None,
        }
    }
}
