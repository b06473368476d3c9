//! What a shard says of itself: status and cluster map.

use super::core::Core;
use super::counters::SyncTally;
use crate::api::{
    ClusterMap, DiskSpace, Member, PeerStatus, Progress, Role, ShardLeader, ShardStatus,
    StatusReply,
};
use crate::paxos;
use crate::types::{Ballot, NodeId, ShardId, Tick};
use std::collections::BTreeMap;

/// What a status has in it beside the shard's own state; only the driver can know it.
#[derive(Debug)]
pub struct Status {
    started: Tick,
    /// Leaders of the other shards.
    leaders: BTreeMap<ShardId, ShardLeader>,
    /// Why there is no link with a peer.
    troubles: BTreeMap<NodeId, String>,
    /// The disk of the data.
    disk: DiskSpace,
    /// What the journal's batches have cost.
    syncs: SyncTally,
}

impl Status {
    /// Of a shard that starts now.
    pub(super) fn start(now: Tick) -> Status {
        Status {
            started: now,
            leaders: BTreeMap::new(),
            troubles: BTreeMap::new(),
            disk: DiskSpace::default(),
            syncs: SyncTally::default(),
        }
    }

    pub(super) fn note_leaders(&mut self, leaders: impl IntoIterator<Item = ShardLeader>) {
        self.leaders = leaders.into_iter().map(|leader| (leader.shard, leader)).collect();
    }

    pub(super) fn note_syncs(&mut self, syncs: SyncTally) {
        self.syncs = syncs;
    }

    pub(super) fn note_disk(&mut self, disk: DiskSpace) {
        self.disk = disk;
    }

    pub(super) fn note_trouble(&mut self, node: NodeId, text: String) {
        self.troubles.insert(node, text);
    }

    /// The state of this shard on this node.
    pub(super) fn node_status(&self, now: Tick, core: &Core) -> StatusReply {
        StatusReply {
            node: core.options.paxos.me,
            cluster: core.options.cluster,
            version: core.options.version.clone(),
            uptime_ms: now.since(self.started) / 1_000,
            disk: self.disk,
            shard: self.shard_status(now, core),
        }
    }

    /// The shard's part of it.
    pub(super) fn shard_status(&self, now: Tick, core: &Core) -> ShardStatus {
        let replica = &core.replica;
        let chosen_upto = replica.chosen_upto();
        let peer = |(node, peer): (&NodeId, &paxos::Peer)| PeerStatus {
            node: *node,
            connected: peer.up,
            progress: replica.progress_of(*node, now).map(|upto| Progress {
                chosen_upto: upto,
                lag: chosen_upto.0.saturating_sub(upto.0),
            }),
            trouble: self.troubles.get(node).cloned().unwrap_or_default(),
        };
        ShardStatus {
            shard: core.options.shard,
            role: match replica.role() {
                paxos::Role::Follower => Role::Follower,
                paxos::Role::Canvassing(_) | paxos::Role::Candidate(_) => Role::Candidate,
                paxos::Role::Leader(_) => Role::Leader,
            },
            leader: replica.leader(),
            epoch: replica.promised(),
            promised: replica.promised(),
            durable_upto: core.journal.durable_upto().0,
            chosen_upto,
            applied_upto: core.machine.applied_upto(),
            trimmed_upto: core.journal.released_upto(),
            digest: core.machine.digest(),
            level: core.machine.levels().level(),
            known_level: core.options.paxos.known_level,
            logs: core.machine.logs().count() as u64,
            damaged_slots: replica.damaged_slots() as u64,
            segments: core.journal.segments(),
            disk_bytes: core.journal.disk_bytes(),
            dead_bytes: core.keeping.dead_bytes,
            reserve_bytes: core.keeping.reserve_bytes,
            kept_for: core.keeping.stays.to_string(),
            has_room: core.journal.has_room(),
            caught_up: core.is_caught_up(now),
            syncs: self.syncs.count,
            sync_us: self.syncs.took_us,
            formed: replica.is_formed(),
            unmet: replica.unmet(),
            peers: replica.peers().iter().map(peer).collect(),
            installing: core.installing,
            absent_slots: core.absent.count(),
            fetched_values: core.absent.fetched(),
        }
    }

    /// Members, shards, leaders, as far as this node knows.
    pub(super) fn map(&self, core: &Core) -> ClusterMap {
        let member =
            |(node, address): (&NodeId, &String)| Member { node: *node, address: address.clone() };
        let leader = |shard: u16| {
            let shard = ShardId(shard);
            if shard == core.options.shard {
                return core.leader();
            }
            let unknown = ShardLeader { shard, epoch: Ballot::ZERO, node: None };
            self.leaders.get(&shard).copied().unwrap_or(unknown)
        };
        ClusterMap {
            cluster: core.options.cluster,
            shards: core.options.shards,
            members: core.options.addresses.iter().map(member).collect(),
            leaders: (0..core.options.shards).map(leader).collect(),
        }
    }
}
