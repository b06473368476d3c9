//! Full disks, as a shard sees them (R11): appends are refused, all else goes on.

use super::core::Core;
use super::turn::Turn;
use crate::api::error::{ErrorCode, RequestError};
use crate::journal::{NoRoom, ValueRoom};
use crate::paxos::{self, DiskBudget};
use crate::types::{NodeId, Tick};

/// What could not be made for want of space, a segment or a file of places, is tried again after this.
const RETRY_US: u64 = 1_000_000;

/// Which disks are full, here and at the others.
#[derive(Debug, Default)]
pub struct DiskFull {
    /// What was reported last to the replica about the journal's space.
    budget: DiskBudget,
    /// Nodes whose disks are full, so that no quorum can take an append in.
    full: Option<Vec<NodeId>>,
    /// What the last segment that could not be prepared lacked.
    lacks: String,
    /// When it is tried again.
    prepare_at: Option<Tick>,
    /// When a file of places that is missing is tried again.
    places_at: Option<Tick>,
}

impl DiskFull {
    /// When a segment or a file of places is tried again.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.prepare_at.into_iter().chain(self.places_at).min()
    }

    /// No further segment can be prepared.
    pub(super) fn room_ends(&mut self, turn: &Turn<'_>, why: &NoRoom) {
        let shard = turn.core.options.shard;
        log::warn!(
            "shard {shard}: no space for another segment ({why}): appends are refused until there is"
        );
        self.lacks = why.to_string();
        self.prepare_at = Some(turn.now.after(RETRY_US));
    }

    /// Tries a segment again, when it is time, and a file of places without which cold reads wait.
    pub(super) fn retry(&mut self, turn: &mut Turn<'_>) {
        if !turn.core.journal.is_placing() {
            self.places_at = None;
        } else if turn.now >= *self.places_at.get_or_insert(turn.now.after(RETRY_US)) {
            self.places_at = Some(turn.now.after(RETRY_US));
            turn.core.journal.retry_places();
        }

        if self.prepare_at.is_some_and(|at| turn.now >= at) {
            let journal = &mut turn.core.journal;
            // Once more after this, until there is space: only the first failure is an event.
            self.prepare_at = (!journal.has_room()).then(|| turn.now.after(RETRY_US));
            journal.retry_prepare();
        }
    }

    /// Reports to the replica what its disk still takes, where that has changed.
    pub(super) fn update(&mut self, turn: &mut Turn<'_>) {
        let full = !turn.core.journal.has_room();
        let ValueRoom { new_values, catch_up, election } = turn.core.journal.value_room();
        let room = DiskBudget { new_values, catch_up, election, full };
        if room != self.budget {
            self.budget = room;
            turn.feed(paxos::Input::DiskBudget(room));
        }
    }

    /// Looks at what the others say of their disks; returns why what waits has to be refused.
    pub(super) fn look_at_others(&mut self, turn: &Turn<'_>) -> Option<RequestError> {
        let core = &turn.core;
        let full = core.replica.full_nodes();
        if full != self.full {
            let (shard, me) = (core.options.shard, core.options.paxos.me);
            match &full {
                Some(nodes) if nodes.iter().any(|node| *node != me) => log::warn!(
                    "shard {shard}: full disks leave no quorum ({}): appends are refused until \
                     there is space",
                    names(nodes)
                ),
                // Its own journal has reported the disk already.
                Some(_) => {}
                None if matches!(core.replica.role(), paxos::Role::Leader(_)) => {
                    log::info!("shard {shard}: a quorum has space again");
                }
                // No longer for this node to report.
                None => {}
            }
            self.full = full;
        }
        self.refusal(core)
    }

    /// Why no append is taken in; nothing while disks have space.
    pub(super) fn refusal(&self, core: &Core) -> Option<RequestError> {
        let text = match &self.full {
            _ if !core.journal.has_room() => {
                let (me, lacks) = (core.options.paxos.me, &self.lacks);
                format!("the disk of node {me} has no room for another segment ({lacks})")
            }
            Some(nodes) => format!("the disks of too many nodes are full: {}", names(nodes)),
            None => return None,
        };
        Some(RequestError::new(ErrorCode::DiskFull, text))
    }

    /// Where this node leads, or follows: why the shard takes no appends for want of space.
    pub(super) fn want_of_room(&self, core: &Core) -> Option<String> {
        if matches!(core.replica.role(), paxos::Role::Leader(_)) {
            return self.refusal(core).map(|error| error.text);
        }
        core.replica.leader_is_full().then(|| "its leader refuses appends: disks are full".into())
    }
}

fn names(nodes: &[NodeId]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("node {node}")).collect();
    names.join(", ")
}
