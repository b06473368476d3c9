//! Formation: a cluster forms once, with all of its members (C13). Before that nobody votes.

use super::effects::{Effects, Plain};
use super::note::Note;
use super::replica::{Replica, Role};
use crate::types::{FormatLevel, Incarnation, NodeId, Tick};
use crate::wire::peer::Announce;

impl Replica {
    /// True once every member has met every other one: before that nobody leads.
    #[must_use]
    pub fn is_formed(&self) -> bool {
        self.hard.formed
    }

    /// The members that a cluster which has not formed waits for: those that this replica has not
    /// met in its present life, and those that a member it has met does not know yet. Empty once it
    /// is formed, and for the moment in which the last record of that becomes durable.
    #[must_use]
    pub fn unmet(&self) -> Vec<NodeId> {
        if self.is_formed() {
            return Vec::new();
        }
        let met = |node: &NodeId| self.peers.get(node).and_then(|peer| peer.met.as_ref());
        let knows = |by: NodeId, node: NodeId| {
            met(&by).is_none_or(|announce| announce.known.iter().any(|(known, _)| *known == node))
        };
        let lacks =
            |node: &NodeId| met(node).is_none() || !self.others().all(|by| knows(by, *node));
        self.others().filter(lacks).collect()
    }

    /// The highest format level that every member knows, as each has announced on its present connection; none
    /// while one of them is not connected or was not heard yet (C44d).
    #[must_use]
    pub fn level_known_by_all(&self) -> Option<FormatLevel> {
        let announced = |node: NodeId| {
            let peer = self.peers.get(&node).filter(|peer| peer.up)?;
            peer.met.as_ref().map(|announce| announce.known_level)
        };
        self.others()
            .map(announced)
            .try_fold(self.config.known_level, |level, announced| Some(level.min(announced?)))
    }

    /// Whether a node of this incarnation may take part as the member `node`.
    ///
    /// # Errors
    /// The incarnation by which the member is known, when it is another one; `None` when the node
    /// is no member at all.
    pub fn admits(&self, node: NodeId, as_of: Incarnation) -> Result<(), Option<Incarnation>> {
        if !self.voters().contains(node) || node == self.config.me {
            return Err(None);
        }
        match self.incarnation_of(node) {
            Some(known) if known != as_of => Err(Some(known)),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn on_peer_up(&mut self, node: NodeId, as_of: Incarnation, effects: &mut Effects) {
        if self.admits(node, as_of).is_err() {
            return;
        }
        if self.incarnation_of(node).is_none() {
            self.hard.incarnations.insert(node, as_of);
            self.fix_configuration();
            self.persist_hard(effects);
            self.announce_due = true;
        }
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.up = true;
            peer.met = None;
            (peer.eligibility, peer.sent_eligibility) = Default::default();
            peer.refuted = false;
        }
        if self.hard_lsn <= self.durable {
            self.send_announce(node, effects);
        } else {
            self.announce_due = true;
        }
        if let Role::Leader(leadership) = &mut self.role
            && let Some(progress) = leadership.followers.get_mut(&node)
        {
            progress.reconnected();
        }
    }

    pub(super) fn on_peer_down(&mut self, _now: Tick, node: NodeId, effects: &mut Effects) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.up = false;
        }
        self.learner.lost(node);
        self.released.lost(node);
        self.ask_next_successor(node, effects);
    }

    /// Once every member's incarnation is known, others may take the cluster for formed and vote:
    /// what the votes rest on is fixed from here on, in the same record (R26, R28).
    pub(super) fn fix_configuration(&mut self) {
        if self.voters().is_everyone(|node| self.incarnation_of(node).is_some()) {
            self.hard.configuration.get_or_insert_with(|| self.config.configuration());
        }
    }

    pub(super) fn on_announce(
        &mut self,
        now: Tick,
        from: NodeId,
        announce: Announce,
        effects: &mut Effects,
    ) {
        let own = self.config.configuration();
        if announce.configuration != own {
            // Another number is no contradiction, and the connection stays. But votes count under one
            // configuration only, and the members of another one may elect without any of these.
            let theirs = announce.configuration;
            return effects.note(Note::OtherConfiguration { node: from, theirs, own });
        }
        self.hear_witness(from, &announce.witness, effects);
        if self.is_ending() {
            return;
        }
        let known = announce.known.iter().find(|(node, _)| *node == self.config.me);
        if known.is_some_and(|(_, as_of)| *as_of != self.config.incarnation) {
            return effects.note(Note::OtherIncarnation { node: from });
        }
        let refuted = self.judge(from, &announce, effects);
        self.record_new_life(from, effects);
        self.weigh_digests(now, effects);
        self.hear_digest(now, from, announce.digest, &[from], effects);
        let answers = refuted || (!announce.formed && self.hard.formed);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.met = Some(announce);
        }
        if answers {
            self.send_announce(from, effects);
        }
        self.forget_heard_cuts(effects);
        self.form(effects);
        if let Role::Leader(_) = &self.role {
            self.send_open_slots(now, from, effects);
        }
    }

    /// Formed when every member has made every incarnation durable, the same ones everywhere; or
    /// when one that is formed says so: it has seen just that, and a member may be gone since.
    fn form(&mut self, effects: &mut Effects) {
        if self.hard.formed || self.hard_lsn > self.durable {
            return;
        }
        let all: Vec<(NodeId, Incarnation)> = self.known();
        let (me, voters) = (self.config.me, self.voters());
        let met = |node: NodeId| self.peers.get(&node).and_then(|peer| peer.met.as_ref());
        let agrees = |announce: &Announce| announce.known == all;
        let known = voters.is_everyone(|node| self.incarnation_of(node).is_some());
        let agreed = voters.is_everyone(|node| node == me || met(node).is_some_and(agrees));
        let has_formed =
            |node| met(node).is_some_and(|announce| announce.formed && agrees(announce));
        let has_formed = self.others().any(has_formed);
        if known && (agreed || has_formed) {
            self.hard.formed = true;
            self.persist_hard(effects);
            self.announce_due = true;
        }
    }

    /// Every member has met this replica in its present life.
    pub(super) fn has_met_everyone(&self) -> bool {
        let met = |node| self.peers.get(&node).is_some_and(|peer| peer.met.is_some());
        self.voters().is_everyone(|node| node == self.config.me || met(node))
    }

    fn known(&self) -> Vec<(NodeId, Incarnation)> {
        let member = |entry: &(&NodeId, &Incarnation)| self.voters().contains(*entry.0);
        self.hard.incarnations.iter().filter(member).map(|(node, as_of)| (*node, *as_of)).collect()
    }

    /// Sends what is durable; nothing while the last change is not.
    pub(super) fn send_announce(&self, to: NodeId, effects: &mut Effects) {
        if self.hard_lsn > self.durable {
            return;
        }
        let announce = Announce {
            incarnation: self.config.incarnation,
            known: self.known(),
            formed: self.hard.formed,
            configuration: self.config.configuration(),
            lives: self.hard.lives.clone(),
            durable: self.own_witness(),
            witness: self.evidence_table(),
            digest: self.digests.last(),
            known_level: self.config.known_level,
        };
        effects.send(to, Plain::Announce(announce));
    }

    pub(super) fn announce_if_durable(&mut self, effects: &mut Effects) {
        if !self.announce_due || self.hard_lsn > self.durable {
            return;
        }
        self.announce_due = false;
        self.form(effects);
        for node in self.others() {
            self.send_announce(node, effects);
        }
    }

    /// Until formed, repeats itself: a message may have been lost.
    pub(super) fn announce_tick(&mut self, now: Tick, effects: &mut Effects) {
        if self.hard.formed || now < self.announce_at {
            return;
        }
        self.announce_at = now.after(self.config.timing.heartbeat_us);
        for node in self.others() {
            self.send_announce(node, effects);
        }
    }
}
