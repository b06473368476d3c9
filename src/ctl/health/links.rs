//! Links that do not stand though both nodes answer: each named once, though both ends and every
//! shard have something to say of it.

use super::standing::{peer_of, stands};
use super::{Problem, shard_on};
use crate::client::ClusterStatus;
use crate::types::{NodeId, ShardId, Shards};
use std::collections::{BTreeMap, BTreeSet};

/// The lower node and the higher one, which dials.
type Pair = (NodeId, NodeId);

/// The problems: the node with most of these links first, with all whom it has none with.
pub fn broken(status: &ClusterStatus) -> Vec<Problem> {
    let mut left = pairs(status);
    let mut problems = Vec::new();
    while let Some(node) = worst(left.keys()) {
        let (of, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|((low, high), _)| *low == node || *high == node);
        left = others.into_iter().collect();
        let peers = of.iter().map(|((low, high), _)| if *low == node { *high } else { *low });
        let shards = of.iter().flat_map(|(_, shards)| shards.iter().copied());
        problems.push(Problem::NoLink {
            node,
            peers: peers.collect(),
            shards: shards.collect::<Shards>(),
            said: said(status, &of),
        });
    }
    problems
}

/// Pairs of nodes that answer and have no link, each with the shards in which that is so.
fn pairs(status: &ClusterStatus) -> BTreeMap<Pair, BTreeSet<ShardId>> {
    let mut found: BTreeMap<Pair, BTreeSet<ShardId>> = BTreeMap::new();
    for shard in (0..status.shards).map(ShardId) {
        for (node, state) in super::shards(status, shard) {
            for peer in state.peers.iter().filter(|peer| !stands(peer)) {
                if shard_on(status, shard, peer.node).is_some() {
                    let pair = (node.min(peer.node), node.max(peer.node));
                    found.entry(pair).or_default().insert(shard);
                }
            }
        }
    }
    found
}

/// The node with most broken links; of two, the higher one: it dials, and knows why it fails.
fn worst<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Option<NodeId> {
    let mut count: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (low, high) in pairs {
        *count.entry(*low).or_default() += 1;
        *count.entry(*high).or_default() += 1;
    }
    count.into_iter().max_by_key(|(node, broken)| (*broken, *node)).map(|(node, _)| node)
}

/// Who says why: the side that dials, or the other one where it says nothing.
fn said(status: &ClusterStatus, pairs: &[(Pair, BTreeSet<ShardId>)]) -> Option<(NodeId, String)> {
    pairs.iter().find_map(|((low, high), shards)| {
        let says = |by: NodeId, of: NodeId| {
            let mut texts = shards.iter().filter_map(|shard| peer_of(status, *shard, by, of));
            let text = texts.find(|peer| !peer.trouble.is_empty())?.trouble.clone();
            Some((by, text))
        };
        says(*high, *low).or_else(|| says(*low, *high))
    })
}
