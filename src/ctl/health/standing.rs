//! Who is there, and who takes part: a node that answers its clients and that its peers refuse is
//! not up.

use super::{leader, shard_on};
use crate::client::{ClusterStatus, PeerStatus};
use crate::types::{NodeId, ShardId, Shards};

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStanding {
    /// It answers, and takes part in every shard.
    Up,
    /// It answers, and takes no part in some shard: there is no link with the leader, or it is refused.
    CutOff,
    /// It does not answer.
    Dead,
}

impl NodeStanding {
    /// How a node stands.
    #[must_use]
    pub fn of(status: &ClusterStatus, node: NodeId) -> NodeStanding {
        let report = status.nodes.iter().find(|report| report.member.node == node);
        if report.is_none_or(|report| report.state.is_err()) {
            return NodeStanding::Dead;
        }
        let all = (0..status.shards).map(ShardId).all(|shard| takes_part(status, shard, node));
        if all { NodeStanding::Up } else { NodeStanding::CutOff }
    }

    /// As people read it; what is wrong stands out.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            NodeStanding::Up => "up",
            NodeStanding::CutOff => "CUT OFF",
            NodeStanding::Dead => "DEAD",
        }
    }

    /// As programs read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NodeStanding::Up => "up",
            NodeStanding::CutOff => "cut_off",
            NodeStanding::Dead => "dead",
        }
    }
}

/// A link that stands and that no side refuses.
pub fn stands(peer: &PeerStatus) -> bool {
    peer.connected && peer.trouble.is_empty()
}

/// What a node says of another one, in a shard.
pub fn peer_of(
    status: &ClusterStatus,
    shard: ShardId,
    node: NodeId,
    other: NodeId,
) -> Option<&PeerStatus> {
    shard_on(status, shard, node)?.peers.iter().find(|peer| peer.node == other)
}

/// Whether a node's replica of a shard answers and has a link with the shard's leader; where nobody
/// leads, with anybody, unless nobody else answers.
#[must_use]
pub fn takes_part(status: &ClusterStatus, shard: ShardId, node: NodeId) -> bool {
    let Some(own) = shard_on(status, shard, node) else { return false };
    match leader(status, shard) {
        Some((leads, _)) if leads == node => true,
        Some((leads, _)) => peer_of(status, shard, leads, node).is_none_or(stands),
        None => {
            let answers = |peer: &&PeerStatus| shard_on(status, shard, peer.node).is_some();
            let mut others = own.peers.iter().filter(answers).peekable();
            others.peek().is_none() || others.any(stands)
        }
    }
}

/// The shards that a node leads, for people: `shard 0`, never a bare number that reads as how many;
/// where they are many, how many.
#[must_use]
pub fn leads_text(shards: impl Iterator<Item = u16>) -> String {
    const NAMED_MAX: usize = 24;
    let shards: Shards = shards.map(ShardId).collect();
    let text = shards.to_string();
    match shards.len() {
        0 => "none".to_string(),
        many if text.len() > NAMED_MAX => format!("{many} shards"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{healthy, kill, refused, shard};
    use super::*;

    /// A node that answers and that its peers refuse is cut off, and takes no part.
    #[test]
    fn a_refused_node_is_not_up() {
        let mut status = healthy();
        assert_eq!(NodeStanding::of(&status, NodeId(3)), NodeStanding::Up);
        refused(&mut status, 3);
        assert_eq!(NodeStanding::of(&status, NodeId(3)), NodeStanding::CutOff);
        let part = |node| takes_part(&status, ShardId(0), NodeId(node));
        assert_eq!([1, 2, 3].map(part), [true, true, false]);
        kill(&mut status, 2);
        assert_eq!(NodeStanding::of(&status, NodeId(3)), NodeStanding::Dead);
    }

    /// Without a leader, a node with a link takes part, and so does one beside which nobody answers.
    #[test]
    fn without_a_leader_links_decide() {
        let mut status = healthy();
        refused(&mut status, 3);
        kill(&mut status, 0);
        shard(&mut status, 1).leader = None;
        assert_eq!(NodeStanding::of(&status, NodeId(3)), NodeStanding::CutOff);
        assert_eq!(NodeStanding::of(&status, NodeId(2)), NodeStanding::CutOff);
        kill(&mut status, 2);
        assert_eq!(NodeStanding::of(&status, NodeId(2)), NodeStanding::Up);
    }

    /// Leading shard 0 is distinguished from leading none.
    #[test]
    fn leading_shard_0_is_distinguished_from_leading_none() {
        assert_eq!(leads_text([].into_iter()), "none");
        assert_eq!(leads_text([0].into_iter()), "shard 0");
        assert_eq!(leads_text(0..4), "shards 0 to 3");
        assert_eq!(leads_text((0..100).step_by(2)), "50 shards");
    }
}
