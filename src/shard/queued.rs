//! A write that came in, until its command is part of a value.

use super::chains::FailedAppend;
use super::core::Core;
use super::events::RequestId;
use super::turn::Turn;
use super::waiter::Chained;
use super::write_request::WriteRequest;
use crate::api::Reply;
use crate::api::error::{ErrorCode, RequestError};
use crate::types::ConnId;
use std::collections::VecDeque;

/// A write that came in, and may have to wait: for space in the window, or for a name.
#[derive(Debug)]
pub struct QueuedWrite {
    /// The request.
    pub asked: RequestId,
    /// Its place among the writes that arrived.
    pub order: u64,
    /// What is to be written.
    pub request: WriteRequest,
}

impl QueuedWrite {
    /// A write arrives.
    pub(super) fn arrive(
        turn: &mut Turn<'_>,
        asked: RequestId,
        request: WriteRequest,
    ) -> QueuedWrite {
        QueuedWrite { asked, order: turn.core.conns.next_order(), request }
    }

    /// True when an append of the request's chain that was sent before it failed.
    pub(super) fn is_behind_failure(&self, core: &Core) -> bool {
        let Some(append) = self.request.append() else { return false };
        core.conns.has_failed(self.asked.conn, &append.log, append.chain, self.order)
    }

    /// Refuses an append behind a failure, once the error of that one has left.
    pub(super) fn refuse_behind(&self, turn: &mut Turn<'_>) {
        if let Some(append) = self.request.append()
            && turn.core.conns.hold(self.asked, &append.log, append.chain)
        {
            return;
        }
        turn.refuse_prior(self.asked);
    }

    /// Refuses a write, and with it what its connection sends behind it in the same chain.
    pub(super) fn refuse(&self, turn: &mut Turn<'_>, error: RequestError) {
        self.fail_chain(turn);
        // What a log is or is not must be as fresh as any linearizable read.
        if matches!(error.code, ErrorCode::UnknownLog | ErrorCode::LogExists) {
            return turn.answer_linearizable(self.asked, Reply::Error(error));
        }
        turn.refuse(self.asked, error);
    }

    /// The append has failed, or is bound to: those behind it in its chain must not slip through.
    pub(super) fn fail_chain(&self, turn: &mut Turn<'_>) {
        if let Some(append) = self.request.append() {
            let failure =
                FailedAppend { order: self.order, unanswered: Some(self.asked.correlation) };
            turn.core.conns.fail_chain(self.asked.conn, &append.log, append.chain, failure);
        }
    }

    /// What remains of it when it is not to be executed.
    fn chained(self) -> Chained {
        Chained { asked: self.asked, chain: self.request.chain() }
    }
}

/// Writes that wait, in the order of their arrival.
#[derive(Debug, Default)]
pub struct WriteQueue {
    queue: VecDeque<QueuedWrite>,
    bytes: usize,
}

impl WriteQueue {
    /// Bytes of memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A trim waits.
    pub(super) fn has_trims(&self) -> bool {
        self.queue.iter().any(|queued| matches!(queued.request, WriteRequest::Trim(..)))
    }

    /// One more waits.
    pub(super) fn push(&mut self, queued: QueuedWrite) {
        self.bytes += queued.request.memory_bytes();
        self.queue.push_back(queued);
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<QueuedWrite> {
        let queued = self.queue.pop_front()?;
        self.bytes -= queued.request.memory_bytes();
        Some(queued)
    }

    /// Those of `other` wait here now, ahead of all.
    pub(super) fn take_in_front(&mut self, other: &mut WriteQueue) {
        self.bytes += std::mem::take(&mut other.bytes);
        while let Some(queued) = other.queue.pop_back() {
            self.queue.push_front(queued);
        }
    }

    /// A connection is gone: none of its writes wait any more.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        let bytes = &mut self.bytes;
        self.queue.retain(|queued| {
            let gone = queued.asked.conn == conn;
            *bytes -= if gone { queued.request.memory_bytes() } else { 0 };
            !gone
        });
    }

    /// Takes all of them out: they are not to be executed.
    pub(super) fn withdraw(&mut self) -> impl Iterator<Item = Chained> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter().map(QueuedWrite::chained)
    }

    /// Checks that their bytes are counted.
    ///
    /// # Panics
    /// When they are not.
    pub(super) fn check(&self) {
        let bytes: usize = self.iter().map(|queued| queued.request.memory_bytes()).sum();
        assert!(bytes == self.bytes, "{bytes} bytes wait, counted are {}", self.bytes);
    }

    /// Those that wait.
    pub(super) fn iter(&self) -> impl Iterator<Item = &QueuedWrite> {
        self.queue.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that nothing in the queue takes are noticed.
    #[test]
    #[should_panic(expected = "0 bytes wait, counted are 1")]
    fn bytes_of_no_write_are_noticed() {
        WriteQueue { bytes: 1, ..WriteQueue::default() }.check();
    }
}
