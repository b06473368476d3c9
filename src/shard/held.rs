//! Answers that were computed and wait for proof that they are as fresh as was asked for (C19).

use super::events::RequestId;
use crate::api::Reply;
use crate::types::{Ballot, ConnId, Tick};
use std::collections::VecDeque;

/// What makes an answer linearizable: the ballot in which it was computed, and the stamp after which
/// that leadership must be confirmed unless a lease is valid when the answer leaves.
#[derive(Clone, Copy, Debug)]
pub struct ReadProof {
    /// The ballot in which this node led when the answer was computed.
    pub ballot: Ballot,
    /// The stamp of the last heartbeat sent when the read arrived; a later one must be confirmed.
    pub stamp: Tick,
}

/// An answer that waits for proof of leadership.
#[derive(Debug)]
pub struct Held {
    /// What it answers.
    pub asked: RequestId,
    /// The proof that it waits for.
    pub proof: ReadProof,
    /// The answer as it leaves once it is proven.
    pub reply: Reply,
    /// Memory set aside for it.
    pub bytes: usize,
}

/// All of them, in the order in which they were computed.
#[derive(Debug, Default)]
pub struct HeldAnswers {
    queue: VecDeque<Held>,
    /// One has come since a proof was asked for last.
    proof_wanted: bool,
}

impl HeldAnswers {
    /// One more waits: a proof is to be asked for.
    pub(super) fn push(&mut self, held: Held) {
        self.queue.push_back(held);
        self.proof_wanted = true;
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<Held> {
        self.queue.pop_front()
    }

    /// The oldest has to wait on, and with it all that are younger.
    pub(super) fn put_back(&mut self, held: Held) {
        self.queue.push_front(held);
    }

    /// Whether a proof is to be asked for; asked once.
    pub(super) fn take_proof_wanted(&mut self) -> bool {
        std::mem::take(&mut self.proof_wanted)
    }

    /// All of them.
    pub(super) fn take_all(&mut self) -> VecDeque<Held> {
        std::mem::take(&mut self.queue)
    }

    /// A connection is gone; returns the bytes that were set aside for its answers.
    pub(super) fn drop_conn(&mut self, conn: ConnId) -> usize {
        let of_conn = |held: &&Held| held.asked.conn == conn;
        let gone = self.queue.iter().filter(of_conn).map(|held| held.bytes).sum();
        self.queue.retain(|held| held.asked.conn != conn);
        gone
    }

    /// Those that wait.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.queue.iter()
    }
}
