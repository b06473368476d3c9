//! Lives of a shard on its disk, and what other members saw of them (rule C13).

use super::{Damage, Lsn, NodeId};
use std::fmt;

/// Names one start of a shard. The number alone does not: after a disk was set back, the same
/// numbers are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LifeId {
    /// How often the shard had been started on that disk, this start included.
    pub boots: u64,
    /// Drawn at random at the start.
    pub nonce: u64,
}

impl fmt::Display for LifeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:x}", self.boots, self.nonce)
    }
}

/// One start of a shard, as its own hard state remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// Names this start among all starts of the shard.
    pub id: LifeId,
    /// The last record that was on the disk when it began.
    pub start: Lsn,
    /// Of the records up to here the disk holds each one, or this node reports it as damaged. At
    /// least `start`; more where a cut turned out to be damage (C11).
    pub accounted: Lsn,
}

/// A tail of the journal that was cut off because it looked torn (C11), and what it is if a peer
/// saw some of it acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// The life that began with the cut.
    pub life: LifeId,
    /// No record that was cut had a higher LSN.
    pub upto: Lsn,
    /// What was cut, if it was acknowledged: damage.
    pub damage: Damage,
}

/// What a node was seen to acknowledge: the highest LSN, and the life in which it did. LSNs of
/// different lives do not compare: what a new life writes must not hide that records of an earlier
/// one are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Witness {
    /// The life; the default for nothing seen.
    pub life: LifeId,
    /// Highest LSN made durable by then, of a record that a vote may rest on.
    pub durable: Lsn,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LSN {} of life {}", self.durable, self.life)
    }
}

/// A peer's testimony that this disk lacks acknowledged records, written down: the node does not
/// vote again, whatever it writes and however often it starts (R13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refuted {
    /// The peer that testified; the node itself where its own hard state did.
    pub witness: NodeId,
    /// What the peer saw this node acknowledge.
    pub seen: Witness,
    /// The last LSN that this disk holds or reports as damaged.
    pub held: Lsn,
}

/// The acknowledged records that a disk with these lives does not account for: the LSN up to which
/// it does. None where it accounts for all that was seen. `lives` are in order, the present one
/// last, whose own records are in memory and not in question.
#[must_use]
pub fn refutes(lives: &[Life], seen: Witness) -> Option<Lsn> {
    let (first, last) = (lives.first()?, lives.last()?);
    if seen == Witness::default() || seen.life == last.id {
        return None;
    }
    let held = match lives.iter().position(|life| life.id == seen.life) {
        // The life after it began with what it had left behind.
        Some(at) => lives.get(at + 1).map_or(last.accounted, |next| next.accounted),
        // Of so long ago that only the oldest life remembered can vouch for it.
        None if seen.life.boots < first.id.boots => first.accounted,
        // A life that this disk has never heard of: it is older than that life.
        None => return Some(last.start.min(seen.durable.prev())),
    };
    (held < seen.durable).then_some(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(boots: u64, nonce: u64, start: u64) -> Life {
        Life { id: LifeId { boots, nonce }, start: Lsn(start), accounted: Lsn(start) }
    }

    fn seen(boots: u64, nonce: u64, durable: u64) -> Witness {
        Witness { life: LifeId { boots, nonce }, durable: Lsn(durable) }
    }

    /// C13: the life after the one that was seen must have begun with all that was seen, however
    /// many lives came since.
    #[test]
    fn c13_the_next_life_began_with_what_was_seen() {
        let lives = [life(4, 7, 60), life(5, 8, 80), life(6, 9, 120)];
        assert_eq!(refutes(&lives, seen(4, 7, 80)), None);
        assert_eq!(refutes(&lives, seen(4, 7, 81)), Some(Lsn(80)));
        assert_eq!(refutes(&lives, seen(5, 8, 120)), None);
        assert_eq!(refutes(&lives, seen(5, 8, 121)), Some(Lsn(120)));
        assert_eq!(refutes(&lives, seen(6, 9, 999)), None);
        assert_eq!(refutes(&lives, Witness::default()), None);
    }

    /// C13: a life of the same number on a disk that was set back is another life.
    #[test]
    fn c13_numbers_used_again_are_other_lives() {
        let lives = [life(4, 7, 60), life(5, 8, 80), life(6, 9, 120)];
        assert_eq!(refutes(&lives, seen(5, 1, 90)), Some(Lsn(89)));
        assert_eq!(refutes(&lives, seen(7, 1, 300)), Some(Lsn(120)));
    }

    /// C13: what is older than every life remembered is judged by the oldest of them.
    #[test]
    fn c13_old_lives_are_vouched_for_by_the_oldest_remembered() {
        let lives = [life(4, 7, 60), life(5, 8, 80)];
        assert_eq!(refutes(&lives, seen(2, 1, 60)), None);
        assert_eq!(refutes(&lives, seen(2, 1, 61)), Some(Lsn(60)));
    }
}
