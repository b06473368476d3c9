//! A closed loop of requests over many connections, driven by one thread: frames are encoded once
//! and sent again and again, so that the load itself costs little beside the servers. The load of
//! `paxosctl bench` is that of programs which use the client library, and costs twice to three times
//! as much processor time: on the one machine that has the servers as well, an append of 64x16 took
//! it 2.5 us instead of 0.8, and the servers answered a third fewer of them.

#![allow(dead_code)] // Each benchmark uses another part of it.

use crate::cost;
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use paxosd::api::entries::Entries;
use paxosd::api::name::LogName;
use paxosd::api::{Append, Consistency, LogRef, Read as ReadRequest, Reply, Request};
use paxosd::limits::FRAME_BYTES_MAX;
use paxosd::types::{ClusterId, Index, LogId, ShardId};
use paxosd::wire::client::hello::{
    Hello, HelloAnswer, VERSION_MAX, VERSION_MIN, read_hello_answer, write_hello,
};
use paxosd::wire::client::{ReplyKind, read_reply, write_request};
use paxosd::wire::frame::FrameBuffer;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// Correlation of the Hello; those of the requests follow.
const HELLO: u64 = 1;

/// What one shard's connections do.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its leader.
    pub endpoint: String,
    /// The shard.
    pub shard: ShardId,
    /// The requests of each connection, sent in turn.
    pub requests: Requests,
    /// What answers them.
    pub answer: ReplyKind,
}

impl Load {
    /// Appends of one entry of so many bytes.
    pub fn appends(endpoint: &str, shard: ShardId, log: LogId, size: usize) -> Load {
        let entries = Entries::from_slices([vec![7; size]]).expect("an entry of a size that fits");
        let (expect, chain, create) = (None, 0, false);
        let append = Append { log: LogRef::Id(log), expect, chain, create, entries };
        let requests = Requests::Listed(vec![Request::Append(append)]);
        Load { endpoint: endpoint.to_string(), shard, requests, answer: ReplyKind::Appended }
    }

    /// Appends of these entries to many logs in turn, by their names; they are created where they are missing.
    pub fn spread(endpoint: &str, shard: ShardId, logs: ManyLogs, entries: &Entries) -> Load {
        let requests = Requests::Spread { logs, entries: entries.clone() };
        Load { endpoint: endpoint.to_string(), shard, requests, answer: ReplyKind::Appended }
    }

    /// Reads of one entry at each of these places.
    pub fn reads(
        endpoint: &str,
        shard: ShardId,
        log: LogId,
        places: impl Iterator<Item = Index>,
    ) -> Load {
        let read = |from| {
            let (max_entries, max_bytes, wait_ms) = (1, 0, 0);
            let (log, consistency) = (LogRef::Id(log), Consistency::Linearizable);
            Request::Read(ReadRequest { log, from, max_entries, max_bytes, wait_ms, consistency })
        };
        let requests = Requests::Listed(places.map(read).collect());
        Load { endpoint: endpoint.to_string(), shard, requests, answer: ReplyKind::ReadDone }
    }
}

/// What a connection asks.
#[derive(Clone, Debug)]
pub enum Requests {
    /// These, each encoded once for each place of the window.
    Listed(Vec<Request>),
    /// Appends to one log after the other, too many to be kept encoded.
    Spread {
        /// The logs.
        logs: ManyLogs,
        /// What is appended each time.
        entries: Entries,
    },
}

/// Logs with names that begin alike and end in a number.
#[derive(Clone, Debug)]
pub struct ManyLogs {
    /// How the names begin.
    pub prefix: String,
    /// How many logs there are.
    pub count: u64,
}

impl ManyLogs {
    /// The name of one of them.
    pub fn name(&self, number: u64) -> LogName {
        LogName::new(&format!("{}{number}", self.prefix)).expect("the prefix begins a name")
    }
}

/// All connections.
#[derive(Debug)]
pub struct Generator {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    frames: FrameBuffer,
    frames_to_send: Frames,
    /// How many were sent.
    turn: usize,
    answer: ReplyKind,
    /// When the request of each place was sent.
    sent: Vec<Instant>,
    /// Bytes that the socket did not take yet.
    unsent: Vec<u8>,
}

/// The frames that a connection sends.
#[derive(Debug)]
enum Frames {
    /// Those of each place of the window.
    Encoded(Vec<Vec<Vec<u8>>>),
    /// Encoded when they are sent: of the logs every so many, from the first one on.
    Spread { logs: ManyLogs, entries: Entries, first: u64, step: u64 },
}

/// One run of all connections.
struct Run<'a> {
    /// Nothing is sent from then on …
    end: Instant,
    /// … nor when so many were sent.
    left: u64,
    /// Called for each answer: when it came, and how long it took.
    note: &'a mut dyn FnMut(Instant, Duration),
}

impl Run<'_> {
    /// True when one more is to be sent.
    fn take(&mut self, now: Instant) -> bool {
        let more = self.left > 0 && now < self.end;
        self.left -= u64::from(more);
        more
    }
}

impl Generator {
    /// Connects and greets, round robin over the loads.
    pub fn connect(loads: &[Load], connections: usize, window: usize) -> io::Result<Generator> {
        let poll = Poll::new()?;
        let mut all = Vec::new();
        for number in 0..connections {
            let mut connection = Connection::open(&loads[number % loads.len()], window)?;
            if let Frames::Spread { first, step, .. } = &mut connection.frames_to_send {
                (*first, *step) = (number as u64, connections as u64);
            }
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.stream, Token(number), interest)?;
            all.push(connection);
        }
        let events = Events::with_capacity(connections.max(16));
        Ok(Generator { poll, events, connections: all, scratch: vec![0; READ_BYTES] })
    }

    /// Keeps every window full for that long, then lets it run empty; returns the latencies of the
    /// requests that were answered in time.
    pub fn run(&mut self, time: Duration) -> io::Result<Histogram<u64>> {
        let mut latencies = cost::latencies();
        self.run_noting(time, &mut |_, latency| cost::record(&mut latencies, latency))?;
        Ok(latencies)
    }

    /// Likewise; `note` is called for each answer: when it came, and how long it took.
    pub fn run_noting(
        &mut self,
        time: Duration,
        note: &mut dyn FnMut(Instant, Duration),
    ) -> io::Result<()> {
        let end = Instant::now() + time;
        let mut in_time = |now, latency| {
            if now < end {
                note(now, latency);
            }
        };
        self.drive(&mut Run { end, left: u64::MAX, note: &mut in_time })
    }

    /// Sends so many requests, and takes all answers.
    pub fn send(&mut self, count: u64) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(86_400);
        self.drive(&mut Run { end, left: count, note: &mut |_, _| {} })
    }

    fn drive(&mut self, run: &mut Run<'_>) -> io::Result<()> {
        let mut under_way = 0;
        for connection in &mut self.connections {
            under_way += connection.start(run)?;
        }
        while under_way > 0 {
            self.poll.poll(&mut self.events, Some(Duration::from_secs(30)))?;
            if self.events.is_empty() {
                return Err(io::Error::new(ErrorKind::TimedOut, "no answer within 30 seconds"));
            }
            for event in &self.events {
                let connection = &mut self.connections[event.token().0];
                under_way -= connection.turn(&mut self.scratch, run)?;
            }
        }
        Ok(())
    }
}

impl Connection {
    fn open(load: &Load, window: usize) -> io::Result<Connection> {
        let mut stream = std::net::TcpStream::connect(&load.endpoint)?;
        stream.set_nodelay(true)?;
        greet(&mut stream, load.shard)?;
        stream.set_nonblocking(true)?;
        let mut frames = FrameBuffer::new();
        frames.set_limit(FRAME_BYTES_MAX);
        let request = |place: usize, request: &Request| {
            let mut frame = Vec::new();
            write_request(&mut frame, HELLO + 1 + place as u64, request);
            frame
        };
        let frames_to_send = match &load.requests {
            Requests::Listed(requests) => {
                let of_place = |place| requests.iter().map(|one| request(place, one)).collect();
                Frames::Encoded((0..window).map(of_place).collect())
            }
            Requests::Spread { logs, entries } => {
                let (logs, entries) = (logs.clone(), entries.clone());
                Frames::Spread { logs, entries, first: 0, step: 1 }
            }
        };
        Ok(Connection {
            stream: TcpStream::from_std(stream),
            frames,
            frames_to_send,
            turn: 0,
            answer: load.answer,
            sent: vec![Instant::now(); window],
            unsent: Vec::new(),
        })
    }

    /// Fills the window; returns how many were sent.
    fn start(&mut self, run: &mut Run<'_>) -> io::Result<usize> {
        let now = Instant::now();
        let mut sent = 0;
        for place in 0..self.sent.len() {
            if run.take(now) {
                self.send(place, now);
                sent += 1;
            }
        }
        self.flush()?;
        Ok(sent)
    }

    /// Sends the next request of a place of the window.
    fn send(&mut self, place: usize, now: Instant) {
        match &self.frames_to_send {
            Frames::Encoded(frames) => {
                let frames = &frames[place];
                self.unsent.extend_from_slice(&frames[self.turn % frames.len()]);
            }
            Frames::Spread { logs, entries, first, step } => {
                let number = (first + self.turn as u64 * step) % logs.count;
                let (log, entries) = (LogRef::Name(logs.name(number)), entries.clone());
                let append = Append { log, expect: None, chain: 0, create: true, entries };
                let correlation = HELLO + 1 + place as u64;
                write_request(&mut self.unsent, correlation, &Request::Append(append));
            }
        }
        self.turn += 1;
        self.sent[place] = now;
    }

    /// Takes the answers that are there; each makes room for the next request while the run goes on.
    /// Returns how many places ran empty.
    fn turn(&mut self, scratch: &mut [u8], run: &mut Run<'_>) -> io::Result<usize> {
        let mut emptied = 0;
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            let mut input = &scratch[..count];
            while let Some(frame) = self.frames.next(&mut input).map_err(io::Error::other)? {
                if frame.kind != self.answer.number() {
                    let reply = read_reply(&frame).map_err(io::Error::other)?.1;
                    return Err(refused(reply));
                }
                let place = usize::try_from(frame.correlation - HELLO - 1)
                    .expect("the server echoes what was sent");
                (run.note)(now, now - self.sent[place]);
                if run.take(now) {
                    self.send(place, now);
                } else {
                    emptied += 1;
                }
            }
            if count < scratch.len() {
                // The socket is empty: what comes next is another event.
                break;
            }
        }
        self.flush()?;
        Ok(emptied)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Connections that are greeted and then say nothing.
pub fn idle(endpoint: &str, shard: ShardId, count: usize) -> io::Result<Vec<std::net::TcpStream>> {
    let connect = |_| {
        let mut stream = std::net::TcpStream::connect(endpoint)?;
        greet(&mut stream, shard)?;
        Ok(stream)
    };
    (0..count).map(connect).collect()
}

fn refused(reply: Reply) -> io::Error {
    io::Error::other(format!("not done: {reply:?}"))
}

/// Says Hello and takes the answer, before the socket stops blocking.
fn greet(stream: &mut std::net::TcpStream, shard: ShardId) -> io::Result<()> {
    let hello = Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        cluster: ClusterId(0),
        shard,
        features: 0,
        credential_kind: 0,
        credential: Vec::new(),
        client: "benchmark".to_string(),
    };
    let mut bytes = Vec::new();
    write_hello(&mut bytes, HELLO, &hello);
    stream.write_all(&bytes)?;
    let (mut frames, mut scratch) = (FrameBuffer::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut scratch)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut input = &scratch[..count];
        if let Some(frame) = frames.next(&mut input).map_err(io::Error::other)? {
            return match read_hello_answer(&frame).map_err(io::Error::other)? {
                HelloAnswer::Welcome(..) => Ok(()),
                HelloAnswer::Refused(_, error) => Err(io::Error::other(error)),
            };
        }
    }
}
