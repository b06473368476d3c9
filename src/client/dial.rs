//! A connection to one of several addresses, whichever answers first.

use super::deadline::Deadline;
use super::error::{Cause, io_cause};
use crate::types::{Race, Tick};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

/// The addresses of a name, none of them tried yet.
#[must_use]
pub fn race(addresses: &[SocketAddr], deadline: &Deadline) -> Race<SocketAddr> {
    Race::new(addresses, SocketAddr::is_ipv6, now(deadline))
}

/// An address is of no use after all: the others are tried.
pub fn failed(race: &mut Race<SocketAddr>, address: SocketAddr, deadline: &Deadline) {
    race.failed(address, now(deadline));
}

/// The time of a race, counted from where its deadline is.
fn now(deadline: &Deadline) -> Tick {
    Tick(u64::try_from(deadline.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// Connects to the first address that answers.
///
/// # Errors
/// Why the last of them cannot be had, or that none answered in time.
pub fn connect(
    race: &mut Race<SocketAddr>,
    deadline: &Deadline,
) -> Result<(SocketAddr, TcpStream), Cause> {
    let mut under_way: Vec<(SocketAddr, OwnedFd)> = Vec::new();
    let mut last = Cause::NoAddress;
    loop {
        while let Some(address) = race.due(now(deadline)) {
            match begin(address) {
                Ok(socket) => under_way.push((address, socket)),
                Err(error) => {
                    last = refused(error);
                    race.failed(address, now(deadline));
                }
            }
        }
        if race.is_lost() {
            return Err(last);
        }
        wait(race, &under_way, deadline)?;
        for (address, socket) in std::mem::take(&mut under_way) {
            match end(&socket) {
                Ok(true) => {
                    race.take(address);
                    let stream = TcpStream::from(socket);
                    let blocking = stream.set_nonblocking(false);
                    blocking.map_err(|source| io_cause("cannot set a socket to wait", source))?;
                    return Ok((address, stream));
                }
                Ok(false) => under_way.push((address, socket)),
                Err(error) => {
                    last = refused(error);
                    race.failed(address, now(deadline));
                }
            }
        }
    }
}

fn refused(error: Errno) -> Cause {
    io_cause("cannot connect", error.into())
}

/// Begins to connect.
fn begin(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Whether a socket is connected, or why it will not be.
fn end(socket: &OwnedFd) -> Result<bool, Errno> {
    sockopt::socket_error(socket)??;
    match rustix::net::getpeername(socket) {
        Ok(_) => Ok(true),
        Err(Errno::NOTCONN) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until something happens to a socket, or it is time for the next address.
fn wait(
    race: &Race<SocketAddr>,
    under_way: &[(SocketAddr, OwnedFd)],
    deadline: &Deadline,
) -> Result<(), Cause> {
    let Some(left) = deadline.remaining() else {
        let timed_out = io::Error::new(io::ErrorKind::TimedOut, "connection timed out");
        return Err(io_cause("cannot connect", timed_out));
    };
    let next = race.next_deadline().map(|at| at.since(now(deadline)));
    let micros = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
    // Rounded up, so that a wait of less than a microsecond does not become a loop.
    let micros = micros.min(next.unwrap_or(u64::MAX)).saturating_add(1);
    let timeout = Timespec {
        tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(micros % 1_000_000 * 1000).unwrap_or(0),
    };
    let mut sockets: Vec<PollFd<'_>> =
        under_way.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::OUT)).collect();
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(io_cause("cannot wait for a connection", error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RACE_STAGGER_MS;
    use std::net::TcpListener;
    use std::time::Duration;

    /// Longer than anything here takes, and too short for a second attempt of the system's own.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// An address at which a full queue swallows every call, and what keeps it full.
    fn deaf() -> (SocketAddr, Vec<OwnedFd>) {
        let listener =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let listener = listener.expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        rustix::net::bind(&listener, &any).expect("a free port");
        rustix::net::listen(&listener, 0).expect("listens");
        let address = rustix::net::getsockname(&listener).expect("bound");
        let address = SocketAddr::try_from(address).expect("of the internet");
        let mut kept = vec![listener];
        kept.extend((0..4).filter_map(|_| begin(address).ok()));
        (address, kept)
    }

    fn open(addresses: &[SocketAddr], allowed: Duration) -> Result<SocketAddr, Cause> {
        let deadline = Deadline::after(allowed);
        connect(&mut race(addresses, &deadline), &deadline).map(|(address, _)| address)
    }

    /// An address that refuses, one without a route, and one that swallows everything: the next one
    /// is reached all the same, and the silent one takes a step and not the time there is.
    #[test]
    fn a_silent_address_does_not_take_all_the_time() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let good = listener.local_addr().expect("bound");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let refusing = free.local_addr().expect("bound");
        drop(free);
        let (deaf, _kept) = deaf();
        let deadline = Deadline::after(PATIENCE);
        let mut race = race(&[refusing, deaf, good], &deadline);
        let (address, stream) = connect(&mut race, &deadline).expect("the third one answers");
        assert_eq!((address, stream.peer_addr().ok()), (good, Some(good)));
        assert!(deadline.elapsed() >= Duration::from_millis(RACE_STAGGER_MS), "it had its chance");
        assert!(race.has_more(), "should the third one greet badly, the silent one is left");
        // What was made can wait, as everything else of the client expects.
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
        let kind = std::io::Read::read(&mut &stream, &mut [0]).expect_err("nobody speaks").kind();
        assert_eq!(kind, io::ErrorKind::WouldBlock);
    }

    /// Where none answers, the time there is is kept to, and where all refuse, that is said at once.
    #[test]
    fn nobody_there_is_said() {
        let (deaf, _kept) = deaf();
        let silent = open(&[deaf], Duration::from_millis(50)).expect_err("it swallows everything");
        assert!(silent.to_string().contains("timed out"), "{silent}");
        let refusing: Vec<SocketAddr> =
            ["127.0.0.1:1", "127.0.0.2:1"].map(|text| text.parse().expect("an address")).to_vec();
        let refused = open(&refusing, PATIENCE).expect_err("nobody listens there");
        assert!(refused.to_string().contains("refused"), "{refused}");
        assert!(matches!(open(&[], PATIENCE), Err(Cause::NoAddress)));
    }
}
