//! What a recovery yields.

use crate::types::{
    Ballot, Damage, HardState, Losses, Lsn, NodeId, Released, Slot, Value, Witness,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Everything a shard needs to know to go on after a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The hard state; its promised ballot is at least every accepted ballot found (C2).
    pub hard: HardState,
    /// The LSN of the next record.
    pub next_lsn: Lsn,
    /// Every slot up to here is known to be chosen (C9).
    pub chosen_upto: Slot,
    /// What is accepted above `chosen_upto`: highest ballot per slot, where the value verifies.
    pub open: BTreeMap<Slot, (Ballot, Value)>,
    /// Chosen slots up to `chosen_upto` whose value is damaged here, and the ballot of the damaged
    /// record; zero where the record itself is lost.
    pub holes: BTreeMap<Slot, Ballot>,
    /// What is lost above `chosen_upto`, and what is left there.
    pub losses: Losses,
    /// What other members were seen to acknowledge (C13).
    pub witnessed: Vec<(NodeId, Witness)>,
    /// The checkpoints that the records read say were durable, and their digests, oldest first (C25).
    pub checkpoints: Vec<(Slot, u64)>,
    /// The segments that are gone because they were released (C26).
    pub released: Arc<Released>,
    /// A tail that was cut on C11's evidence. Its LSNs are given out again: a peer that has seen
    /// one of them acknowledged refutes the cut.
    pub torn: Option<TornTail>,
    /// Every place that did not verify, for log lines and exit 65.
    pub findings: Vec<Finding>,
    /// How much was read.
    pub stats: Stats,
}

/// A last batch that was cut: never known durable, and a sector of it shows its pre-image (C11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's file, by its name in the shard's directory.
    pub file: String,
    /// Offset in the file, in bytes, at which the data of the batch began.
    pub offset: u64,
    /// The LSN of the first record cut.
    pub first_lsn: Lsn,
    /// Records cut, where the batch's header survived.
    pub records: Option<u64>,
    /// Bytes of the batch, where the batch's header survived; else bytes up to the last non-zero.
    pub bytes: u64,
    /// No record of it had a higher LSN.
    pub last_lsn: Lsn,
    /// What the cut is if a peer saw a record of it acknowledged: not torn, but damaged.
    pub damage: Damage,
}

/// One place that did not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, by its name in the shard's directory.
    pub file: String,
    /// Offset in the file, in bytes, of what does not verify.
    pub offset: u64,
    /// What kind of finding.
    pub kind: FindingKind,
    /// The records it is about, first and last, where it is about some that are known.
    pub lsns: Option<(Lsn, Lsn)>,
    /// The slot it is about, where it is about one that is known.
    pub slot: Option<Slot>,
    /// What exactly, as a sentence.
    pub text: String,
}

/// Kinds of findings, by rising gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// One of two copies was never written, because a life ended in between; the other serves. No
    /// fault of the disk, as far as can be determined.
    Interrupted,
    /// Does not verify, and what it held was written again since: nothing is missing.
    Mended,
    /// One of two copies is lost, the other serves: nothing is missing.
    OneCopy,
    /// A tail was cut (C11).
    Torn,
    /// Never known durable, does not verify, shows no pre-image (C11).
    Suspect,
    /// Was durable, does not verify.
    Damaged,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FindingKind::Interrupted => "interrupted",
            FindingKind::Mended => "mended",
            FindingKind::OneCopy => "one copy lost",
            FindingKind::Torn => "torn",
            FindingKind::Suspect => "suspect",
            FindingKind::Damaged => "damaged",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}: {}", self.file, self.offset, self.kind, self.text)
    }
}

/// How much a recovery read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segment files, those that were prepared and never used included.
    pub segments: u64,
    /// Batches of which a header verified.
    pub batches: u64,
    /// Records that verified.
    pub records: u64,
    /// Bytes of batches.
    pub bytes: u64,
}
