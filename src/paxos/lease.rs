//! Heartbeats, grants, leases (rules C14 to C17, C19).

use super::effects::{Effects, Plain, Vote};
use super::pipeline::Leadership;
use super::progress::FollowerProgress;
use super::replica::{Replica, Role};
use crate::types::{Ballot, NodeId, Tick};
use crate::wire::peer::{Grant, Heartbeat, Release};

/// A grant given: until then nothing is promised to others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantHeld {
    pub(super) ballot: Ballot,
    pub(super) until: Tick,
}

impl Replica {
    /// A leader lives. Grants go only to the promised ballot, durably promised (C14).
    pub(super) fn on_heartbeat(
        &mut self,
        now: Tick,
        from: NodeId,
        h: &Heartbeat,
        effects: &mut Effects,
    ) {
        self.hear_witness(from, &h.witness, effects);
        self.weigh_digests(now, effects);
        self.hear_digest(now, from, h.digest, &h.agreeing, effects);
        if !self.may_vote(now) || h.ballot.node != from {
            return;
        }
        if h.ballot < self.hard.promised {
            return self.nack(from, h.ballot, effects);
        }
        self.follow(now, from, h.ballot, effects);
        self.leader_full = !h.has_room;
        self.heard_chosen(from, h.chosen_upto);
        self.observe_chosen(now, h.ballot, h.chosen_upto, effects);
        if h.lease_us > 0 {
            if h.lease_us > self.hard.lease_longest_us {
                self.hard.lease_longest_us = h.lease_us;
                self.persist_hard(effects);
            }
            self.grant = Some(GrantHeld { ballot: h.ballot, until: now.after(h.lease_us) });
        }
        let grant = Grant {
            ballot: h.ballot,
            sent_at: h.sent_at,
            lease_us: h.lease_us,
            chosen_upto: self.chosen_upto,
            accepted_upto: self.acceptor.last_accepted().max(self.chosen_upto),
            durable: self.own_witness().durable,
            has_room: !self.budget.full,
            digest: self.digests.last(),
            wall_ms: self.wall_ms,
        };
        effects.send_after(self.hard_lsn, from, Vote::Grant(grant));
        self.advance_marked(effects);
        self.learn_more(now, effects);
    }

    /// The leader counts a grant from the moment the heartbeat left, by its own clock.
    pub(super) fn on_grant(&mut self, now: Tick, from: NodeId, g: &Grant, effects: &mut Effects) {
        self.heard_chosen(from, g.chosen_upto);
        self.witness(from, g.durable);
        self.hear_digest(now, from, g.digest, &[from], effects);
        let Role::Leader(leadership) = &mut self.role else { return };
        // A grant answers a heartbeat that has left: a later stamp would count for a lease to come (R37).
        if g.ballot != leadership.ballot || g.sent_at > leadership.heartbeat_sent {
            return;
        }
        let Some(progress) = leadership.followers.get_mut(&from) else { return };
        progress.granted(g);
        self.send_open_slots(now, from, effects);
        self.fill_leftovers(now, g.accepted_upto, effects);
    }

    /// The leader gave up its lease in this ballot for good: the grant to it ends (C17). No other member's
    /// Release is taken.
    pub(super) fn on_release(&mut self, now: Tick, from: NodeId, release: &Release) {
        if release.ballot.node != from {
            return;
        }
        self.earlier_grants_end(now, release.ballot);
        if self.grant.as_ref().is_some_and(|grant| grant.ballot == release.ballot) {
            self.grant = None;
        }
    }

    /// Sends a heartbeat to every other member.
    pub(super) fn heartbeat(&mut self, now: Tick, effects: &mut Effects) {
        let witness = self.witness_table();
        let (digest, agreeing) = self.shared_digest();
        let heartbeat_us = self.config.timing.heartbeat_us;
        let lease_us = self.config.timing.lease_us;
        let chosen_upto = self.chosen_upto;
        let has_room = !self.budget.full && self.full_nodes().is_none();
        let wall_ms = self.wall_ms;
        let Role::Leader(leadership) = &mut self.role else { return };
        // Each heartbeat has a stamp of its own, so that a confirmation is known to be younger
        // than a read. The microsecond is far inside the drift bound.
        let sent_at = now.max(leadership.heartbeat_sent.after(1));
        leadership.heartbeat_sent = sent_at;
        leadership.heartbeat_at = now.after(heartbeat_us);
        leadership.chosen_upto_at = None;
        let heartbeat = Heartbeat {
            ballot: leadership.ballot,
            sent_at,
            lease_us,
            first: leadership.first,
            chosen_upto,
            has_room,
            witness,
            digest,
            agreeing,
            wall_ms,
        };
        self.broadcast(&Plain::Heartbeat(heartbeat), effects);
    }

    /// What the wall clock shows: peers learn it with the next heartbeat or grant. No vote and no lease
    /// goes by it.
    pub fn set_wall_ms(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// A read waits for proof: ask now rather than at the next heartbeat.
    pub(super) fn on_confirm(&mut self, now: Tick, effects: &mut Effects) {
        self.heartbeat(now, effects);
    }

    /// The end of the lease this leader holds; the past when it holds none, or needs none because
    /// it is alone.
    pub(super) fn lease_end_as_leader(&self) -> Tick {
        let Role::Leader(leadership) = &self.role else { return Tick(0) };
        if self.config.timing.lease_us == 0 {
            return Tick(0);
        }
        match self.reached_by_quorum(leadership, FollowerProgress::granted_at) {
            Tick(0) => Tick(0),
            granted_at => granted_at.after(self.config.timing.holder_us()),
        }
    }

    /// The last heartbeat to which an accept quorum has answered in that way. The leader itself
    /// agrees to every one, so that a leader that is a quorum by itself never waits.
    fn reached_by_quorum(
        &self,
        leadership: &Leadership,
        of: fn(&FollowerProgress) -> Tick,
    ) -> Tick {
        let answered = |node: NodeId| match leadership.followers.get(&node) {
            Some(progress) => of(progress),
            None => Tick(if node == self.config.me { u64::MAX } else { 0 }),
        };
        self.voters().reached_by_accept_quorum(answered)
    }

    /// The last heartbeat that an accept quorum has answered in this leadership.
    pub(super) fn confirmed_at(&self, leadership: &Leadership) -> Tick {
        self.reached_by_quorum(leadership, FollowerProgress::confirmed_at)
    }
}

/// What a shard asks before it answers a linearizable read (C19).
impl Replica {
    /// The ballot in which this replica serves: it leads, and a slot of its own ballot is chosen
    /// (R17, R19).
    #[must_use]
    pub fn serving(&self) -> Option<Ballot> {
        match &self.role {
            // Nothing is served from a state that others do not share (R23).
            Role::Leader(leadership) if self.leads() && !self.is_doubtful() => {
                Some(leadership.ballot)
            }
            Role::Leader(_) | Role::Follower | Role::Canvassing(_) | Role::Candidate(_) => None,
        }
    }

    /// It leads, and a slot of its own ballot is chosen; what its state says may be in doubt.
    #[must_use]
    pub fn leads(&self) -> bool {
        match &self.role {
            Role::Leader(leadership) => self.chosen_upto >= leadership.serving_from,
            Role::Follower | Role::Canvassing(_) | Role::Candidate(_) => false,
        }
    }

    /// The lease is valid now. To be asked *after* the state was read.
    #[must_use]
    pub fn lease_valid(&self, now: Tick) -> bool {
        self.serving().is_some() && now < self.lease_end_as_leader()
    }

    /// Until when this replica takes it that its shard has a leader by which writes come to be
    /// chosen: following, an election timeout after it last heard its leader; serving, one after it sent
    /// the last heartbeat that an accept quorum has answered. In the past where there is none.
    #[must_use]
    pub fn assured_until(&self) -> Tick {
        // Not `lease_us`, which is 0 without leases: followers look for another leader after this.
        let election_us = self.config.timing.election_us;
        match &self.role {
            Role::Leader(leadership) if self.serving().is_some() => {
                self.confirmed_at(leadership).after(election_us)
            }
            Role::Follower if self.leader.is_some() => self.heard_at.after(election_us),
            Role::Leader(_) | Role::Follower | Role::Canvassing(_) | Role::Candidate(_) => Tick(0),
        }
    }

    /// The stamp to remember when a read arrives; see [`Replica::confirmed_after`].
    #[must_use]
    pub fn read_stamp(&self) -> Tick {
        match &self.role {
            Role::Leader(leadership) => leadership.heartbeat_sent,
            Role::Follower | Role::Canvassing(_) | Role::Candidate(_) => Tick(0),
        }
    }

    /// A quorum confirmed this leadership in answer to a heartbeat that left after `stamp`.
    #[must_use]
    pub fn confirmed_after(&self, stamp: Tick) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        self.confirmed_at(leadership) > stamp
    }
}
