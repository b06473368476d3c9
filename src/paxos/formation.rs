//! Formation and witness: a cluster forms once, and members testify for each other (C13, R13).

use super::effects::{Effects, Plain, Stop};
use super::replica::{Replica, Role};
use crate::types::{Incarnation, Lsn, NodeId, Tick};
use crate::wire::peer::{Meet, Witness};

impl Replica {
    /// Whether a node of this incarnation may speak for the member `node`.
    ///
    /// # Errors
    /// The incarnation by which the member is known, when it is another one; `None` when the node
    /// is no member at all.
    pub fn admits(&self, node: NodeId, as_of: Incarnation) -> Result<(), Option<Incarnation>> {
        if !self.config.members.contains(&node) || node == self.config.me {
            return Err(None);
        }
        match self.incarnation_of(node) {
            Some(known) if known != as_of => Err(Some(known)),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn on_peer_up(&mut self, node: NodeId, as_of: Incarnation, fx: &mut Effects) {
        if self.admits(node, as_of).is_err() {
            return;
        }
        if self.incarnation_of(node).is_none() {
            self.hard.incarnations.insert(node, as_of);
            self.persist_hard(fx);
            self.meet_due = true;
        }
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.up = true;
            peer.met = None;
            (peer.standing, peer.told) = Default::default();
        }
        if self.hard_lsn <= self.durable {
            self.send_meet(node, fx);
        } else {
            self.meet_due = true;
        }
        // What was in flight on the old connection is gone: send again from the durable mark (C3).
        if let Role::Leader(leadership) = &mut self.role
            && let Some(follower) = leadership.followers.get_mut(&node)
        {
            follower.sent = follower.upto;
        }
    }

    pub(super) fn on_peer_down(&mut self, _now: Tick, node: NodeId, fx: &mut Effects) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.up = false;
        }
        self.learner.lost(node);
        self.call_another(node, fx);
    }

    pub(super) fn on_meet(&mut self, now: Tick, from: NodeId, meet: Meet, fx: &mut Effects) {
        self.hear_own_witness(from, meet.witnessed, fx);
        if self.stopped {
            return;
        }
        let held = self.seen_of(from);
        if meet.durable.boots < held.boots {
            // The peer's disk is older than what it acknowledged: it must hear so from this node.
            log::warn!(
                "node {from} is in life {}, but was seen in {}",
                meet.durable.boots,
                held.boots
            );
        }
        self.witness_of(from, meet.durable);
        let known = meet.known.iter().find(|(node, _)| *node == self.config.me);
        if known.is_some_and(|(_, as_of)| *as_of != self.config.incarnation) {
            log::error!("node {from} knows this node by another incarnation");
            return;
        }
        let answers = !meet.formed && self.hard.formed;
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.met = Some(meet);
        }
        if answers {
            self.send_meet(from, fx);
        }
        self.form(fx);
        if let Role::Leader(_) = &self.role {
            self.pump(now, from, fx);
        }
    }

    /// Formed when every member has made every incarnation durable, the same ones everywhere; or
    /// when one that is formed says so: it has seen just that, and a member may be gone since.
    fn form(&mut self, fx: &mut Effects) {
        if self.hard.formed || self.hard_lsn > self.durable {
            return;
        }
        let all: Vec<(NodeId, Incarnation)> = self.known();
        let everyone = all.len() == self.config.members.len();
        let met = |node: NodeId| self.peers.get(&node).and_then(|peer| peer.met.as_ref());
        let agrees = |meet: &Meet| meet.known == all;
        let others = self.config.others().all(|node| met(node).is_some_and(agrees));
        let told = |node| met(node).is_some_and(|meet| meet.formed && agrees(meet));
        let told = self.config.others().any(told);
        if everyone && (others || told) {
            self.hard.formed = true;
            self.persist_hard(fx);
            self.meet_due = true;
        }
    }

    fn known(&self) -> Vec<(NodeId, Incarnation)> {
        let member = |entry: &(&NodeId, &Incarnation)| self.config.members.contains(entry.0);
        self.hard.incarnations.iter().filter(member).map(|(node, as_of)| (*node, *as_of)).collect()
    }

    /// Tells what is durable; says nothing while the last change is not.
    pub(super) fn send_meet(&self, to: NodeId, fx: &mut Effects) {
        if self.hard_lsn > self.durable {
            return;
        }
        let meet = Meet {
            incarnation: self.config.incarnation,
            known: self.known(),
            formed: self.hard.formed,
            durable: self.own_witness(),
            witnessed: self.seen_of(to),
        };
        fx.send(to, Plain::Meet(meet));
    }

    pub(super) fn meet_durable(&mut self, fx: &mut Effects) {
        if !self.meet_due || self.hard_lsn > self.durable {
            return;
        }
        self.meet_due = false;
        self.form(fx);
        for node in self.config.others().collect::<Vec<_>>() {
            self.send_meet(node, fx);
        }
    }

    /// Until formed, repeats itself: a message may have been lost.
    pub(super) fn meet_tick(&mut self, now: Tick, fx: &mut Effects) {
        if self.hard.formed || now < self.meet_at {
            return;
        }
        self.meet_at = now.after(self.config.timing.heartbeat_us);
        for node in self.config.others().collect::<Vec<_>>() {
            self.send_meet(node, fx);
        }
    }

    /// `node` acknowledged this LSN, on its present connection.
    pub(super) fn witness(&mut self, node: NodeId, durable: Lsn) {
        let met = self.peers.get(&node).and_then(|peer| peer.met.as_ref());
        if let Some(boots) = met.map(|meet| meet.durable.boots) {
            self.witness_of(node, Witness { boots, durable });
        }
    }

    fn witness_of(&mut self, node: NodeId, seen: Witness) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.witnessed = peer.witnessed.max(seen);
        }
    }

    fn seen_of(&self, node: NodeId) -> Witness {
        self.peers.get(&node).map_or(Witness::default(), |peer| peer.witnessed)
    }

    fn own_witness(&self) -> Witness {
        Witness { boots: self.hard.boots, durable: self.durable }
    }

    /// What each member acknowledged, this node's own included.
    pub(super) fn witness_table(&self) -> Vec<(NodeId, Witness)> {
        let own = (self.config.me, self.own_witness());
        let peers = self.peers.iter().map(|(node, peer)| (*node, peer.witnessed));
        let mut table: Vec<(NodeId, Witness)> = peers.chain([own]).collect();
        table.sort_unstable();
        table
    }

    pub(super) fn hear_witness(
        &mut self,
        from: NodeId,
        table: &[(NodeId, Witness)],
        fx: &mut Effects,
    ) {
        for (node, seen) in table {
            if *node == self.config.me {
                self.hear_own_witness(from, *seen, fx);
            } else {
                self.witness_of(*node, *seen);
            }
        }
    }

    /// A peer saw this node acknowledge so much. If the disk does not hold it, acknowledged records
    /// are gone: the node must not vote (R13). What an earlier life acknowledged must have been
    /// there when this one began: what was written since would hide its loss.
    fn hear_own_witness(&mut self, witness: NodeId, seen: Witness, fx: &mut Effects) {
        let held = if seen.boots < self.hard.boots { self.booted_at } else { self.last_lsn() };
        if seen.boots > self.hard.boots || seen.durable > held {
            self.stop(Stop::RolledBack { witness, seen: seen.durable, held }, fx);
        }
    }
}
