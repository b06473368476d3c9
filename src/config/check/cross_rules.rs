//! Rules between keys: quorums that intersect, heartbeats within leases, values that fit.

use super::{Checker, Sourced};
use crate::config::fault::ConfigPlace;
use crate::config::{Bounds, QuorumConfig, TimingConfig, value_bytes_max};
use crate::limits;

/// Room that a segment needs beside one largest value: its header, descriptors, batch headers.
const SEGMENT_OVERHEAD_BYTES: u64 = 256 << 10;

impl Checker<'_> {
    /// The sizes of the quorums, which have a member in common (FPaxos).
    pub(super) fn quorums(&mut self) -> Option<QuorumConfig> {
        // How many members there are may be unknown: then no size is compared with their number.
        let members =
            if self.raw.unreadable.member_list { 0 } else { self.raw.members.len() as u64 };
        let majority = members / 2 + 1;
        let prepare = self.quorum("quorum_prepare", majority, members);
        let accept = self.quorum("quorum_accept", majority, members);
        let (prepare, accept) = (prepare?, accept?);
        if members > 0 && prepare.value + accept.value <= members {
            let rule = format!(
                "quorums do not intersect: prepare {} + accept {} must be more than {members} \
                 members",
                shown(&prepare),
                shown(&accept)
            );
            let (name, blamed) = match accept.place.is_nearer(&prepare.place) {
                true => ("quorum_accept", &accept),
                false => ("quorum_prepare", &prepare),
            };
            self.broken(name, blamed, rule);
        }
        let size = |size: &Sourced<u64>| u16::try_from(size.value).ok();
        Some(QuorumConfig { prepare: size(&prepare)?, accept: size(&accept)? })
    }

    /// One quorum's size, which is at most that of the cluster.
    fn quorum(&mut self, name: &'static str, majority: u64, members: u64) -> Option<Sourced<u64>> {
        if self.is_absent(name) {
            let found = majority.to_string();
            return Some(Sourced { value: majority, place: ConfigPlace::Absent, found });
        }
        let size = self.whole(name)?;
        if size.value > members && members > 0 {
            let rule = format!("must be at most the number of members, {members}");
            self.broken(name, &size, rule);
            return None;
        }
        Some(size)
    }

    /// Lease and election times: a lease outlives the loss of a heartbeat.
    pub(super) fn timing(&mut self) -> Option<TimingConfig> {
        let leases = self.flag("leases");
        let lease = self.whole("lease_ms");
        let drift = self.whole("lease_drift_percent");
        let heartbeat = self.whole("heartbeat_ms");
        let jitter = self.whole("election_jitter_ms");
        let stall = self.whole("disk_stall_ms");
        let skew = self.whole("clock_skew_max_ms");
        let (lease, heartbeat) = (lease?, heartbeat?);
        if heartbeat.value * 3 > lease.value {
            if lease.place.is_nearer(&heartbeat.place) {
                let rule = format!(
                    "must be at least 3 times heartbeat_ms = {}, or one lost heartbeat ends a lease",
                    shown(&heartbeat)
                );
                self.broken("lease_ms", &lease, rule);
            } else {
                let rule = format!(
                    "must be at most a third of lease_ms = {}, or one lost heartbeat ends a lease",
                    shown(&lease)
                );
                self.broken("heartbeat_ms", &heartbeat, rule);
            }
        }
        Some(TimingConfig {
            leases: leases?,
            lease_ms: lease.value,
            lease_drift_percent: drift?.value,
            heartbeat_ms: heartbeat.value,
            election_jitter_ms: jitter?.value,
            disk_stall_ms: stall?.value,
            clock_skew_max_ms: skew?.value,
        })
    }

    /// Bounds: what one of them allows fits the others.
    pub(super) fn bounds(&mut self) -> Option<Bounds> {
        let window_slots = self.whole("window_slots");
        let window = self.whole("window_bytes");
        let entry = self.whole("entry_bytes_max");
        let append = self.whole("append_bytes_max");
        let segment = self.whole("segment_bytes");
        let min_free = self.whole("min_free_bytes");
        let catchup = self.whole("catchup_bytes");
        let connections = self.whole("connections_max");
        let per_address = self.whole("connections_per_address_max");
        if let (Some(entry), Some(append)) = (&entry, &append) {
            let room = append.value.saturating_sub(limits::ENTRY_PREFIX_BYTES as u64);
            if entry.value > room {
                let prefix = limits::ENTRY_PREFIX_BYTES;
                if append.place.is_nearer(&entry.place) {
                    let rule = format!(
                        "must hold an entry and its prefix of {prefix} bytes: entry_bytes_max = {}",
                        shown(entry)
                    );
                    self.broken("append_bytes_max", append, rule);
                } else {
                    let rule = format!(
                        "an entry and its prefix of {prefix} bytes must fit append_bytes_max = {}",
                        shown(append)
                    );
                    self.broken("entry_bytes_max", entry, rule);
                }
            }
        }
        if let Some(append) = &append {
            self.value_fits(append, window.as_ref(), segment.as_ref());
        }
        if let (Some(connections), Some(shards)) = (&connections, &self.whole("shards")) {
            self.clients_fit(connections, shards);
        }
        let bytes = |value: Option<Sourced<u64>>| usize::try_from(value?.value).ok();
        Some(Bounds {
            window_slots: window_slots?.value,
            window_bytes: bytes(window)?,
            entry_bytes_max: bytes(entry)?,
            append_bytes_max: bytes(append)?,
            segment_bytes: segment?.value,
            min_free_bytes: min_free?.value,
            catchup_bytes: catchup?.value,
            connections_max: bytes(connections)?,
            connections_per_address_max: bytes(per_address)?,
        })
    }

    /// Checks that two clients fit, each with a connection to every shard: with less, a command that
    /// asks all shards could not run beside a single other client.
    fn clients_fit(&mut self, connections: &Sourced<u64>, shards: &Sourced<u64>) {
        let least = 2 * shards.value;
        if connections.value < least {
            let rule = format!(
                "must be at least twice shards = {}, {least}: a client has a connection to each shard",
                shown(shards)
            );
            self.broken("connections_max", connections, rule);
        }
    }

    /// Checks that the largest value fits the window, or it could never be proposed, and a segment, or
    /// it could never be written.
    fn value_fits(
        &mut self,
        append: &Sourced<u64>,
        window: Option<&Sourced<u64>>,
        segment: Option<&Sourced<u64>>,
    ) {
        let most = usize::try_from(append.value).unwrap_or(usize::MAX);
        let value = value_bytes_max(most) as u64;
        if let Some(window) = window {
            self.holds("window_bytes", window, value, append, value);
        }
        let Some(segment) = segment else { return };
        if segment.value % limits::BLOCK_BYTES as u64 != 0 {
            let rule = format!("must be a multiple of {}", limits::BLOCK_BYTES);
            self.broken("segment_bytes", segment, rule);
        }
        self.holds("segment_bytes", segment, value + SEGMENT_OVERHEAD_BYTES, append, value);
    }

    /// Checks that the largest value and its overhead fit; the fault goes to the key that was set last.
    fn holds(
        &mut self,
        name: &str,
        room: &Sourced<u64>,
        least: u64,
        append: &Sourced<u64>,
        value: u64,
    ) {
        if room.value >= least {
            return;
        }
        let overhead = match least > value {
            true => format!(", and its overhead: at least {least}"),
            false => String::new(),
        };
        if append.place.is_nearer(&room.place) {
            let rule = format!(
                "makes the largest value {value} bytes, and {name} = {} must hold it{overhead}",
                shown(room)
            );
            self.broken("append_bytes_max", append, rule);
        } else {
            let rule = format!(
                "must hold the largest value, {value} bytes with append_bytes_max = \
                 {}{overhead}",
                shown(append)
            );
            self.broken(name, room, rule);
        }
    }
}

/// A value as the rule of another key shows it.
fn shown(value: &Sourced<u64>) -> String {
    match value.place {
        ConfigPlace::Absent => format!("{}, the default", value.value),
        ConfigPlace::Line(_) | ConfigPlace::Env(_) => value.value.to_string(),
    }
}
