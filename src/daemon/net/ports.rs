//! A node's ports, taken before the journal is replayed: what is wrong with any of them is reported
//! with its key and its address, all at once.

use crate::config::{Address, Config, KnownMember, Listener, ListenerPort};
use crate::daemon::exit::{FatalError, NodeExit};
use crate::daemon::net::resolve::{resolve_all, system_lookup};
use crate::daemon::net::sockets::{Bound, all_well};
use std::net::SocketAddr;

/// A node's ports, taken and not listening yet.
#[derive(Debug)]
pub struct Ports {
    /// The clients'.
    pub client: Bound,
    /// None where there are no peers.
    pub peer: Option<Bound>,
    /// None where the admin pages are turned off.
    pub admin: Option<Bound>,
}

impl Ports {
    /// Takes the ports of a configuration.
    ///
    /// # Errors
    /// 75 where one is taken, an address is not this host's at present, a name does not resolve, or
    /// names turn out to be addresses in each other's way, which may be other ones tomorrow; 78
    /// where no waiting helps. All of that at once.
    pub fn bind(config: &Config) -> Result<Ports, FatalError> {
        let peer = (config.members.len() > 1).then_some(&config.listen_peer);
        let typed = [
            (ListenerPort::Client, Some(&config.listen)),
            (ListenerPort::Peer, peer),
            (ListenerPort::Admin, config.listen_admin.as_ref()),
        ];
        let (mut resolved, mut failures) = (Vec::new(), Vec::new());
        let typed: Vec<(ListenerPort, &Address)> =
            typed.into_iter().filter_map(|(port, address)| Some((port, address?))).collect();
        let addresses: Vec<&Address> = typed.iter().map(|(_, address)| *address).collect();
        let found = resolve_all(&addresses, &system_lookup);
        for ((port, address), found) in typed.into_iter().zip(found) {
            match found {
                Ok(sockets) => resolved.push((listener(port, address, &sockets), sockets)),
                Err(error) => {
                    let text = format!("{} = {address}: {error}", port.key());
                    failures.push(FatalError::new(NodeExit::Temporary, text));
                }
            }
        }
        let listeners: Vec<Listener> =
            resolved.iter().map(|(listener, _)| listener.clone()).collect();
        failures.extend(collisions(config, &listeners));
        // Nothing is taken where something else has failed already.
        all_well(failures)?;
        let (mut bound, mut failures) = (Vec::new(), Vec::new());
        for (listener, sockets) in &resolved {
            match Bound::at(&listener.typed, listener.port.key(), sockets) {
                Ok(taken) => bound.push((listener.port, taken)),
                Err(failure) if listener.port == ListenerPort::Admin => {
                    let text = format!(
                        "{failure}; the admin pages need a port of their own: set listen_admin, or \
                         turn them off: listen_admin = \"off\""
                    );
                    failures.push(FatalError { text, ..failure });
                }
                Err(failure) => failures.push(failure),
            }
        }
        all_well(failures)?;
        let mut take = |port| {
            let at = bound.iter().position(|(taken, _)| *taken == port)?;
            Some(bound.swap_remove(at).1)
        };
        let client = take(ListenerPort::Client).expect("the clients' port is always asked for");
        Ok(Ports { client, peer: take(ListenerPort::Peer), admin: take(ListenerPort::Admin) })
    }

    /// The port of a node without peers.
    #[must_use]
    pub fn of_single(client: Bound, admin: Option<Bound>) -> Ports {
        Ports { client, peer: None, admin }
    }
}

fn listener(port: ListenerPort, typed: &Address, sockets: &[SocketAddr]) -> Listener {
    let of = |socket: &SocketAddr| Address { host: socket.ip().to_string(), port: socket.port() };
    Listener { addresses: sockets.iter().map(of).collect(), ..Listener::at(port, typed) }
}

/// What the check of the configuration could not see: names that are addresses of others.
fn collisions(config: &Config, listeners: &[Listener]) -> Vec<FatalError> {
    let members: Vec<KnownMember> = config.members.values().map(KnownMember::from).collect();
    let own = KnownMember::from(config.own());
    let mut failures = Vec::new();
    for (i, listener) in listeners.iter().enumerate() {
        let overlaps = listeners[..i].iter().filter_map(|other| listener.overlap(other));
        let named = listener.typed.ip().is_none();
        let taken = named.then(|| listener.taken(listeners, &members, &own)).flatten();
        for rule in overlaps.chain(taken) {
            let text = format!("{} = {}: {rule}", listener.port.key(), listener.typed);
            // Found here, it is of what a name resolves to, and not of what was typed.
            failures.push(FatalError::new(NodeExit::Temporary, text));
        }
    }
    failures
}
