//! The format level: which formats a cluster may write, and which version of each that is.

use crate::limits::FORMAT_LEVEL_KNOWN;
use std::fmt;

/// Which formats all members of a cluster understand: kinds of commands, values, the state, and files.
///
/// A program knows all levels up to some one. What a node writes follows the level that the cluster has,
/// which a command raises once every member knows the next one, and never the newest that this program
/// knows (C32c): so a node of the version before can take part, and can be gone back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatLevel(pub u16);

/// The version of each format at some level: what is written while the cluster has that level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatVersions {
    /// Of values.
    pub value: u16,
    /// Of the state in a checkpoint.
    pub state: u16,
    /// Of a checkpoint's file.
    pub checkpoint: u16,
    /// Of the runs of the index.
    pub run: u16,
    /// Of the spans of the index.
    pub span: u16,
    /// Of the journal's items: segments, records, the hard state, places.
    pub journal: u16,
}

impl FormatLevel {
    /// The level of a new cluster.
    pub const FIRST: FormatLevel = FormatLevel(1);
    /// From this level on entries can be declared lost (C32b), and a state says which are.
    pub const LOST_ENTRIES: FormatLevel = FormatLevel(2);
    /// From this level on journals have remnants, what is left of values (C30), and peers are given them.
    pub const REMNANTS: FormatLevel = FormatLevel(2);
    /// The highest level that this program knows.
    pub const KNOWN: FormatLevel = FormatLevel(FORMAT_LEVEL_KNOWN);

    /// Which version of each format is written at this level. Everything that writes one asks here.
    #[must_use]
    pub const fn versions(self) -> FormatVersions {
        // A later level that changes a format gets an arm of its own; the versions of lower ones stay.
        let first =
            FormatVersions { value: 1, state: 1, checkpoint: 1, run: 1, span: 1, journal: 1 };
        match self.0 {
            0 | 1 => first,
            2.. => FormatVersions { state: 2, ..first },
        }
    }
}

impl fmt::Display for FormatLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
