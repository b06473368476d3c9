//! One node of a simulated cluster: a machine with a clock and a disk, and at times a process.

use super::clock::Clock;
use super::disk::SimDisk;
use super::durability_checker::DurabilityChecker;
use crate::journal::Identity;
use crate::shard::{Input, Shard};
use crate::types::{Ballot, ConnId, FormatLevel, Lsn, NodeId, Released, Slot};
use std::collections::BTreeMap;

/// What has become of a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// It holds what was written.
    Sound,
    /// It has rotted: damage is no surprise.
    Corrupted,
    /// It was set back to what it held earlier: peers that saw what it held since must notice.
    SetBack,
    /// It has rotted so far that only an operator can help: the node does not start any more.
    Lost,
    /// It was lost and initialised anew: the node is no member any more.
    Wiped,
}

/// A machine, and the process on it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) identity: Identity,
    pub(super) clock: Clock,
    pub(super) disk: SimDisk,
    pub(super) durability_checker: DurabilityChecker,
    /// The last record that the batch under way can hold.
    pub(super) batch_upto: Lsn,
    /// The process, while it runs.
    pub(super) shard: Option<Shard>,
    /// Counts starts and ends of the process: an event of another life is void.
    pub(super) life: u64,
    /// Starts of the process.
    pub(super) starts: u64,
    /// The highest format level that its program knows; before its first start, what every program knows.
    pub(super) known_level: FormatLevel,
    /// The process stands still.
    pub(super) paused: bool,
    /// The node is to stay down, or paused, until everything is healed.
    pub(super) kept: bool,
    /// The node is away, for longer than others remember what it lacks.
    pub(super) away: bool,
    /// What has happened since the last turn of the event loop.
    pub(super) inbox: Vec<Input>,
    /// A turn is planned.
    pub(super) turn_due: bool,
    /// When the planned wake-up comes.
    pub(super) wake_at: Option<u64>,
    /// Client connections that the process knows of, and the client behind each.
    pub(super) conns: BTreeMap<ConnId, usize>,
    pub(super) medium: Medium,
    /// Its state is another than that of the others, or was when it was looked at last.
    pub(super) is_spoiled: bool,
    /// Times that it came by theirs again, in lives that are over.
    pub(super) healed_before: u64,
    /// The node has known the cluster to be formed (C13).
    pub(super) formed: bool,
    /// Ballots that the node issued, and the life in which it did (R15).
    pub(super) issued: BTreeMap<Ballot, u64>,
    /// Space that a full disk lacks.
    pub(super) free_bytes: u64,
    /// What had been released when checkpoints began to be taken, by their slots: what they name at least.
    pub(super) named_released: BTreeMap<Slot, Released>,
}

/// Checkpoints that are remembered: more than a node keeps.
const NAMED_MAX: usize = 8;

impl Node {
    /// The process runs, and is not paused.
    pub(super) fn is_up(&self) -> bool {
        self.shard.is_some() && !self.paused
    }

    /// Times that the process came by the state of the others again.
    pub(super) fn heals(&self) -> u64 {
        self.shard.as_ref().map_or(0, |shard| shard.tally().heals)
    }

    /// The node takes no part any more, for good.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.medium, Medium::Lost | Medium::Wiped)
    }

    /// Remembers what the checkpoint must name that is being taken.
    pub(super) fn note_named_released(&mut self) {
        let Some(shard) = &self.shard else { return };
        let Some(slot) = shard.taking_checkpoint() else { return };
        let released = || shard.journal().released().clone();
        self.named_released.entry(slot).or_insert_with(released);
        if self.named_released.len() > NAMED_MAX {
            self.named_released.pop_first();
        }
    }

    /// The process leads, or has not noticed yet that another does.
    pub(super) fn leads(&self) -> bool {
        self.shard
            .as_ref()
            .is_some_and(|shard| matches!(shard.replica().role(), crate::paxos::Role::Leader(_)))
    }
}
