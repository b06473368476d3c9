//! Peers that call this node and have not: of two nodes one dials, and the other one would say
//! nothing of a peer that is gone.

use crate::types::{NodeId, Tick};
use std::collections::{BTreeMap, BTreeSet};

/// A peer that has not called for so long, in milliseconds, is logged: one that lives dials twice a
/// second.
pub(in crate::daemon) const AWAITED_MS: u64 = 3_000;
/// Pause between two looks, in microseconds.
const LOOK_EVERY_US: u64 = 1_000_000;

/// Since when peers are missing, and of which of them that was said.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    since: BTreeMap<NodeId, Tick>,
    said: BTreeSet<NodeId>,
    look_at: Tick,
}

impl Awaited {
    /// Peers of which it is to be said now that they do not call: once for each absence.
    pub(in crate::daemon) fn due(
        &mut self,
        now: Tick,
        absent: impl Iterator<Item = NodeId>,
    ) -> Vec<NodeId> {
        if now < self.look_at {
            return Vec::new();
        }
        self.look_at = now.after(LOOK_EVERY_US);
        let absent: BTreeSet<NodeId> = absent.collect();
        self.since.retain(|node, _| absent.contains(node));
        self.said.retain(|node| absent.contains(node));
        let mut due = Vec::new();
        for node in absent {
            let since = *self.since.entry(node).or_insert(now);
            if now.since(since) >= AWAITED_MS * 1000 && self.said.insert(node) {
                due.push(node);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An absence is said once, after a while; another one again; what ends before, never.
    #[test]
    fn each_absence_is_said_once() {
        let mut awaited = Awaited::default();
        let mut said = Vec::new();
        let absent = |second: u64| match second {
            0..10 => &[NodeId(2), NodeId(3)][..],
            10..20 if second != 12 => &[NodeId(3)],
            _ => &[],
        };
        for second in 0..30 {
            let now = Tick(1 + second * 1_000_000);
            let due = awaited.due(now, absent(second).iter().copied());
            said.extend(due.into_iter().map(|node| (second, node.0)));
            assert!(awaited.due(now.after(1), [NodeId(9)].into_iter()).is_empty(), "too early");
        }
        let wait = AWAITED_MS / 1000;
        assert_eq!(said, [(wait, 2), (wait, 3), (13 + wait, 3)]);
    }
}
