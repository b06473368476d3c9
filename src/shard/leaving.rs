//! The end of a shard in order: it gives up leadership, sees to it that another takes it, and answers
//! what is under way.

use super::Output;
use super::core::Shard;
use crate::limits::STOP_ANSWER_MS;
use crate::paxos;
use crate::types::{NodeId, Tick};
use crate::wire::peer::{Message, Standing};

/// How long a shard that handed over stays for its successor, whose election may need its vote, in
/// election timeouts.
const STAY_ELECTIONS: u64 = 4;

/// How far a shard is on its way to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaving {
    /// What is not done by then is not waited for.
    by: Option<Tick>,
    /// Until then it is there for its successor.
    stay_until: Option<Tick>,
    /// It has said that it is done.
    left: bool,
}

impl Leaving {
    /// When to look again.
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let next = [self.stay_until, self.by].into_iter().flatten().filter(|at| *at > now).min();
        next.filter(|_| !self.left)
    }
}

impl Shard {
    /// The node stops.
    pub(super) fn leave(&mut self, now: Tick, out: &mut Vec<Output>) {
        let wait_ms = self.options.stop_timeout_ms.saturating_sub(STOP_ANSWER_MS);
        let by = now.after(wait_ms * 1000);
        self.leaving.by.get_or_insert(by);
        self.fates.end_by(self.fates_end_by(now, by));
        self.end_waits(now, out);
        self.record_evidence();
        self.feed(now, paxos::Input::Leave);
    }

    /// A peer that leaves says so once on each connection.
    pub(super) fn say_who_leaves(&self, node: NodeId, message: &Message) {
        if let Message::Standing(Standing { leaving: true, .. }) = message
            && self.replica.peers().get(&node).is_some_and(|peer| !peer.standing.leaving)
        {
            let shard = self.options.shard;
            log::info!("shard {shard}: node {node} is stopping, and takes no leadership any more");
        }
    }

    /// The node is stopping.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.by.is_some()
    }

    /// By when everybody has an answer, if the node is stopping.
    pub(super) fn leave_by(&self) -> Option<Tick> {
        self.leaving.by
    }

    /// Leadership was handed over; `called` is to take it.
    pub(super) fn handed_over(&mut self, now: Tick, called: Option<NodeId>) {
        let shard = self.options.shard;
        match called {
            Some(node) => log::info!("shard {shard}: leadership is handed over to node {node}"),
            None if !self.replica.is_single() => {
                log::warn!(
                    "shard {shard}: leadership is given up, no other node is there to take it"
                );
            }
            None => {}
        }
        if let (Some(by), Some(_)) = (self.leaving.by, called) {
            let stay = STAY_ELECTIONS * self.options.paxos.timing.election_us;
            self.leaving.stay_until = Some(now.after(stay).min(by));
        }
    }

    /// Says that the shard is done, when it is: it leads nothing, whoever takes over does so, and
    /// nobody waits for the fate of a command.
    pub(super) fn end_if_done(&mut self, now: Tick, out: &mut Vec<Output>) {
        let Some(by) = self.leaving.by.filter(|_| !self.leaving.left) else { return };
        let leads = matches!(self.replica.role(), paxos::Role::Leader(_));
        let campaigns = matches!(self.replica.role(), paxos::Role::Candidate(_));
        let stays = self.leaving.stay_until.is_some_and(|until| now < until);
        let linked = self.replica.peers().values().any(|peer| peer.up);
        let awaited = stays && linked && !self.replica.is_succeeded();
        let awaited = awaited || (campaigns && linked);
        let done = !awaited && self.fates.is_empty();
        if !leads && (done || now >= by) {
            self.leaving.left = true;
            out.push(Output::Stopped);
        }
    }

    /// A request of some client has no answer yet.
    #[must_use]
    pub fn has_requests(&self) -> bool {
        self.conns.has_requests()
    }
}
