//! What every thread of a node knows and none changes, and the status board that all share.

use super::admission::Admission;
use crate::config::Config;
use crate::journal::Identity;
use crate::limits;
use crate::types::{NodeId, ShardId, Slot};
use crate::wire::hello::{HelloReply, Limits};
use crate::wire::peer_hello::{
    Host, PEER_VERSION_MAX, PEER_VERSION_MIN, PeerHello, PeerWelcome, SharedLimits, members_digest,
};
use crate::wire::status::{ClusterMap, Member, Role, ShardLeader, ShardStatus, StatusReply};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The program's version, for people.
pub const PROGRAM: &str = concat!("paxosd ", env!("CARGO_PKG_VERSION"));

/// What every thread of a node knows.
#[derive(Debug)]
pub struct Facts {
    /// The configuration.
    pub config: Config,
    /// Whose the data directory is.
    pub identity: Identity,
    /// What peers' greetings are judged by.
    pub host: Host,
    /// What clients may send.
    pub limits: Limits,
    /// Counts the clients.
    pub admission: Arc<Admission>,
    /// The status board.
    pub board: Board,
    started: Instant,
}

impl Facts {
    /// The facts of a node.
    #[must_use]
    pub fn new(config: Config, identity: Identity) -> Facts {
        let bounds = &config.bounds;
        let limits = Limits {
            frame_bytes_max: number(limits::FRAME_BYTES_MAX),
            entry_bytes_max: number(bounds.entry_bytes_max),
            append_bytes_max: number(bounds.append_bytes_max),
            append_entries_max: number(limits::APPEND_ENTRIES_MAX),
            read_bytes_max: number(limits::READ_BYTES_MAX),
            read_entries_max: number(limits::READ_ENTRIES_MAX),
            requests_max: number(limits::CONN_REQUESTS_MAX),
            read_wait_ms_max: limits::READ_WAIT_MS_MAX,
        };
        let shared = SharedLimits {
            entry_bytes_max: limits.entry_bytes_max,
            append_bytes_max: limits.append_bytes_max,
            value_bytes_max: number(config.value_bytes_max()),
            shards: config.shards,
            prepare_quorum: config.quorums.prepare,
            accept_quorum: config.quorums.accept,
            members: members_digest(config.members.keys().copied()),
        };
        let members = config.members.keys().copied().collect();
        let host = Host { cluster: config.cluster, node: config.node, members, shared };
        let admission =
            Admission::new(bounds.connections_max, bounds.connections_per_address_max);
        let board = Board::new(config.shards);
        Facts { config, identity, host, limits, admission, board, started: Instant::now() }
    }

    /// The answer to a client's Hello.
    #[must_use]
    pub fn welcome(&self, version: u16) -> HelloReply {
        HelloReply {
            version,
            cluster: self.config.cluster,
            node: self.config.node,
            shards: self.config.shards,
            features: 0,
            limits: self.limits,
            server: PROGRAM.to_string(),
        }
    }

    /// Our greeting of a peer.
    #[must_use]
    pub fn peer_hello(&self, target: NodeId, shard: ShardId) -> PeerHello {
        PeerHello {
            version_min: PEER_VERSION_MIN,
            version_max: PEER_VERSION_MAX,
            cluster: self.config.cluster,
            node: self.config.node,
            target,
            incarnation: self.identity.incarnation,
            shard,
            features: 0,
            shared: self.host.shared,
        }
    }

    /// Our answer to a peer's greeting.
    #[must_use]
    pub fn peer_welcome(&self, version: u16) -> PeerWelcome {
        let incarnation = self.identity.incarnation;
        PeerWelcome { version, node: self.config.node, incarnation, features: 0 }
    }

    /// The answer to Status, with the answering shard's state.
    #[must_use]
    pub fn status(&self, shard: ShardStatus) -> StatusReply {
        StatusReply {
            node: self.config.node,
            cluster: self.config.cluster,
            version: PROGRAM.to_string(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            shard,
        }
    }

    /// The answer to Map: `fresh` is what the answering shard knows now, the others are taken from
    /// the board.
    #[must_use]
    pub fn map(&self, fresh: &ShardStatus) -> ClusterMap {
        let members = self.config.members.values();
        let leaders = (0..self.config.shards).map(ShardId).map(|shard| {
            if shard == fresh.shard {
                return ShardLeader { shard, epoch: fresh.epoch, node: fresh.leader };
            }
            let seen = self.board.shard(shard);
            ShardLeader { shard, epoch: seen.epoch, node: seen.leader }
        });
        ClusterMap {
            cluster: self.config.cluster,
            shards: self.config.shards,
            members: members
                .map(|member| Member { node: member.id, address: member.client.to_string() })
                .collect(),
            leaders: leaders.collect(),
        }
    }
}

/// A bound of [`limits`] as it goes on the wire.
fn number(bound: usize) -> u32 {
    u32::try_from(bound).expect("every bound of limits.rs and of a checked configuration is small")
}

/// What the shards' threads tell the rest of the node. Nothing on the path of a request waits here.
#[derive(Debug)]
pub struct Board {
    shards: Vec<Mutex<ShardStatus>>,
    /// What went wrong at the ports, since the start.
    pub counters: Counters,
}

/// Counters of the node, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections turned away by a cap.
    pub turned_away: AtomicU64,
    /// Connections closed because they did not greet, or finish a frame, in time.
    pub too_slow: AtomicU64,
    /// Connections closed because of bytes that make no sense, clients' and peers'.
    pub garbage: AtomicU64,
    /// Connections closed because their output was over its bound.
    pub overflowed: AtomicU64,
    /// Greetings of clients and peers that were refused.
    pub refused: AtomicU64,
}

/// Adds one to a counter.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Board {
    fn new(shards: u16) -> Board {
        let shards = (0..shards).map(|shard| Mutex::new(unknown(ShardId(shard)))).collect();
        Board { shards, counters: Counters::default() }
    }

    /// The last state that a shard published.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> ShardStatus {
        self.shards[usize::from(shard.0)].lock().clone()
    }

    /// Publishes a shard's state.
    pub fn publish(&self, status: ShardStatus) {
        let mut place = self.shards[usize::from(status.shard.0)].lock();
        *place = status;
    }
}

/// The state of a shard that has not said anything yet.
fn unknown(shard: ShardId) -> ShardStatus {
    ShardStatus {
        shard,
        role: Role::Follower,
        leader: None,
        epoch: crate::types::Ballot::ZERO,
        promised: crate::types::Ballot::ZERO,
        durable_upto: 0,
        chosen_upto: Slot(0),
        applied_upto: Slot(0),
        trimmed_upto: Slot(0),
        digest: 0,
        logs: 0,
        damaged_slots: 0,
        segments: 0,
        disk_bytes: 0,
        has_room: true,
        peers: Vec::new(),
    }
}
