//! Votes that wait for their records: the one place where "nothing leaves before what it claims is
//! durable" is enforced (rules C1, R02).

use crate::paxos::Vote;
use crate::types::{Lsn, NodeId};
use std::collections::BTreeMap;

/// Votes by the LSN they wait for.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: BTreeMap<Lsn, Vec<(NodeId, Vote)>>,
}

impl Outbox {
    /// Holds a vote until everything up to `lsn` is durable.
    pub(super) fn hold(&mut self, lsn: Lsn, node: NodeId, vote: Vote) {
        self.waiting.entry(lsn).or_default().push((node, vote));
    }

    /// The first record that a vote waits for.
    pub(super) fn first(&self) -> Option<Lsn> {
        self.waiting.keys().next().copied()
    }

    /// The votes that may leave, oldest first. Of several cumulative acknowledgements of one ballot
    /// to one node only the last is worth sending.
    pub(super) fn release(&mut self, durable: Lsn) -> Vec<(NodeId, Vote)> {
        if self.waiting.first_key_value().is_none_or(|entry| *entry.0 > durable) {
            return Vec::new();
        }
        let later = self.waiting.split_off(&durable.next());
        let due = std::mem::replace(&mut self.waiting, later);
        let mut votes: Vec<(NodeId, Vote)> = due.into_values().flatten().collect();
        let mut last = BTreeMap::new();
        for (at, (node, vote)) in votes.iter().enumerate() {
            if let Vote::Accepted(accepted) = vote {
                last.insert((*node, accepted.ballot), at);
            }
        }
        let mut at = 0;
        votes.retain(|(node, vote)| {
            at += 1;
            match vote {
                Vote::Accepted(a) => last.get(&(*node, a.ballot)) == Some(&(at - 1)),
                Vote::Prepare(_) | Vote::Promise(_) | Vote::Grant(_) => true,
            }
        });
        votes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Ballot, Slot};
    use crate::wire::peer::Accepted;

    fn accepted(upto: u64) -> Vote {
        let ballot = Ballot::new(1, NodeId(1));
        Vote::Accepted(Accepted {
            ballot,
            upto: Slot(upto),
            chosen_upto: Slot(0),
            durable: Lsn(0),
            has_room: true,
        })
    }

    /// R02: no acknowledgement leaves before its record is durable; of those that may, the last.
    #[test]
    fn r02_votes_wait_for_their_records() {
        let mut outbox = Outbox::default();
        for lsn in 1..=3 {
            outbox.hold(Lsn(lsn), NodeId(1), accepted(lsn));
        }
        assert!(outbox.release(Lsn(0)).is_empty());
        assert_eq!(outbox.release(Lsn(2)), vec![(NodeId(1), accepted(2))]);
        assert_eq!(outbox.release(Lsn(9)), vec![(NodeId(1), accepted(3))]);
        assert!(outbox.release(Lsn(9)).is_empty());
    }
}
