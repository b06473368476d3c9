//! What a replica is given at its start: members, quorums, times, window.

use super::quorum::Quorums;
use crate::limits;
use crate::types::{FormatLevel, Incarnation, NodeId};
use std::collections::BTreeSet;

/// Times in microseconds, on each node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// The lease that a leader asks for; 0 turns leases off: reads then cost a quorum round.
    pub lease_us: u64,
    /// How much shorter the holder counts its lease than its grantors do, in percent: the bound on
    /// the drift between two clocks.
    pub drift_percent: u64,
    /// Interval of a leader's heartbeats.
    pub heartbeat_us: u64,
    /// Silence after which a follower canvasses (never before its grant has run out).
    pub election_us: u64,
    /// Random addition to the silence, so that two followers seldom canvass at once.
    pub jitter_us: u64,
    /// How long a leader's watermark waits for an accept that could carry it.
    pub chosen_upto_us: u64,
    /// After this an unanswered request is sent again, or elsewhere.
    pub retry_us: u64,
    /// A leader whose journal makes nothing durable for this long hands over; 0 for never.
    pub stall_us: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            lease_us: 300_000,
            drift_percent: 10,
            heartbeat_us: 60_000,
            election_us: 300_000,
            jitter_us: 100_000,
            chosen_upto_us: 1_000,
            retry_us: 150_000,
            stall_us: 2_000_000,
        }
    }
}

impl Timing {
    /// How long a holder may count on its lease, from before the request left.
    #[must_use]
    pub fn holder_us(&self) -> u64 {
        self.lease_us / 100 * (100 - self.drift_percent.min(100))
    }
}

/// What a replica is given at its start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The node that this replica is part of; a member.
    pub me: NodeId,
    /// This node's incarnation.
    pub incarnation: Incarnation,
    /// All members, this node included.
    pub members: BTreeSet<NodeId>,
    /// How many members a decision of each phase needs.
    pub quorums: Quorums,
    /// Leases, intervals and timeouts.
    pub timing: Timing,
    /// Most slots proposed beyond the contiguous chosen prefix (α).
    pub window_slots: u64,
    /// Most bytes of values proposed and not yet chosen.
    pub window_bytes: usize,
    /// The highest format level that this node's program knows: it is announced to peers (C44d).
    pub known_level: FormatLevel,
    /// Seed of the election's randomness.
    pub seed: u64,
    /// Names this life, beside its number: drawn anew at every start (C13).
    pub nonce: u64,
}

impl Config {
    /// A configuration with majorities, default times and limits.
    ///
    /// # Panics
    /// When `me` is no member.
    #[must_use]
    pub fn new(me: NodeId, incarnation: Incarnation, members: BTreeSet<NodeId>) -> Config {
        assert!(members.contains(&me), "node {me} is not among the members {members:?}");
        Config {
            me,
            incarnation,
            quorums: Quorums::majority(members.len()),
            members,
            timing: Timing::default(),
            window_slots: limits::WINDOW_SLOTS,
            window_bytes: limits::WINDOW_BYTES_MAX,
            known_level: FormatLevel::KNOWN,
            seed: u64::from(me.0),
            nonce: u64::from(me.0),
        }
    }
}
