//! What is wrong with a cluster, judged from what its nodes tell.

use crate::client::{ClusterStatus, NodeReport, Role, ShardStatus};
use crate::types::{NodeId, ShardId, Slot};
use std::collections::BTreeMap;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A node does not answer.
    Dead {
        /// The node.
        node: NodeId,
        /// Where it should be.
        address: String,
    },
    /// No node that answers leads the shard.
    NoLeader(ShardId),
    /// The node refuses appends for want of disk space.
    NoRoom(NodeId, ShardId),
    /// Values are damaged on the node.
    Damaged {
        /// The node.
        node: NodeId,
        /// The shard.
        shard: ShardId,
        /// How many slots.
        slots: u64,
    },
    /// Two nodes applied the same slots and came to another state: one of them is wrong (R23).
    Diverged(ShardId, NodeId, NodeId),
    /// The node follows another leader than the shard's.
    Astray(NodeId, ShardId),
    /// The node knows no leader of the shard, while others have one: its peers may refuse it.
    Outside(NodeId, ShardId),
    /// Two nodes that answer have no link with each other, and why.
    NoLink {
        /// The node that says so.
        node: NodeId,
        /// The other one.
        peer: NodeId,
        /// Why.
        trouble: String,
    },
    /// The node is behind.
    Behind {
        /// The node.
        node: NodeId,
        /// The shard.
        shard: ShardId,
        /// By how many slots.
        slots: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Dead { node, address } => {
                write!(f, "node {node} at {address} does not answer")
            }
            Problem::NoLeader(shard) => write!(f, "shard {shard} has no leader"),
            Problem::NoRoom(node, shard) => {
                write!(f, "node {node} has no disk space for shard {shard}")
            }
            Problem::Damaged { node, shard, slots } => {
                write!(f, "node {node} holds {slots} damaged slots of shard {shard}")
            }
            Problem::Diverged(shard, a, b) => {
                write!(f, "nodes {a} and {b} applied the same slots of shard {shard} and differ")
            }
            Problem::Astray(node, shard) => {
                write!(f, "node {node} does not follow the leader of shard {shard}")
            }
            Problem::Outside(node, shard) => write!(
                f,
                "node {node} knows no leader of shard {shard} while others do: look in its log \
                 whether its peers refuse it"
            ),
            Problem::NoLink { node, peer, trouble } => {
                write!(f, "node {node} has no link with node {peer}: {trouble}")
            }
            Problem::Behind { node, shard, slots } => {
                write!(f, "node {node} is {slots} slots behind in shard {shard}")
            }
        }
    }
}

impl Problem {
    /// True for what passes by itself while a cluster works: `status` shows it without alarm,
    /// `wait --ready` waits for it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Problem::Astray(..) | Problem::Behind { .. } => true,
            Problem::Dead { .. }
            | Problem::NoLeader(_)
            | Problem::Outside(..)
            | Problem::NoLink { .. }
            | Problem::NoRoom(..)
            | Problem::Diverged(..)
            | Problem::Damaged { .. } => false,
        }
    }

    /// True for what an election, or a node that is just starting, brings with it, and takes away
    /// again within a second or two.
    #[must_use]
    pub fn may_be_an_election(&self) -> bool {
        match self {
            Problem::NoLeader(_) | Problem::Outside(..) | Problem::NoLink { .. } => true,
            Problem::Astray(..)
            | Problem::Behind { .. }
            | Problem::Dead { .. }
            | Problem::NoRoom(..)
            | Problem::Diverged(..)
            | Problem::Damaged { .. } => false,
        }
    }
}

/// The leader of a shard: of the nodes that say they lead it, the one of the highest ballot.
#[must_use]
pub fn leader(status: &ClusterStatus, shard: ShardId) -> Option<(NodeId, &ShardStatus)> {
    let leads = |(_, state): &(NodeId, &ShardStatus)| state.role == Role::Leader;
    shards(status, shard).filter(leads).max_by_key(|(_, state)| state.epoch)
}

/// A shard's state on every node that answers.
pub fn shards(
    status: &ClusterStatus,
    shard: ShardId,
) -> impl Iterator<Item = (NodeId, &ShardStatus)> {
    status.nodes.iter().filter_map(move |NodeReport { member, state }| {
        let found = state.as_ref().ok()?.shards.iter().find(|state| state.shard == shard)?;
        Some((member.node, found))
    })
}

/// Slots by which a node's applied prefix is behind what is known chosen anywhere.
#[must_use]
pub fn lag(status: &ClusterStatus, state: &ShardStatus) -> u64 {
    let chosen = shards(status, state.shard).map(|(_, other)| other.chosen_upto.0).max();
    chosen.unwrap_or(0).saturating_sub(state.applied_upto.0)
}

/// Everything that is wrong: nodes first, then shard by shard.
#[must_use]
pub fn problems(status: &ClusterStatus) -> Vec<Problem> {
    let dead = status.nodes.iter().filter(|report| report.state.is_err());
    let mut problems: Vec<Problem> = dead
        .map(|NodeReport { member, .. }| Problem::Dead {
            node: member.node,
            address: member.address.clone(),
        })
        .collect();
    problems.extend(cut(status));
    for shard in (0..status.shards).map(ShardId) {
        let leader = leader(status, shard).map(|(node, _)| node);
        if leader.is_none() {
            problems.push(Problem::NoLeader(shard));
        }
        problems.extend(diverged(status, shard));
        for (node, state) in shards(status, shard) {
            if state.damaged_slots > 0 {
                problems.push(Problem::Damaged { node, shard, slots: state.damaged_slots });
            }
            if !state.has_room {
                problems.push(Problem::NoRoom(node, shard));
            }
            if leader.is_some() && state.leader != leader {
                problems.push(match state.leader {
                    Some(_) => Problem::Astray(node, shard),
                    None => Problem::Outside(node, shard),
                });
            }
            let slots = lag(status, state);
            if slots > 0 {
                problems.push(Problem::Behind { node, shard, slots });
            }
        }
    }
    problems
}

/// Links that do not stand though both nodes answer.
fn cut(status: &ClusterStatus) -> Vec<Problem> {
    let answers = |node: NodeId| {
        status.nodes.iter().any(|report| report.member.node == node && report.state.is_ok())
    };
    let mut found = Vec::new();
    for NodeReport { member, state } in &status.nodes {
        let shards = state.as_ref().map_or(&[][..], |state| &state.shards);
        for peer in shards.iter().flat_map(|shard| &shard.peers) {
            let (node, trouble) = (member.node, peer.trouble.clone());
            let link = Problem::NoLink { node, peer: peer.node, trouble };
            // Once, though each shard has links of its own.
            if !peer.trouble.is_empty() && answers(peer.node) && !found.contains(&link) {
                found.push(link);
            }
        }
    }
    found
}

/// Nodes that applied as much as another one and whose state differs from it.
fn diverged(status: &ClusterStatus, shard: ShardId) -> Vec<Problem> {
    let mut first = BTreeMap::new();
    let mut problems = Vec::new();
    // Nothing applied is nothing to differ in.
    let applied = shards(status, shard).filter(|(_, state)| state.applied_upto > Slot(0));
    for (node, state) in applied {
        let (like, digest) = *first.entry(state.applied_upto).or_insert((node, state.digest));
        if digest != state.digest {
            problems.push(Problem::Diverged(shard, like, node));
        }
    }
    problems
}

/// The problems as one line.
#[must_use]
pub fn sentence(problems: &[&Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::client::{
        Cause, ClientError, Failure, Member, NodeStatus, Operation, Outcome, PeerStatus, Stage,
    };
    use crate::types::Ballot;

    /// Three nodes and one shard, led by node 1; all have applied slot 10.
    pub fn healthy() -> ClusterStatus {
        let node = |node: u16| NodeReport {
            member: Member { node: NodeId(node), address: format!("n{node}:7420") },
            state: Ok(NodeStatus {
                version: "0.1.0".to_string(),
                uptime_ms: 65_000,
                shards: vec![ShardStatus {
                    shard: ShardId(0),
                    role: if node == 1 { Role::Leader } else { Role::Follower },
                    leader: Some(NodeId(1)),
                    epoch: Ballot::new(3, NodeId(1)),
                    promised: Ballot::new(3, NodeId(1)),
                    durable_upto: 30,
                    chosen_upto: Slot(10),
                    applied_upto: Slot(10),
                    trimmed_upto: Slot(0),
                    digest: 7,
                    logs: 2,
                    damaged_slots: 0,
                    segments: 1,
                    disk_bytes: 64 << 20,
                    has_room: true,
                    caught_up: true,
                    syncs: 100,
                    sync_us: 25_000,
                    peers: Vec::new(),
                }],
            }),
        };
        ClusterStatus { shards: 1, nodes: [1, 2, 3].map(node).into() }
    }

    /// The one shard on a node, counted from 0.
    pub fn shard(status: &mut ClusterStatus, at: usize) -> &mut ShardStatus {
        &mut status.nodes[at].state.as_mut().expect("the node answers").shards[0]
    }

    /// Makes a node dead, counted from 0.
    pub fn kill(status: &mut ClusterStatus, at: usize) {
        status.nodes[at].state = Err(ClientError::new(Failure {
            operation: Operation::plain("status"),
            outcome: Outcome::NotExecuted,
            stage: Stage::Connect,
            endpoint: Some(status.nodes[at].member.address.clone()),
            cause: Cause::Closed,
            attempts: 1,
            gave_up_after: None,
            elsewhere: Vec::new(),
        }));
    }

    /// A healthy cluster has no problem.
    #[test]
    fn a_healthy_cluster_has_no_problem() {
        assert_eq!(problems(&healthy()), []);
    }

    /// R30: a missing, lagging, damaged, full or leaderless part is named.
    #[test]
    fn r30_each_problem_is_named() {
        let mut status = healthy();
        kill(&mut status, 1);
        let state = shard(&mut status, 2);
        (state.applied_upto, state.damaged_slots, state.has_room) = (Slot(4), 2, false);
        let texts: Vec<String> = problems(&status).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "node 2 at n2:7420 does not answer",
                "node 3 holds 2 damaged slots of shard 0",
                "node 3 has no disk space for shard 0",
                "node 3 is 6 slots behind in shard 0",
            ]
        );

        let mut status = healthy();
        kill(&mut status, 0);
        assert_eq!(problems(&status)[1], Problem::NoLeader(ShardId(0)));
    }

    /// R23: replicas that applied the same slots must have the same state; others cannot be compared.
    #[test]
    fn r23_a_diverged_replica_is_named() {
        let mut status = healthy();
        shard(&mut status, 2).digest = 8;
        assert_eq!(problems(&status), [Problem::Diverged(ShardId(0), NodeId(1), NodeId(3))]);
        shard(&mut status, 2).applied_upto = Slot(9);
        let behind = Problem::Behind { node: NodeId(3), shard: ShardId(0), slots: 1 };
        assert_eq!(problems(&status), [behind]);
    }

    /// R30: a node that knows no leader while others do, as one that its peers refuse for good, is
    /// a problem that does not pass by itself.
    #[test]
    fn r30_a_node_without_a_leader_is_named() {
        let mut status = healthy();
        shard(&mut status, 2).leader = None;
        let outside = Problem::Outside(NodeId(3), ShardId(0));
        assert_eq!(problems(&status), std::slice::from_ref(&outside));
        assert!(!outside.is_passing() && outside.may_be_an_election());
        let text = outside.to_string();
        assert!(text.starts_with("node 3 knows no leader of shard 0 while others do"), "{text}");
    }

    /// R30: a link that does not stand between two nodes that answer is named once, with its reason;
    /// one to a dead node is not, for that node is named already.
    #[test]
    fn r30_a_missing_link_is_named_with_its_reason() {
        let mut status = healthy();
        let trouble = |node: u16| PeerStatus {
            node: NodeId(node),
            connected: false,
            chosen_upto: Slot(0),
            lag: 0,
            trouble: "refused us: entry_bytes_max is 1 there, 2 here".to_string(),
        };
        shard(&mut status, 2).peers = vec![trouble(1), trouble(2)];
        kill(&mut status, 1);
        let texts: Vec<String> = problems(&status).iter().map(ToString::to_string).collect();
        let link = "node 3 has no link with node 1: refused us: entry_bytes_max is 1 there, 2 here";
        assert_eq!(texts, ["node 2 at n2:7420 does not answer", link]);
    }

    /// Of two nodes that say they lead, the one of the higher ballot does; who follows the other is
    /// astray.
    #[test]
    fn the_highest_ballot_leads() {
        let mut status = healthy();
        let state = shard(&mut status, 2);
        (state.role, state.leader, state.epoch) =
            (Role::Leader, Some(NodeId(3)), Ballot::new(4, NodeId(3)));
        assert_eq!(leader(&status, ShardId(0)).map(|(node, _)| node), Some(NodeId(3)));
        let astray = [NodeId(1), NodeId(2)].map(|node| Problem::Astray(node, ShardId(0)));
        assert_eq!(problems(&status), astray);
        assert!(astray[0].is_passing());
    }
}
