//! Space for values on a node's own disk (R11): what is left when the disk is full belongs to votes
//! and to what an election found, so that elections go on.

use super::effects::Effects;
use super::progress::FollowerProgress;
use super::replica::{Replica, Role};
use crate::limits::value_room_bytes;
use crate::types::{NodeId, Tick, Value};

/// What the journal still takes in, as its shard reported last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiskBudget {
    /// Bytes for new values, as [`value_room_bytes`] counts them, without touching the reserve.
    pub new_values: u64,
    /// Bytes for chosen values that a follower learns, without touching what elections need.
    pub catch_up: u64,
    /// Bytes for values that an election found, without touching what votes need.
    pub election: u64,
    /// The disk is full: there was no space for another segment.
    pub full: bool,
}

impl Default for DiskBudget {
    fn default() -> DiskBudget {
        DiskBudget { new_values: u64::MAX, catch_up: u64::MAX, election: u64::MAX, full: false }
    }
}

impl DiskBudget {
    /// Bytes were used up since.
    pub(super) fn take(&mut self, bytes: u64) {
        self.new_values = self.new_values.saturating_sub(bytes);
        self.catch_up = self.catch_up.saturating_sub(bytes);
        self.election = self.election.saturating_sub(bytes);
    }
}

impl Replica {
    /// The journal can take in more, or less, than before.
    pub(super) fn on_disk_budget(&mut self, now: Tick, budget: DiskBudget, effects: &mut Effects) {
        let more = |of: fn(&DiskBudget) -> u64| of(&budget) > of(&self.budget);
        let more = more(|r| r.new_values) || more(|r| r.catch_up) || more(|r| r.election);
        self.budget = budget;
        if more {
            self.unblock_learner();
            self.resume_accepting(now, effects);
        }
    }

    /// A value of so many bytes can be accepted; from the reserve where an election waits for it.
    pub(super) fn has_room_to_accept(&self, bytes: usize, election: bool) -> bool {
        let left = if election { self.budget.election } else { self.budget.new_values };
        value_room_bytes(bytes) <= left
    }

    /// A chosen value of so many bytes can be learned.
    pub(super) fn has_room_to_learn(&self, bytes: usize) -> bool {
        let elects = matches!(self.role, Role::Candidate(_));
        let left = if elects { self.budget.election } else { self.budget.catch_up };
        value_room_bytes(bytes) <= left
    }

    /// Where this replica leads and full disks leave no accept quorum of the nodes that it reaches:
    /// those nodes. What is proposed now would wait for space.
    #[must_use]
    pub fn full_nodes(&self) -> Option<Vec<NodeId>> {
        let Role::Leader(leadership) = &self.role else { return None };
        let me = self.config.me;
        let reached = |node| node == me || self.peers.get(&node).is_some_and(|peer| peer.up);
        let full = |node| match leadership.followers.get(&node) {
            Some(progress) => progress.is_full(),
            None => node == me && self.budget.full,
        };
        let voters = self.voters();
        let able = voters.is_accept_quorum(|node| reached(node) && !full(node));
        // Where too few are reached at all, want of space is not what is wrong.
        let wanting = !able && voters.is_accept_quorum(reached);
        wanting.then(|| voters.members().filter(|node| reached(*node) && full(*node)).collect())
    }

    /// The leader that this replica follows said that it takes no appends for want of space.
    #[must_use]
    pub fn leader_is_full(&self) -> bool {
        matches!(self.role, Role::Follower) && self.leader_full
    }

    /// A leader whose disk is full, while followers that said to have space are enough to go on
    /// without it, and enough are reached, this one included, to elect one of them. What they have not
    /// said does not count: leadership would go round in circles.
    pub(super) fn should_yield(&self) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        let (me, voters) = (self.config.me, self.voters());
        let up = |node| self.peers.get(&node).is_some_and(|peer| peer.up);
        let has_room =
            |node| leadership.followers.get(&node).is_some_and(FollowerProgress::has_room);
        self.budget.full
            && voters.is_accept_quorum(|node| up(node) && has_room(node))
            // A full disk still promises.
            && voters.is_leading_quorum(|node| node == me || up(node))
    }

    /// The reserve takes in what this candidate would have to propose again. Otherwise its own journal
    /// would be stuck behind it, votes included.
    pub(super) fn has_room_to_propose(&self, values: &[Value]) -> bool {
        let bytes = values.iter().map(|value| value_room_bytes(value.len()));
        bytes.fold(0, u64::saturating_add) <= self.budget.election
    }
}
