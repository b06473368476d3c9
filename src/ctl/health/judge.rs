//! From what the nodes say to what is wrong: each thing once, causes before what follows from them.

use super::standing::takes_part;
use super::{Problem, lag, leader, links, shards};
use crate::client::{ClusterStatus, NodeReport, ShardStatus};
use crate::types::{NodeId, ShardId, Shards, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is wrong: what may explain something else stands before it.
#[must_use]
pub fn problems(status: &ClusterStatus) -> Vec<Problem> {
    let mut problems = diverged(status);
    problems.extend(by_node(
        status,
        |state, _| state.damaged_slots,
        |node, shards, slots| Problem::Damaged { node, shards, slots },
    ));
    problems.extend(dead(status));
    let broken = links::broken(status);
    let apart: BTreeSet<NodeId> = broken.iter().filter_map(apart).collect();
    problems.extend(broken);
    problems.extend(no_room(status));
    let unformed = unformed(status);
    problems.extend(unformed.iter().map(|(unmet, shards)| Problem::Unformed {
        shards: shards.clone(),
        unmet: unmet.iter().copied().collect(),
    }));
    // That nobody leads what has not formed goes without saying.
    let formed = |shard: &ShardId| is_formed(status, *shard);
    let headless = |shard: &ShardId| leader(status, *shard).is_none() && formed(shard);
    let headless: Shards = (0..status.shards).map(ShardId).filter(headless).collect();
    if !headless.is_empty() {
        problems.push(Problem::NoLeader(headless));
    }
    problems.extend(followers(status, &apart));
    problems
}

/// The node that has no link with others, if the line about it explains the rest.
fn apart(problem: &Problem) -> Option<NodeId> {
    match problem {
        Problem::NoLink { node, .. } => Some(*node),
        Problem::Dead { .. }
        | Problem::Unformed { .. }
        | Problem::NoLeader(_)
        | Problem::NoRoom { .. }
        | Problem::Damaged { .. }
        | Problem::Diverged { .. }
        | Problem::Astray(..)
        | Problem::Outside(..)
        | Problem::Behind { .. } => None,
    }
}

fn dead(status: &ClusterStatus) -> impl Iterator<Item = Problem> {
    let dead = status.nodes.iter().filter(|report| report.state.is_err());
    dead.map(|NodeReport { member, .. }| Problem::Dead {
        node: member.node,
        address: member.address.clone(),
    })
}

fn no_room(status: &ClusterStatus) -> Vec<Problem> {
    let full = |state: &ShardStatus, _: NodeId| u64::from(!state.has_room);
    by_node(status, full, |node, shards, _| {
        let report = status.nodes.iter().find(|report| report.member.node == node);
        let disk = report.and_then(|report| report.state.as_ref().ok()).map(|state| state.disk);
        Problem::NoRoom { node, shards, disk: disk.unwrap_or_default() }
    })
}

/// One problem for each node on which something is not 0, with the shards in which it is not, and
/// the sum.
fn by_node(
    status: &ClusterStatus,
    of: impl Fn(&ShardStatus, NodeId) -> u64,
    problem: impl Fn(NodeId, Shards, u64) -> Problem,
) -> Vec<Problem> {
    let mut found: BTreeMap<NodeId, (Shards, u64)> = BTreeMap::new();
    for shard in (0..status.shards).map(ShardId) {
        for (node, state) in shards(status, shard) {
            let count = of(state, node);
            if count > 0 {
                let (shards, sum) = found.entry(node).or_default();
                shards.push(shard);
                *sum += count;
            }
        }
    }
    found.into_iter().map(|(node, (shards, sum))| problem(node, shards, sum)).collect()
}

/// Whether a shard has formed as far as anybody who answers knows: a node that was wiped knows of
/// nobody, and is not to be believed.
fn is_formed(status: &ClusterStatus, shard: ShardId) -> bool {
    let mut all = shards(status, shard).peekable();
    all.peek().is_none() || all.any(|(_, state)| state.formed)
}

/// Shards that have not formed, by whom they wait for: all that any node that answers waits for.
fn unformed(status: &ClusterStatus) -> BTreeMap<BTreeSet<NodeId>, Shards> {
    let mut found: BTreeMap<BTreeSet<NodeId>, Shards> = BTreeMap::new();
    for shard in (0..status.shards).map(ShardId) {
        if !is_formed(status, shard) {
            let waiting = shards(status, shard);
            let unmet = waiting.flat_map(|(_, state)| state.unmet.iter().copied()).collect();
            found.entry(unmet).or_default().push(shard);
        }
    }
    found
}

/// Nodes that do not follow, or are behind, in shards that have a leader; not those of which the
/// missing link says enough.
fn followers(status: &ClusterStatus, apart: &BTreeSet<NodeId>) -> Vec<Problem> {
    let led = |shard: ShardId| leader(status, shard).map(|(node, _)| node);
    let explained =
        |shard: ShardId, node: NodeId| apart.contains(&node) && !takes_part(status, shard, node);
    let outside = |state: &ShardStatus, node: NodeId| {
        let lost = led(state.shard).is_some() && state.leader.is_none();
        u64::from(lost && !explained(state.shard, node))
    };
    let astray = |state: &ShardStatus, node: NodeId| {
        let other =
            state.leader.is_some() && led(state.shard).is_some_and(|l| Some(l) != state.leader);
        u64::from(other && !explained(state.shard, node))
    };
    let behind = |state: &ShardStatus, node: NodeId| {
        if explained(state.shard, node) { 0 } else { lag(status, state) }
    };
    let mut problems = by_node(status, outside, |node, shards, _| Problem::Outside(node, shards));
    problems.extend(by_node(status, astray, |node, shards, _| Problem::Astray(node, shards)));
    problems.extend(by_node(status, behind, |node, shards, slots| Problem::Behind {
        node,
        shards,
        slots,
    }));
    problems
}

/// Nodes that applied as much as another one and whose state differs from it.
fn diverged(status: &ClusterStatus) -> Vec<Problem> {
    let mut found: BTreeMap<(NodeId, NodeId), Shards> = BTreeMap::new();
    for shard in (0..status.shards).map(ShardId) {
        let mut first = BTreeMap::new();
        // Nothing applied is nothing to differ in.
        let applied = shards(status, shard).filter(|(_, state)| state.applied_upto > Slot(0));
        for (node, state) in applied {
            let (like, digest) = *first.entry(state.applied_upto).or_insert((node, state.digest));
            if digest != state.digest {
                found.entry((like, node)).or_default().push(shard);
            }
        }
    }
    found.into_iter().map(|((a, b), shards)| Problem::Diverged { a, b, shards }).collect()
}
