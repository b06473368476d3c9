//! Names become addresses on a thread of their own: a resolver may take seconds, and the helper
//! that prepares segments must not wait for it.

use crate::config::Address;
use crate::types::NodeId;
use crossbeam::channel::{Sender, TrySendError, bounded};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Questions that wait, at most; a dial that finds no room is tried again like any that failed.
const QUESTIONS_MAX: usize = 256;

/// What a resolver answers: an address, or why there is none.
pub type Answer = Result<SocketAddr, String>;

struct Question {
    address: Address,
    reply: Box<dyn FnOnce(Answer) + Send>,
}

/// The way to the resolver's thread; without one where no member has a name.
#[derive(Clone)]
pub struct Resolver(Option<Sender<Question>>);

impl Resolver {
    /// Starts the thread if one of the addresses is a name; it ends when the last handle is gone.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> io::Result<Resolver> {
        if addresses.into_iter().all(|address| address.ip().is_some()) {
            return Ok(Resolver(None));
        }
        let (send, questions) = bounded::<Question>(QUESTIONS_MAX);
        std::thread::Builder::new().name("resolver".to_string()).spawn(move || {
            for Question { address, reply } in questions {
                reply(resolve(&address).map(|addresses| addresses[0]));
            }
        })?;
        Ok(Resolver(Some(send)))
    }

    /// Answers at once for an IP address; asks the thread for a name, which calls `reply` later.
    ///
    /// # Errors
    /// Too many questions wait.
    pub fn ask(
        &self,
        node: NodeId,
        address: &Address,
        reply: impl FnOnce(Answer) + Send + 'static,
    ) -> Result<Option<SocketAddr>, String> {
        if let Some(ip) = address.ip() {
            return Ok(Some(SocketAddr::new(ip, address.port)));
        }
        let question = Question { address: address.clone(), reply: Box::new(reply) };
        match self.0.as_ref().map(|thread| thread.try_send(question)) {
            Some(Ok(())) => Ok(None),
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                Err(format!("the address of node {node} cannot be resolved: the resolver is busy"))
            }
        }
    }
}

/// Every address of a name, at least one. Blocks.
///
/// # Errors
/// What the system's resolver says.
pub fn resolve(address: &Address) -> Result<Vec<SocketAddr>, String> {
    if let Some(ip) = address.ip() {
        return Ok(vec![SocketAddr::new(ip, address.port)]);
    }
    match (address.host.as_str(), address.port).to_socket_addrs() {
        Ok(found) => {
            let found: Vec<SocketAddr> = found.collect();
            match found.is_empty() {
                true => Err(format!("{} has no address", address.host)),
                false => Ok(found),
            }
        }
        Err(error) => Err(format!("{} cannot be resolved: {error}", address.host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// An IP address needs no thread; a name is answered by it, one way or the other.
    #[test]
    fn names_are_resolved_elsewhere() {
        let name = Address { host: "localhost".into(), port: 9 };
        let resolver = Resolver::start([&name]).expect("starts");
        let (send, answers) = bounded::<Answer>(2);
        let ip = Address { host: "127.0.0.1".into(), port: 9 };
        let at_once = resolver.ask(NodeId(1), &ip, |_| panic!("asked for an IP address"));
        assert_eq!(at_once, Ok(Some("127.0.0.1:9".parse().expect("address"))));
        let other = send.clone();
        assert_eq!(resolver.ask(NodeId(1), &name, move |a| other.send(a).expect("sent")), Ok(None));
        let answer = answers.recv_timeout(Duration::from_secs(30)).expect("answered");
        assert!(answer.expect("localhost has an address").ip().is_loopback());
        let nowhere = Address { host: "no-such-host.invalid".into(), port: 9 };
        resolver.ask(NodeId(1), &nowhere, move |a| send.send(a).expect("sent")).expect("asked");
        let answer = answers.recv_timeout(Duration::from_secs(30)).expect("answered");
        assert!(answer.expect_err("reserved name").contains("no-such-host.invalid"));
    }
}
