//! Sockets with the options that the daemon needs.

use crate::config::Address;
use crate::daemon::exit::{FatalError, NodeExit};
use crate::daemon::net::port_owner;
use crate::daemon::net::resolve::{resolve_all, system_lookup};
use crate::limits::ADDRESSES_MAX;
use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
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
/// Silence after which the kernel asks a peer whether it is still there, and time between two such
/// questions: the shortest that it knows. An idle link must not turn out to be dead only when it is
/// needed.
const PEER_KEEPALIVE: Duration = Duration::from_secs(1);
/// Bytes that wait in the system for a client before no more are taken: half of them are reported as
/// progress, which is well inside of what a client has to take in its time (R39).
const UNSENT_BYTES: u32 = 128 << 10;

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
    /// As of [`Bound::at`], and 75 where a name does not resolve.
    pub fn bind(address: &Address, key: &str) -> Result<Bound, FatalError> {
        let mut found = resolve_all(&[address], &system_lookup);
        let addresses = found
            .remove(0)
            .map_err(|e| FatalError::new(NodeExit::Temporary, format!("{key} = {address}: {e}")))?;
        Bound::at(address, key, &addresses)
    }

    /// Binds every address that `address` was resolved to. One that this host does not have is left
    /// out where it has another: a name often has an IPv6 address beside its IPv4 one.
    ///
    /// # Errors
    /// 75 where a port is taken, or this host has none of the addresses at present; 78 where no
    /// waiting helps.
    pub fn at(address: &Address, key: &str, addresses: &[SocketAddr]) -> Result<Bound, FatalError> {
        let named = format!("{key} = {address}");
        let (mut sockets, mut missing) = (Vec::new(), Vec::new());
        for at in addresses.iter().take(ADDRESSES_MAX) {
            match bind_one(*at) {
                Ok(socket) => sockets.push(socket),
                Err(error) if is_missing(&error) => missing.push((*at, error)),
                Err(error) => return Err(failed(&named, Some(*at), &error)),
            }
        }
        if sockets.is_empty() {
            let failures = missing.iter().map(|(at, error)| failed(&named, Some(*at), error));
            return all_well(failures.collect()).map(|()| Bound { sockets, named });
        }
        for (at, error) in missing {
            log::warn!("{named}: nothing listens at {at} until a restart: {error}");
        }
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
    pub fn listen(self) -> Result<Vec<TcpListener>, FatalError> {
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
fn failed(named: &str, at: Option<SocketAddr>, error: &io::Error) -> FatalError {
    let exit = match errno(error) {
        // A privileged port, a family that the kernel was built or booted without, an address at
        // which nobody can listen: they are so until a person changes something.
        Some(Errno::ACCESS | Errno::PERM | Errno::AFNOSUPPORT | Errno::INVAL) => NodeExit::Config,
        // Addresses come late (DHCP, a floating address), ports are given back, and want of memory
        // or descriptors passes.
        Some(_) | None => NodeExit::Temporary,
    };
    let advice = match errno(error) {
        Some(Errno::ADDRNOTAVAIL) => {
            "; this host does not have that address, or not yet: correct it, or bring it up"
        }
        Some(Errno::AFNOSUPPORT) => "; this kernel has no IPv6, or it was turned off",
        Some(Errno::ACCESS) => "; ports below 1024 are for root: take a higher one",
        Some(_) | None => "",
    };
    let in_use = errno(error) == Some(Errno::ADDRINUSE);
    let taken = at.filter(|_| in_use).and_then(port_owner::owner);
    let taken = taken.map(|owner| format!("; {owner} listens there")).unwrap_or_default();
    let at = at.map(|at| at.to_string()).filter(|at| !named.ends_with(at.as_str()));
    let at = at.map(|at| format!(" ({at})")).unwrap_or_default();
    FatalError::new(exit, format!("cannot listen at {named}{at}: {error}{taken}{advice}"))
}

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

/// True where this host does not have the address now, or not its whole family.
fn is_missing(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

/// All failures as one: what a person has to change is so whatever else may pass.
///
/// # Errors
/// Where there is a failure.
pub fn all_well(failures: Vec<FatalError>) -> Result<(), FatalError> {
    let exit = match failures.iter().any(|failure| failure.exit == NodeExit::Config) {
        true => NodeExit::Config,
        false => NodeExit::Temporary,
    };
    let texts: Vec<String> = failures.into_iter().map(|failure| failure.text).collect();
    match texts.is_empty() {
        true => Ok(()),
        false => Err(FatalError::new(exit, texts.join("\n"))),
    }
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

/// Sets what every connection from outside needs: no delay, and an end when the other side is gone.
///
/// # Errors
/// Whatever the system says; the connection is of no use then.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    prepare_nodelay(stream)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(3))
}

/// Lets small messages leave at once.
///
/// # Errors
/// Whatever the system says; the connection is of no use then.
pub fn prepare_nodelay(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}

/// Sets what a peer's connection needs: it ends when the other side's system has been silent for
/// that long, though bytes or questions went there, so that a new one is dialled. While a network
/// is cut, TCP waits twice as long before each further attempt, and would go on waiting after the
/// network is whole again.
///
/// # Errors
/// Whatever the system says.
pub fn prepare_peer(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(silence))?;
    let keepalive = TcpKeepalive::new().with_time(PEER_KEEPALIVE).with_interval(PEER_KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive)?;
    // Few small packets in flight, as of heartbeats: the first attempts are not further apart.
    socket.set_tcp_thin_linear_timeouts(true)
}

/// Sets what a client's connection needs beside that: the system says soon that more can be written,
/// so that what a slow client takes is seen as it takes it.
///
/// # Errors
/// Whatever the system says.
pub fn prepare_client(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
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
        assert_eq!(failure.exit, NodeExit::Temporary);
        let begins = format!("cannot listen at listen_peer = 127.0.0.1:{port}: ");
        assert!(failure.text.starts_with(&begins), "{failure}");
        drop(listening);
    }

    /// An address that this host does not have is left out where the name has another; where it has
    /// none, the node is started again, for addresses come late.
    #[test]
    fn an_address_that_is_missing_is_left_out() {
        let name = Address { host: "n1".into(), port: 0 };
        let here: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let [far, further] = ["203.0.113.1:0", "[2001:db8::1]:0"].map(|a| a.parse().expect("one"));
        let bound = Bound::at(&name, "listen", &[further, far, here]).expect("one is there");
        assert_eq!(bound.sockets.len(), 1);
        assert_eq!(bound.address().expect("bound").ip(), here.ip());
        let failure = Bound::at(&name, "listen", &[far]).expect_err("none is there");
        assert_eq!(failure.exit, NodeExit::Temporary, "{failure}");
        assert!(failure.text.contains("203.0.113.1:0") && failure.text.contains("not yet"));
    }

    /// Which failures end with 78, and are never tried again: those that no waiting cures.
    #[test]
    fn only_what_waiting_cannot_cure_is_a_fault_of_the_configuration() {
        let exit = |errno: Errno| failed("listen = a:1", None, &errno.into()).exit;
        for errno in [Errno::ACCESS, Errno::PERM, Errno::AFNOSUPPORT, Errno::INVAL] {
            assert_eq!(exit(errno), NodeExit::Config, "{errno}");
        }
        for errno in [
            Errno::ADDRNOTAVAIL,
            Errno::ADDRINUSE,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::NOBUFS,
        ] {
            assert_eq!(exit(errno), NodeExit::Temporary, "{errno}");
        }
    }

    /// A peer's link ends when its system is silent, whether bytes wait for it or not, and its first
    /// repetitions do not become rarer.
    #[test]
    fn a_peers_silence_ends_its_link() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = std::net::TcpStream::connect(listener.local_addr().expect("bound"));
        let stream = TcpStream::from_std(stream.expect("connects"));
        let silence = Duration::from_millis(600);
        prepare_peer(&stream, silence).expect("Linux has all of these");
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("set"), Some(silence));
        assert_eq!(socket.tcp_keepalive_time().expect("set"), PEER_KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_interval().expect("set"), PEER_KEEPALIVE);
        assert!(socket.keepalive().expect("set"));
        assert!(socket.tcp_thin_linear_timeouts().expect("set"));
    }
}
