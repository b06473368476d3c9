//! What the journal keeps, and why: for status and metrics.

use std::fmt;

/// What was decided last of the journal's segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Bytes of segments without a live entry that are still there.
    pub dead_bytes: u64,
    /// Free space beside `min_free_bytes` that no segment takes (R11).
    pub reserve_bytes: u64,
    /// Why the oldest full segment stays.
    pub stays: Stays,
}

/// Why the oldest segment stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stays {
    /// There are not two checkpoints, or a start from one of them reads it.
    #[default]
    Read,
    /// An entry in it is live, or may be.
    Live,
    /// What is live in it is being copied.
    Compacted,
    /// Its last live entry went behind the older checkpoint.
    Later,
    /// No other voter has confirmed the older checkpoint.
    Unconfirmed,
    /// It is among those that are kept for members that were away.
    CatchUp,
    /// It goes.
    Goes,
    /// The state of this node is in doubt.
    Doubt,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stays::Read => "a start may read it",
            Stays::Live => "it has live entries",
            Stays::Compacted => "its live entries are being copied",
            Stays::Later => "its entries were trimmed behind the older checkpoint",
            Stays::Unconfirmed => "no other voter has confirmed the older checkpoint",
            Stays::CatchUp => "it is within catchup_bytes",
            Stays::Goes => "it is being released",
            Stays::Doubt => "the state is in doubt",
        })
    }
}
