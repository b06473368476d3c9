//! Configuration: [`RawConfig`] as typed, [`Config`] as checked.
//!
//! Every key has one line in the table of [`keys`]; `paxosd.toml` in the repository root documents
//! each. All faults of a configuration are reported at once, with key, place, value and rule.

mod changes;
mod check;
mod collisions;
mod fault;
mod file;
pub mod keys;
mod member;
mod raw;
mod recover;
#[cfg(test)]
mod tests;
mod text;
mod unreadable;
pub mod variables;

pub use changes::changes;
pub use check::check;
pub use collisions::{Listener, ListenerPort};
pub use fault::{ConfigError, ConfigFault, ConfigFaults, ConfigPlace};
pub use member::{KnownMember, MemberConfig};
pub use raw::{RawConfig, RawMember, Typed, TypedValue};
pub use unreadable::{UnreadableKeys, UnreadableParts};

pub use crate::types::{ADMIN_PORT, Address, CLIENT_PORT, PEER_PORT};

use crate::limits;
use crate::types::{ClusterId, NodeId};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Sizes of the two quorums; every prepare quorum meets every accept quorum (Flexible Paxos).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    /// Members that must promise.
    pub prepare: u16,
    /// Members that must accept.
    pub accept: u16,
}

/// Lease and election times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimingConfig {
    /// Leaders hold leases. Without them a quorum round confirms every linearizable read (C19).
    pub leases: bool,
    /// Length of a lease, as granted.
    pub lease_ms: u64,
    /// By how much two clocks may differ in speed: the holder's lease is shorter by this.
    pub lease_drift_percent: u64,
    /// Time between two heartbeats of a leader.
    pub heartbeat_ms: u64,
    /// Longest random delay before a candidate canvasses.
    pub election_jitter_ms: u64,
    /// A leader whose disk makes nothing durable for this long hands over; 0 for never.
    pub disk_stall_ms: u64,
    /// Values are stamped within this of the median of the members' clocks (C28).
    pub clock_skew_max_ms: u64,
}

/// Bounds that an operator may set, within those of [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Slots proposed beyond the contiguous chosen prefix (α).
    pub window_slots: u64,
    /// Bytes of values in open slots.
    pub window_bytes: usize,
    /// Bytes of one entry; equal on all nodes (R38).
    pub entry_bytes_max: usize,
    /// Bytes of one append's entries with their prefixes; equal on all nodes (R38).
    pub append_bytes_max: usize,
    /// Bytes of one segment of the write-ahead log.
    pub segment_bytes: u64,
    /// Below this much free space appends are refused (R11).
    pub min_free_bytes: u64,
    /// Of the write-ahead logs that need not be kept, so many bytes stay for members that were away (C26).
    pub catchup_bytes: u64,
    /// Client connections in all.
    pub connections_max: usize,
    /// Client connections from one address.
    pub connections_per_address_max: usize,
}

/// A configuration that was checked as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster, equal on all nodes, never all zeros.
    pub cluster: ClusterId,
    /// This node, one of the members.
    pub node: NodeId,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Shards of the cluster.
    pub shards: u16,
    /// Members by id, this node among them.
    pub members: BTreeMap<NodeId, MemberConfig>,
    /// Where this node listens for clients.
    pub listen: Address,
    /// Where this node listens for peers.
    pub listen_peer: Address,
    /// Where this node listens for those who watch it; nothing where that is turned off.
    pub listen_admin: Option<Address>,
    /// How many members a decision of each phase needs.
    pub quorums: QuorumConfig,
    /// Lease and election times.
    pub timing: TimingConfig,
    /// Bounds on the window, entries, appends, segments and connections.
    pub bounds: Bounds,
    /// Pin each shard's thread to a core of its own.
    pub pin: bool,
    /// Let a shard's thread do a sync itself while nothing else waits.
    pub sync_inline: bool,
    /// A clean stop takes no longer than this.
    pub stop_timeout_ms: u64,
    /// A sync that takes this long is logged; 0 for none.
    pub slow_sync_ms: u64,
    /// A request that is answered after this long is logged; 0 for none.
    pub slow_request_ms: u64,
    /// While members' states differ, and no majority agrees with the leader's, it takes plain appends.
    pub appends_in_dispute: bool,
    /// Most detailed level that is logged.
    pub log_level: log::LevelFilter,
}

impl Config {
    /// Reads, overrides and checks a configuration file. Also returns the `PAXOSD_…` variables
    /// that name no key, for a warning.
    ///
    /// # Errors
    /// The file cannot be read, or every rule that is broken.
    pub fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Config, Vec<String>), ConfigError> {
        let mut raw = RawConfig::from_file(path, variables)?;
        let unknown = std::mem::take(&mut raw.unknown_variables);
        let file = path.display().to_string();
        let config = check(raw).map_err(|faults| ConfigFaults { file, faults })?;
        Ok((config, unknown))
    }

    /// This node's own entry among the members.
    ///
    /// # Panics
    /// Never for a checked configuration.
    #[must_use]
    pub fn own(&self) -> &MemberConfig {
        self.members.get(&self.node).expect("a checked configuration lists its own node")
    }

    /// A link with a peer on which nothing arrives for this long is dead: two leases, within bounds.
    /// An attempt to make one has as much time. Both are over soon after a network that was cut is
    /// whole again, so that no outage is longer than it takes to elect a leader.
    #[must_use]
    pub fn link_silence(&self) -> Duration {
        let leases = 2 * self.timing.lease_ms;
        let bounds = (limits::LINK_SILENCE_MS_MIN, limits::LINK_SILENCE_MS_MAX);
        Duration::from_millis(leases.clamp(bounds.0, bounds.1))
    }

    /// Most bytes of values in open slots: so many that a successor can settle them twice over from the
    /// segment that a full disk keeps in reserve (R11).
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        let reserve = usize::try_from(self.bounds.segment_bytes).unwrap_or(usize::MAX);
        self.bounds.window_bytes.min(reserve / 8 * 3)
    }

    /// Most bytes of a value: a full batch, one more append of the largest size, and headers.
    #[must_use]
    pub fn value_bytes_max(&self) -> usize {
        value_bytes_max(self.bounds.append_bytes_max)
    }
}

fn value_bytes_max(append_bytes_max: usize) -> usize {
    limits::VALUE_BYTES_MAX - limits::APPEND_BYTES_MAX + append_bytes_max
}
