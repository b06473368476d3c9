//! Ballots: totally ordered names of leaderships (Paxos Made Simple, section 2.2).

use super::NodeId;
use std::fmt;

/// `(round, node)`, ordered by round first. Names its leader; used by one leadership only,
/// restarts included. The default, round 0 of node 0, is below every ballot ever issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Attempt number; a candidate picks one above every round it has seen.
    pub round: u64,
    /// The node that issued the ballot.
    pub node: NodeId,
}

impl Ballot {
    /// Below every ballot ever issued.
    pub const ZERO: Ballot = Ballot { round: 0, node: NodeId(0) };

    /// Above every ballot ever issued.
    pub const MAX: Ballot = Ballot { round: u64::MAX, node: NodeId(u16::MAX) };

    /// Returns the ballot `(round, node)`.
    #[must_use]
    pub fn new(round: u64, node: NodeId) -> Ballot {
        Ballot { round, node }
    }

    /// Returns true for [`Ballot::ZERO`], which nobody ever issued.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Ballot::ZERO
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node)
    }
}
