//! Full disks, as a shard sees them (R11): appends are refused, all else goes on.

use super::Output;
use super::core::{PREPARE_RETRY_US, Shard};
use crate::api::error::{ErrorCode, RequestError};
use crate::journal::{NoRoom, ValueRoom};
use crate::paxos::{self, DiskBudget};
use crate::types::{NodeId, Tick};

/// What a shard knows of room, here and at the others.
#[derive(Debug, Default)]
pub struct DiskFull {
    /// What was reported last to the replica about the journal's room.
    budget: DiskBudget,
    /// Nodes whose disks are full, so that no quorum can take an append in.
    full: Option<Vec<NodeId>>,
    /// What the last segment that could not be prepared lacked.
    lacks: String,
}

impl Shard {
    /// No further segment can be prepared.
    pub(super) fn room_ends(&mut self, now: Tick, why: &NoRoom) {
        let shard = self.options.shard;
        log::warn!(
            "shard {shard}: no space for another segment ({why}): appends are refused until there is"
        );
        self.disk_full.lacks = why.to_string();
        self.prepare_at = Some(now.after(PREPARE_RETRY_US));
    }

    /// Reports to the replica what its disk still takes, where that has changed.
    pub(super) fn update_room(&mut self, now: Tick) {
        let full = !self.journal.has_room();
        let ValueRoom { new_values, catch_up, election } = self.journal.value_room();
        let room = DiskBudget { new_values, catch_up, election, full };
        if room != self.disk_full.budget {
            self.disk_full.budget = room;
            self.feed(now, paxos::Input::DiskBudget(room));
        }
    }

    /// Looks at what the others say of their disks, and refuses what waits if it has to.
    pub(super) fn look_for_room(&mut self, out: &mut Vec<Output>) {
        let full = self.replica.full_nodes();
        if full != self.disk_full.full {
            let me = self.options.paxos.me;
            match &full {
                Some(nodes) if nodes.iter().any(|node| *node != me) => log::warn!(
                    "shard {}: full disks leave no quorum ({}): appends are refused until there is \
                     space",
                    self.options.shard,
                    names(nodes)
                ),
                // Its own journal has reported the disk already.
                Some(_) => {}
                None if matches!(self.replica.role(), paxos::Role::Leader(_)) => {
                    log::info!("shard {}: a quorum has space again", self.options.shard);
                }
                // No longer for this node to report.
                None => {}
            }
            self.disk_full.full = full;
        }
        if let Some(error) = self.no_room() {
            self.refuse_waiting(&error, out);
        }
    }

    /// Why no append is taken in; nothing while disks have room.
    pub(super) fn no_room(&self) -> Option<RequestError> {
        let text = match &self.disk_full.full {
            _ if !self.journal.has_room() => {
                let me = self.options.paxos.me;
                let lacks = &self.disk_full.lacks;
                format!("the disk of node {me} has no room for another segment ({lacks})")
            }
            Some(nodes) => format!("the disks of too many nodes are full: {}", names(nodes)),
            None => return None,
        };
        Some(RequestError::new(ErrorCode::DiskFull, text))
    }

    /// Where this node leads, or follows: why the shard takes no appends for want of space.
    #[must_use]
    pub fn want_of_room(&self) -> Option<String> {
        if matches!(self.replica.role(), paxos::Role::Leader(_)) {
            return self.no_room().map(|error| error.text);
        }
        self.replica.leader_is_full().then(|| "its leader refuses appends: disks are full".into())
    }
}

fn names(nodes: &[NodeId]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("node {node}")).collect();
    names.join(", ")
}
