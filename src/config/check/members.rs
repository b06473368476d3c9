//! The members, each by itself and beside the others, and which of them this node is.

use super::{Checker, sourced_text};
use crate::config::fault::ConfigPlace;
use crate::config::keys::{self, MEMBER_KEYS};
use crate::config::raw::{RawMember, Typed};
use crate::config::{Address, CLIENT_PORT, KnownMember, PEER_PORT};
use crate::limits;
use crate::types::NodeId;
use std::collections::BTreeMap;

impl Checker<'_> {
    /// Checks the members, each and beside the others, and returns what is known of them.
    pub(super) fn members(&mut self) -> Vec<KnownMember> {
        let raw = self.raw;
        if raw.members.is_empty() && !raw.unreadable.member_list {
            let rule = "is missing; each member of the cluster needs a [[member]] with id, client \
                        and peer";
            self.fault(ConfigPlace::Absent, "member", "", rule);
        }
        if raw.members.len() > limits::MEMBERS_MAX {
            let rule = format!("there may be at most {} members", limits::MEMBERS_MAX);
            let last = &raw.members[limits::MEMBERS_MAX];
            self.fault(last.place.clone(), "member", &raw.members.len().to_string(), rule);
        }
        let mut members = Vec::new();
        let mut seen: BTreeMap<u64, String> = BTreeMap::new();
        let mut taken: BTreeMap<Address, String> = BTreeMap::new();
        for (i, member) in raw.members.iter().enumerate() {
            let path = format!("member[{}]", i + 1);
            for name in MEMBER_KEYS.iter().map(|key| key.name) {
                if !member.keys.contains_key(name) && !raw.unreadable.of_member(i, name) {
                    let path = format!("{path}.{name}");
                    self.fault(member.place.clone(), &path, "", "is missing");
                }
            }
            let id = self.member_id(member, &path, &mut seen);
            let client = self.member_address(member, &path, "client", CLIENT_PORT, &mut taken);
            let peer = self.member_address(member, &path, "peer", PEER_PORT, &mut taken);
            members.push(KnownMember { place: member.place.clone(), id, client, peer });
        }
        members
    }

    fn member_id(
        &mut self,
        member: &RawMember,
        path: &str,
        seen: &mut BTreeMap<u64, String>,
    ) -> Option<NodeId> {
        let given = member.keys.get("id")?;
        let key = keys::find(MEMBER_KEYS, "id").expect("id is a key of a member");
        let path = format!("{path}.id");
        let id = self.in_bounds(key, &path, given)?;
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
        let given = member.keys.get(name)?;
        let text = sourced_text(given)?;
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

    /// Which member this node is.
    pub(super) fn node(&mut self) -> Option<NodeId> {
        if self.is_absent("node_id") {
            let rule = "is missing; it says which [[member]] this node is";
            self.fault(ConfigPlace::Absent, "node_id", "", rule);
        }
        let id = self.whole("node_id")?;
        // One whose id cannot be read may be this node.
        let listed: Option<Vec<u64>> = self.raw.members.iter().map(listed_id).collect();
        let known = !self.raw.members.is_empty() && !self.raw.unreadable.member_list;
        if listed.is_some_and(|listed| known && !listed.contains(&id.value)) {
            self.broken("node_id", &id, "is not the id of any [[member]]");
        }
        u16::try_from(id.value).ok().map(NodeId)
    }
}

/// The id that a member was given, whether or not the rest of it is right.
fn listed_id(member: &RawMember) -> Option<u64> {
    let Some(Typed::Whole(id)) = member.keys.get("id")?.value else { return None };
    (1..=u64::from(u16::MAX)).contains(&id).then_some(id)
}
