//! Values on their way from peers to this node's journal: asked for, arrived and waiting, or being held against the
//! index. Two peers are asked at a time, so that one reads its disk while the other sends, and this node verifies what
//! came before meanwhile.

use crate::types::{Ballot, NodeId, Slot, Tick, Value};
use std::collections::VecDeque;

/// Most answers that are asked for or wait; one more may be being held against the index.
const ANSWERS_MAX: usize = 2;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Who is asked: of nothing else at the same time.
    pub(super) peer: NodeId,
    /// The first slot.
    pub(super) from: Slot,
    /// The last one.
    pub(super) upto: Slot,
    /// Until when an answer is waited for.
    pub(super) until: Tick,
}

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

/// What is asked for and not kept yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// What peers are asked for.
    asked: Vec<Asked>,
    /// What is being held against the index: the first slot and the last.
    verifying: Option<(Slot, Slot)>,
    /// What has arrived and waits for that.
    waiting: VecDeque<Arrival>,
}

impl Arrivals {
    /// Nothing has arrived that is not kept yet, whatever is asked for.
    pub(super) fn has_none_arrived(&self) -> bool {
        self.verifying.is_none() && self.waiting.is_empty()
    }

    /// One more may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.asked.len() + self.waiting.len() < ANSWERS_MAX
    }

    /// A peer is asked.
    ///
    /// # Panics
    /// When it is being asked already, or there is no room for its answer.
    pub(super) fn ask(&mut self, asked: Asked) {
        assert!(self.has_room() && !self.is_asked(asked.peer), "asked too much: {asked:?}");
        self.asked.push(asked);
    }

    /// This peer is asked for something.
    pub(super) fn is_asked(&self, peer: NodeId) -> bool {
        self.asked.iter().any(|asked| asked.peer == peer)
    }

    /// Some peer is asked for something.
    pub(super) fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// When the first of those who are asked has had its time.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.asked.iter().map(|asked| asked.until).min()
    }

    /// Those who did not answer in time are waited for no longer.
    pub(super) fn overdue(&mut self, now: Tick) -> Vec<Asked> {
        self.asked.extract_if(.., |asked| now >= asked.until).collect()
    }

    /// The connection to a peer is gone: no answer comes from it.
    pub(super) fn lost(&mut self, peer: NodeId) {
        self.asked.retain(|asked| asked.peer != peer);
    }

    /// A peer answers from this slot on: what it was asked for, if it was.
    pub(super) fn answered(&mut self, peer: NodeId, from: Slot) -> Option<Asked> {
        self.asked.extract_if(.., |asked| (asked.peer, asked.from) == (peer, from)).next()
    }

    /// One more is here, in the place of what was asked for.
    pub(super) fn push(&mut self, arrival: Arrival) {
        self.waiting.push_back(arrival);
    }

    /// The one that is to be held against the index now, if nothing is.
    pub(super) fn next(&mut self) -> Option<Arrival> {
        if self.verifying.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.verifying = Some((next.from, next.upto));
        Some(next)
    }

    /// One was held against the index: its range.
    pub(super) fn verified(&mut self) -> Option<(Slot, Slot)> {
        self.verifying.take()
    }

    /// This slot is asked for, or has arrived.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.ranges().any(|(from, upto)| (from..=upto).contains(&slot))
    }

    /// The last slots of a range, as many as lie together, that are neither asked for nor here.
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
        let asked = self.asked.iter().map(|asked| (asked.from, asked.upto));
        let waiting = self.waiting.iter().map(|arrival| (arrival.from, arrival.upto));
        self.verifying.into_iter().chain(waiting).chain(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: u16, from: u64, upto: u64) -> Asked {
        let until = Tick(1_000 * u64::from(peer));
        Asked { peer: NodeId(peer), from: Slot(from), upto: Slot(upto), until }
    }

    fn arrival(asked: &Asked) -> Arrival {
        let Asked { peer, from, upto, .. } = *asked;
        Arrival { peer, from, upto, values: Vec::new() }
    }

    /// What is asked for or here is not asked for a second time, and what lies above and below it is.
    #[test]
    fn what_is_on_its_way_is_not_asked_for() {
        let mut arrivals = Arrivals::default();
        let outside = |arrivals: &Arrivals, first, last| {
            arrivals.last_outside(Slot(first), Slot(last)).map(|(from, upto)| (from.0, upto.0))
        };
        assert_eq!(outside(&arrivals, 1, 50), Some((1, 50)));
        arrivals.ask(asked(2, 41, 50));
        assert!(arrivals.has_room() && arrivals.has_none_arrived());
        assert_eq!(outside(&arrivals, 1, 50), Some((1, 40)));
        arrivals.ask(asked(3, 31, 40));
        assert!(!arrivals.has_room());
        assert_eq!(outside(&arrivals, 1, 50), Some((1, 30)));
        assert_eq!(outside(&arrivals, 1, 60), Some((51, 60)));
        assert_eq!(outside(&arrivals, 35, 50), None);
        let answered = arrivals.answered(NodeId(2), Slot(41)).expect("it was asked");
        arrivals.push(arrival(&answered));
        assert!(!arrivals.has_room(), "it waits, and the other is asked");
        assert_eq!(arrivals.next().map(|next| next.from), Some(Slot(41)));
        assert!(arrivals.has_room() && arrivals.next().is_none());
        assert!(arrivals.contains(Slot(31)) && !arrivals.contains(Slot(30)));
        assert_eq!(arrivals.verified(), Some((Slot(41), Slot(50))));
        assert_eq!(outside(&arrivals, 1, 50), Some((41, 50)));
    }

    /// An answer is one only from who was asked, for what it was asked for, and in time.
    #[test]
    fn an_answer_is_to_what_was_asked() {
        let mut arrivals = Arrivals::default();
        arrivals.ask(asked(2, 41, 50));
        arrivals.ask(asked(3, 31, 40));
        assert!(arrivals.answered(NodeId(3), Slot(41)).is_none());
        assert!(arrivals.answered(NodeId(2), Slot(42)).is_none());
        assert_eq!(arrivals.next_deadline(), Some(Tick(2_000)));
        assert!(arrivals.overdue(Tick(1_999)).is_empty());
        let late: Vec<NodeId> = arrivals.overdue(Tick(2_000)).iter().map(|a| a.peer).collect();
        assert_eq!(late, [NodeId(2)]);
        assert!(arrivals.answered(NodeId(2), Slot(41)).is_none());
        arrivals.lost(NodeId(3));
        assert!(!arrivals.has_asked());
    }
}
