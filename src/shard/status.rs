//! What a shard says of itself: status and cluster map.

use super::core::Shard;
use crate::api::error::{Detail, ErrorCode, RequestError};
use crate::api::{
    ClusterMap, DiskSpace, Member, PeerStatus, Progress, Role, ShardLeader, ShardStatus,
    StatusReply,
};
use crate::paxos;
use crate::types::{NodeId, Nodes, Tick};

impl Shard {
    /// The state of this shard on this node.
    #[must_use]
    pub fn status(&self, now: Tick) -> StatusReply {
        StatusReply {
            node: self.options.paxos.me,
            cluster: self.options.cluster,
            version: self.options.version.clone(),
            uptime_ms: now.since(self.started) / 1_000,
            disk: self.disk,
            shard: self.shard_status(now),
        }
    }

    /// The shard's part of it.
    #[must_use]
    pub fn shard_status(&self, now: Tick) -> ShardStatus {
        let replica = &self.replica;
        let chosen_upto = replica.chosen_upto();
        let peer = |(node, peer): (&crate::types::NodeId, &paxos::Peer)| PeerStatus {
            node: *node,
            connected: peer.up,
            progress: replica.progress_of(*node, now).map(|upto| Progress {
                chosen_upto: upto,
                lag: chosen_upto.0.saturating_sub(upto.0),
            }),
            trouble: self.troubles.get(node).cloned().unwrap_or_default(),
        };
        ShardStatus {
            shard: self.options.shard,
            role: match replica.role() {
                paxos::Role::Follower => Role::Follower,
                paxos::Role::Canvassing(_) | paxos::Role::Candidate(_) => Role::Candidate,
                paxos::Role::Leader(_) => Role::Leader,
            },
            leader: replica.leader(),
            epoch: replica.promised(),
            promised: replica.promised(),
            durable_upto: self.journal.durable_upto().0,
            chosen_upto,
            applied_upto: self.machine.applied_upto(),
            trimmed_upto: crate::types::Slot(0),
            digest: self.machine.digest(),
            logs: self.machine.logs().count() as u64,
            damaged_slots: replica.damaged_slots() as u64,
            segments: self.journal.segments(),
            disk_bytes: self.journal.disk_bytes(),
            has_room: self.journal.has_room(),
            caught_up: self.is_caught_up(now),
            syncs: self.syncs.count,
            sync_us: self.syncs.took_us,
            formed: replica.is_formed(),
            unmet: replica.unmet(),
            peers: replica.peers().iter().map(peer).collect(),
        }
    }

    /// What is known of the disk, for status: only the driver can ask for it.
    pub fn note_disk(&mut self, disk: DiskSpace) {
        self.disk = disk;
    }

    /// Why nobody can lead: the cluster has not formed, and for whom it waits. Nothing once it has.
    #[must_use]
    pub fn unformed(&self) -> Option<RequestError> {
        let unmet = (!self.replica.is_formed()).then(|| self.replica.unmet())?;
        let error = RequestError::new(ErrorCode::NoQuorum, unformed(&unmet));
        Some(error.with_detail(Detail::Unformed(unmet)))
    }

    /// Whether everything that anybody is known to hold as chosen is applied here, and the leader,
    /// or leading a quorum, was heard within the last lease. Without that nobody knows how much is
    /// missing.
    fn is_caught_up(&self, now: Tick) -> bool {
        now < self.replica.assured_until()
            && self.replica.behind() == 0
            && self.machine.applied_upto() >= self.replica.chosen_upto()
    }

    /// Why there is no link with a peer, for status; empty where nothing is wrong.
    pub fn note_trouble(&mut self, node: crate::types::NodeId, text: String) {
        self.troubles.insert(node, text);
    }

    /// Who leads this shard, as this node knows.
    #[must_use]
    pub fn leader(&self) -> ShardLeader {
        ShardLeader {
            shard: self.options.shard,
            epoch: self.replica.promised(),
            node: self.replica.leader(),
        }
    }

    /// Members, shards, leaders, as far as this node knows.
    #[must_use]
    pub fn map(&self) -> ClusterMap {
        let member = |(node, address): (&crate::types::NodeId, &String)| Member {
            node: *node,
            address: address.clone(),
        };
        let leader = |shard: u16| {
            let shard = crate::types::ShardId(shard);
            if shard == self.options.shard {
                return self.leader();
            }
            let unknown = ShardLeader { shard, epoch: crate::types::Ballot::ZERO, node: None };
            self.leaders.get(&shard).copied().unwrap_or(unknown)
        };
        ClusterMap {
            cluster: self.options.cluster,
            shards: self.options.shards,
            members: self.options.addresses.iter().map(member).collect(),
            leaders: (0..self.options.shards).map(leader).collect(),
        }
    }
}

/// Says for whom a cluster that has not formed waits.
#[must_use]
pub fn unformed(unmet: &[NodeId]) -> String {
    let whom = match unmet {
        [] => "its members to have met each other".to_string(),
        nodes => Nodes(nodes).to_string(),
    };
    format!(
        "the cluster has not formed: it waits for {whom}; a new cluster serves once all its members \
         have met each other, and from then on a quorum is enough"
    )
}
