//! One step of a shard as its parts see it: the time, what they all work on, and what is to be done.

use super::budget::answer_bytes;
use super::core::Core;
use super::disk_job::DiskJob;
use super::events::{Output, RequestId};
use super::fatal::Fatal;
use super::held::{Held, ReadProof};
use crate::api::error::{ErrorCode, RequestError, Retry};
use crate::api::{Consistency, Reply};
use crate::journal::ReadDamage;
use crate::paxos;
use crate::types::{Ballot, NodeId, Slot, Tick, Value};
use crate::wire::peer::Message;

/// One step. The parts of a shard own their state and are given this.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time, which does not pass within a step.
    pub(super) now: Tick,
    /// What all parts work on.
    pub(super) core: &'a mut Core,
    out: &'a mut Vec<Output>,
}

impl<'a> Turn<'a> {
    /// A step at `now`, whose outputs are appended to `out`.
    pub(super) fn new(now: Tick, core: &'a mut Core, out: &'a mut Vec<Output>) -> Turn<'a> {
        Turn { now, core, out }
    }

    /// See [`Core::feed`].
    pub(super) fn feed(&mut self, input: paxos::Input) {
        self.core.feed(self.now, input);
    }

    /// See [`Core::propose`].
    pub(super) fn propose(&mut self, value: Value) -> Slot {
        self.core.propose(self.now, value)
    }

    /// A chosen value cannot be had here: it is fetched from a peer. Where a checkpoint stands for the slot,
    /// its entries are absent, and it is no hole (C29).
    pub(super) fn lost(&mut self, slot: Slot, ballot: Ballot, why: &str) {
        if slot > self.core.checkpointed_upto {
            return self.core.lost(self.now, slot, ballot, why);
        }
        if self.core.absent.is_needless(slot) {
            return;
        }
        if !self.core.absent.contains(slot) {
            log::error!("shard {}: {why}; fetching it from a peer", self.core.options.shard);
        }
        self.core.absent.want_at_least(slot, ballot);
    }

    /// The record of this slot that counts, of this ballot, has rotted or lacks live entries, and another one here has
    /// them: what is found here is written anew, so that it counts (C30).
    pub(super) fn mend(&mut self, slot: Slot, ballot: Ballot) {
        let core = &mut *self.core;
        if slot <= core.checkpointed_upto && core.absent.mend(slot, ballot) {
            log::warn!(
                "shard {}: the record of slot {slot} that counts has rotted or lacks live entries; another one \
                 here has them, and is written anew",
                core.options.shard
            );
        }
    }

    /// The journal could not give a chosen value back. What is only not found for now is not lost, nor
    /// is what was released (C26).
    pub(super) fn not_read(&mut self, slot: Slot, why: &ReadDamage) {
        match why {
            ReadDamage::Unplaced { .. } => {}
            ReadDamage::Released { .. } => self.core.absent.want(slot),
            ReadDamage::NotHeld { .. }
            | ReadDamage::Damaged { .. }
            | ReadDamage::Unreadable { .. } => self.lost(slot, why.ballot(), &why.to_string()),
        }
    }

    /// Sends to a peer.
    pub(super) fn send(&mut self, node: NodeId, message: Message) {
        self.out.push(Output::Peer { node, message });
    }

    /// Has a job run on a thread that may block.
    pub(super) fn run(&mut self, job: impl Into<DiskJob>) {
        self.out.push(Output::Job(job.into()));
    }

    /// The hand-over asked for is finished.
    pub(super) fn stopped(&mut self) {
        self.out.push(Output::Stopped);
    }

    /// The process must end.
    pub(super) fn fail(&mut self, fatal: Fatal) {
        self.core.failed = true;
        self.out.push(Output::Fatal(fatal));
    }

    /// Answers a request, if its connection is still there.
    pub(super) fn reply(&mut self, asked: RequestId, reply: Reply) {
        let RequestId { conn, correlation } = asked;
        if self.core.conns.end(conn) {
            let header = self.core.header();
            self.core.budget.hand(&reply);
            self.out.push(Output::Client { conn, correlation, header, reply });
            for behind in self.core.conns.answered(asked) {
                self.refuse_prior(RequestId { conn, correlation: behind });
            }
        }
    }

    /// Answers a request with an error.
    pub(super) fn refuse(&mut self, asked: RequestId, error: RequestError) {
        self.reply(asked, Reply::Error(error));
    }

    /// Refuses an append behind one of its chain that failed.
    pub(super) fn refuse_prior(&mut self, asked: RequestId) {
        let text = "an earlier append of this chain failed";
        let error = RequestError::new(ErrorCode::PriorFailed, text);
        let error = if self.core.conns.has_too_many_failures(asked.conn) {
            let text = "so many chains have failed on this connection that it takes no appends in \
                        chains any more; open a new one";
            RequestError { retry: Retry::Elsewhere, text: text.to_string(), ..error }
        } else {
            error
        };
        self.refuse(asked, error);
    }

    /// An answer was computed: it leaves if it is proven to be as fresh as asked for.
    pub(super) fn answer(&mut self, asked: RequestId, proof: Option<ReadProof>, reply: Reply) {
        let Some(proof) = proof else {
            if self.core.replica.is_doubtful() {
                // The state came into doubt while it waited (R23).
                return self.refuse(asked, self.core.in_doubt());
            }
            return self.reply(asked, reply);
        };
        match self.core.is_proven(self.now, proof) {
            Some(true) => self.reply(asked, reply),
            Some(false) => {
                let bytes = answer_bytes(&reply);
                self.core.budget.reserve(bytes);
                self.core.held.push(Held { asked, proof, reply, bytes });
            }
            None => self.refuse(asked, self.core.not_leader()),
        }
    }

    /// An answer about what exists, computed outside a read: as fresh as a linearizable one.
    pub(super) fn answer_linearizable(&mut self, asked: RequestId, reply: Reply) {
        match self.core.read_proof(Consistency::Linearizable) {
            Ok(proof) => self.answer(asked, proof, reply),
            Err(error) => self.refuse(asked, error),
        }
    }

    /// Lets go the answers whose proof has come.
    pub(super) fn release_held(&mut self) {
        while let Some(held) = self.core.held.pop() {
            match self.core.is_proven(self.now, held.proof) {
                Some(true) => {
                    self.core.budget.release(held.bytes);
                    self.reply(held.asked, held.reply);
                }
                Some(false) => return self.core.held.put_back(held), // Those behind are younger.
                None => {
                    self.core.budget.release(held.bytes);
                    self.refuse(held.asked, self.core.not_leader());
                }
            }
        }
    }
}
