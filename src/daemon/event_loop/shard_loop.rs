//! The event loop of one shard's thread: sockets, messages and disk outcomes become inputs; outputs
//! become frames and jobs. One turn: take everything in, one tick, then carry everything out.

use crate::api::status::ShardLeader;
use crate::daemon::clock;
use crate::daemon::disk::workers::Disk;
use crate::daemon::event_loop::mailbox::{ShardMessage, ShardSender};
use crate::daemon::event_loop::pin;
use crate::daemon::event_loop::service::Service;
use crate::daemon::exit::{FatalError, NodeExit, die};
use crate::daemon::log::rate_limited::RareLines;
use crate::daemon::log::slow::SlowLines;
use crate::daemon::net::awaited::{AWAITED_MS, Awaited};
use crate::daemon::net::links::{Links, TableIndex};
use crate::daemon::net::resolve::Resolver;
use crate::daemon::net::table::{self, ConnectionTable};
use crate::daemon::node::context::NodeContext;
use crate::daemon::waker::LoopWaker;
use crate::daemon::watch::loops::{Loop, SLEEP_MAX};
use crate::daemon::watch::pauses::Pauses;
use crate::daemon::watch::status_board::ShardNumbers;
use crate::journal::Job;
use crate::limits::{BOARD_MS, READ_TURN_BYTES, SHARD_OUTPUT_BYTES_MAX, STOP_DRAIN_MS};
use crate::shard::{DiskJob, Input, Output};
use crate::types::{Ballot, ConnId, Tick};
use crossbeam::channel::Receiver;
use mio::{Events, Poll, Token};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The token of a loop's waker.
pub const WAKER: Token = Token(0);
/// Events taken from the system at once.
const EVENTS_MAX: usize = 1024;
/// Batches that one turn may run itself, before it looks at its sockets again.
const BATCHES_HERE_MAX: usize = 4;
/// After the hand-over, clients with nothing under way have this long to go, in microseconds.
const DRAIN_US: u64 = 250_000;

/// One shard's thread.
pub struct ShardLoop {
    pub(in crate::daemon) poll: Poll,
    pub(in crate::daemon) service: Service,
    pub(in crate::daemon) context: Arc<NodeContext>,
    pub(in crate::daemon) table: ConnectionTable,
    pub(in crate::daemon) links: Links,
    pub(in crate::daemon) resolver: Resolver,
    pub(in crate::daemon) sender: ShardSender,
    /// Clients that may be read from; some of them are paused.
    pub(in crate::daemon) ready_clients: Vec<TableIndex>,
    /// All other connections that may be read from.
    pub(in crate::daemon) ready_others: Vec<TableIndex>,
    /// Peers with output that was not offered to their sockets yet.
    pub(in crate::daemon) dirty_peers: Vec<TableIndex>,
    /// Clients with output that waits for its turn, in the order of their turns.
    pub(in crate::daemon) dirty_clients: VecDeque<TableIndex>,
    /// Bytes given to the sockets of clients in this turn.
    pub(in crate::daemon) given: usize,
    /// When to look at a connection again; stale ones are skipped.
    pub(in crate::daemon) deadlines: BTreeSet<(Tick, ConnId)>,
    /// Where sockets are read into.
    pub(in crate::daemon) scratch: Vec<u8>,
    /// Bytes of incomplete frames of all connections.
    pub(in crate::daemon) input_bytes: usize,
    /// Memory for what waits to leave for clients.
    pub(in crate::daemon) output_bytes: usize,
    /// Requests that took too long.
    pub(in crate::daemon) slow_requests: SlowLines,
    /// Connections that are closed for what they do.
    pub(in crate::daemon) closings: RareLines,
    /// Peers that do not call.
    awaited: Awaited,
    /// Who takes no answers is looked for no sooner.
    pub(in crate::daemon) relief_at: Tick,
    disk: Disk,
    waker: LoopWaker,
    messages: Receiver<ShardMessage>,
    phase: Phase,
    pauses: Pauses,
    /// How long this turn waited for the disk, in microseconds.
    waited_us: u64,
    /// The leader that was put on the board last.
    published: Option<ShardLeader>,
    /// The last leadership that was counted.
    led: Option<Ballot>,
    /// The numbers are put on the board again after this.
    publish_at: Tick,
}

/// How far the loop is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It serves.
    Serving,
    /// The shard hands over; nothing is waited for after this.
    HandingOver(Tick),
    /// The shard is done. Clients that ask for nothing more are waited for until the first time, and
    /// answers to those that did until the second one.
    Draining(Tick, Tick),
}

/// What a shard's loop is made of.
pub struct ShardLoopParts {
    /// The poll that the waker and the sockets are registered with.
    pub poll: Poll,
    /// The loop's waker.
    pub waker: LoopWaker,
    /// The shard.
    pub service: Service,
    /// What every thread knows.
    pub context: Arc<NodeContext>,
    /// The way to the disk.
    pub disk: Disk,
    /// The way to addresses.
    pub resolver: Resolver,
    /// The way to this loop.
    pub sender: ShardSender,
    /// What comes by it.
    pub messages: Receiver<ShardMessage>,
}

impl ShardLoop {
    /// A loop that did not turn yet.
    #[must_use]
    pub fn new(parts: ShardLoopParts) -> ShardLoop {
        let config = &parts.context.config;
        let slow_requests = SlowLines::new(config.slow_request_ms);
        let links = Links::new(config.node, config.members.keys().copied(), clock::entropy());
        ShardLoop {
            poll: parts.poll,
            service: parts.service,
            context: parts.context,
            table: ConnectionTable::default(),
            links,
            resolver: parts.resolver,
            sender: parts.sender,
            ready_clients: Vec::new(),
            ready_others: Vec::new(),
            dirty_peers: Vec::new(),
            dirty_clients: VecDeque::new(),
            given: 0,
            deadlines: BTreeSet::new(),
            scratch: vec![0; READ_TURN_BYTES],
            input_bytes: 0,
            output_bytes: 0,
            slow_requests,
            closings: RareLines::default(),
            awaited: Awaited::default(),
            relief_at: Tick(0),
            disk: parts.disk,
            waker: parts.waker,
            messages: parts.messages,
            phase: Phase::Serving,
            pauses: Pauses::new(clock::now()),
            waited_us: 0,
            published: None,
            led: None,
            publish_at: Tick(0),
        }
    }

    /// Turns until the shard has handed over.
    pub fn run(mut self) {
        if self.context.config.pin {
            pin::pin_current(self.service.id);
        }
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.is_done(clock::now()) {
            self.sleep(&mut events);
            let began = clock::now();
            self.waited_us = 0;
            self.turn(&events);
            let took_us = clock::now().since(began).saturating_sub(self.waited_us);
            let turns = &self.context.board.shard(self.service.id).turns;
            turns.record(Duration::from_micros(took_us));
        }
        self.log_closings(clock::now(), true);
        self.context.board.loops.excused(Loop::Shard(self.service.id));
        self.context.board.shard(self.service.id).assure(Tick(0));
        log::info!("shard {} stopped", self.service.id);
    }

    /// Waits for something to do.
    fn sleep(&mut self, events: &mut Events) {
        self.waker.falls_asleep();
        let timeout = self.timeout(clock::now());
        if let Err(error) = self.poll.poll(events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            die(&FatalError::new(
                NodeExit::Invariant,
                format!("the event loop cannot wait: {error}"),
            ));
        }
        self.waker.is_awake();
        self.note_pause(timeout);
    }

    /// The loop runs, after it wanted to sleep for at most `asleep`.
    fn note_pause(&mut self, asleep: Duration) {
        let now = clock::now();
        if self.pauses.runs(now, asleep).is_some() {
            self.disk.resumed(now);
            self.service.step(now, Input::Resumed);
        }
    }

    /// How long to sleep at most.
    fn timeout(&self, now: Tick) -> Duration {
        let waits = self.messages.is_empty() && !self.disk.has_outcome();
        let more = self.can_read() || self.can_write() || self.service.shard.can_answer_more();
        if !waits || !self.service.outputs.is_empty() || more {
            return Duration::ZERO;
        }
        let draining = match self.phase {
            Phase::Serving | Phase::HandingOver(_) => None,
            Phase::Draining(clients, answers) => {
                Some(if now < clients { clients } else { answers })
            }
        };
        let deadlines = [
            Some(self.service.shard.next_deadline(now)),
            self.links.next_deadline(),
            self.deadlines.first().map(|(at, _)| *at),
            self.next_relief(),
            draining,
        ];
        let next = deadlines.into_iter().flatten().min();
        next.map_or(SLEEP_MAX, |next| Duration::from_micros(next.since(now)).min(SLEEP_MAX))
    }

    fn turn(&mut self, events: &Events) {
        for event in events {
            let Some(index) = table::index(event.token()) else { continue };
            self.on_event(index, event.is_read_closed(), event.is_writable());
        }
        // Before anybody is judged by what was not taken: this thread may have stood still itself.
        self.given = 0;
        self.flush_dirty();
        self.service.shard.begin_turn(self.output_bytes);
        self.service.shard.set_wall_ms(clock::wall_ms());
        while let Ok(message) = self.messages.try_recv() {
            self.on_message(message);
        }
        while let Some(done) = self.disk.outcome() {
            self.service.step(clock::now(), Input::Disk(done));
        }
        self.dial();
        self.read_others();
        // What was read from disk becomes answers, as far as this turn goes.
        while !self.service.shard.turn_is_spent()
            && let Some(done) = self.disk.read_outcome()
        {
            self.service.step(clock::now(), Input::Disk(done));
        }
        self.evict_slow_clients(clock::now());
        self.read_clients();
        let now = clock::now();
        self.expire(now);
        self.carry_out();
        // Whether more answers fit is looked at before the loop sleeps.
        self.service.shard.begin_turn(self.output_bytes);
        self.publish();
        self.context.board.loops.turned(Loop::Shard(self.service.id), now);
        self.log_slow(now);
    }

    /// What took too long and has no line of its own.
    fn log_slow(&mut self, now: Tick) {
        if self.slow_requests.is_pending() {
            let what = format!("shard {}: requests (slow_request_ms)", self.service.id);
            if let Some(line) = self.slow_requests.due(now, &what) {
                log::warn!("{line}");
            }
        }
        self.log_closings(now, false);
        self.log_awaited(now);
        if let Some(line) = self.disk.overdue(now) {
            log::warn!("{line}");
        }
    }

    /// Says how many closed connections had no line.
    fn log_closings(&mut self, now: Tick, end: bool) {
        if let Some(rest) = self.closings.rest(now, end) {
            log::warn!("shard {}: connections closed: {rest} more", self.service.id);
        }
    }

    /// Says of peers that should have called long ago that they have not, in the log and for
    /// status.
    fn log_awaited(&mut self, now: Tick) {
        for node in self.awaited.due(now, self.links.awaited()) {
            let reason = format!(
                "it has not called this node for {} s: it is down, or does not reach {}",
                AWAITED_MS / 1000,
                self.context.config.listen_peer
            );
            log::warn!("shard {}: no link with node {node}: {reason}", self.service.id);
            self.service.shard.note_trouble(node, reason);
        }
    }

    fn on_message(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Client(client) => self.welcome_client(*client),
            ShardMessage::Peer(caller) => self.welcome_peer(*caller),
            ShardMessage::Resolved { node, answer } => self.on_resolved(node, answer),
            ShardMessage::HandOver => {
                if self.phase == Phase::Serving {
                    let now = clock::now();
                    let drain_ms = self.context.config.stop_timeout_ms - STOP_DRAIN_MS;
                    self.phase = Phase::HandingOver(now.after(drain_ms * 1000));
                    self.service.step(now, Input::HandOver);
                }
            }
        }
    }

    /// One tick, then everything that the shard asks for; again where a batch was run here.
    fn carry_out(&mut self) {
        for _ in 0..BATCHES_HERE_MAX {
            self.note_pause(Duration::ZERO);
            self.service.step(clock::now(), Input::Tick);
            let Some(batch) = self.take_outputs(true) else { return self.flush_dirty() };
            // What need not wait for this disk leaves before it is waited for.
            self.flush_dirty();
            // Whether the disk answers is not for the watchdog to judge.
            self.context.board.loops.excused(Loop::Shard(self.service.id));
            let began = clock::now();
            let done = self.disk.run_here(batch);
            let now = clock::now();
            self.waited_us += now.since(began);
            self.context.board.loops.turned(Loop::Shard(self.service.id), now);
            self.pauses.excused(now);
            let Some(done) = done else { continue };
            self.service.step(now, Input::Disk(done));
        }
        self.service.step(clock::now(), Input::Tick);
        let none = self.take_outputs(false);
        assert!(none.is_none(), "a batch was kept back though none may be run here");
        self.flush_dirty();
    }

    /// Carries the outputs out, in order. Returns a batch that this thread should run itself.
    fn take_outputs(&mut self, may_run_here: bool) -> Option<DiskJob> {
        let may_run_here = may_run_here && self.context.config.sync_inline;
        let mut here = None;
        while !self.service.outputs.is_empty() {
            let mut outputs = std::mem::take(&mut self.service.outputs);
            for output in outputs.drain(..) {
                match output {
                    Output::Peer { node, message } => self.send_peer(node, &message),
                    Output::Client { conn, correlation, header, reply } => {
                        self.send_client(conn, correlation, &header, &reply);
                    }
                    Output::Job(job @ DiskJob::Journal(Job::Batch(_)))
                        if may_run_here && self.nothing_waits() =>
                    {
                        here = Some(job);
                    }
                    Output::Job(job) => self.disk.submit(job),
                    Output::Stopped => {
                        let clients = clock::now().after(DRAIN_US);
                        let answers = match self.phase {
                            Phase::HandingOver(by) | Phase::Draining(_, by) => by,
                            Phase::Serving => clients,
                        };
                        self.phase = Phase::Draining(clients, answers);
                    }
                    Output::Fatal(fatal) => die(&FatalError::new(fatal.kind().into(), fatal)),
                }
            }
            if self.service.outputs.is_empty() {
                // Its memory serves the next turn.
                self.service.outputs = outputs;
                break;
            }
        }
        here
    }

    /// Nobody would be kept waiting by a sync on this thread, as far as it knows.
    fn nothing_waits(&self) -> bool {
        self.messages.is_empty() && !self.disk.has_outcome() && !self.can_read()
    }

    /// No client is read from while this holds (back-pressure; TCP pushes back).
    pub(in crate::daemon) fn clients_paused(&self) -> bool {
        self.service.shard.congested()
            || self.disk.is_full()
            || self.output_bytes >= SHARD_OUTPUT_BYTES_MAX
    }

    /// Puts on the board how the shard is: two numbers every turn, the rest now and then.
    fn publish(&mut self) {
        let now = clock::now();
        self.service.shard.set_min_free_bytes(self.context.live.min_free_bytes());
        self.service.shard.set_appends_in_dispute(self.context.live.appends_in_dispute());
        let shard = &self.service.shard;
        let own = self.context.board.shard(self.service.id);
        own.assure(shard.replica().assured_until());
        let leader = shard.leader();
        if self.published != Some(leader) {
            if leader.node.is_some() && self.led != Some(leader.epoch) {
                self.service.served.leader_changes += 1;
                self.led = Some(leader.epoch);
            }
            self.context.board.publish(leader);
            self.published = Some(leader);
            self.publish_at = now;
        }
        if now < self.publish_at {
            return;
        }
        self.service.shard.note_syncs(own.sync_tally());
        let shard = &self.service.shard;
        let numbers = ShardNumbers {
            status: shard.shard_status(now),
            tally: shard.tally(),
            backlog: shard.backlog(),
            clock_held_back: shard.clock_is_held_back(),
            want_of_room: shard.want_of_room(),
            doubt: shard.replica().doubt().map(|_| shard.doubt_text()),
            doubtful: shard.replica().is_doubtful(),
            unformed: shard.unformed().map(|error| error.text),
            served: self.service.served.clone(),
            connections: self.table.len() as u64,
            connection_bytes: (self.table.memory_bytes() + self.input_bytes) as u64,
            input_bytes: self.input_bytes as u64,
            output_bytes: self.output_bytes as u64,
        };
        if own.hand_over(Arc::new(numbers)) {
            self.publish_at = now.after(BOARD_MS * 1000);
        }
    }

    fn is_done(&mut self, now: Tick) -> bool {
        match self.phase {
            Phase::Serving | Phase::HandingOver(_) => false,
            Phase::Draining(_, answers) if now >= answers => true,
            Phase::Draining(clients, _) if now >= clients => !self.is_under_way(),
            Phase::Draining(..) => !self.is_needed(),
        }
    }

    /// Something waits to leave, or a client is still here. A request that is already on its way
    /// is refused as not executed, and its client goes elsewhere; a socket that was closed over it
    /// would leave the client not knowing what became of it.
    fn is_needed(&mut self) -> bool {
        self.is_any_conn(|entry| {
            !entry.conn.output.is_empty() || matches!(entry.role, table::ConnectionRole::Client(_))
        })
    }

    /// A client's request has no answer, has not come in whole, or its answer has not left.
    fn is_under_way(&mut self) -> bool {
        self.service.shard.has_requests()
            || self.is_any_conn(|entry| {
                let client = matches!(entry.role, table::ConnectionRole::Client(_));
                client && (!entry.conn.output.is_empty() || entry.conn.held_bytes() > 0)
            })
    }

    fn is_any_conn(&mut self, fits: impl Fn(&table::TableEntry) -> bool) -> bool {
        let indexes: Vec<TableIndex> = self.table.indexes().collect();
        indexes.into_iter().any(|index| self.table.get_mut(index).is_some_and(|entry| fits(entry)))
    }
}
