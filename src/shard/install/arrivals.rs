//! Values that peers sent and that are not kept yet: some are being held against the index, and the next
//! ones wait for that. So the way from a peer and the look at the index go on at the same time.

use crate::types::{Ballot, NodeId, Slot, Value};

/// What a peer gave of a range of slots.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Who sent it.
    pub(super) peer: NodeId,
    /// The first slot that it answers for.
    pub(super) from: Slot,
    /// The last one.
    pub(super) upto: Slot,
    /// The values, by rising slot.
    pub(super) values: Vec<(Slot, Ballot, Value)>,
}

/// Two answers at most: one that is being held against the index, and one that waits.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    verifies: Option<(Slot, Slot)>,
    waits: Option<Arrival>,
}

impl Arrivals {
    /// Nothing is here.
    pub(super) fn is_empty(&self) -> bool {
        self.verifies.is_none() && self.waits.is_none()
    }

    /// One more may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.waits.is_none()
    }

    /// One more is here.
    ///
    /// # Panics
    /// When there is no room for it.
    pub(super) fn push(&mut self, arrival: Arrival) {
        let Arrival { from, upto, .. } = arrival;
        assert!(self.waits.is_none(), "no room for the values of {from} to {upto}");
        self.waits = Some(arrival);
    }

    /// The one that is to be held against the index now, if nothing is.
    pub(super) fn next(&mut self) -> Option<Arrival> {
        if self.verifies.is_some() {
            return None;
        }
        let next = self.waits.take()?;
        self.verifies = Some((next.from, next.upto));
        Some(next)
    }

    /// One was held against the index: its range.
    pub(super) fn verified(&mut self) -> Option<(Slot, Slot)> {
        self.verifies.take()
    }

    /// This slot is here.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.ranges().any(|(from, upto)| (from..=upto).contains(&slot))
    }

    /// The last slots of a range, as many as lie together, that are not here.
    pub(super) fn last_outside(&self, first: Slot, mut last: Slot) -> Option<(Slot, Slot)> {
        while let Some((from, _)) =
            self.ranges().find(|(from, upto)| (*from..=*upto).contains(&last))
        {
            if from <= first {
                return None;
            }
            last = from.prev();
        }
        let below = self.ranges().map(|(_, upto)| upto).filter(|upto| *upto < last).max();
        Some((below.map_or(first, |upto| first.max(upto.next())), last))
    }

    fn ranges(&self) -> impl Iterator<Item = (Slot, Slot)> {
        let waits = self.waits.as_ref().map(|arrival| (arrival.from, arrival.upto));
        self.verifies.into_iter().chain(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(from: u64, upto: u64) -> Arrival {
        Arrival { peer: NodeId(2), from: Slot(from), upto: Slot(upto), values: Vec::new() }
    }

    /// What is here is not asked for a second time, and what lies above and below it is.
    #[test]
    fn what_is_here_is_not_asked_for() {
        let mut arrivals = Arrivals::default();
        let outside = |arrivals: &Arrivals, first, last| {
            arrivals.last_outside(Slot(first), Slot(last)).map(|(from, upto)| (from.0, upto.0))
        };
        assert_eq!(outside(&arrivals, 1, 50), Some((1, 50)));
        arrivals.push(arrival(41, 50));
        assert!(!arrivals.has_room() && !arrivals.is_empty());
        assert_eq!(arrivals.next().map(|next| next.from), Some(Slot(41)));
        assert!(arrivals.has_room() && arrivals.next().is_none());
        assert_eq!(outside(&arrivals, 1, 50), Some((1, 40)));
        arrivals.push(arrival(31, 40));
        assert_eq!(outside(&arrivals, 1, 50), Some((1, 30)));
        assert_eq!(outside(&arrivals, 1, 60), Some((51, 60)));
        assert_eq!(outside(&arrivals, 35, 50), None);
        assert!(arrivals.contains(Slot(31)) && !arrivals.contains(Slot(30)));
        assert_eq!(arrivals.verified(), Some((Slot(41), Slot(50))));
        assert_eq!(outside(&arrivals, 1, 50), Some((41, 50)));
    }
}
