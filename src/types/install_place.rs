//! What a checkpoint is made of when one node installs that of another.

use super::{Index, LogId};

/// A place in one of the two parts of a checkpoint that is installed from a peer (C29). Both are facts of
/// the sequence, so that any peer that has the checkpoint can go on with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstallPlace {
    /// The state, from this byte on.
    State(u64),
    /// The extents of all slots up to the checkpoint's, by log and first index, from these on.
    Extents(LogId, Index),
}

impl InstallPlace {
    /// Where the state begins.
    pub const STATE: InstallPlace = InstallPlace::State(0);
    /// Where the extents begin.
    pub const EXTENTS: InstallPlace = InstallPlace::Extents(LogId(0), Index(0));
}
