//! What a replica asks its shard to do. The order of durability is in the type: a vote has no way out but
//! behind its own record (rule C1).

use super::note::Note;
use crate::types::{Ballot, Lsn, NodeId, Record, Refuted, Slot, Value};
use crate::wire::peer;

/// One thing that a replica asks its shard to do. Effects are carried out in the order of their emission.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Append the record to the journal. LSNs are dense.
    Persist(Lsn, Record),
    /// May leave at once.
    Send(NodeId, Plain),
    /// Leaves only when everything up to the LSN is durable.
    SendAfter(Lsn, NodeId, Vote),
    /// The slot is chosen: apply it. Emitted once per slot, in slot order, without gaps.
    Chosen {
        /// The slot that follows the one chosen last.
        slot: Slot,
        /// A ballot in which it was chosen.
        ballot: Ballot,
        /// What was chosen; it may not be durable here yet.
        value: Value,
    },
    /// The damaged value of an earlier chosen slot is there again, with a record of its own.
    Repaired {
        /// A slot at or below the chosen watermark.
        slot: Slot,
        /// A ballot in which it was chosen.
        ballot: Ballot,
        /// What was chosen there, as a peer sent it.
        value: Value,
    },
    /// Answer a peer's request for chosen values, from memory or from the journal.
    Serve {
        /// The peer that asks, and is answered.
        to: NodeId,
        /// What it asks for, clipped to what is chosen here.
        learn: peer::Learn,
    },
    /// The replica began or ceased to lead; commands not yet proposed and pending reads are void.
    Leading(Option<Ballot>),
    /// A leader's journal has made nothing durable for so many microseconds: it hands over.
    Stalled(u64),
    /// A leader's disk is full and others' are not: it hands over.
    Yields,
    /// A leader has given up its leadership, and called this member to succeed it; nobody where
    /// none can be reached that would.
    HandedOver(Option<NodeId>),
    /// Something is wrong that whoever runs the cluster should know: log it as an error.
    Note(Note),
    /// The node must not go on: say why, and end.
    Stop(Stop),
}

/// Why a node must not go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// A peer saw records of this node acknowledged that its disk does not hold (C13).
    RolledBack(Refuted),
    /// A peer has another value for a slot that this replica knows to be chosen: acknowledged
    /// entries are lost somewhere.
    Contradicted {
        /// A slot that is chosen here with another value than the peer sent.
        slot: Slot,
        /// The peer with the other value.
        peer: NodeId,
    },
    /// No good copy of a damaged slot exists where it could be asked for.
    Unrepairable {
        /// The first such slot.
        slot: Slot,
    },
}

/// A message that binds its sender to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Plain {
    /// See [`peer::Announce`].
    Announce(peer::Announce),
    /// See [`peer::Canvass`].
    Canvass(peer::Canvass),
    /// See [`peer::CanvassAnswer`].
    CanvassAnswer(peer::CanvassAnswer),
    /// See [`peer::LeaseRefusal`].
    LeaseRefusal(peer::LeaseRefusal),
    /// See [`peer::Nack`].
    Nack(peer::Nack),
    /// See [`peer::Fetch`].
    Fetch(peer::Fetch),
    /// See [`peer::Fetched`].
    Fetched(peer::Fetched),
    /// See [`peer::Accept`]. Leaves before the leader's own write is durable: its ballot was
    /// durable before the first prepare left.
    Accept(peer::Accept),
    /// See [`peer::Resend`].
    Resend(peer::Resend),
    /// See [`peer::Heartbeat`].
    Heartbeat(peer::Heartbeat),
    /// See [`peer::ChosenUpto`].
    ChosenUpto(peer::ChosenUpto),
    /// See [`peer::Learn`].
    Learn(peer::Learn),
    /// See [`peer::HandOver`].
    HandOver(peer::HandOver),
    /// See [`peer::Release`].
    Release(peer::Release),
    /// See [`peer::Eligibility`].
    Eligibility(peer::Eligibility),
}

/// A message that binds its sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Vote {
    /// See [`peer::Prepare`].
    Prepare(peer::Prepare),
    /// See [`peer::Promise`].
    Promise(peer::Promise),
    /// See [`peer::Accepted`].
    Accepted(peer::Accepted),
    /// See [`peer::Grant`].
    Grant(peer::Grant),
}

impl From<Plain> for peer::Message {
    fn from(plain: Plain) -> peer::Message {
        match plain {
            Plain::Announce(m) => peer::Message::Announce(m),
            Plain::Canvass(m) => peer::Message::Canvass(m),
            Plain::CanvassAnswer(m) => peer::Message::CanvassAnswer(m),
            Plain::LeaseRefusal(m) => peer::Message::LeaseRefusal(m),
            Plain::Nack(m) => peer::Message::Nack(m),
            Plain::Fetch(m) => peer::Message::Fetch(m),
            Plain::Fetched(m) => peer::Message::Fetched(m),
            Plain::Accept(m) => peer::Message::Accept(m),
            Plain::Resend(m) => peer::Message::Resend(m),
            Plain::Heartbeat(m) => peer::Message::Heartbeat(m),
            Plain::ChosenUpto(m) => peer::Message::ChosenUpto(m),
            Plain::Learn(m) => peer::Message::Learn(m),
            Plain::HandOver(m) => peer::Message::HandOver(m),
            Plain::Release(m) => peer::Message::Release(m),
            Plain::Eligibility(m) => peer::Message::Eligibility(m),
        }
    }
}

impl From<Vote> for peer::Message {
    fn from(vote: Vote) -> peer::Message {
        match vote {
            Vote::Prepare(m) => peer::Message::Prepare(m),
            Vote::Promise(m) => peer::Message::Promise(m),
            Vote::Accepted(m) => peer::Message::Accepted(m),
            Vote::Grant(m) => peer::Message::Grant(m),
        }
    }
}

/// The effects of one or more steps, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effects {
    items: Vec<Effect>,
}

impl Effects {
    /// No effects yet.
    #[must_use]
    pub fn new() -> Effects {
        Effects::default()
    }

    /// Takes the effects out, oldest first; the buffer stays for the next step.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.items.drain(..)
    }

    /// The effects, oldest first.
    #[must_use]
    pub fn items(&self) -> &[Effect] {
        &self.items
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.items.push(effect);
    }

    pub(super) fn note(&mut self, note: Note) {
        self.items.push(Effect::Note(note));
    }

    pub(super) fn send(&mut self, to: NodeId, plain: Plain) {
        self.items.push(Effect::Send(to, plain));
    }

    pub(super) fn send_after(&mut self, lsn: Lsn, to: NodeId, vote: Vote) {
        self.items.push(Effect::SendAfter(lsn, to, vote));
    }
}
