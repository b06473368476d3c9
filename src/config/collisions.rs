//! Conflicts of listeners with each other and with members' addresses. They are looked for when a
//! configuration is checked, and again when the names in it are resolved.

use super::Address;
use super::member::KnownMember;
use std::net::IpAddr;

/// Which of a node's ports a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerPort {
    /// The clients'.
    Client,
    /// The peers'.
    Peer,
    /// The admin pages'.
    Admin,
}

impl ListenerPort {
    /// The key that says where it is.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            ListenerPort::Client => "listen",
            ListenerPort::Peer => "listen_peer",
            ListenerPort::Admin => "listen_admin",
        }
    }
}

/// One of a node's ports, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Which of the ports of the node it is.
    pub port: ListenerPort,
    /// The address as typed.
    pub typed: Address,
    /// Nobody said where.
    pub is_default: bool,
    /// What it takes: as typed, or what the name became.
    pub addresses: Vec<Address>,
}

impl Listener {
    /// A listener at an address as typed.
    #[must_use]
    pub fn at(port: ListenerPort, address: &Address) -> Listener {
        Listener {
            port,
            typed: address.clone(),
            is_default: false,
            addresses: vec![address.clone()],
        }
    }

    /// The rule that this listener breaks where it wants the port of another one.
    #[must_use]
    pub fn overlap(&self, other: &Listener) -> Option<String> {
        let shared = self
            .addresses
            .iter()
            .any(|address| other.addresses.iter().any(|other| address.overlaps(other)));
        let why = match (self.port, other.port) {
            (ListenerPort::Admin, _) | (_, ListenerPort::Admin) => {
                "the admin pages need a port of their own"
            }
            (
                ListenerPort::Client | ListenerPort::Peer,
                ListenerPort::Client | ListenerPort::Peer,
            ) => "clients and peers need a port each",
        };
        let default = if other.is_default { ", the default" } else { "" };
        shared.then(|| {
            format!(
                "overlaps {} = {}{default}{}; {why}",
                other.port.key(),
                other.typed,
                self.resolved(other)
            )
        })
    }

    /// What two listeners turned out to share, where a name hides it.
    fn resolved(&self, other: &Listener) -> String {
        let shared = self.addresses.iter().find(|one| other.addresses.contains(one));
        match shared.filter(|shared| **shared != self.typed || **shared != other.typed) {
            Some(shared) => format!(" at {shared}"),
            None => String::new(),
        }
    }

    /// The rule that this listener breaks where it wants an address at which the cluster looks for
    /// another port of this node, or for another member. An interface that is named by a wildcard
    /// is this node's own: members on other hosts are not in its way.
    #[must_use]
    pub fn taken(
        &self,
        all: &[Listener],
        members: &[KnownMember],
        own: &KnownMember,
    ) -> Option<String> {
        let mut taken = Vec::new();
        for member in members {
            let is_own = member.id.is_some() && member.id == own.id;
            let places =
                [(ListenerPort::Client, &member.client), (ListenerPort::Peer, &member.peer)];
            for (port, address) in places {
                let Some(address) = address else { continue };
                if is_own && (port == self.port || self.overlaps_at(port, all)) {
                    continue;
                }
                let here = is_own || is_here(address, own);
                if self.addresses.iter().any(|listened| takes(listened, address, here)) {
                    taken.push(described(port, address, member, is_own));
                }
            }
        }
        if taken.is_empty() {
            return None;
        }
        let taken = taken.join(" and ");
        Some(format!("takes {taken}; listen where the cluster expects nothing else"))
    }

    /// True when the listener at that port of this node is reported to be in the way already.
    fn overlaps_at(&self, port: ListenerPort, all: &[Listener]) -> bool {
        all.iter().any(|other| other.port == port && self.overlap(other).is_some())
    }
}

fn named(member: &KnownMember) -> String {
    member.id.map_or_else(|| "another member".to_string(), |id| format!("member {id}"))
}

fn described(port: ListenerPort, address: &Address, member: &KnownMember, is_own: bool) -> String {
    let kind = match port {
        ListenerPort::Client => "client",
        ListenerPort::Peer | ListenerPort::Admin => "peer",
    };
    let whose = if is_own { ", which is this node" } else { "" };
    format!("{address}, the {kind} address of {}{whose}", named(member))
}

/// True when a listener there would be at the address of a member; `here` says that the member is
/// on this host.
fn takes(listened: &Address, address: &Address, here: bool) -> bool {
    let wildcard = match (listened.ip(), address.ip()) {
        (Some(IpAddr::V4(any)), Some(IpAddr::V4(_)) | None) => any.is_unspecified(),
        (Some(IpAddr::V6(any)), _) => any.is_unspecified(),
        (Some(IpAddr::V4(_)), Some(IpAddr::V6(_))) | (None, _) => false,
    };
    listened.port == address.port && (same_host(listened, address) || (wildcard && here))
}

/// True when the address is on this host by what the configuration says.
fn is_here(address: &Address, own: &KnownMember) -> bool {
    let own = [&own.client, &own.peer];
    address.is_loopback() || own.into_iter().flatten().any(|own| same_host(own, address))
}

fn same_host(one: &Address, other: &Address) -> bool {
    one.host.eq_ignore_ascii_case(&other.host)
}
