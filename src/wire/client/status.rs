//! Status and cluster map as bytes.

use crate::api::status::{
    ClusterMap, DiskSpace, InstallPhase, InstallProgress, Member, PeerStatus, Progress, Role,
    ShardLeader, ShardStatus, StatusReply,
};
use crate::types::{NodeId, Slot};
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::{Field, ListLimit, Uncounted, message};

const PEERS: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 22 };
const UNMET: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 2 };
const MEMBERS: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 4 };
const LEADERS: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 14 };

message! {
    StatusReply { node, cluster, version, uptime_ms, disk, shard }
    DiskSpace {
        free_bytes = "disk_free_bytes",
        total_bytes = "disk_total_bytes",
        min_free_bytes = "disk_min_free_bytes",
    }
    ShardStatus {
        shard, role, leader, epoch, promised, durable_upto, chosen_upto as Uncounted,
        applied_upto as Uncounted, trimmed_upto as Uncounted, digest, logs, damaged_slots, segments,
        disk_bytes, dead_bytes, reserve_bytes, kept_for, has_room, caught_up, syncs, sync_us, formed,
        unmet as UNMET, peers as PEERS, level, known_level, installing, absent_slots, fetched_values,
    }
    PeerStatus { node, connected, progress, trouble }

    ClusterMap { cluster, shards, members as MEMBERS, leaders as LEADERS }
    Member { node, address }
    ShardLeader { shard, epoch, node = "leader" }
}

impl Field for Role {
    fn put(&self, body: &mut Vec<u8>) {
        body.put_u8(*self as u8);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Role, DecodeError> {
        match body.u8(field)? {
            0 => Ok(Role::Follower),
            1 => Ok(Role::Candidate),
            2 => Ok(Role::Leader),
            found => Err(DecodeError::Number { field, found: u64::from(found) }),
        }
    }
}

/// A bool says whether it is known; its numbers stand in either case.
impl Field for Option<Progress> {
    fn put(&self, body: &mut Vec<u8>) {
        self.is_some().put(body);
        self.map_or(0, |progress| progress.chosen_upto.0).put(body);
        self.map_or(0, |progress| progress.lag).put(body);
    }

    fn take(body: &mut BodyReader<'_>, _: &'static str) -> Result<Option<Progress>, DecodeError> {
        let is_known = body.bool("known")?;
        let chosen_upto = Slot(body.u64("chosen_upto")?);
        let lag = body.u64("lag")?;
        Ok(is_known.then_some(Progress { chosen_upto, lag }))
    }
}

impl Field for InstallPhase {
    fn put(&self, body: &mut Vec<u8>) {
        body.put_u8(*self as u8);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<InstallPhase, DecodeError> {
        match body.u8(field)? {
            0 => Ok(InstallPhase::State),
            1 => Ok(InstallPhase::Extents),
            2 => Ok(InstallPhase::Making),
            found => Err(DecodeError::Number { field, found: u64::from(found) }),
        }
    }
}

/// A bool says whether there is one; its numbers stand in either case.
impl Field for Option<InstallProgress> {
    fn put(&self, body: &mut Vec<u8>) {
        let none = InstallProgress {
            source: NodeId(0),
            slot: Slot(0),
            phase: InstallPhase::State,
            bytes: 0,
            part_bytes: 0,
        };
        let shown = self.unwrap_or(none);
        self.is_some().put(body);
        body.put_u16(shown.source.0);
        shown.slot.0.put(body);
        shown.phase.put(body);
        shown.bytes.put(body);
        shown.part_bytes.put(body);
    }

    fn take(
        body: &mut BodyReader<'_>,
        _: &'static str,
    ) -> Result<Option<InstallProgress>, DecodeError> {
        let is_installing = body.bool("installing")?;
        let progress = InstallProgress {
            source: NodeId(body.u16("source")?),
            slot: Slot(body.u64("slot")?),
            phase: InstallPhase::take(body, "phase")?,
            bytes: body.u64("bytes")?,
            part_bytes: body.u64("part_bytes")?,
        };
        Ok(is_installing.then_some(progress))
    }
}
