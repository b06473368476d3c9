//! What a replica remembers of its earlier lives, as its disk holds it.

use crate::types::{Ballot, Damage, HardState, Lsn, NodeId, Slot, Value, Witness};
use crate::wire::peer::Report;
use std::collections::BTreeMap;

/// What a replica remembers from its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The hard state.
    pub hard: HardState,
    /// The LSN after the last one on disk.
    pub next_lsn: Lsn,
    /// Every slot up to here is known to be chosen.
    pub chosen_upto: Slot,
    /// Accepted above `chosen_upto`, at the highest ballot each.
    pub open: BTreeMap<Slot, (Ballot, Value)>,
    /// Chosen slots whose value is damaged here.
    pub holes: BTreeMap<Slot, Ballot>,
    /// Slots above `chosen_upto` whose record is damaged here.
    pub reports: BTreeMap<Slot, Report>,
    /// Damage of unknown slot.
    pub damage: Option<Damage>,
    /// What other members were seen to acknowledge (C13).
    pub witnessed: Vec<(NodeId, Witness)>,
    /// A torn tail was cut: the node asks its peers for witness before it votes (C11). No record
    /// of it had a higher LSN than this; what it is if a peer saw it acknowledged.
    pub cut: Option<(Lsn, Damage)>,
}

impl Memory {
    /// The highest ballot of an open slot. A value that was learned, and whose watermark is lost, stands
    /// among the accepted ones, in a ballot that was perhaps never promised here (C2).
    pub(super) fn highest_open(&self) -> Ballot {
        self.open.values().map(|(ballot, _)| *ballot).max().unwrap_or_default()
    }
}
