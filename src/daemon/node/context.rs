//! What every thread of a node knows and none changes.

use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::net::admission::Admission;
use crate::daemon::node::descriptors::Descriptors;
use crate::daemon::node::live::Live;
use crate::daemon::watch::status_board::StatusBoard;
use crate::journal::Identity;
use crate::limits;
use crate::types::{ConfigurationNumber, NodeId, ShardId};
use crate::wire::client::hello::{HelloReply, Limits};
use crate::wire::peer::hello::{
    Host, PEER_VERSION_MAX, PEER_VERSION_MIN, PeerHello, PeerWelcome, SharedConfiguration,
    SharedLimits, members_digest,
};
use std::sync::Arc;

pub use crate::daemon::watch::status_board::count;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The program's name and version, for people.
pub const PROGRAM: &str = concat!("paxosd ", env!("CARGO_PKG_VERSION"));

/// What every thread of a node knows.
#[derive(Debug)]
pub struct NodeContext {
    /// The configuration.
    pub config: Config,
    /// Whose the data directory is.
    pub identity: Identity,
    /// What peers' greetings are judged by.
    pub host: Host,
    /// What clients may send.
    pub limits: Limits,
    /// How the process's descriptors are shared out.
    pub descriptors: Descriptors,
    /// Counts the clients.
    pub admission: Arc<Admission>,
    /// The status board.
    pub board: StatusBoard,
    /// Settings that may change while the node runs.
    pub live: Arc<Live>,
}

impl NodeContext {
    /// The facts of a node.
    #[must_use]
    pub fn new(
        config: Config,
        identity: Identity,
        descriptors: Descriptors,
        live: Arc<Live>,
    ) -> NodeContext {
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
            window_slots: u32::try_from(bounds.window_slots).unwrap_or(u32::MAX),
            configuration: SharedConfiguration {
                number: ConfigurationNumber::FORMATION,
                prepare_quorum: config.quorums.prepare,
                accept_quorum: config.quorums.accept,
                members: members_digest(config.members.keys().copied()),
            },
        };
        let members = config.members.keys().copied().collect();
        let host = Host { cluster: config.cluster, node: config.node, members, shared };
        let clients_max = bounds.connections_max.min(descriptors.clients_max);
        let admission = Admission::new(clients_max, bounds.connections_per_address_max);
        let board = StatusBoard::new(config.shards, clock::now());
        NodeContext { config, identity, host, limits, descriptors, admission, board, live }
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
}

/// A bound of [`limits`] as it goes on the wire.
fn number(bound: usize) -> u32 {
    u32::try_from(bound).expect("every bound of limits.rs and of a checked configuration is small")
}
