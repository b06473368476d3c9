//! Evidence against disks that are set back: what the members saw each other acknowledge, and what
//! becomes of a node that its peers refute (rules C11, C13; R13).
//!
//! Evidence only rises: a later life of the accused replaces it only where the accused accounts for
//! all of it. It is durable soon after it was seen, so that witnesses may restart: a life that is new
//! at once, what it acknowledges with the next batch, or by itself where none comes. (At once would be a
//! second sync before each acknowledgement.) A node that was refuted writes that down, and does not vote
//! any more.

use super::effects::{Effects, Stop};
use super::note::Note;
use super::replica::{Peer, Replica, Role};
use crate::types::{Lsn, NodeId, Record, Refuted, Released, Slot, Tick, Witness, refutes};
use crate::wire::peer::Announce;
use std::sync::Arc;

/// Evidence that rises all the time is written down this often.
const RECORD_US: u64 = 10_000;
/// Evidence that finds no other record to be written with is written alone after this.
const ALONE_US: u64 = 50_000;

/// How much of what a replica saw is on its own disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// The table that the last record holds.
    recorded: Vec<(NodeId, Witness)>,
    /// The next record is written no sooner, unless the shard idles.
    next_at: Tick,
    /// Evidence has waited since then for other records to be written with.
    waits_since: Option<Tick>,
    /// A record was persisted since the last tick, which evidence can be written with.
    pub(super) has_company: bool,
}

impl Evidence {
    pub(super) fn remember(recorded: Vec<(NodeId, Witness)>) -> Evidence {
        Evidence { recorded, ..Evidence::default() }
    }

    /// The table that the last record holds.
    pub(super) fn recorded(&self) -> &[(NodeId, Witness)] {
        &self.recorded
    }
}

impl Replica {
    /// `node` acknowledged this LSN, on its present connection.
    pub(super) fn witness(&mut self, node: NodeId, durable: Lsn) {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| !peer.refuted) else { return };
        let Some(life) = peer.met.as_ref().map(|announce| announce.durable.life) else { return };
        peer.witnessed = peer.witnessed.max(Witness { life, durable });
    }

    /// The most that this node acknowledged: the last durable record that a vote may rest on.
    pub(super) fn own_witness(&self) -> Witness {
        let life = self.hard.lives.last().map_or_else(Default::default, |life| life.id);
        Witness { life, durable: self.durable.min(self.last_vote_lsn) }
    }

    /// What other members acknowledged, as far as it is known.
    pub(super) fn evidence_table(&self) -> Vec<(NodeId, Witness)> {
        let rows =
            |(node, peer): (&NodeId, &Peer)| [(*node, peer.witnessed), (*node, peer.unconfirmed)];
        let seen = self.peers.iter().flat_map(rows);
        seen.filter(|(_, seen)| *seen != Witness::default()).collect()
    }

    /// What each member acknowledged, this node's own included.
    pub(super) fn witness_table(&self) -> Vec<(NodeId, Witness)> {
        let mut table = self.evidence_table();
        table.push((self.config.me, self.own_witness()));
        table.sort_unstable();
        table
    }

    /// A peer has begun a life that is not in this replica's record yet: it is from now on, so that the
    /// life is not forgotten with the next restart here.
    pub(super) fn record_new_life(&mut self, node: NodeId, effects: &mut Effects) {
        let Some(peer) = self.peers.get(&node) else { return };
        let life = peer.witnessed.life;
        let recorded = |row: &(NodeId, Witness)| row.0 == node && row.1.life == life;
        if !self.evidence.recorded.iter().any(recorded) {
            self.record_evidence(effects);
        }
    }

    /// Takes in the account that a peer gives of itself, if it accounts for all that was seen of it.
    pub(super) fn judge(
        &mut self,
        node: NodeId,
        announce: &Announce,
        effects: &mut Effects,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        let against = [peer.witnessed, peer.unconfirmed];
        let against = against.into_iter().find(|seen| refutes(&announce.lives, *seen).is_some());
        peer.refuted = against.is_some();
        if let Some(seen) = against {
            effects.note(Note::Refuted { node, seen });
            self.discard_votes(node);
            return true;
        }
        peer.unconfirmed = Witness::default();
        let same = peer.witnessed.life == announce.durable.life;
        peer.witnessed = if same { peer.witnessed.max(announce.durable) } else { announce.durable };
        false
    }

    /// What the node voted is void: it has forgotten some of what it voted before.
    fn discard_votes(&mut self, node: NodeId) {
        match &mut self.role {
            Role::Follower => {}
            Role::Canvassing(canvassing) => {
                canvassing.yes.remove(&node);
            }
            Role::Candidate(campaign) => {
                campaign.promises.remove(&node);
            }
            Role::Leader(leadership) => leadership.forget(node),
        }
    }

    /// What a peer saw of every member, as it says when it meets this one, or with a heartbeat.
    pub(super) fn hear_witness(
        &mut self,
        from: NodeId,
        table: &[(NodeId, Witness)],
        effects: &mut Effects,
    ) {
        for (node, seen) in table {
            if *node == self.config.me {
                self.hear_own_witness(from, *seen, effects);
            } else {
                self.hear_witness_of(*node, *seen, effects);
            }
        }
    }

    /// A third member saw `node` acknowledge so much. Of another life than the one known here, it
    /// replaces nothing: only the node's own account shows which of them came first.
    fn hear_witness_of(&mut self, node: NodeId, seen: Witness, effects: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| !peer.refuted) else { return };
        let known = [peer.witnessed, peer.unconfirmed]
            .into_iter()
            .any(|known| known.life == seen.life && known.durable >= seen.durable);
        if known {
            return;
        }
        if peer.witnessed == Witness::default() || peer.witnessed.life == seen.life {
            peer.witnessed = seen;
        } else {
            peer.unconfirmed = peer.unconfirmed.max(seen);
        }
        let Some(announce) = &peer.met else { return };
        // A life that began since is no contradiction: it will meet this replica, too. But one that
        // does not know of it is asked: only it can say.
        let newer = seen.life.boots > announce.durable.life.boots;
        peer.refuted = !newer && refutes(&announce.lives, seen).is_some();
        // What it said when it met this replica accounts for it already.
        let met = peer.unconfirmed.life.boots <= announce.durable.life.boots;
        if met && refutes(&announce.lives, peer.unconfirmed).is_none() {
            peer.unconfirmed = Witness::default();
        }
        if peer.refuted {
            self.discard_votes(node);
        }
        if newer || self.peers.get(&node).is_some_and(|peer| peer.refuted) {
            self.send_announce(node, effects);
        }
    }

    /// A peer saw this node acknowledge so much. What the disk does not account for is a cut that
    /// was no torn tail, and so damage; or the disk is older than it was, and the node must not
    /// vote.
    pub(super) fn hear_own_witness(
        &mut self,
        witness: NodeId,
        seen: Witness,
        effects: &mut Effects,
    ) {
        if self.is_ending() {
            return;
        }
        let Some(held) = refutes(&self.hard.lives, seen) else { return };
        if !self.take_for_damage(witness, seen, effects) {
            self.refute(Refuted { witness, seen, held }, effects);
        }
    }

    /// C11: the records that the peer saw were cut off as torn when the next life began. They are
    /// lost, of ballots that the hard state bounds: it was written before they were.
    fn take_for_damage(&mut self, witness: NodeId, seen: Witness, effects: &mut Effects) -> bool {
        let lives = &self.hard.lives;
        let Some(next) = lives.iter().position(|life| life.id == seen.life).map(|at| at + 1) else {
            return false;
        };
        let Some(began) = lives.get(next).map(|life| life.id) else { return false };
        let cut = self.hard.cuts.iter().position(|cut| cut.life == began);
        let Some(at) = cut.filter(|at| seen.durable <= self.hard.cuts[*at].upto) else {
            return false;
        };
        let cut = self.hard.cuts.remove(at);
        effects.note(Note::CutWasDamage { witness, seen });
        self.hard.lives[next].accounted = cut.upto;
        let merged = self.hard.cut_damage.map_or(cut.damage, |damage| damage.and(cut.damage));
        self.hard.cut_damage = Some(merged);
        self.acceptor.add_damage(cut.damage);
        self.persist_hard(effects);
        // Peers that have judged by the account of before take this node in again.
        self.announce_due = true;
        true
    }

    /// The node ends as soon as it is on disk that it must not vote.
    fn refute(&mut self, refuted: Refuted, effects: &mut Effects) {
        self.hard.refuted = Some(refuted);
        self.persist_hard(effects);
        self.ending = Some(Stop::RolledBack(refuted));
    }

    /// Looks at this disk's own account of itself: what an earlier life began with is there, or its
    /// loss is accounted for.
    pub(super) fn check_own_account(&mut self, effects: &mut Effects) {
        let lives = &self.hard.lives;
        let Some(before) = lives.len().checked_sub(2).and_then(|at| lives.get(at)).copied() else {
            return;
        };
        let seen = Witness { life: before.id, durable: before.start };
        self.hear_own_witness(self.config.me, seen, effects);
    }

    /// Every member has been heard on the cuts of this disk: nobody can testify against them later.
    pub(super) fn forget_heard_cuts(&mut self, effects: &mut Effects) {
        if self.has_met_everyone() && !self.hard.cuts.is_empty() && !self.is_ending() {
            self.hard.cuts.clear();
            self.persist_hard(effects);
        }
    }

    /// Writes down what was seen, if it has risen: with other records, or by itself if none come.
    pub(super) fn evidence_tick(&mut self, now: Tick, effects: &mut Effects) {
        let has_company = std::mem::take(&mut self.evidence.has_company);
        if now < self.evidence.next_at {
            return;
        }
        self.evidence.next_at = now.after(RECORD_US);
        // What was heard from others comes while nothing is written here, too: then it waits for a
        // while, since a batch of its own costs two blocks.
        let since = self.evidence.waits_since;
        let waited = since.is_some_and(|since| now.since(since) >= ALONE_US);
        if waited || has_company {
            self.record_evidence(effects);
            self.evidence.waits_since = None;
        } else if since.is_none() && self.evidence_table() != self.evidence.recorded {
            self.evidence.waits_since = Some(now);
        }
    }

    /// Writes facts down again that a start from a checkpoint would not find otherwise. Also where the disk
    /// is full: what they stand in could not be released before (R11).
    pub fn repeat_facts(
        &mut self,
        hard_state: bool,
        witnessed: bool,
        released: Option<Arc<Released>>,
        effects: &mut Effects,
    ) {
        if self.is_ending() {
            return;
        }
        if hard_state {
            self.persist_hard(effects);
        }
        if witnessed {
            let table = self.evidence.recorded.clone();
            self.persist(Record::Witnessed(table), effects);
        }
        if let Some(released) = released {
            self.persist(Record::Released(released), effects);
        }
    }

    /// Notes which segments of the journal are released; returns the record's LSN. Also where the disk
    /// is full: that is how space comes back (R11).
    pub fn record_released(&mut self, released: Released, effects: &mut Effects) -> Lsn {
        self.learner.forget_released(&released);
        self.persist(Record::Released(Arc::new(released)), effects)
    }

    /// Notes that the checkpoint at a slot is durable, up to where all was applied here; returns the record's
    /// LSN.
    pub fn record_checkpoint(
        &mut self,
        (slot, applied_upto): (Slot, Slot),
        digest: u64,
        effects: &mut Effects,
    ) -> Lsn {
        self.persist(Record::Checkpoint { slot, applied_upto, digest }, effects)
    }

    /// Writes down what was seen, if it has risen; says whether it had. For a shard that idles: its
    /// journal is about to write a mark, and this record carries one.
    pub fn record_evidence(&mut self, effects: &mut Effects) -> bool {
        let table = self.evidence_table();
        let rises = table != self.evidence.recorded && !self.budget.full && !self.is_ending();
        if rises {
            self.persist(Record::Witnessed(table.clone()), effects);
            self.evidence.recorded = table;
        }
        rises
    }
}
