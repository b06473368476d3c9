//! What whoever runs the cluster should read of. The core writes no log: it notes what a log line
//! would say.

use crate::types::{Configuration, NodeId, Slot, Witness};

/// Something that is wrong, here or with a peer, and that somebody has to look after: an error.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// A peer's votes rest on another configuration: it is not heard (R26).
    OtherConfiguration {
        /// The peer that is not heard.
        node: NodeId,
        /// What the votes of the peer rest on.
        theirs: Configuration,
        /// This node's configuration.
        own: Configuration,
    },
    /// A peer takes this node for the one that had another disk: it is not heard (R27).
    OtherIncarnation {
        /// The peer that is not heard.
        node: NodeId,
    },
    /// A peer's disk lacks what the peer acknowledged: its votes do not count (C13).
    Refuted {
        /// The peer whose votes do not count.
        node: NodeId,
        /// What it was seen to acknowledge.
        seen: Witness,
    },
    /// A tail that this node had cut off as torn was durable (C11).
    CutWasDamage {
        /// The peer that saw it acknowledged.
        witness: NodeId,
        /// The highest LSN that it saw acknowledged, and in which life.
        seen: Witness,
    },
    /// A peer applied the same slots and has another state (R23).
    StateDiffers {
        /// The peer that this node was compared with.
        node: NodeId,
        /// The slot after which the states were compared.
        slot: Slot,
        /// The digest of the peer's state.
        theirs: u64,
        /// The digest of this node's state.
        own: u64,
    },
    /// A majority has another state than this node, which takes part no more (R23).
    Fenced,
}
