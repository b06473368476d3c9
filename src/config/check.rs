//! From what was typed to what may be used: every rule, all faults at once.

use super::fault::{Fault, Place};
use super::keys::{self, KEYS, Key, Kind, MEMBER_KEYS};
use super::raw::{Given, RawConfig, RawMember, Typed};
use super::{ADMIN_PORT, Address, Bounds, CLIENT_PORT, Config, Member, PEER_PORT, Quorums, Timing};
use crate::limits;
use crate::types::{ClusterId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Room that a segment needs beside one largest value: its header, descriptors, batch headers.
const SEGMENT_OVERHEAD_BYTES: u64 = 256 << 10;

/// The value of `listen_admin` that turns the admin pages off.
const OFF: &str = "off";
/// Ports between a member's client port and the default of its admin port.
const ADMIN_PORT_AFTER_CLIENT: u16 = ADMIN_PORT - CLIENT_PORT;

/// Where a node listens.
struct Listeners {
    client: Address,
    peer: Address,
    admin: Option<Address>,
}

/// Checks a configuration as a whole.
///
/// # Errors
/// Every broken rule, in the order of the file, what is missing last.
pub fn check(raw: RawConfig) -> Result<Config, Vec<Fault>> {
    let mut checker = Checker { faults: raw.faults.clone(), raw: &raw };
    let config = checker.config();
    let mut faults = checker.faults;
    if raw.broken_syntax {
        // What seems missing may stand behind the broken line.
        faults.retain(|fault| fault.key.is_empty() || !fault.found.is_empty());
    }
    faults.sort();
    faults.dedup();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        Some(_) | None => {
            assert!(!faults.is_empty(), "a configuration without faults was not built");
            Err(faults)
        }
    }
}

/// A checked value and where it came from, for the rules between keys.
#[derive(Clone, Debug)]
struct Sourced<T> {
    value: T,
    place: Place,
    found: String,
}

struct Checker<'a> {
    raw: &'a RawConfig,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    /// Looks at everything; nothing where a fault stands in the way.
    fn config(&mut self) -> Option<Config> {
        let cluster = self.cluster();
        let members = self.members();
        let node = self.node(&members);
        let data_dir = self.data_dir();
        let shards = self.whole("shards");
        let listeners = self.listeners(&members, node);
        // With a broken line nobody knows how many members there are.
        let members_known = if self.raw.broken_syntax { 0 } else { self.raw.members.len() };
        let quorums = self.quorums(members_known);
        let timing = self.timing();
        let bounds = self.bounds();
        let pin = self.flag("pin");
        let sync_inline = self.flag("sync_inline");
        let slow_sync = self.whole("slow_sync_ms");
        let slow_request = self.whole("slow_request_ms");
        let log_level = self.log_level();
        let listeners = listeners?;
        Some(Config {
            cluster: cluster?,
            node: node?,
            data_dir: data_dir?,
            shards: u16::try_from(shards?.value).ok()?,
            members,
            listen: listeners.client,
            listen_peer: listeners.peer,
            listen_admin: listeners.admin,
            quorums: quorums?,
            timing: timing?,
            bounds: bounds?,
            pin: pin?,
            sync_inline: sync_inline?,
            slow_sync_ms: slow_sync?.value,
            slow_request_ms: slow_request?.value,
            log_level: log_level?,
        })
    }

    fn fault(&mut self, place: Place, key: &str, found: &str, rule: impl Into<String>) {
        let (key, found, rule) = (key.to_string(), found.to_string(), rule.into());
        self.faults.push(Fault { place, key, found, rule });
    }

    fn broken<T>(&mut self, key: &str, value: &Sourced<T>, rule: impl Into<String>) {
        self.fault(value.place.clone(), key, &value.found, rule);
    }

    fn given(&self, name: &str) -> Option<&Given> {
        self.raw.keys.get(name)
    }

    /// A number within its bounds: as given, or its default. Nothing where it is absent without a
    /// default, or faulty.
    fn whole(&mut self, name: &'static str) -> Option<Sourced<u64>> {
        let key = keys::find(KEYS, name).expect("the checker asks for keys of the table");
        match (self.given(name).cloned(), key.kind) {
            (Some(given), _) => self.in_bounds(key, name, &given),
            (None, Kind::Whole { default, .. }) => {
                let value = default?;
                Some(Sourced { value, place: Place::Absent, found: value.to_string() })
            }
            (None, Kind::Flag { .. } | Kind::Text { .. }) => None,
        }
    }

    fn in_bounds(&mut self, key: &Key, path: &str, given: &Given) -> Option<Sourced<u64>> {
        let (Some(Typed::Whole(value)), Kind::Whole { min, max, .. }) = (&given.value, key.kind)
        else {
            return None;
        };
        if *value < min || *value > max {
            let rule = format!("must be from {min} to {max}");
            self.fault(given.place.clone(), path, &given.found, rule);
            return None;
        }
        Some(Sourced { value: *value, place: given.place.clone(), found: given.found.clone() })
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        let key = keys::find(KEYS, name).expect("the checker asks for keys of the table");
        match (self.given(name), key.kind) {
            (Some(Given { value: Some(Typed::Flag(flag)), .. }), _) => Some(*flag),
            (Some(_), _) => None,
            (None, Kind::Flag { default }) => Some(default),
            (None, Kind::Whole { .. } | Kind::Text { .. }) => None,
        }
    }

    fn text(&self, name: &str) -> Option<Sourced<String>> {
        sourced_text(self.given(name)?)
    }

    /// A text that must be there: a fault where it is absent.
    fn required(&mut self, name: &'static str, rule: &str) -> Option<Sourced<String>> {
        if self.given(name).is_none() {
            self.fault(Place::Absent, name, "", format!("is missing; {rule}"));
        }
        self.text(name)
    }

    fn cluster(&mut self) -> Option<ClusterId> {
        let rule = "must be 32 hexadecimal digits, the same on all nodes of the cluster and on no \
                    other; `openssl rand -hex 16` draws one";
        let text = self.required("cluster_id", rule)?;
        match text.value.parse::<ClusterId>() {
            Ok(ClusterId(0)) => {
                self.broken("cluster_id", &text, "must not be all zeros, which means any cluster");
                None
            }
            Ok(cluster) => Some(cluster),
            Err(reason) => {
                self.broken("cluster_id", &text, format!("{reason}; {rule}"));
                None
            }
        }
    }

    fn data_dir(&mut self) -> Option<std::path::PathBuf> {
        let text = self.required("data_dir", "names the directory that holds the node's data")?;
        if text.value.is_empty() || text.value.contains('\0') {
            self.broken("data_dir", &text, "must name a directory");
            return None;
        }
        Some(text.value.into())
    }

    fn log_level(&mut self) -> Option<log::LevelFilter> {
        let Some(given) = self.given("log_level") else { return Some(log::LevelFilter::Info) };
        let text = sourced_text(given)?;
        match text.value.as_str() {
            "error" => Some(log::LevelFilter::Error),
            "warn" => Some(log::LevelFilter::Warn),
            "info" => Some(log::LevelFilter::Info),
            "debug" => Some(log::LevelFilter::Debug),
            "trace" => Some(log::LevelFilter::Trace),
            _ => {
                self.broken("log_level", &text, "must be error, warn, info, debug or trace");
                None
            }
        }
    }

    /// The members without a fault of their own; the rules between them.
    fn members(&mut self) -> BTreeMap<NodeId, Member> {
        let raw = self.raw;
        if raw.members.is_empty() {
            let rule = "is missing; each member of the cluster needs a [[member]] with id, client \
                        and peer";
            self.fault(Place::Absent, "member", "", rule);
        }
        if raw.members.len() > limits::MEMBERS_MAX {
            let rule = format!("there may be at most {} members", limits::MEMBERS_MAX);
            let last = &raw.members[limits::MEMBERS_MAX];
            self.fault(last.place.clone(), "member", &raw.members.len().to_string(), rule);
        }
        let mut members = BTreeMap::new();
        let mut seen: BTreeMap<u64, String> = BTreeMap::new();
        let mut taken: BTreeMap<Address, String> = BTreeMap::new();
        for (i, member) in raw.members.iter().enumerate() {
            let path = format!("member[{}]", i + 1);
            let id = self.member_id(member, &path, &mut seen);
            let client = self.member_address(member, &path, "client", CLIENT_PORT, &mut taken);
            let peer = self.member_address(member, &path, "peer", PEER_PORT, &mut taken);
            if let (Some(id), Some(client), Some(peer)) = (id, client, peer) {
                members.insert(id, Member { id, client, peer });
            }
        }
        members
    }

    fn member_given(&mut self, member: &RawMember, path: &str, name: &str) -> Option<Given> {
        if !member.keys.contains_key(name) && !self.raw.broken_syntax {
            self.fault(member.place.clone(), &format!("{path}.{name}"), "", "is missing");
        }
        member.keys.get(name).cloned()
    }

    fn member_id(
        &mut self,
        member: &RawMember,
        path: &str,
        seen: &mut BTreeMap<u64, String>,
    ) -> Option<NodeId> {
        let given = self.member_given(member, path, "id")?;
        let key = keys::find(MEMBER_KEYS, "id").expect("id is a key of a member");
        let path = format!("{path}.id");
        let id = self.in_bounds(key, &path, &given)?;
        if let Some(first) = seen.get(&id.value) {
            let rule = format!("is the id of {first} already; each member needs its own");
            self.broken(&path, &id, rule);
            return None;
        }
        seen.insert(id.value, path);
        u16::try_from(id.value).ok().map(NodeId)
    }

    fn member_address(
        &mut self,
        member: &RawMember,
        path: &str,
        name: &str,
        default_port: u16,
        taken: &mut BTreeMap<Address, String>,
    ) -> Option<Address> {
        let given = self.member_given(member, path, name)?;
        let text = sourced_text(&given)?;
        let path = format!("{path}.{name}");
        let address = self.address(&path, &text, default_port)?;
        if address.ip().is_some_and(|ip| ip.is_unspecified()) {
            let rule = "must be an address that others can connect to; use listen or listen_peer \
                        to listen on all interfaces";
            self.broken(&path, &text, rule);
            return None;
        }
        if let Some(first) = taken.get(&address) {
            let rule = format!("is the address of {first} already");
            self.broken(&path, &text, rule);
            return None;
        }
        taken.insert(address.clone(), path);
        Some(address)
    }

    fn address(&mut self, key: &str, text: &Sourced<String>, port: u16) -> Option<Address> {
        match Address::parse(&text.value, port) {
            Ok(address) => Some(address),
            Err(rule) => {
                self.broken(key, text, rule);
                None
            }
        }
    }

    fn node(&mut self, members: &BTreeMap<NodeId, Member>) -> Option<NodeId> {
        if self.given("node_id").is_none() {
            let rule = "is missing; it says which [[member]] this node is";
            self.fault(Place::Absent, "node_id", "", rule);
        }
        let id = self.whole("node_id")?;
        let node = NodeId(u16::try_from(id.value).ok()?);
        let listed: BTreeSet<u64> = self.raw.members.iter().filter_map(listed_id).collect();
        // The member may stand behind the broken line.
        if !listed.contains(&id.value) && !self.raw.broken_syntax {
            let rule = "is not the id of any [[member]]";
            self.broken("node_id", &id, rule);
        }
        members.contains_key(&node).then_some(node)
    }

    /// Where this node listens: as given, or its own member's addresses.
    fn listeners(
        &mut self,
        members: &BTreeMap<NodeId, Member>,
        node: Option<NodeId>,
    ) -> Option<Listeners> {
        let own = node.and_then(|node| members.get(&node));
        let place = self.own_place(node);
        let client = self.listener("listen", CLIENT_PORT, own.map(|own| &own.client), &place);
        let peer = self.listener("listen_peer", PEER_PORT, own.map(|own| &own.peer), &place);
        let admin = self.admin_listener(members, own, &place);
        let (client, peer) = (client?, peer?);
        if client.1.overlaps(&peer.1) {
            let rule =
                format!("overlaps listen = {}; clients and peers need a port each", client.1);
            self.broken("listen_peer", &peer.0, rule);
        }
        let admin = admin?;
        for (name, other) in [("listen", &client.1), ("listen_peer", &peer.1)] {
            if let Some((text, _)) = admin.as_ref().filter(|admin| admin.1.overlaps(other)) {
                let rule =
                    format!("overlaps {name} = {other}; the admin pages need a port of their own");
                self.broken("listen_admin", text, rule);
            }
        }
        let admin = admin.map(|(_, address)| address);
        Some(Listeners { client: client.1, peer: peer.1, admin })
    }

    /// Where the admin pages are: as given, or on loopback two ports above the clients' one. The
    /// inner nothing means that they are turned off.
    fn admin_listener(
        &mut self,
        members: &BTreeMap<NodeId, Member>,
        own: Option<&Member>,
        own_place: &Place,
    ) -> Option<Option<(Sourced<String>, Address)>> {
        if self.text("listen_admin").is_some_and(|text| text.value == OFF) {
            return Some(None);
        }
        if self.given("listen_admin").is_some() {
            return self.listener("listen_admin", ADMIN_PORT, None, own_place).map(Some);
        }
        let client = &own?.client;
        let host = if client.is_loopback() { client.host.clone() } else { "127.0.0.1".to_string() };
        let found =
            Sourced { value: String::new(), place: own_place.clone(), found: String::new() };
        let Some(port) = client.port.checked_add(ADMIN_PORT_AFTER_CLIENT) else {
            let rule = format!(
                "has no default two ports above the clients' port {}; set it, or turn it off: \
                 listen_admin = \"{OFF}\"",
                client.port
            );
            self.broken("listen_admin", &found, rule);
            return None;
        };
        let address = Address { host, port };
        let taken = members.values().find(|other| other.client == address || other.peer == address);
        if let Some(taken) = taken {
            let rule = format!(
                "would be {address} by default, which is an address of member {}; set it to a port \
                 of its own, or turn it off: listen_admin = \"{OFF}\"",
                taken.id
            );
            self.broken("listen_admin", &found, rule);
            return None;
        }
        Some(Some((Sourced { found: format!("\"{address}\""), ..found }, address)))
    }

    fn listener(
        &mut self,
        name: &'static str,
        port: u16,
        own: Option<&Address>,
        own_place: &Place,
    ) -> Option<(Sourced<String>, Address)> {
        let (text, address) = match self.given(name) {
            Some(given) => {
                let text = sourced_text(given)?;
                let address = self.address(name, &text, port)?;
                (text, address)
            }
            None => {
                let own = own?;
                let (found, place) = (format!("\"{own}\""), own_place.clone());
                (Sourced { value: String::new(), place, found }, own.clone())
            }
        };
        if self.flag("insecure_listen") == Some(false) && !address.is_loopback() {
            let rule = "is not a loopback address, and there is no authentication yet: whoever \
                        reaches it may read and write; listen on loopback, or set \
                        insecure_listen = true";
            self.broken(name, &text, rule);
        }
        Some((text, address))
    }

    fn own_place(&self, node: Option<NodeId>) -> Place {
        let own = |member: &&RawMember| {
            node.is_some_and(|node| listed_id(member) == Some(u64::from(node.0)))
        };
        self.raw.members.iter().find(own).map_or(Place::Absent, |member| member.place.clone())
    }

    fn quorums(&mut self, members: usize) -> Option<Quorums> {
        let members = members as u64;
        let majority = members / 2 + 1;
        let mut sizes = Vec::new();
        for name in ["quorum_prepare", "quorum_accept"] {
            let found = majority.to_string();
            let size = match self.given(name) {
                Some(_) => self.whole(name)?,
                None => Sourced { value: majority, place: Place::Absent, found },
            };
            if size.value > members && members > 0 {
                let rule = format!("must be at most the number of members, {members}");
                self.broken(name, &size, rule);
                return None;
            }
            sizes.push(size);
        }
        let (accept, prepare) = (sizes.pop()?, sizes.pop()?);
        if members > 0 && prepare.value + accept.value <= members {
            let rule = format!(
                "quorums do not intersect: prepare {} + accept {} must be more than {members} \
                 members",
                prepare.value, accept.value
            );
            let (name, blamed) = match prepare.place {
                Place::Line(_) if overrides(&accept, &prepare) => ("quorum_accept", &accept),
                Place::Absent => ("quorum_accept", &accept),
                Place::Line(_) | Place::Env(_) => ("quorum_prepare", &prepare),
            };
            self.broken(name, blamed, rule);
        }
        let size = |size: &Sourced<u64>| u16::try_from(size.value).ok();
        Some(Quorums { prepare: size(&prepare)?, accept: size(&accept)? })
    }

    fn timing(&mut self) -> Option<Timing> {
        let leases = self.flag("leases");
        let lease = self.whole("lease_ms");
        let drift = self.whole("lease_drift_percent");
        let heartbeat = self.whole("heartbeat_ms");
        let jitter = self.whole("election_jitter_ms");
        let stall = self.whole("disk_stall_ms");
        let (lease, heartbeat) = (lease?, heartbeat?);
        if heartbeat.value * 3 > lease.value {
            let rule = format!(
                "must be at most a third of lease_ms = {}, or one lost heartbeat ends a lease",
                lease.value
            );
            if overrides(&lease, &heartbeat) {
                let rule = format!("must be at least 3 times heartbeat_ms = {}", heartbeat.value);
                self.broken("lease_ms", &lease, rule);
            } else {
                self.broken("heartbeat_ms", &heartbeat, rule);
            }
        }
        Some(Timing {
            leases: leases?,
            lease_ms: lease.value,
            lease_drift_percent: drift?.value,
            heartbeat_ms: heartbeat.value,
            election_jitter_ms: jitter?.value,
            disk_stall_ms: stall?.value,
        })
    }

    fn bounds(&mut self) -> Option<Bounds> {
        let window_slots = self.whole("window_slots");
        let window = self.whole("window_bytes");
        let entry = self.whole("entry_bytes_max");
        let append = self.whole("append_bytes_max");
        let segment = self.whole("segment_bytes");
        let min_free = self.whole("min_free_bytes");
        let connections = self.whole("connections_max");
        let per_address = self.whole("connections_per_address_max");
        if let (Some(entry), Some(append)) = (&entry, &append) {
            let room = append.value.saturating_sub(limits::ENTRY_PREFIX_BYTES as u64);
            if entry.value > room {
                let rule = format!(
                    "an entry and its prefix of {} bytes must fit append_bytes_max = {}",
                    limits::ENTRY_PREFIX_BYTES,
                    append.value
                );
                if overrides(append, entry) {
                    let rule = format!("must hold an entry of entry_bytes_max = {}", entry.value);
                    self.broken("append_bytes_max", append, rule);
                } else {
                    self.broken("entry_bytes_max", entry, rule);
                }
            }
        }
        if let Some(append) = &append {
            self.value_fits(append.value, window.as_ref(), segment.as_ref());
        }
        let bytes = |value: Option<Sourced<u64>>| usize::try_from(value?.value).ok();
        Some(Bounds {
            window_slots: window_slots?.value,
            window_bytes: bytes(window)?,
            entry_bytes_max: bytes(entry)?,
            append_bytes_max: bytes(append)?,
            segment_bytes: segment?.value,
            min_free_bytes: min_free?.value,
            connections_max: bytes(connections)?,
            connections_per_address_max: bytes(per_address)?,
        })
    }

    /// The largest value fits the window, or it could never be proposed, and a segment, or it
    /// could never be written.
    fn value_fits(
        &mut self,
        append: u64,
        window: Option<&Sourced<u64>>,
        segment: Option<&Sourced<u64>>,
    ) {
        let value = super::value_bytes_max(usize::try_from(append).unwrap_or(usize::MAX)) as u64;
        if let Some(window) = window.filter(|window| window.value < value) {
            let rule = format!(
                "must hold the largest value, {value} bytes with append_bytes_max = {append}"
            );
            self.broken("window_bytes", window, rule);
        }
        let Some(segment) = segment else { return };
        if segment.value % limits::BLOCK_BYTES as u64 != 0 {
            let rule = format!("must be a multiple of {}", limits::BLOCK_BYTES);
            self.broken("segment_bytes", segment, rule);
        }
        let least = value + SEGMENT_OVERHEAD_BYTES;
        if segment.value < least {
            let rule = format!(
                "must hold the largest value, {value} bytes with append_bytes_max = {append}, and \
                 its overhead: at least {least}"
            );
            self.broken("segment_bytes", segment, rule);
        }
    }
}

/// A variable that overrides the file is to blame before what the file says.
fn overrides(one: &Sourced<u64>, other: &Sourced<u64>) -> bool {
    let by_variable = |value: &Sourced<u64>| matches!(value.place, Place::Env(_));
    by_variable(one) && !by_variable(other)
}

fn sourced_text(given: &Given) -> Option<Sourced<String>> {
    let Some(Typed::Text(value)) = &given.value else { return None };
    Some(Sourced { value: value.clone(), place: given.place.clone(), found: given.found.clone() })
}

/// The id that a member was given, whether or not the rest of it is right.
fn listed_id(member: &RawMember) -> Option<u64> {
    match member.keys.get("id")?.value {
        Some(Typed::Whole(id)) => Some(id),
        Some(Typed::Flag(_) | Typed::Text(_)) | None => None,
    }
}
