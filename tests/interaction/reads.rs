//! Linearizable reads of a cluster: one arrives where somebody believes to lead, and is answered under a
//! valid lease, or when a quorum confirmed the leadership after its arrival (R19, C19).

use crate::cluster::Cluster;
use paxosd::paxos::Input;
use paxosd::types::{Ballot, NodeId, Slot, Tick};

/// A read under way.
#[derive(Clone, Debug)]
pub struct Read {
    at: NodeId,
    ballot: Ballot,
    stamp: Tick,
    sees: Slot,
    must_see: Slot,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Waits,
    Answered,
    /// The leadership is gone, and the read with it.
    Void,
}

impl Read {
    /// A read arrives; None where nobody serves.
    pub fn arrive(cluster: &mut Cluster, at: NodeId) -> Option<Read> {
        let replica = cluster.replica(at)?;
        let ballot = replica.serving()?;
        let (stamp, sees) = (replica.read_stamp(), replica.chosen_upto());
        let must_see = cluster.checker.acknowledged;
        let read = Read { at, ballot, stamp, sees, must_see };
        if read.fate(cluster) == Fate::Waits {
            cluster.step(at, Input::Confirm);
        }
        Some(read)
    }

    /// What becomes of the read now; an answer must show all that was acknowledged before it came.
    pub fn fate(&self, cluster: &Cluster) -> Fate {
        let replica = cluster.replica(self.at);
        let Some(replica) = replica.filter(|r| r.serving() == Some(self.ballot)) else {
            return Fate::Void;
        };
        if !replica.lease_valid(cluster.local(self.at)) && !replica.confirmed_after(self.stamp) {
            return Fate::Waits;
        }
        assert!(self.sees >= self.must_see, "a stale read (R19): {self:?}");
        Fate::Answered
    }
}
