//! The facts that a shard persists. Facts only grow: replaying them in any order gives the same state.

use super::{
    Ballot, Configuration, Cut, Damage, Incarnation, Life, NodeId, Refuted, Released, Slot, Value,
    Witness,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One item of the write-ahead log. Kind numbers are part of the disk format ([`RecordKind`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A new hard state. Written to both copies of the hard-state file first (C2), then as this
    /// record, so that records keep dense LSNs and ballots rise with them (C5's `ballot_max`).
    HardState(Box<HardState>),
    /// This acceptor accepted `value` for `slot` in `ballot`.
    Accepted {
        /// The slot that the value was accepted for.
        slot: Slot,
        /// The ballot in which it was accepted.
        ballot: Ballot,
        /// The leader's watermark in that same ballot, as it came with the accept (C4, C9).
        chosen_upto: Slot,
        /// The value that the accept carried; no bytes for a no-op.
        value: Value,
    },
    /// `value` is known to be chosen for `slot`; learned from a peer (C9).
    Learned {
        /// The slot that is known to be chosen.
        slot: Slot,
        /// A ballot in which the value was chosen, as the peer said.
        ballot: Ballot,
        /// The chosen value; no bytes for a no-op.
        value: Value,
    },
    /// What is left of the value chosen for `slot` when most of it is dead (C30): entries that can still be read. It
    /// is not the value: nothing is concluded from it of what was accepted or chosen, and no vote rests on it.
    Remnant {
        /// The slot, at or below a durable checkpoint's.
        slot: Slot,
        /// The ballot of the record that it was taken from.
        ballot: Ballot,
        /// What is left, in a format of its own that says so.
        value: Value,
    },
    /// Every slot up to `slot` that this node accepted in exactly `ballot` is chosen (C9).
    Chosen {
        /// The ballot whose leader said so.
        ballot: Ballot,
        /// The watermark: the highest slot of which the leader said so.
        slot: Slot,
    },
    /// What other members were seen to acknowledge, by node: evidence against disks that are set
    /// back (C13). The last such record counts. No vote rests on it.
    Witnessed(Vec<(NodeId, Witness)>),
    /// The checkpoint at `slot` is durable: every slot up to it is chosen and was applied (C25), or a peer's
    /// state stands for it (C29). No vote rests on it.
    Checkpoint {
        /// The slot after which the state was taken.
        slot: Slot,
        /// What was applied here: `slot`, or, where a peer's checkpoint was installed, the slot above which
        /// records of this journal say nothing of what was chosen.
        applied_upto: Slot,
        /// The digest of that state.
        digest: u64,
    },
    /// These segments are released: their files go once this is durable (C26). No vote rests on it.
    Released(Arc<Released>),
}

/// The kind number of a record on disk. Numbers are never used again for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// Kind of [`Record::HardState`].
    HardState = 1,
    /// Kind of [`Record::Accepted`].
    Accepted = 2,
    /// Kind of [`Record::Learned`].
    Learned = 3,
    /// Kind of [`Record::Chosen`].
    Chosen = 4,
    /// Kind of [`Record::Released`].
    Released = 5,
    /// Kind of [`Record::Checkpoint`].
    Checkpoint = 6,
    /// Kind of [`Record::Witnessed`].
    Witnessed = 7,
    /// Kind of [`Record::Remnant`].
    Remnant = 8,
}

impl Record {
    /// Returns the kind number that stands for this record on disk.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        match self {
            Record::HardState(_) => RecordKind::HardState,
            Record::Accepted { .. } => RecordKind::Accepted,
            Record::Learned { .. } => RecordKind::Learned,
            Record::Chosen { .. } => RecordKind::Chosen,
            Record::Witnessed(_) => RecordKind::Witnessed,
            Record::Checkpoint { .. } => RecordKind::Checkpoint,
            Record::Released(_) => RecordKind::Released,
            Record::Remnant { .. } => RecordKind::Remnant,
        }
    }
}

/// What an acceptor must never forget, beside what it accepted. Kept in two checksummed copies (C2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The highest ballot promised: nothing is accepted below it.
    pub promised: Ballot,
    /// The longest lease ever granted, in microseconds (C15).
    pub lease_longest_us: u64,
    /// How often this shard was started on this directory.
    pub boots: u64,
    /// The last of these starts, in order, the present one last (C13). Bounded: see `LIVES_MAX`.
    pub lives: Vec<Life>,
    /// Tails that were cut off as torn, each by the life that began with the cut: a peer may yet
    /// testify that they were acknowledged. Bounded: see `CUTS_MAX`.
    pub cuts: Vec<Cut>,
    /// What the votes of this node rest on. Fixed once it has met every member, before its first
    /// vote; another one in the configuration file refuses the start (R26, R28).
    pub configuration: Option<Configuration>,
    /// A peer refuted this disk: the node does not vote any more (R13).
    pub refuted: Option<Refuted>,
    /// Records that were cut off as torn, and acknowledged as a peer testified: damage (C11). In
    /// force until the chosen prefix has passed it.
    pub cut_damage: Option<Damage>,
    /// The incarnation of every member ever met, this node's own included (C13).
    pub incarnations: BTreeMap<NodeId, Incarnation>,
    /// Every initial member has made every incarnation durable: the cluster is formed (C13).
    pub formed: bool,
    /// Recovery number of every member that once lost its hard state (C12); empty until repair exists.
    pub recoveries: BTreeMap<NodeId, u64>,
}
