//! Why a node cannot go on, by what would help.

/// Why a node cannot go on. With which code its process exits is for the daemon to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The data is damaged, older than what was acknowledged, or another node's: a restart does not
    /// help.
    Data,
    /// An invariant is broken (R25).
    Invariant,
    /// The disk fails (R01).
    Disk,
    /// It may pass: a restart may help.
    Temporary,
}
