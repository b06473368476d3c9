//! What is wrong with a cluster, judged from what its nodes say.

mod judge;
mod links;
mod problem;
mod standing;
mod steps;

pub use judge::problems;
pub use problem::Problem;
pub use standing::{NodeStanding, leads_text, takes_part};

use crate::client::{ClusterStatus, NodeReport, Role, ShardStatus};
use crate::types::{NodeId, ShardId};

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

/// A shard's state on one node, if that answers.
fn shard_on(status: &ClusterStatus, shard: ShardId, node: NodeId) -> Option<&ShardStatus> {
    shards(status, shard).find(|(of, _)| *of == node).map(|(_, state)| state)
}

/// Slots by which a node's applied prefix is behind what is known chosen anywhere.
#[must_use]
pub fn lag(status: &ClusterStatus, state: &ShardStatus) -> u64 {
    let chosen = shards(status, state.shard).map(|(_, other)| other.chosen_upto.0).max();
    chosen.unwrap_or(0).saturating_sub(state.applied_upto.0)
}

/// The problems as one line.
#[must_use]
pub fn sentence(problems: &[&Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// The problems for a terminal: a single one as it is, several with a line each.
#[must_use]
pub fn lines(problems: &[&Problem]) -> String {
    if problems.len() < 2 {
        return sentence(problems);
    }
    let texts = problems.iter().map(|problem| format!("\n  {problem}"));
    format!("{} problems{}", problems.len(), texts.collect::<String>())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::client::{
        Cause, ClientError, DiskSpace, Failure, Member, NodeStatus, Operation, Outcome, PeerStatus,
        Progress, Stage,
    };
    use crate::types::{Ballot, FormatLevel, Slot};

    /// Three nodes and one shard, led by node 1; all have applied slot 10.
    pub fn healthy() -> ClusterStatus {
        let peer = |of: u16, node: u16| PeerStatus {
            node: NodeId(node),
            connected: true,
            progress: (of == 1).then_some(Progress { chosen_upto: Slot(10), lag: 0 }),
            trouble: String::new(),
        };
        let node = |node: u16| NodeReport {
            member: Member { node: NodeId(node), address: format!("n{node}:7420") },
            state: Ok(NodeStatus {
                version: "0.1.0".to_string(),
                uptime_ms: 65_000,
                disk: DiskSpace {
                    free_bytes: 40 << 30,
                    total_bytes: 100 << 30,
                    min_free_bytes: 256 << 20,
                },
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
                    level: FormatLevel::FIRST,
                    known_level: FormatLevel::FIRST,
                    logs: 2,
                    damaged_slots: 0,
                    segments: 1,
                    disk_bytes: 64 << 20,
                    dead_bytes: 0,
                    reserve_bytes: 0,
                    installing: None,
                    absent_slots: 0,
                    fetched_values: 0,
                    kept_for: String::new(),
                    has_room: true,
                    caught_up: true,
                    syncs: 100,
                    sync_us: 25_000,
                    formed: true,
                    unmet: Vec::new(),
                    peers: [1, 2, 3]
                        .into_iter()
                        .filter(|other| *other != node)
                        .map(|other| peer(node, other))
                        .collect(),
                }],
            }),
        };
        ClusterStatus { shards: 1, nodes: [1, 2, 3].map(node).into() }
    }

    /// The one shard on a node, counted from 0.
    pub fn shard(status: &mut ClusterStatus, at: usize) -> &mut ShardStatus {
        &mut status.nodes[at].state.as_mut().expect("the node answers").shards[0]
    }

    /// Makes a node dead, counted from 0; the others' links with it are gone.
    pub fn kill(status: &mut ClusterStatus, at: usize) {
        let dead = status.nodes[at].member.node;
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
        for report in &mut status.nodes {
            let shards = report.state.iter_mut().flat_map(|state| &mut state.shards);
            for peer in shards.flat_map(|shard| &mut shard.peers).filter(|peer| peer.node == dead) {
                (peer.connected, peer.progress) = (false, None);
            }
        }
    }

    /// The other nodes refuse this one, and both sides say so.
    pub fn refused(status: &mut ClusterStatus, node: u16) {
        for at in 0..status.nodes.len() {
            let own = status.nodes[at].member.node;
            let state = shard(status, at);
            if own == NodeId(node) {
                (state.leader, state.applied_upto) = (None, Slot(0));
            }
            for peer in &mut state.peers {
                if own == NodeId(node) || peer.node == NodeId(node) {
                    (peer.connected, peer.progress) = (false, None);
                    peer.trouble = format!("node {node} was wiped, says node {own}");
                }
            }
        }
    }

    fn texts(status: &ClusterStatus) -> Vec<String> {
        problems(status).iter().map(ToString::to_string).collect()
    }

    /// A healthy cluster has no problem.
    #[test]
    fn a_healthy_cluster_has_no_problem() {
        assert_eq!(problems(&healthy()), []);
    }

    /// R30: a missing, lagging, damaged, full or leaderless part is named, causes first.
    #[test]
    fn r30_each_problem_is_named() {
        let mut status = healthy();
        kill(&mut status, 1);
        let state = shard(&mut status, 2);
        (state.applied_upto, state.damaged_slots, state.has_room) = (Slot(4), 2, false);
        assert_eq!(
            texts(&status),
            [
                "node 3 holds 2 damaged slots of shard 0",
                "node 2 at n2:7420 does not answer",
                "node 3 has no disk space for shard 0: 40.0 GiB are free; inodes (df -i) or a quota \
                 (quota -v) must have run out",
                "node 3 is 6 slots behind in shard 0",
            ]
        );

        let mut status = healthy();
        kill(&mut status, 0);
        assert_eq!(texts(&status)[1], "shard 0 has no leader");
    }

    /// What is wrong in many shards is one line, not one for each.
    #[test]
    fn a_problem_of_many_shards_is_one_line() {
        let mut status = healthy();
        status.shards = 4;
        for report in &mut status.nodes {
            let state = report.state.as_mut().expect("all answer");
            let first = state.shards[0].clone();
            let of = |shard| ShardStatus { shard: ShardId(shard), ..first.clone() };
            state.shards = (0..4).map(of).collect();
        }
        kill(&mut status, 0);
        status.nodes[1].state.as_mut().expect("it answers").disk.free_bytes = 200 << 20;
        for shard in &mut status.nodes[1].state.as_mut().expect("it answers").shards {
            shard.has_room = false;
        }
        assert_eq!(
            texts(&status),
            [
                "node 1 at n1:7420 does not answer",
                "node 2 has no disk space for shards 0 to 3: 200.0 MiB are free, and min_free_bytes \
                 keeps 256.0 MiB",
                "shards 0 to 3 have no leader",
            ]
        );
        let all = problems(&status);
        let all: Vec<&Problem> = all.iter().collect();
        assert!(lines(&all).starts_with("3 problems\n  node 1 at"), "{}", lines(&all));
        assert_eq!(lines(&all[..1]), "node 1 at n1:7420 does not answer");
    }

    /// R23: replicas that applied the same slots must have the same state; others cannot be compared.
    #[test]
    fn r23_a_diverged_replica_is_named() {
        let mut status = healthy();
        shard(&mut status, 2).digest = 8;
        let wanted = "nodes 1 and 3 applied the same slots of shard 0 and differ";
        assert_eq!(texts(&status), [wanted]);
        shard(&mut status, 2).applied_upto = Slot(9);
        assert_eq!(texts(&status), ["node 3 is 1 slot behind in shard 0"]);
    }

    /// R30: a node that knows no leader while others do is a problem that does not pass by itself.
    #[test]
    fn r30_a_node_without_a_leader_is_named() {
        let mut status = healthy();
        shard(&mut status, 2).leader = None;
        let found = problems(&status);
        assert!(!found[0].is_passing() && found[0].may_be_an_election());
        let text = found[0].to_string();
        assert!(text.starts_with("node 3 knows no leader of shard 0 while others do"), "{text}");
        assert_eq!(found.len(), 1);
    }

    /// R30: a node that its peers refuse is named once, with the reason and who says it, though both
    /// sides and each peer say so, and what follows from it is not named beside it.
    #[test]
    fn r30_a_refused_node_is_named_once() {
        let mut status = healthy();
        refused(&mut status, 3);
        let wanted = "node 3 has no link with nodes 1 and 2 in shard 0; it says: node 3 was wiped, \
                      says node 3";
        assert_eq!(texts(&status), [wanted]);
        // The side that does not dial says why where the other one does not.
        for peer in &mut shard(&mut status, 2).peers {
            peer.trouble.clear();
        }
        assert!(texts(&status)[0].ends_with("; node 1 says: node 3 was wiped, says node 1"));
    }

    /// A link with a dead node is no problem of its own: the node is named already.
    #[test]
    fn a_link_with_a_dead_node_is_not_named() {
        let mut status = healthy();
        kill(&mut status, 1);
        let state = shard(&mut status, 2);
        state.peers[1].trouble = "connection refused".to_string();
        assert_eq!(texts(&status), ["node 2 at n2:7420 does not answer"]);
    }

    /// A new cluster with a host missing says that it has not formed and for whom it waits, behind
    /// the node that is missing; that nobody leads is no news then.
    #[test]
    fn a_cluster_that_has_not_formed_says_for_whom_it_waits() {
        let mut status = healthy();
        kill(&mut status, 2);
        for at in [0, 1] {
            let state = shard(&mut status, at);
            (state.role, state.leader) = (Role::Follower, None);
            (state.formed, state.unmet) = (false, vec![NodeId(3)]);
        }
        let found = texts(&status);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "node 3 at n3:7420 does not answer");
        let wanted = "the cluster has not formed in shard 0: it waits for node 3;";
        assert!(found[1].starts_with(wanted), "{found:?}");
        // One that was wiped, beside others that know the cluster, does not speak for it.
        let mut status = healthy();
        shard(&mut status, 2).formed = false;
        assert_eq!(texts(&status), Vec::<String>::new());
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
        let astray = |node| Problem::Astray(NodeId(node), [ShardId(0)].into_iter().collect());
        assert_eq!(problems(&status), [astray(1), astray(2)]);
        assert!(astray(1).is_passing());
    }
}
