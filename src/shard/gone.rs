//! What a shard has no use for any more and that takes long to be given back to the system: as long as there are
//! logs. A thread that may block does that, so that no turn of the loop does (C24).

use crate::index::{EntryIndex, Recent};
use crate::machine::Machine;
use std::sync::Arc;

/// Something to be dropped.
#[derive(Clone, Debug)]
pub enum Gone {
    /// Extents that left memory.
    Extents(Arc<Recent>),
    /// A state, with its index, in whose place there is another one.
    State(Box<(Machine, EntryIndex)>),
}
