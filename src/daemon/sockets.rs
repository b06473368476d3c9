//! Sockets as the daemon wants them, and the process's right to have many.

use super::exit::{Exit, Failure};
use super::port_owner;
use super::resolve::resolve;
use crate::config::Address;
use mio::net::{TcpListener, TcpStream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Connections that the kernel holds while the main thread is busy.
const BACKLOG: i32 = 1024;
/// Silence after which the kernel asks whether the other side is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
/// Time between two such questions.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// Unanswered bytes end a peer's connection after this long, so that a new one can be dialled.
const PEER_SILENCE: Duration = Duration::from_secs(3);
/// Bytes that wait in the system for a client before no more are taken: half of them are reported as
/// progress, which is well inside of what a client has to take in its time (R39).
const UNSENT_BYTES: u32 = 128 << 10;
/// Descriptors beside those of clients: files, peers, listeners.
const OWN_DESCRIPTORS: u64 = 512;

/// Bound sockets that do not listen yet: a taken port is found before the journal is replayed, and
/// nobody is kept waiting while it is.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<Socket>,
    /// Key and address as typed, for failures.
    named: String,
}

impl Bound {
    /// Binds every address of `address`.
    ///
    /// # Errors
    /// 75 where a name does not resolve or the port is taken, 78 where the address is not ours.
    pub fn bind(address: &Address, key: &str) -> Result<Bound, Failure> {
        let addresses = resolve(address)
            .map_err(|e| Failure::new(Exit::Temporary, format!("{key} = {address}: {e}")))?;
        Bound::at(address, key, &addresses)
    }

    /// Binds every address that `address` was resolved to.
    ///
    /// # Errors
    /// 75 where the port is taken, 78 where the address is not ours.
    pub fn at(address: &Address, key: &str, addresses: &[SocketAddr]) -> Result<Bound, Failure> {
        let named = format!("{key} = {address}");
        let bind =
            |at: &SocketAddr| bind_one(*at).map_err(|error| failed(&named, Some(*at), &error));
        let sockets = addresses.iter().map(bind).collect::<Result<Vec<Socket>, Failure>>()?;
        Ok(Bound { sockets, named })
    }

    /// The address of the first socket, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let address = self.sockets.first().map(Socket::local_addr).transpose()?;
        address
            .and_then(|address| address.as_socket())
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// 75 where another socket, bound at the same time, listens there by now.
    pub fn listen(self) -> Result<Vec<TcpListener>, Failure> {
        let listen = |socket: Socket| {
            socket.listen(BACKLOG).map_err(|error| {
                let at = socket.local_addr().ok().and_then(|at| at.as_socket());
                failed(&self.named, at, &error)
            })?;
            Ok(TcpListener::from_std(socket.into()))
        };
        self.sockets.into_iter().map(listen).collect()
    }
}

/// Why there is no listener: at which key and address, and which of those that a name has.
fn failed(named: &str, at: Option<SocketAddr>, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::AddrInUse => Exit::Temporary,
        _ => Exit::Config,
    };
    let taken = at.filter(|_| exit == Exit::Temporary).and_then(port_owner::owner);
    let taken = taken.map(|owner| format!("; {owner} listens there")).unwrap_or_default();
    let at = at.map(|at| at.to_string()).filter(|at| !named.ends_with(at.as_str()));
    let at = at.map(|at| format!(" ({at})")).unwrap_or_default();
    Failure::new(exit, format!("cannot listen at {named}{at}: {error}{taken}"))
}

fn bind_one(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && !address.ip().is_unspecified() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Sets what every connection needs: no delay, and an end when the other side is gone.
///
/// # Errors
/// Whatever the system says; the connection is of no use then.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(3))
}

/// Sets what a peer's connection needs beside that.
///
/// # Errors
/// Whatever the system says.
pub fn prepare_peer(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(Some(PEER_SILENCE))
}

/// Sets what a client's connection needs beside that: the system says soon that more can be written,
/// so that what a slow client takes is seen as it takes it.
///
/// # Errors
/// Whatever the system says.
pub fn prepare_client(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Raises the number of descriptors that the process may have to what the configuration needs.
/// Says so where the system does not allow it.
pub fn raise_descriptors(connections_max: usize) {
    let wanted = connections_max as u64 + OWN_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.unwrap_or(u64::MAX) < wanted {
        let current = Some(wanted.min(allowed));
        let raised = Rlimit { current, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the limit of open files stays at {:?}: {error}", limit.current);
        }
    }
    if allowed < wanted {
        log::warn!(
            "the system allows {allowed} open files, connections_max = {connections_max} needs \
             {wanted}: raise LimitNOFILE or lower connections_max"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sockets can be bound to one address until one of them listens: the other one says then
    /// which key and address it had.
    #[test]
    fn a_port_lost_to_another_is_named() {
        let first = Bound::bind(&Address { host: "127.0.0.1".into(), port: 0 }, "listen");
        let first = first.expect("a free port");
        let port = first.address().expect("bound").port();
        let name = Address { host: "127.0.0.1".into(), port };
        let second = Bound::bind(&name, "listen_peer").expect("nobody listens yet");
        let listening = first.listen().expect("listens");
        let failure = second.listen().expect_err("taken by now");
        assert_eq!(failure.exit, Exit::Temporary);
        let begins = format!("cannot listen at listen_peer = 127.0.0.1:{port}: ");
        assert!(failure.text.starts_with(&begins), "{failure}");
        drop(listening);
    }
}
