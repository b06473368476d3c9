//! Programs of two versions: which format level each node's program knows (C32c, C44d).
//!
//! In some seeds nodes begin as a program that knows one level less than this one, and are upgraded at one of
//! their first starts, each at its own. Until the last of them is, the level must not rise. In the other seeds
//! nobody is upgraded. Where a fault needs the newer level, all nodes begin as the newer program.

use super::node::Node;
use super::plan::Plan;
use super::rng::Rng;
use super::violation::{CheckResult, ensure};
use super::world::World;
use crate::types::FormatLevel;

/// What the program before the upgrade knows.
pub(super) const OLD: FormatLevel = FormatLevel(NEW.0 - 1);
/// What the program after it knows.
const NEW: FormatLevel = FormatLevel::KNOWN;
/// One seed of so many has upgrades.
const ONE_IN: u64 = 2;

/// What a node's program knows once it was started so many times. Drawn apart from all else that a seed
/// decides.
pub(super) fn known_level(plan: &Plan, node: usize, starts: u64) -> FormatLevel {
    let seed = plan.seed;
    if plan.loses_values() {
        return NEW;
    }
    if !Rng::new(seed ^ 0x1e7e1).one_in(ONE_IN) {
        return OLD;
    }
    let mut rng = Rng::new(seed.rotate_left(32) ^ node as u64 ^ 0x1e7e1);
    // The first start with the newer program.
    let upgraded_at = *rng.pick(&[1, 1, 2, 2]);
    if starts >= upgraded_at { NEW } else { OLD }
}

impl World {
    /// A node has applied no level that its program does not know, and the cluster has none that some
    /// member's program does not: it would be the next to end.
    pub(super) fn check_level(&self, node: usize) -> CheckResult {
        let Some(shard) = &self.nodes[node].shard else { return Ok(()) };
        let (level, known) = (shard.machine().levels().level(), self.nodes[node].known_level);
        ensure(level <= known, "no node applies a level that it does not know (C44d)", || {
            format!("node {} knows {known}, and is at level {level}", node + 1)
        })?;
        let older = self.nodes.iter().find(|other| other.known_level < level);
        ensure(older.is_none(), "a level is one that every member knows (C44d)", || {
            let older = older.map_or(String::new(), |other| other.id.to_string());
            format!("node {} is at level {level}, which node {older} does not know", node + 1)
        })
    }

    /// The level is the highest that every member knows; where one is out, nobody waits for a raise.
    pub(super) fn level_is_settled(&self) -> bool {
        let known = self.nodes.iter().map(|node| node.known_level).min();
        self.nodes.iter().any(Node::is_out) || known == Some(self.oracle.level())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes of one cluster are upgraded at different times, and no node ever goes back.
    #[test]
    fn c44d_upgrades_come_one_by_one() {
        let plan = |seed| Plan { faults: Vec::new(), ..Plan::of(seed) };
        let plans: Vec<Plan> = (0..300).map(plan).collect();
        let known = |seed: u64, node, starts| known_level(&plans[seed as usize], node, starts);
        let levels = |seed, starts| [0, 1, 2].map(|node| known(seed, node, starts));
        let mixed = (0..300).filter(|seed| levels(*seed, 1).contains(&OLD)).count();
        let upgraded = (0..300).filter(|seed| levels(*seed, 2) == [NEW; 3]).count();
        let apart = (0..300).filter(|seed| {
            let levels = levels(*seed, 1);
            levels.contains(&OLD) && levels.contains(&NEW)
        });
        assert!((120..180).contains(&upgraded), "{upgraded} seeds with upgrades");
        assert!(mixed > upgraded && apart.count() > 20, "{mixed} seeds with the old program");
        for seed in 0..300 {
            for starts in 1..4 {
                let (before, behind) = (levels(seed, starts), levels(seed, starts + 1));
                assert!(before.iter().zip(&behind).all(|(before, behind)| before <= behind));
            }
        }
    }
}
