//! Memory whose release takes time that grows with the number of logs. A thread that may block drops it, so that no
//! turn of the loop has to (C24).

use crate::index::{EntryIndex, Recent};
use crate::machine::Machine;
use std::sync::Arc;

/// Something that is dropped on another thread.
#[derive(Clone, Debug)]
pub enum DeferredDrop {
    /// Extents that left memory.
    Extents(Arc<Recent>),
    /// A state and its index, after others took their place.
    State(Box<(Machine, EntryIndex)>),
}
