//! The main thread's event loop: listeners, greetings, signals, the end.

use crate::daemon::admin::{self, Admin};
use crate::daemon::clock;
use crate::daemon::event_loop::handshake::{Admitted, GreetingOutcome, greet};
use crate::daemon::event_loop::mailbox::{ShardMessage, ShardSender};
use crate::daemon::event_loop::shard_loop::WAKER;
use crate::daemon::exit::{FatalError, NodeExit};
use crate::daemon::log::rate_limited::RareLines;
use crate::daemon::net::conn::{Conn, Taken};
use crate::daemon::net::port::Port;
use crate::daemon::net::sockets;
use crate::daemon::node::context::{NodeContext, count};
use crate::daemon::waker::LoopWaker;
use crate::daemon::watch::loops::{Loop, SLEEP_MAX};
use crate::daemon::watch::notify;
use crate::daemon::watch::pauses::Pauses;
use crate::daemon::watch::unformed::UnformedLines;
use crate::limits::{ACCEPTS_PER_TURN, HANDSHAKE_MS, LINGER_MS, READ_TURN_BYTES};
use crate::types::{Count, ShardId, Tick};
use crossbeam::channel::Receiver;
use mio::net::{TcpListener, TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The token of the signals' pipe.
const SIGNALS: Token = Token(1);
/// Listeners have the tokens from here.
const FIRST_LISTENER: usize = 2;
/// Greetings have the tokens from here, rising, so that the oldest has the lowest.
const FIRST_GREETING: usize = 1 << 16;
/// Events taken from the system at once.
const EVENTS_MAX: usize = 512;
/// Pause after the system refused to accept, in microseconds.
const ACCEPT_PAUSE_US: u64 = 100_000;
/// The same refusal is logged no more often than this, in microseconds.
const ACCEPT_LOG_EVERY_US: u64 = 10_000_000;

/// The main thread.
pub struct MainLoop {
    poll: Poll,
    /// Shards that ended.
    finished: Receiver<ShardId>,
    signals: UnixStream,
    listeners: Vec<Listener>,
    admin: Admin,
    greetings: BTreeMap<usize, Greeting>,
    next_token: usize,
    senders: Vec<ShardSender>,
    context: Arc<NodeContext>,
    scratch: Vec<u8>,
    accept_complained: Option<Tick>,
    /// Lines of refused connections, of clients and of peers.
    refusals: [RareLines; 2],
    /// Lines of a cluster that has not formed.
    unformed: UnformedLines,
    /// Shards that have not ended.
    running: usize,
    stop_by: Option<Tick>,
    /// Rung by shards that end.
    waker: LoopWaker,
}

struct Listener {
    socket: TcpListener,
    port: Port,
    /// More connections may wait.
    ready: bool,
    /// Not before then: the system had no descriptor left.
    not_before: Tick,
}

/// A connection that has not said Hello, or that was refused and may read why.
struct Greeting {
    conn: Conn,
    port: Port,
    deadline: Tick,
    refused: bool,
    /// The refusal has left. A second end of writing would be an event of its own, and its handling
    /// another, for as long as the caller stays.
    refusal_sent: bool,
}

/// What the main thread's loop is made of.
pub struct MainLoopParts {
    /// The poll that the waker is registered with.
    pub poll: Poll,
    /// The loop's waker.
    pub waker: LoopWaker,
    /// Where shards say that they ended.
    pub finished: Receiver<ShardId>,
    /// The read end of the signals' pipe: a byte for each.
    pub signals: std::os::unix::net::UnixStream,
    /// Listeners.
    pub listeners: Vec<(Port, TcpListener)>,
    /// Listeners of the admin pages.
    pub admin: Vec<TcpListener>,
    /// The ways to the shards, by their number.
    pub senders: Vec<ShardSender>,
    /// What every thread knows.
    pub context: Arc<NodeContext>,
}

impl MainLoop {
    /// The loop, with everything registered.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(parts: MainLoopParts) -> io::Result<MainLoop> {
        let registry = parts.poll.registry();
        parts.signals.set_nonblocking(true)?;
        let mut signals = UnixStream::from_std(parts.signals);
        registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
        let mut listeners = Vec::new();
        for (i, (port, mut socket)) in parts.listeners.into_iter().enumerate() {
            registry.register(&mut socket, Token(FIRST_LISTENER + i), Interest::READABLE)?;
            listeners.push(Listener { socket, port, ready: true, not_before: Tick(0) });
        }
        let admin = Admin::new(parts.admin, registry, Arc::clone(&parts.context))?;
        parts.context.board.space.refresh(clock::now(), &parts.context.config.data_dir);
        Ok(MainLoop {
            poll: parts.poll,
            finished: parts.finished,
            signals,
            listeners,
            admin,
            greetings: BTreeMap::new(),
            next_token: FIRST_GREETING,
            running: parts.senders.len(),
            senders: parts.senders,
            context: parts.context,
            scratch: vec![0; READ_TURN_BYTES],
            accept_complained: None,
            refusals: Default::default(),
            unformed: UnformedLines::new(clock::now()),
            stop_by: None,
            waker: parts.waker,
        })
    }

    /// Turns until every shard has stopped.
    ///
    /// # Errors
    /// The node was stopped before its shards had handed over, or the loop cannot wait.
    pub fn run(mut self) -> Result<(), FatalError> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut pauses = Pauses::new(clock::now());
        loop {
            self.waker.falls_asleep();
            let now = clock::now();
            // Its own work is no pause, however long it took.
            pauses.excused(now);
            let timeout = self.timeout(now);
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != io::ErrorKind::Interrupted
            {
                let text = format!("the main loop cannot wait: {error}");
                return Err(FatalError::new(NodeExit::Invariant, text));
            }
            self.waker.is_awake();
            if let Some(micros) = pauses.runs(clock::now(), timeout) {
                log_pause(micros);
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    SIGNALS => self.on_signals()?,
                    token if admin::owns(token) => {
                        self.admin.on_event(token, event.is_read_closed());
                    }
                    Token(token) if token < FIRST_GREETING => {
                        if let Some(listener) = self.listeners.get_mut(token - FIRST_LISTENER) {
                            listener.ready = true;
                        }
                    }
                    Token(token) => self.on_greeting(token, event.is_read_closed()),
                }
            }
            self.running -= self.finished.try_iter().count();
            let now = clock::now();
            self.context.board.loops.turned(Loop::Main, now);
            self.context.board.space.refresh(now, &self.context.config.data_dir);
            self.log_rest(now, self.running == 0);
            self.unformed.log_news(now, &self.context.board);
            if self.running == 0 {
                return Ok(());
            }
            if self.stop_by.is_some_and(|by| by <= now) {
                let left = Count(self.running as u64, "shard");
                log::warn!("stopping anyway: {left} did not hand over in time (stop_timeout_ms)");
                return Ok(());
            }
            self.accept(now);
            self.expire(now);
            self.admin.turn(now, self.poll.registry());
        }
    }

    fn timeout(&self, now: Tick) -> Duration {
        if !self.finished.is_empty() {
            return Duration::ZERO;
        }
        let accept = self.listeners.iter().filter(|l| l.ready).map(|l| l.not_before).min();
        let greeting = self.greetings.values().map(|greeting| greeting.deadline).min();
        let admin = self.admin.next_deadline();
        let next = [accept, greeting, admin, self.stop_by].into_iter().flatten().min();
        // At least once a second, so that a loop that hangs is distinguished from one that waits.
        next.map_or(SLEEP_MAX, |next| Duration::from_micros(next.since(now)).min(SLEEP_MAX))
    }

    /// The first signal asks for a clean stop, another one for the end.
    fn on_signals(&mut self) -> Result<(), FatalError> {
        let mut bytes = [0; 64];
        loop {
            match self.signals.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    for _ in 0..count {
                        self.on_signal()?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(()),
            }
        }
    }

    fn on_signal(&mut self) -> Result<(), FatalError> {
        if self.stop_by.is_some() {
            let text = "stopped at once by a second signal, before the hand-over was done";
            return Err(FatalError::new(NodeExit::Temporary, text));
        }
        match self.context.config.members.len() {
            1 => log::info!("stopping: a second signal stops at once"),
            _ => log::info!("stopping: handing over leadership; a second signal stops at once"),
        }
        notify::stopping();
        self.context.board.stops();
        self.stop_by = Some(clock::now().after(self.context.config.stop_timeout_ms * 1000));
        self.listeners.clear();
        self.greetings.clear();
        for sender in &self.senders {
            // A shard that cannot be reached is stopped by the deadline.
            let _ = sender.send(ShardMessage::HandOver);
        }
        Ok(())
    }

    fn accept(&mut self, now: Tick) {
        for i in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let listener = &mut self.listeners[i];
                if !listener.ready || listener.not_before > now {
                    break;
                }
                let port = listener.port;
                match listener.socket.accept() {
                    Ok((stream, address)) => self.on_accepted(port, stream, address, now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.ready = false;
                    }
                    // The caller gave up while it waited.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        listener.not_before = now.after(ACCEPT_PAUSE_US);
                        self.complain(&error, now);
                    }
                }
            }
        }
    }

    /// Says how many refused connections had no line.
    fn log_rest(&mut self, now: Tick, end: bool) {
        for (port, lines) in [Port::Client, Port::Peer].into_iter().zip(&mut self.refusals) {
            if let Some(rest) = lines.rest(now, end) {
                log::warn!("{port} connections refused: {rest} more");
            }
        }
    }

    fn complain(&mut self, error: &io::Error, now: Tick) {
        let lately = |at: Tick| now.since(at) < ACCEPT_LOG_EVERY_US;
        if !self.accept_complained.is_some_and(lately) {
            self.accept_complained = Some(now);
            log::error!("no connection can be accepted: {error}");
        }
    }

    fn on_accepted(&mut self, port: Port, stream: TcpStream, address: SocketAddr, now: Tick) {
        let of_port = || self.greetings.iter().filter(|(_, g)| g.port == port);
        if of_port().count() >= self.context.descriptors.greetings_max {
            // Who has not greeted for longest makes room: callers that never greet cannot keep
            // those out that do.
            let oldest = of_port().map(|(token, _)| *token).next();
            if let Some(oldest) = oldest {
                self.greetings.remove(&oldest);
            }
            count(&self.context.board.counters.of(port).turned_away);
        }
        let mut conn = Conn::new(stream, address);
        let token = self.next_token;
        self.next_token += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = sockets::prepare(conn.transport.socket()).and_then(|()| {
            self.poll.registry().register(&mut conn.transport, Token(token), interest)
        });
        if let Err(error) = registered {
            return log::debug!("connection from {address} is of no use: {error}");
        }
        let deadline = now.after(HANDSHAKE_MS * 1000);
        self.greetings
            .insert(token, Greeting { conn, port, deadline, refused: false, refusal_sent: false });
    }

    fn on_greeting(&mut self, token: usize, hung_up: bool) {
        let Some(greeting) = self.greetings.get_mut(&token) else { return };
        greeting.conn.readable = true;
        greeting.conn.hung_up |= hung_up;
        while greeting.conn.readable {
            match greeting.conn.take(&mut self.scratch) {
                Ok(Taken::Bytes(_)) if greeting.refused => {}
                Ok(Taken::Bytes(taken)) => {
                    let bytes = &self.scratch[..taken];
                    let verdict = greet(&mut greeting.conn, greeting.port, bytes, &self.context);
                    match verdict {
                        GreetingOutcome::Wait => {}
                        GreetingOutcome::Admit(admitted) => return self.hand_over(token, admitted),
                        GreetingOutcome::Refuse(reason) => {
                            let port = greeting.port;
                            let address = greeting.conn.address;
                            let now = clock::now();
                            let lines = &mut self.refusals[usize::from(port == Port::Peer)];
                            if let Some(suppressed) = lines.note(now) {
                                log::warn!(
                                    "{port} connection from {address} refused: {reason}{suppressed}"
                                );
                            }
                            greeting.refused = true;
                            greeting.deadline = clock::now().after(LINGER_MS * 1000);
                        }
                    }
                }
                Ok(Taken::Nothing) => {}
                Ok(Taken::Closed) | Err(_) => {
                    if !greeting.refused && greeting.conn.held_bytes() > 0 {
                        count(&self.context.board.counters.of(greeting.port).cut_short);
                    }
                    if greeting.refused {
                        // Who says no more may still listen; an error means that nobody does.
                        let _ = greeting.conn.flush();
                    }
                    self.greetings.remove(&token);
                    return;
                }
            }
        }
        if greeting.refused && !greeting.refusal_sent {
            match greeting.conn.flush() {
                Ok(true) => {
                    greeting.conn.finish_writing();
                    greeting.refusal_sent = true;
                }
                Ok(false) => {}
                Err(_) => {
                    self.greetings.remove(&token);
                }
            }
        }
    }

    /// Hands an admitted connection to its shard's thread.
    fn hand_over(&mut self, token: usize, admitted: Admitted) {
        let Some(Greeting { mut conn, port, .. }) = self.greetings.remove(&token) else { return };
        let address = conn.address;
        if let Err(error) = self.poll.registry().deregister(&mut conn.transport) {
            return log::warn!("connection from {address} is of no use: {error}");
        }
        let (shard, message) = admitted.into_message(conn);
        let sent =
            self.senders.get(usize::from(shard.0)).is_some_and(|sender| sender.send(message));
        if !sent {
            count(&self.context.board.counters.of(port).turned_away);
            log::warn!("connection from {address} closed: shard {shard} has no time for it");
        }
    }

    /// Closes what did not greet in time (R39).
    fn expire(&mut self, now: Tick) {
        let counters = &self.context.board.counters;
        self.greetings.retain(|_, greeting| {
            let late = greeting.deadline <= now;
            if late && !greeting.refused {
                count(&counters.of(greeting.port).too_slow);
                log::debug!("connection from {} said no Hello in time", greeting.conn.address);
            }
            !late
        });
    }
}

/// Says that the process did not run: what is late after that is late for no other reason.
fn log_pause(micros: u64) {
    log::warn!(
        "this process did not run for {} ms at least: it was stopped, or the machine was suspended or gave it no \
         processor",
        micros / 1000
    );
}
