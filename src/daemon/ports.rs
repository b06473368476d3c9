//! A node's ports, taken before the journal is replayed: what is wrong with any of them is told with
//! its key and its address, all at once.

use super::exit::{Exit, Failure};
use super::resolve::resolve;
use super::sockets::Bound;
use crate::config::{Address, Config, Known, Listener, Port};
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
    /// 75 where one is taken or a name does not resolve, 78 where an address is not this machine's
    /// or names turn out to be addresses in each other's way; all of that at once.
    pub fn bind(config: &Config) -> Result<Ports, Failure> {
        let peer = (config.members.len() > 1).then_some(&config.listen_peer);
        let typed = [
            (Port::Client, Some(&config.listen)),
            (Port::Peer, peer),
            (Port::Admin, config.listen_admin.as_ref()),
        ];
        let (mut resolved, mut failures) = (Vec::new(), Vec::new());
        for (port, address) in typed {
            let Some(address) = address else { continue };
            match resolve(address) {
                Ok(sockets) => resolved.push((listener(port, address, &sockets), sockets)),
                Err(error) => {
                    let text = format!("{} = {address}: {error}", port.key());
                    failures.push(Failure::new(Exit::Temporary, text));
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
                Err(failure) => failures.push(failure),
            }
        }
        all_well(failures)?;
        let mut take = |port| {
            let at = bound.iter().position(|(taken, _)| *taken == port)?;
            Some(bound.swap_remove(at).1)
        };
        let client = take(Port::Client).expect("the clients' port is always asked for");
        Ok(Ports { client, peer: take(Port::Peer), admin: take(Port::Admin) })
    }

    /// The port of a node without peers.
    #[must_use]
    pub fn of_single(client: Bound, admin: Option<Bound>) -> Ports {
        Ports { client, peer: None, admin }
    }
}

fn listener(port: Port, typed: &Address, sockets: &[SocketAddr]) -> Listener {
    let of = |socket: &SocketAddr| Address { host: socket.ip().to_string(), port: socket.port() };
    Listener { addresses: sockets.iter().map(of).collect(), ..Listener::at(port, typed) }
}

/// What the check of the configuration could not see: names that are addresses of others.
fn collisions(config: &Config, listeners: &[Listener]) -> Vec<Failure> {
    let members: Vec<Known> = config.members.values().map(Known::from).collect();
    let own = Known::from(config.own());
    let mut failures = Vec::new();
    for (i, listener) in listeners.iter().enumerate() {
        let overlaps = listeners[..i].iter().filter_map(|other| listener.overlap(other));
        let named = listener.typed.ip().is_none();
        let taken = named.then(|| listener.taken(listeners, &members, &own)).flatten();
        for rule in overlaps.chain(taken) {
            let text = format!("{} = {}: {rule}", listener.port.key(), listener.typed);
            failures.push(Failure::new(Exit::Config, text));
        }
    }
    failures
}

/// All failures as one: a faulty configuration is one whatever else may pass.
fn all_well(failures: Vec<Failure>) -> Result<(), Failure> {
    let exit = match failures.iter().any(|failure| failure.exit == Exit::Config) {
        true => Exit::Config,
        false => Exit::Temporary,
    };
    let texts: Vec<String> = failures.into_iter().map(|failure| failure.text).collect();
    match texts.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(exit, texts.join("\n"))),
    }
}
