//! Trims that wait to know how many bytes they let go, because the extent at their index is on disk.

use super::core::Core;
use super::disk_job::DiskJob;
use super::journal_reads::JournalRead;
use super::lookup_job::{Answers, LookupJob, Question};
use super::queued::QueuedWrite;
use super::turn::Turn;
use super::write_request::WriteRequest;
use crate::api::Trim;
use crate::index::Search;
use crate::types::{ConnId, Extent, Index, LogId};
use std::collections::BTreeMap;

/// Trims whose extents are being looked up, by token; what is left of a connection that is gone is
/// nobody's.
#[derive(Debug, Default)]
pub struct WaitingTrims {
    under_way: BTreeMap<u64, (LogId, Option<QueuedWrite>)>,
}

/// What is known of what a trim lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimmedBytes {
    /// Payload bytes of the entries in whole extents before its index.
    Known(u64),
    /// The runs of the index say it.
    OnDisk(Question),
    /// The log has not come to that index, as far as is applied here.
    PastEnd,
}

/// What is to be done with a write.
#[derive(Debug)]
pub enum TrimStep {
    /// It goes on.
    Ready(QueuedWrite),
    /// It waits.
    Waits,
}

impl TrimmedBytes {
    /// What memory says.
    pub(super) fn of(core: &Core, log: LogId, before: Index) -> TrimmedBytes {
        let Some(retained) = core.machine.logs().retained(log) else {
            return TrimmedBytes::PastEnd;
        };
        if before >= retained.next {
            let at_end = TrimmedBytes::Known(retained.appended_bytes);
            return if before == retained.next { at_end } else { TrimmedBytes::PastEnd };
        }
        if before <= retained.first {
            return TrimmedBytes::Known(retained.trimmed_bytes); // Nothing is left to trim.
        }
        let question = Question::ask(&core.index, log, Search::Index(before));
        match Question::answers(&[question]) {
            Some(answers) => TrimmedBytes::Known(bytes_in_front(answers[0])),
            None => TrimmedBytes::OnDisk(question),
        }
    }
}

impl WaitingTrims {
    /// A write goes on, once it is known how many bytes it lets go, if it is a trim.
    pub(super) fn take_in(&mut self, turn: &mut Turn<'_>, queued: QueuedWrite) -> TrimStep {
        let WriteRequest::Trim(Trim { log, before }, looked_up) = &queued.request else {
            return TrimStep::Ready(queued);
        };
        let Ok(log) = turn.core.find(log) else { return TrimStep::Ready(queued) };
        if looked_up.is_some_and(|(of, _)| of == log) {
            return TrimStep::Ready(queued);
        }
        let TrimmedBytes::OnDisk(question) = TrimmedBytes::of(turn.core, log, *before) else {
            return TrimStep::Ready(queued);
        };
        let token = turn.core.journal_reads.token();
        turn.core.journal_reads.begin(token, JournalRead::Trim);
        self.under_way.insert(token, (log, Some(queued)));
        let (runs, questions) = (turn.core.index.runs().clone(), vec![question]);
        turn.run(DiskJob::Lookup(LookupJob { token, runs, log, questions }));
        TrimStep::Waits
    }

    /// The extent was looked up. Where the index is damaged there, the trim goes on all the same, and only the count of
    /// the log's bytes stays too high, by what this trim lets go. The log's next trim makes up for it, for a trim says
    /// how many bytes lie in front of its index from the log's beginning on. The same trim cannot be repeated with the
    /// right count: a trim that moves no first index has no effect, and an older program would keep to that.
    pub(super) fn done(&mut self, token: u64, answers: Option<Answers>) -> Option<QueuedWrite> {
        let (log, queued) = self.under_way.remove(&token)?;
        let mut queued = queued?;
        if let WriteRequest::Trim(_, looked_up) = &mut queued.request {
            let bytes = answers.map_or(0, |found| bytes_in_front(found.first().copied().flatten()));
            *looked_up = Some((log, bytes));
        }
        Some(queued)
    }

    /// A connection is gone.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        for (_, waiting) in self.under_way.values_mut() {
            if waiting.as_ref().is_some_and(|queued| queued.asked.conn == conn) {
                *waiting = None;
            }
        }
    }

    /// How many lookups are under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Those that wait.
    pub(super) fn iter(&self) -> impl Iterator<Item = &QueuedWrite> {
        self.under_way.values().filter_map(|(_, queued)| queued.as_ref())
    }
}

fn bytes_in_front(extent: Option<Extent>) -> u64 {
    extent.map_or(0, |extent| extent.bytes_before)
}
