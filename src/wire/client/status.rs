//! Status and cluster map as bytes.

use crate::api::status::{
    ClusterMap, DiskSpace, Member, PeerStatus, Progress, Role, ShardLeader, ShardStatus,
    StatusReply,
};
use crate::types::{NodeId, ShardId, Slot};
use crate::wire::codec::{DecodeError, ListLimit, Reader, Writer};

const PEERS: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 22 };
const UNMET: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 2 };
const MEMBERS: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 4 };
const LEADERS: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 14 };

pub(in crate::wire) fn put_status(body: &mut Vec<u8>, status: &StatusReply) {
    body.put_u16(status.node.0);
    body.put_cluster(status.cluster);
    body.put_text(&status.version);
    body.put_u64(status.uptime_ms);
    body.put_u64(status.disk.free_bytes);
    body.put_u64(status.disk.total_bytes);
    body.put_u64(status.disk.min_free_bytes);
    put_shard(body, &status.shard);
}

fn put_shard(body: &mut Vec<u8>, shard: &ShardStatus) {
    body.put_u16(shard.shard.0);
    body.put_u8(shard.role as u8);
    body.put_node_or_none(shard.leader);
    body.put_ballot(shard.epoch);
    body.put_ballot(shard.promised);
    body.put_u64(shard.durable_upto);
    body.put_u64(shard.chosen_upto.0);
    body.put_u64(shard.applied_upto.0);
    body.put_u64(shard.trimmed_upto.0);
    body.put_u64(shard.digest);
    body.put_u64(shard.logs);
    body.put_u64(shard.damaged_slots);
    body.put_u64(shard.segments);
    body.put_u64(shard.disk_bytes);
    body.put_bool(shard.has_room);
    body.put_bool(shard.caught_up);
    body.put_u64(shard.syncs);
    body.put_u64(shard.sync_us);
    body.put_bool(shard.formed);
    body.put_list(&shard.unmet, |body, node| body.put_u16(node.0));
    body.put_list(&shard.peers, |body, peer| {
        body.put_u16(peer.node.0);
        body.put_bool(peer.connected);
        body.put_bool(peer.progress.is_some());
        body.put_u64(peer.progress.map_or(0, |progress| progress.chosen_upto.0));
        body.put_u64(peer.progress.map_or(0, |progress| progress.lag));
        body.put_text(&peer.trouble);
    });
}

pub(in crate::wire) fn status(body: &mut Reader<'_>) -> Result<StatusReply, DecodeError> {
    Ok(StatusReply {
        node: NodeId(body.u16("node")?),
        cluster: body.cluster("cluster")?,
        version: body.text("version")?.to_string(),
        uptime_ms: body.u64("uptime_ms")?,
        disk: DiskSpace {
            free_bytes: body.u64("disk_free_bytes")?,
            total_bytes: body.u64("disk_total_bytes")?,
            min_free_bytes: body.u64("disk_min_free_bytes")?,
        },
        shard: shard(body)?,
    })
}

fn shard(body: &mut Reader<'_>) -> Result<ShardStatus, DecodeError> {
    Ok(ShardStatus {
        shard: ShardId(body.u16("shard")?),
        role: role(body)?,
        leader: body.node_or_none("leader")?,
        epoch: body.ballot("epoch")?,
        promised: body.ballot("promised")?,
        durable_upto: body.u64("durable_upto")?,
        chosen_upto: Slot(body.u64("chosen_upto")?),
        applied_upto: Slot(body.u64("applied_upto")?),
        trimmed_upto: Slot(body.u64("trimmed_upto")?),
        digest: body.u64("digest")?,
        logs: body.u64("logs")?,
        damaged_slots: body.u64("damaged_slots")?,
        segments: body.u64("segments")?,
        disk_bytes: body.u64("disk_bytes")?,
        has_room: body.bool("has_room")?,
        caught_up: body.bool("caught_up")?,
        syncs: body.u64("syncs")?,
        sync_us: body.u64("sync_us")?,
        formed: body.bool("formed")?,
        unmet: body.list("unmet", UNMET, |body| Ok(NodeId(body.u16("unmet")?)))?,
        peers: body.list("peers", PEERS, peer)?,
    })
}

fn role(body: &mut Reader<'_>) -> Result<Role, DecodeError> {
    match body.u8("role")? {
        0 => Ok(Role::Follower),
        1 => Ok(Role::Candidate),
        2 => Ok(Role::Leader),
        found => Err(DecodeError::Number { field: "role", found: u64::from(found) }),
    }
}

fn peer(body: &mut Reader<'_>) -> Result<PeerStatus, DecodeError> {
    let (node, connected) = (NodeId(body.u16("node")?), body.bool("connected")?);
    let known = body.bool("known")?;
    let progress = Progress { chosen_upto: Slot(body.u64("chosen_upto")?), lag: body.u64("lag")? };
    Ok(PeerStatus {
        node,
        connected,
        progress: known.then_some(progress),
        trouble: body.text("trouble")?.to_string(),
    })
}

pub(in crate::wire) fn put_map(body: &mut Vec<u8>, map: &ClusterMap) {
    body.put_cluster(map.cluster);
    body.put_u16(map.shards);
    body.put_list(&map.members, |body, member| {
        body.put_u16(member.node.0);
        body.put_text(&member.address);
    });
    body.put_list(&map.leaders, |body, leader| {
        body.put_u16(leader.shard.0);
        body.put_ballot(leader.epoch);
        body.put_node_or_none(leader.node);
    });
}

pub(in crate::wire) fn map(body: &mut Reader<'_>) -> Result<ClusterMap, DecodeError> {
    Ok(ClusterMap {
        cluster: body.cluster("cluster")?,
        shards: body.u16("shards")?,
        members: body.list("members", MEMBERS, |body| {
            Ok(Member {
                node: NodeId(body.u16("node")?),
                address: body.text("address")?.to_string(),
            })
        })?,
        leaders: body.list("leaders", LEADERS, |body| {
            Ok(ShardLeader {
                shard: ShardId(body.u16("shard")?),
                epoch: body.ballot("epoch")?,
                node: body.node_or_none("leader")?,
            })
        })?,
    })
}
