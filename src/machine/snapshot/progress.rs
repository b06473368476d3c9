//! How far a snapshot under way has come.

/// A snapshot under way. What a feature needs for it lies with the feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::machine) struct SnapshotProgress {
    /// The digest of the state that the snapshot is of.
    pub(super) digest: u64,
    /// What is encoded and not handed out yet: the machine's own record and the small sections.
    pub(super) begun: Vec<u8>,
}
