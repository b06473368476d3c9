//! Where this node listens: as given, or where its own member is; and nowhere that is taken.

use super::admin_default::admin_default;
use super::{Checker, Sourced, sourced_text};
use crate::config::collisions::{Listener, ListenerPort};
use crate::config::fault::ConfigPlace;
use crate::config::member::KnownMember;
use crate::config::{ADMIN_PORT, Address, CLIENT_PORT, PEER_PORT};

/// The value of `listen_admin` that turns the admin pages off.
const OFF: &str = "off";

/// Where a node listens.
pub(super) struct Listeners {
    pub(super) client: Address,
    pub(super) peer: Address,
    pub(super) admin: Option<Address>,
}

/// An address that is good by itself, and where it was set.
type Placed = (Sourced<String>, Address);

impl Checker<'_> {
    /// Where this node listens: as given, or its own member's addresses.
    pub(super) fn listeners(
        &mut self,
        members: &[KnownMember],
        own: Option<&KnownMember>,
    ) -> Option<Listeners> {
        let place = own.map_or(ConfigPlace::Absent, |own| own.place.clone());
        let own_client = own.and_then(|own| own.client.as_ref());
        let own_peer = own.and_then(|own| own.peer.as_ref());
        // Where the others look for this node: a host alone does not move it to another port.
        let port = |own: Option<&Address>, usual| own.map_or(usual, |own| own.port);
        let client_port = port(own_client, CLIENT_PORT);
        let client = self.listener("listen", client_port, own_client, &place);
        let peer_port = port(own_peer, PEER_PORT);
        let peer = self.listener("listen_peer", peer_port, own_peer, &place);
        let listened: Vec<u16> =
            [&client, &peer].into_iter().flatten().map(|(_, address)| address.port).collect();
        let admin = self.admin_listener(members, own, &listened, &place);
        self.collisions(client.as_ref(), peer.as_ref(), admin.as_ref(), members, own);
        let (client, peer, admin) = (client?.1, peer?.1, admin?.map(|(_, address)| address));
        Some(Listeners { client, peer, admin })
    }

    /// Listeners that are in each other's way, or at an address where the cluster expects another.
    fn collisions(
        &mut self,
        client: Option<&Placed>,
        peer: Option<&Placed>,
        admin: Option<&Option<Placed>>,
        members: &[KnownMember],
        own: Option<&KnownMember>,
    ) {
        let admin = admin.and_then(Option::as_ref);
        let placed: Vec<(ListenerPort, &Placed)> = [
            (ListenerPort::Client, client),
            (ListenerPort::Peer, peer),
            (ListenerPort::Admin, admin),
        ]
        .into_iter()
        .filter_map(|(port, placed)| Some((port, placed?)))
        .collect();
        // What is there by default has the member's line for its place, and was set by nobody.
        let set = |port: ListenerPort| {
            self.given(port.key()).map_or(ConfigPlace::Absent, |given| given.place.clone())
        };
        let places: Vec<ConfigPlace> = placed.iter().map(|(port, _)| set(*port)).collect();
        let at = |(placed, set): (&(ListenerPort, &Placed), &ConfigPlace)| Listener {
            is_default: *set == ConfigPlace::Absent,
            ..Listener::at(placed.0, &placed.1.1)
        };
        let listeners: Vec<Listener> = placed.iter().zip(&places).map(at).collect();
        for (i, listener) in listeners.iter().enumerate() {
            for (j, other) in listeners[..i].iter().enumerate() {
                let to_blame = places[j].is_nearer(&places[i]);
                let (blamed, at, other) =
                    if to_blame { (other, j, listener) } else { (listener, i, other) };
                if let Some(rule) = blamed.overlap(other) {
                    self.broken(blamed.port.key(), &placed[at].1.0, rule);
                }
            }
            // A default is where it should be, or a fault already.
            if listener.is_default {
                continue;
            }
            if let Some(rule) = own.and_then(|own| listener.taken(&listeners, members, own)) {
                self.broken(listener.port.key(), &placed[i].1.0, rule);
            }
        }
    }

    /// Where the admin pages are: as given, or where they are by default. The inner nothing means
    /// that they are turned off.
    fn admin_listener(
        &mut self,
        members: &[KnownMember],
        own: Option<&KnownMember>,
        listened: &[u16],
        own_place: &ConfigPlace,
    ) -> Option<Option<Placed>> {
        if self.text("listen_admin").is_some_and(|text| text.value == OFF) {
            return Some(None);
        }
        if self.given("listen_admin").is_some() {
            return self.listener("listen_admin", ADMIN_PORT, None, own_place).map(Some);
        }
        let own = own.filter(|_| self.is_absent("listen_admin"))?;
        let client = own.client.as_ref()?;
        let found =
            Sourced { value: String::new(), place: own_place.clone(), found: String::new() };
        let Some(address) = admin_default(own, client, listened, members) else {
            let rule = format!(
                "has no default: there is no free port above the clients' port {}; set it, or turn \
                 it off: listen_admin = \"{OFF}\"",
                client.port
            );
            self.broken("listen_admin", &found, rule);
            return None;
        };
        Some(Some((Sourced { found: format!("\"{address}\""), ..found }, address)))
    }

    fn listener(
        &mut self,
        name: &'static str,
        port: u16,
        own: Option<&Address>,
        own_place: &ConfigPlace,
    ) -> Option<Placed> {
        let (text, address) = match self.given(name) {
            Some(given) => {
                let text = sourced_text(given)?;
                if text.value.eq_ignore_ascii_case(OFF) {
                    let rule = match name == ListenerPort::Admin.key() {
                        true => "is no host; \"off\" in lower case turns the admin pages off",
                        false => "is no host; only listen_admin can be turned off",
                    };
                    self.broken(name, &text, rule);
                    return None;
                }
                let address = self.address(name, &text, port)?;
                (text, address)
            }
            None => {
                let own = own.filter(|_| self.is_absent(name))?;
                let (found, place) = (format!("\"{own}\""), own_place.clone());
                (Sourced { value: String::new(), place, found }, own.clone())
            }
        };
        if self.flag("insecure_listen") == Some(false) && !address.is_loopback() {
            let may = match name == ListenerPort::Admin.key() {
                true => "read metrics and status",
                false => "read, write and delete",
            };
            let rule = format!(
                "is not a loopback address, and there is no authentication yet: whoever reaches it \
                 may {may}; listen on loopback, or set insecure_listen = true"
            );
            self.broken(name, &text, rule);
        }
        Some((text, address))
    }
}
