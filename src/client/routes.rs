//! Where the client expects members and leaders to be. The expectation may be old: a node that does
//! not lead answers with who does.

use crate::api::error::Leader;
use crate::api::{ClusterMap, Member};
use crate::types::{Ballot, ClusterId, NodeId, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a cluster: endpoints, members, and the leader of each shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// As configured; always tried, whatever a map says.
    endpoints: Vec<String>,
    /// The cluster: as configured, or of the first map.
    cluster: ClusterId,
    shards: u16,
    members: Vec<Member>,
    leaders: BTreeMap<ShardId, LastLeader>,
    /// Nodes whose last attempt failed; they come last.
    failed: BTreeSet<String>,
    /// Where the round over the nodes stands.
    turn: usize,
}

/// The last leader of a shard that a map or a node named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LastLeader {
    epoch: Ballot,
    address: String,
}

impl Routes {
    /// Nothing is known but the endpoints, and the cluster if it is not zero.
    ///
    /// # Panics
    /// When there is no endpoint.
    #[must_use]
    pub fn new(endpoints: Vec<String>, cluster: ClusterId) -> Routes {
        assert!(!endpoints.is_empty(), "a client has at least one endpoint");
        Routes {
            endpoints,
            cluster,
            shards: 0,
            members: Vec::new(),
            leaders: BTreeMap::new(),
            failed: BTreeSet::new(),
            turn: 0,
        }
    }

    /// The cluster that is meant; zero for any.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// How many shards there are; 0 before the first map.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The members of the last map.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the address of the shard's last known leader.
    #[must_use]
    pub fn leader(&self, shard: ShardId) -> Option<&str> {
        self.leaders.get(&shard).map(|leader| leader.address.as_str())
    }

    /// Takes a node's map. A leadership older than the last known one changes nothing: the node is
    /// behind.
    pub fn learn_map(&mut self, map: &ClusterMap) {
        self.cluster = map.cluster;
        self.shards = map.shards;
        self.members = map.members.clone();
        for leader in &map.leaders {
            if let Some(address) = leader.node.and_then(|node| self.address(node)) {
                self.learn_leader(leader.shard, leader.epoch, address);
            }
        }
    }

    /// The node at `from` says that it does not lead; `epoch` is the leadership that it knows.
    pub fn not_leader(
        &mut self,
        shard: ShardId,
        from: &str,
        epoch: Ballot,
        leader: Option<&Leader>,
    ) {
        self.forget_leader(shard, from);
        if let Some(leader) = leader.filter(|leader| leader.address != from) {
            self.learn_leader(shard, epoch, leader.address.clone());
        }
    }

    /// The node at `address` does not answer: whatever it leads will need another way.
    pub fn failed(&mut self, address: &str) {
        self.leaders.retain(|_, leader| leader.address != address);
        self.failed.insert(address.to_string());
    }

    /// Notes that the node at `address` answers.
    pub fn answered(&mut self, address: &str) {
        self.failed.remove(address);
    }

    /// The node at `address` no longer counts as the shard's leader.
    pub fn forget_leader(&mut self, shard: ShardId, address: &str) {
        if self.leader(shard) == Some(address) {
            self.leaders.remove(&shard);
        }
    }

    /// Every known node: the endpoints as given, then the members that are not among them.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        let mut nodes = self.endpoints.clone();
        for member in &self.members {
            if !nodes.contains(&member.address) {
                nodes.push(member.address.clone());
            }
        }
        nodes
    }

    /// The next node to ask: all known ones in turn, those that failed last time only when the
    /// others have failed too.
    pub fn next_node(&mut self) -> String {
        let mut nodes = self.nodes();
        if nodes.iter().all(|node| self.failed.contains(node)) {
            self.failed.clear();
        }
        let at = self.turn % nodes.len();
        nodes.rotate_left(at);
        let skipped = nodes.iter().take_while(|node| self.failed.contains(*node)).count();
        self.turn = at + skipped + 1;
        nodes.swap_remove(skipped)
    }

    /// How many nodes are still to be asked before those that failed last time, the one at
    /// `address` among them.
    #[must_use]
    pub fn to_ask(&self, address: &str) -> usize {
        let others = |node: &&String| **node != address && !self.failed.contains(*node);
        1 + self.nodes().iter().filter(others).count()
    }

    fn address(&self, node: NodeId) -> Option<String> {
        let member = self.members.iter().find(|member| member.node == node)?;
        Some(member.address.clone())
    }

    fn learn_leader(&mut self, shard: ShardId, epoch: Ballot, address: String) {
        let newer = self.leaders.get(&shard).is_some_and(|leader| leader.epoch > epoch);
        if !newer {
            self.leaders.insert(shard, LastLeader { epoch, address });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ShardLeader;

    const SHARD: ShardId = ShardId(0);

    fn map(round: u64, leader: Option<u16>) -> ClusterMap {
        let members = [1, 2, 3].map(|node| Member { node: NodeId(node), address: at(node) });
        ClusterMap {
            cluster: ClusterId(7),
            shards: 1,
            members: members.to_vec(),
            leaders: vec![ShardLeader {
                shard: SHARD,
                epoch: Ballot::new(round, NodeId(leader.unwrap_or(1))),
                node: leader.map(NodeId),
            }],
        }
    }

    fn at(node: u16) -> String {
        format!("n{node}:1")
    }

    /// A node that is behind cannot lead the client back to a deposed leader.
    #[test]
    fn an_older_leadership_changes_nothing() {
        let mut routes = Routes::new(vec![at(1)], ClusterId(0));
        routes.learn_map(&map(5, Some(2)));
        assert_eq!((routes.leader(SHARD), routes.cluster()), (Some("n2:1"), ClusterId(7)));
        routes.learn_map(&map(4, Some(3)));
        assert_eq!(routes.leader(SHARD), Some("n2:1"));
        // Once that leader fails, an older belief is better than none.
        routes.failed(&at(2));
        assert_eq!(routes.leader(SHARD), None);
        routes.learn_map(&map(4, Some(3)));
        assert_eq!(routes.leader(SHARD), Some("n3:1"));
    }

    /// A redirect moves the belief, one without a name only ends it, and one to itself does too.
    #[test]
    fn redirects_are_followed() {
        let mut routes = Routes::new(vec![at(1)], ClusterId(0));
        let hint = |node| Leader { node: NodeId(node), address: at(node) };
        routes.learn_map(&map(5, Some(1)));
        routes.not_leader(SHARD, &at(1), Ballot::new(6, NodeId(3)), Some(&hint(3)));
        assert_eq!(routes.leader(SHARD), Some("n3:1"));
        routes.not_leader(SHARD, &at(3), Ballot::new(6, NodeId(3)), None);
        assert_eq!(routes.leader(SHARD), None);
        routes.not_leader(SHARD, &at(2), Ballot::new(6, NodeId(2)), Some(&hint(2)));
        assert_eq!(routes.leader(SHARD), None);
    }

    /// All nodes are asked in turn, and those that failed only when no other is left.
    #[test]
    fn nodes_take_turns_and_failed_ones_come_last() {
        let mut routes = Routes::new(vec![at(1)], ClusterId(0));
        assert_eq!([routes.next_node(), routes.next_node()], [at(1), at(1)]);
        routes.learn_map(&map(1, None));
        let round: BTreeSet<String> = (0..3).map(|_| routes.next_node()).collect();
        assert_eq!(round, BTreeSet::from([at(1), at(2), at(3)]));
        assert_eq!(routes.to_ask(&at(2)), 3);
        routes.failed(&at(2));
        assert_eq!([1, 2].map(|node| routes.to_ask(&at(node))), [2, 3]);
        let round: Vec<String> = (0..4).map(|_| routes.next_node()).collect();
        assert!(!round.contains(&at(2)), "asked the failed node: {round:?}");
        routes.failed(&at(1));
        routes.failed(&at(3));
        let round: BTreeSet<String> = (0..3).map(|_| routes.next_node()).collect();
        assert_eq!(round.len(), 3, "all failed, so all are asked again: {round:?}");
    }
}
