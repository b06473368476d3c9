//! The end of a shard in order: it gives up leadership, sees to it that another takes it, and answers
//! what is under way.

use super::requests::Requests;
use super::turn::Turn;
use crate::limits::STOP_ANSWER_MS;
use crate::paxos;
use crate::types::{NodeId, Tick};
use crate::wire::peer::{Eligibility, Message};

/// How long a shard that handed over stays for its successor, whose election may need its vote, in
/// election timeouts.
const STAY_ELECTIONS: u64 = 4;

/// How far a shard is on its way to its end, once `Core::stop_by` is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaving {
    /// Until then it is there for its successor.
    stay_until: Option<Tick>,
    /// It has said that it is done.
    left: bool,
}

impl Leaving {
    /// When to look again.
    pub(super) fn next_deadline(&self, now: Tick, stop_by: Option<Tick>) -> Option<Tick> {
        let next = [self.stay_until, stop_by].into_iter().flatten().filter(|at| *at > now).min();
        next.filter(|_| !self.left)
    }

    /// The node stops.
    pub(super) fn begin(&mut self, turn: &mut Turn<'_>, requests: &mut Requests) {
        let wait_ms = turn.core.options.stop_timeout_ms.saturating_sub(STOP_ANSWER_MS);
        let by = turn.now.after(wait_ms * 1000);
        turn.core.stop_by.get_or_insert(by);
        requests.stop(turn, by);
        turn.core.record_evidence();
        turn.feed(paxos::Input::Leave);
    }

    /// Leadership was handed over; `called` is to take it.
    pub(super) fn handed_over(&mut self, turn: &Turn<'_>, called: Option<NodeId>) {
        let core = &turn.core;
        let shard = core.options.shard;
        match called {
            Some(node) => log::info!("shard {shard}: leadership is handed over to node {node}"),
            None if !core.replica.is_single() => {
                log::warn!(
                    "shard {shard}: leadership is given up, no other node is there to take it"
                );
            }
            None => {}
        }
        if let (Some(by), Some(_)) = (core.stop_by, called) {
            let stay = STAY_ELECTIONS * core.options.paxos.timing.election_us;
            self.stay_until = Some(turn.now.after(stay).min(by));
        }
    }

    /// Says that the shard is done, when it is: it leads nothing, whoever takes over does so, and
    /// nobody waits for the fate of a command.
    pub(super) fn end_if_done(&mut self, turn: &mut Turn<'_>, requests: &Requests) {
        let Some(by) = turn.core.stop_by.filter(|_| !self.left) else { return };
        let (replica, now) = (&turn.core.replica, turn.now);
        let leads = matches!(replica.role(), paxos::Role::Leader(_));
        let campaigns = matches!(replica.role(), paxos::Role::Candidate(_));
        let stays = self.stay_until.is_some_and(|until| now < until);
        let linked = replica.peers().values().any(|peer| peer.up);
        let awaited = stays && linked && !replica.is_succeeded();
        let awaited = awaited || (campaigns && linked);
        let done = !awaited && !requests.has_open_fates();
        if !leads && (done || now >= by) {
            self.left = true;
            turn.stopped();
        }
    }
}

/// A peer that leaves says so once on each connection.
pub fn log_who_leaves(turn: &Turn<'_>, node: NodeId, message: &Message) {
    if let Message::Eligibility(Eligibility { leaving: true, .. }) = message
        && turn.core.replica.peers().get(&node).is_some_and(|peer| !peer.eligibility.leaving)
    {
        let shard = turn.core.options.shard;
        log::info!("shard {shard}: node {node} is stopping, and takes no leadership any more");
    }
}
