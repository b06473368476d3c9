//! A session on a socket. Every wait has a deadline; nothing here tries anything twice.

use super::deadline::Deadline;
use super::dial;
use super::error::{Cause, ProtocolError, Stage, io_cause};
use super::resolve::resolve;
use super::session::{Session, SessionAnswer};
use crate::api::{Reply, Request};
use crate::types::ShardId;
use crate::wire::client::hello::{Hello, HelloReply};
use rustix::net::{RecvFlags, recv};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Bytes read from the socket at once.
const READ_BYTES: usize = 64 << 10;
/// A socket is set to wait for at most this long at a time, so that it need not be set anew for
/// every request: the deadline is looked at in between.
const SOCKET_WAIT: Duration = Duration::from_millis(500);
/// A node that let a request go without an answer has this long to answer a Ping on the connection
/// before it is used again. Any node that works is far faster.
const PROOF_WAIT: Duration = Duration::from_millis(250);

/// Why an attempt on one node failed.
#[derive(Debug)]
pub struct LinkFault {
    /// How far the attempt came.
    pub stage: Stage,
    /// The node, as it was named.
    pub endpoint: String,
    /// Why it went no further.
    pub cause: Cause,
}

/// A greeted connection to one node.
#[derive(Debug)]
pub struct Link {
    endpoint: String,
    socket: TcpStream,
    session: Session,
    buffer: Box<[u8]>,
    greeted: HelloReply,
    /// What the socket was last set to wait for in a read and in a write.
    armed: (Duration, Duration),
    /// Why the connection is of no more use, until that was reported.
    broken: Option<Cause>,
    /// A request on it was given up, and nothing was heard since: it may be dead.
    doubted: bool,
}

impl Link {
    /// Connects to `endpoint` and greets it.
    ///
    /// # Errors
    /// [`LinkFault`] at the stages resolve, connect and hello.
    pub fn open(endpoint: &str, hello: &Hello, deadline: &Deadline) -> Result<Link, LinkFault> {
        let fault = |stage, cause| LinkFault { stage, endpoint: endpoint.to_string(), cause };
        let addresses =
            resolve(endpoint, deadline).map_err(|cause| fault(Stage::Resolve, cause))?;
        if addresses.is_empty() {
            return Err(fault(Stage::Resolve, Cause::NoAddress));
        }
        let mut race = dial::race(&addresses, deadline);
        let mut greeting = None;
        loop {
            let (address, socket) = match dial::connect(&mut race, deadline) {
                Ok(connected) => connected,
                // Who was reached and did not greet says more than who could not be reached.
                Err(cause) => return Err(greeting.unwrap_or(fault(Stage::Connect, cause))),
            };
            // A stranger at one address of a name leaves time for the others.
            let patience = match race.has_more() {
                true => deadline.share(deadline.allowed(), 2),
                false => *deadline,
            };
            match Link::greet(endpoint, socket, hello, &patience) {
                Ok(link) => return Ok(link),
                Err(cause) => greeting = Some(fault(Stage::Hello, cause)),
            }
            dial::failed(&mut race, address, deadline);
        }
    }

    fn greet(
        endpoint: &str,
        mut socket: TcpStream,
        hello: &Hello,
        deadline: &Deadline,
    ) -> Result<Link, Cause> {
        socket.set_nodelay(true).map_err(|source| io_cause("cannot set TCP_NODELAY", source))?;
        let mut session = Session::new();
        session.greet(hello);
        let mut armed = (Duration::ZERO, Duration::ZERO);
        let mut buffer = vec![0; READ_BYTES].into_boxed_slice();
        send(&mut socket, &mut session, &mut armed.1, deadline)?;
        let greeted = loop {
            if let Some(reply) = session.greeted() {
                break reply.clone();
            }
            receive(&mut socket, &mut session, &mut buffer, &mut armed.0, deadline)
                .map_err(|cause| session.unanswered(cause))?;
        };
        if !(hello.version_min..=hello.version_max).contains(&greeted.version) {
            return Err(ProtocolError::Version(greeted.version).into());
        }
        let endpoint = endpoint.to_string();
        Ok(Link { endpoint, socket, session, buffer, greeted, armed, broken: None, doubted: false })
    }

    /// The node, as it was named.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The socket, to be waited for.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What the node said of itself.
    #[must_use]
    pub fn greeted(&self) -> &HelloReply {
        &self.greeted
    }

    /// Queues a request; its answer will carry the number returned.
    pub fn ask(&mut self, request: &Request) -> u64 {
        self.session.ask(request)
    }

    /// Whether the node can have the request, answered ones included.
    #[must_use]
    pub fn may_have_arrived(&self, correlation: u64) -> bool {
        self.session.may_have_arrived(correlation)
    }

    /// Gives all queued requests to the socket. Should that fail, the next [`Link::wait`] says so,
    /// after the answers that came before.
    pub fn flush(&mut self, deadline: &Deadline) {
        if self.broken.is_none()
            && let Err(cause) =
                send(&mut self.socket, &mut self.session, &mut self.armed.1, deadline)
        {
            self.broken = Some(cause);
        }
    }

    /// The next answer, whichever request it belongs to.
    ///
    /// # Errors
    /// [`Cause::Silent`] when none came in time: the request may then be given up
    /// ([`Link::give_up`]). After any other error the link is of no more use.
    pub fn wait(&mut self, deadline: &Deadline) -> Result<SessionAnswer, Cause> {
        self.flush(deadline);
        loop {
            if let Some(answer) = self.session.answer() {
                return Ok(answer);
            }
            if let Some(cause) = self.broken.take() {
                // Answers that arrived before can still lie in the socket.
                if !matches!(self.peek(), Ok(true)) {
                    return Err(cause);
                }
                self.broken = Some(cause);
                continue;
            }
            let Link { socket, session, buffer, armed, .. } = self;
            self.broken = receive(socket, session, buffer, &mut armed.0, deadline).err();
        }
    }

    /// The caller waits for the request no more. True when the connection can be kept: its answer,
    /// should it come, is dropped. False when a part of the request is still here, for it must not
    /// be sent after the caller learnt what became of it.
    pub fn give_up(&mut self, correlation: u64) -> bool {
        if !matches!(self.broken, None | Some(Cause::Silent { .. }))
            || !self.session.output().is_empty()
        {
            return false;
        }
        self.broken = None;
        self.doubted = true;
        self.session.give_up(correlation);
        true
    }

    /// Whether a request was given up on the connection, and nothing proved since that the node is
    /// still there.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Lifts the doubt: the node answers a Ping, however long its other answers take.
    fn prove(&mut self, deadline: &Deadline) -> bool {
        let probe = self.ask(&Request::Ping);
        let answered = self.wait(&deadline.attempt(PROOF_WAIT));
        self.doubted = !matches!(answered, Ok(answer) if answer.correlation == probe);
        !self.doubted
    }

    /// Asks one thing of a node that does nothing else for this connection, and takes the answer;
    /// an error is a fault too.
    ///
    /// # Errors
    /// [`LinkFault`] at `stage` when no answer comes, else at that of the node's error.
    pub fn call(
        &mut self,
        request: &Request,
        deadline: &Deadline,
        stage: Stage,
    ) -> Result<SessionAnswer, LinkFault> {
        self.ask(request);
        let endpoint = self.endpoint.clone();
        match self.wait(deadline) {
            Ok(SessionAnswer { reply: Reply::Error(error), .. }) => Err(LinkFault {
                stage: Stage::of(error.code),
                endpoint,
                cause: Cause::Refused(error),
            }),
            Ok(answer) => Ok(answer),
            Err(cause) => Err(LinkFault { stage, endpoint, cause }),
        }
    }

    /// The next answer if it is there already.
    ///
    /// # Errors
    /// As [`Link::wait`], but never [`Cause::Silent`].
    pub fn poll(&mut self) -> Result<Option<SessionAnswer>, Cause> {
        loop {
            if let Some(answer) = self.session.answer() {
                return Ok(Some(answer));
            }
            if !self.peek()? {
                return self.broken.take().map_or(Ok(None), Err);
            }
        }
    }

    /// True when the connection is of no more use, and [`Link::wait`] will say why.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// False when the node has closed the connection, or said something unasked, since it was last
    /// used. A request sent on such a connection would be lost with an unknown outcome. One that a
    /// request was given up on is tried with a Ping.
    pub fn is_usable(&mut self, deadline: &Deadline) -> bool {
        if self.broken.is_some() {
            return false;
        }
        if self.doubted {
            return self.peek().is_ok() && self.prove(deadline);
        }
        self.session.waiting() > 0 || self.peek().is_ok()
    }

    /// Takes what has arrived, without waiting; false when nothing has.
    fn peek(&mut self) -> Result<bool, Cause> {
        let read = recv(&self.socket, &mut *self.buffer, RecvFlags::DONTWAIT);
        match read.map(|(_, bytes)| bytes).map_err(io::Error::from) {
            Ok(0) => Err(Cause::Closed),
            Ok(bytes) => self.session.receive(&self.buffer[..bytes]).map(|()| true),
            Err(error) if is_pause(&error) => Ok(false),
            Err(source) => Err(io_cause("cannot receive", source)),
        }
    }
}

/// The greeting of a connection for `shard`.
#[must_use]
pub fn hello(shard: ShardId, cluster: crate::types::ClusterId, name: &str) -> Hello {
    Hello {
        version_min: crate::wire::client::hello::VERSION_MIN,
        version_max: crate::wire::client::hello::VERSION_MAX,
        cluster,
        shard,
        features: 0,
        credential_kind: 0,
        credential: Vec::new(),
        client: name.to_string(),
    }
}

/// Gives all of the session's output to the socket.
fn send(
    socket: &mut TcpStream,
    session: &mut Session,
    armed: &mut Duration,
    deadline: &Deadline,
) -> Result<(), Cause> {
    while !session.output().is_empty() {
        if let Some(wait) = due(*armed, deadline)? {
            socket
                .set_write_timeout(Some(wait))
                .map_err(|e| io_cause("cannot set a deadline", e))?;
            *armed = wait;
        }
        match socket.write(session.output()) {
            Ok(0) => return Err(Cause::Closed),
            Ok(bytes) => session.wrote(bytes),
            Err(error) if is_pause(&error) => {}
            Err(source) => return Err(io_cause("cannot send", source)),
        }
    }
    Ok(())
}

/// Waits for bytes from the socket and gives them to the session.
fn receive(
    socket: &mut TcpStream,
    session: &mut Session,
    buffer: &mut [u8],
    armed: &mut Duration,
    deadline: &Deadline,
) -> Result<(), Cause> {
    loop {
        if let Some(wait) = due(*armed, deadline)? {
            socket
                .set_read_timeout(Some(wait))
                .map_err(|e| io_cause("cannot set a deadline", e))?;
            *armed = wait;
        }
        match socket.read(buffer) {
            Ok(0) => return Err(Cause::Closed),
            Ok(bytes) => return session.receive(&buffer[..bytes]),
            Err(error) if is_pause(&error) => {}
            Err(source) => return Err(io_cause("cannot receive", source)),
        }
    }
}

/// What the socket must be set to wait for, if that changes.
fn due(armed: Duration, deadline: &Deadline) -> Result<Option<Duration>, Cause> {
    let Some(left) = deadline.remaining() else {
        return Err(Cause::Silent { waited: deadline.elapsed() });
    };
    let wait = left.min(SOCKET_WAIT);
    let fits = armed == wait || (!armed.is_zero() && armed <= wait && armed >= wait / 2);
    Ok((!fits).then_some(wait))
}

/// True when a socket only ran out of its own waiting time, or a signal came in between.
fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
