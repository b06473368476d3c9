//! The messages of replicas, as values: one struct each.

use super::install::{InstallChunk, InstallFetch, ValuesChunk, ValuesFetch};
use super::loss::{LossAnswer, LossAsk};
use crate::types::{
    Ballot, Configuration, Damage, FormatLevel, Incarnation, Life, Lsn, NodeId, Slot, Tick, Value,
    Witness,
};

/// A message between two replicas of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Incarnations and witness of durable LSNs, on every new connection and until formed.
    Announce(Announce),
    /// May I campaign? Changes no state.
    Canvass(Canvass),
    /// Answer to a canvass.
    CanvassAnswer(CanvassAnswer),
    /// Phase 1a.
    Prepare(Prepare),
    /// Phase 1b, one page of it.
    Promise(Promise),
    /// A running lease forbids the promise (C16): not a nack.
    LeaseRefusal(LeaseRefusal),
    /// A higher ballot was promised.
    Nack(Nack),
    /// Asks for the value that was accepted at exactly (slot, ballot).
    Fetch(Fetch),
    /// Answer to a fetch.
    Fetched(Fetched),
    /// Phase 2a for one slot.
    Accept(Accept),
    /// Phase 2b, cumulative.
    Accepted(Accepted),
    /// An accept arrived behind a gap.
    Resend(Resend),
    /// The leader lives; asks for a lease grant.
    Heartbeat(Heartbeat),
    /// Answer to a heartbeat.
    Grant(Grant),
    /// The leader's watermark, when no accept or heartbeat is about to carry it.
    ChosenUpto(ChosenUpto),
    /// Asks for chosen values.
    Learn(Learn),
    /// Answers a [`Learn`] with chosen values.
    Learned(Learned),
    /// The leader asks the receiver to succeed it at once.
    HandOver(HandOver),
    /// The leader gave up its lease in this ballot for good.
    Release(Release),
    /// What the sender is fit for, should leadership be handed over.
    Eligibility(Eligibility),
    /// Asks for a part of a checkpoint.
    InstallFetch(InstallFetch),
    /// Answers an [`InstallFetch`].
    InstallChunk(InstallChunk),
    /// Asks for values that a checkpoint stands for.
    ValuesFetch(ValuesFetch),
    /// Answers a [`ValuesFetch`].
    ValuesChunk(ValuesChunk),
    /// Asks whether the receiver has values that hold entries which are to be declared lost.
    LossAsk(LossAsk),
    /// Answers a [`LossAsk`].
    LossAnswer(LossAnswer),
}

/// Incarnations and witness (C13). Sent when a connection opens, when its content changes, and
/// with every tick of formation until the sender is formed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Announce {
    /// The sender's own incarnation.
    pub incarnation: Incarnation,
    /// Every incarnation the sender has made durable, its own included, by node id.
    pub known: Vec<(NodeId, Incarnation)>,
    /// The sender knows the cluster to be formed.
    pub formed: bool,
    /// What the sender's votes rest on; votes of peers with another are not counted.
    pub configuration: Configuration,
    /// The sender's lives that it remembers, the present one last.
    pub lives: Vec<Life>,
    /// What the sender has made durable, in its present life.
    pub durable: Witness,
    /// What the sender saw other members acknowledge, the receiver among them. A member stands
    /// there twice where the sender heard of two of its lives, and has not met it since.
    pub witness: Vec<(NodeId, Witness)>,
    /// The sender's state, where it has applied anything.
    pub digest: Option<Digest>,
    /// The highest format level that the sender's program knows (C44d).
    pub known_level: FormatLevel,
}

/// The digest of a replica's state after a slot: replicas that applied the same slots have the same
/// one (R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    /// The last slot applied.
    pub slot: Slot,
    /// The digest of the state machine after it.
    pub state: u64,
}

/// May I campaign (C18)?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Canvass {
    /// Matches answers to this canvass; unique within the sender's life.
    pub attempt: u64,
    /// The sender's chosen watermark.
    pub chosen_upto: Slot,
}

/// Answer to a canvass: yes only if no grant of the sender's runs and it can serve the catch-up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanvassAnswer {
    /// The canvass's attempt.
    pub attempt: u64,
    /// True where the sender sees no reason against a campaign.
    pub yes: bool,
    /// The highest ballot the sender promised, so that the candidate picks one above.
    pub promised: Ballot,
    /// The sender's chosen watermark.
    pub chosen_upto: Slot,
}

/// Phase 1a, over all slots above `chosen_upto`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prepare {
    /// The candidate's ballot.
    pub ballot: Ballot,
    /// The candidate's chosen watermark.
    pub chosen_upto: Slot,
    /// A ballot whose leader renounced its lease in the candidate's favour; zero for none (C17).
    pub released: Ballot,
}

/// One page of a promise. The promise counts when pages `0..=last` arrived under one ballot (C4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Promise {
    /// The ballot promised.
    pub ballot: Ballot,
    /// Page number from 0.
    pub page: u32,
    /// This is the last page.
    pub last: bool,
    /// The acceptor's chosen watermark: the promise covers only slots above it (C7).
    pub chosen_upto: Slot,
    /// Values of slots up to here may be released from the acceptor's journal, where a checkpoint stands for
    /// them; never above `chosen_upto`, and 0 for none (C27).
    pub released_upto: Slot,
    /// Damage of unknown slot: every slot above `chosen_upto` up to `upto` that has no report of
    /// its own is damaged with this bound (C5).
    pub damage: Option<Damage>,
    /// What the acceptor holds above its watermark, by rising slot; a slot that is not named has
    /// nothing accepted.
    pub reports: Vec<(Slot, Report)>,
    /// Highest LSN that the sender has made durable (C13).
    pub durable: Lsn,
}

/// What an acceptor says of one slot (C5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// Accepted in this ballot, value held.
    Accepted(Ballot),
    /// Accepted in this ballot, value damaged here: still exact.
    ValueDamaged(Ballot),
    /// Damaged: what was accepted is unknown, in a ballot of at most this.
    Damaged(Ballot),
    /// *Suspect* (C11): never known durable, does not verify; damaged with this bound, but may
    /// become a no-op when every member answered and none holds a value.
    Suspect(Ballot),
}

/// A grant to another leader still runs (C16). The sender's promised ballot is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRefusal {
    /// The ballot refused.
    pub ballot: Ballot,
    /// Microseconds until the sender may promise.
    pub wait_us: u64,
}

/// Refusal of a prepare, accept or heartbeat for a lower ballot than the sender promised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nack {
    /// The ballot refused.
    pub ballot: Ballot,
    /// The higher ballot that the sender has promised.
    pub promised: Ballot,
}

/// Asks for the value at exactly (slot, of) (C6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// The campaign that asks.
    pub ballot: Ballot,
    /// The slot whose value is asked for.
    pub slot: Slot,
    /// The ballot in which the value was accepted.
    pub of: Ballot,
}

/// Answer to a fetch: exactly that value, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetched {
    /// The campaign that asked.
    pub ballot: Ballot,
    /// The slot that was asked for.
    pub slot: Slot,
    /// The ballot in which the value was accepted.
    pub of: Ballot,
    /// The value of exactly (slot, of), or why it is not sent.
    pub outcome: FetchOutcome,
}

/// What became of a fetch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FetchOutcome {
    /// The value that was accepted in exactly that ballot.
    Held(Value),
    /// It was accepted here, and is damaged.
    Damaged,
    /// Nothing is held here for that slot in that ballot.
    NotHeld,
    /// The slot is chosen as far as the sender knows: learn it.
    Chosen,
}

/// Phase 2a for one slot. Sent in slot order; accepted in slot order only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accept {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The slot that the value is proposed for.
    pub slot: Slot,
    /// The first slot that this ballot proposes. The run that an [`Accepted`] covers begins there (C3).
    pub first: Slot,
    /// What phase 1 found ends here: up to this slot the value is taken in from the reserve of a full
    /// disk, so that an election can be settled (R11).
    pub serving_from: Slot,
    /// The leader's watermark in this ballot (C9).
    pub chosen_upto: Slot,
    /// The value proposed; empty for a no-op.
    pub value: Value,
}

/// Phase 2b: every slot from the ballot's first to `upto` is durably accepted in exactly `ballot`,
/// or known chosen (C3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The leader's ballot, in which all of that was accepted.
    pub ballot: Ballot,
    /// The watermark; one below the ballot's first slot claims nothing.
    pub upto: Slot,
    /// The sender's chosen watermark.
    pub chosen_upto: Slot,
    /// Highest LSN that the sender has made durable.
    pub durable: Lsn,
    /// False while the sender's disk is full (R11).
    pub has_room: bool,
}

/// The sender misses the accepts of this ballot from `from` on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resend {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// First slot missed.
    pub from: Slot,
    /// The sender's chosen watermark.
    pub chosen_upto: Slot,
}

/// The leader lives. Asks every member for a grant, carries the watermark and witness.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// When it left, on the leader's clock; echoed.
    pub sent_at: Tick,
    /// The lease asked for, in microseconds; 0 asks for a confirmation only.
    pub lease_us: u64,
    /// The first slot that this ballot proposes, as in each of its accepts.
    pub first: Slot,
    /// The leader's watermark in this ballot (C9).
    pub chosen_upto: Slot,
    /// False while the leader refuses appends because disks are full (R11).
    pub has_room: bool,
    /// The most that each member acknowledged, as far as the leader knows (C13).
    pub witness: Vec<(NodeId, Witness)>,
    /// The leader's state at the last slot at which a majority shares it; or the last one that it
    /// has, if none does (R23).
    pub digest: Option<Digest>,
    /// Members that are known to have this very state, the leader included.
    pub agreeing: Vec<NodeId>,
    /// The leader's wall clock: milliseconds since 1970; 0 where it knows of none (C28).
    pub wall_ms: u64,
}

/// Answer to a heartbeat: the sender's promised ballot is durably `ballot`, and until `lease_us`
/// after receipt it promises nothing to others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The leader's ballot, which the sender has promised.
    pub ballot: Ballot,
    /// The heartbeat's `sent_at`.
    pub sent_at: Tick,
    /// The lease granted, in microseconds; 0 confirms leadership only.
    pub lease_us: u64,
    /// The sender's chosen watermark.
    pub chosen_upto: Slot,
    /// The highest slot at which the sender has accepted a value, in whatever ballot; at least its
    /// chosen watermark.
    pub accepted_upto: Slot,
    /// Highest LSN that the sender has made durable.
    pub durable: Lsn,
    /// False while the sender's disk is full (R11).
    pub has_room: bool,
    /// The sender's state (R23).
    pub digest: Option<Digest>,
    /// The sender's wall clock: milliseconds since 1970; 0 where it knows of none (C28).
    pub wall_ms: u64,
}

/// The leader's watermark in its ballot (C9). Not answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChosenUpto {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// Every slot up to here is chosen.
    pub chosen_upto: Slot,
}

/// Asks for the chosen values of `from..=upto`, in bounded chunks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learn {
    /// First slot wanted.
    pub from: Slot,
    /// Last slot wanted.
    pub upto: Slot,
}

/// Chosen values, by rising slot, from the `from` asked for on; empty when none can be served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learned {
    /// The `from` of the request.
    pub from: Slot,
    /// The sender's chosen watermark.
    pub chosen_upto: Slot,
    /// The values, each with a ballot in which it was chosen.
    pub values: Vec<(Slot, Ballot, Value)>,
    /// `from` itself is chosen, in this ballot, and its value is damaged here (C7).
    pub damaged: Option<Ballot>,
    /// The value of `from` is released here. In its place stands the checkpoint at this slot (C27).
    pub released: Option<Slot>,
}

/// The leader asks the receiver to campaign at once; it has renounced its lease (C17).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HandOver {
    /// The ballot that renounced.
    pub ballot: Ballot,
    /// The leader's chosen watermark.
    pub chosen_upto: Slot,
}

/// The leader gave up its lease in this ballot for good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Release {
    /// The ballot that renounced.
    pub ballot: Ballot,
}

/// What the sender is fit for, should leadership be handed over (C17). Sent whenever it changes;
/// on a new connection the default holds until then. Binds its sender to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Eligibility {
    /// It is about to stop, and takes no leadership any more.
    pub leaving: bool,
    /// It could campaign: it knows the cluster to be formed, may vote, and has no damage to mend.
    pub ready: bool,
    /// How many other members it is connected with, and has met.
    pub linked: u16,
    /// Live entries are absent on its disk: as a leader it would have to fetch what is read of them. Or it takes over
    /// a checkpoint, and has not caught up since: that checkpoint is kept for it (C29).
    pub lacks_entries: bool,
}
