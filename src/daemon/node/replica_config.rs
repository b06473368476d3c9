//! What the replicas of a node rest on, out of its checked configuration.

use crate::config::Config;
use crate::daemon::clock;
use crate::journal::Identity;
use crate::paxos;

/// The configuration of a node's replicas; `seed` is for the randomness of one life.
#[must_use]
pub fn paxos_config(config: &Config, identity: &Identity, seed: u64) -> paxos::Config {
    let members = config.members.keys().copied().collect();
    let timing = &config.timing;
    let lease_us = timing.lease_ms * 1000;
    paxos::Config {
        quorums: paxos::Quorums {
            prepare: usize::from(config.quorums.prepare),
            accept: usize::from(config.quorums.accept),
        },
        timing: paxos::Timing {
            lease_us: if timing.leases { lease_us } else { 0 },
            drift_percent: timing.lease_drift_percent,
            heartbeat_us: timing.heartbeat_ms * 1000,
            // A follower stands when the grant of a silent leader has run out, and not before.
            election_us: lease_us,
            jitter_us: timing.election_jitter_ms * 1000,
            stall_us: timing.disk_stall_ms * 1000,
            ..paxos::Timing::default()
        },
        window_slots: config.bounds.window_slots,
        window_bytes: config.window_bytes(),
        seed,
        nonce: clock::entropy(),
        ..paxos::Config::new(config.node, identity.incarnation, members)
    }
}
