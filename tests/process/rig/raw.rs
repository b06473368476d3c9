//! A connection as the protocol has it, with nothing between test and node: no redirects, no
//! retries.

use super::poll::PATIENCE;
use paxosd::api::entries::Entries;
use paxosd::api::{Append, Consistency, LogRef, Read, Reply, Request};
use paxosd::client::LogName;
use paxosd::limits::FRAME_BYTES_MAX;
use paxosd::types::{ClusterId, Index, ShardId};
use paxosd::wire::client::hello::{
    Hello, HelloAnswer, VERSION_MAX, VERSION_MIN, read_hello_answer, write_hello,
};
use paxosd::wire::client::{read_reply, write_request};
use paxosd::wire::frame::{Frame, FrameBuffer};
use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An append of one entry.
pub fn append(log: &str, entry: impl AsRef<[u8]>) -> Request {
    Request::Append(Append {
        log: LogRef::Name(LogName::new(log).expect("the tests' names are names")),
        expect: None,
        chain: 0,
        create: false,
        entries: Entries::from_slices([entry]).expect("the tests' entries are small"),
    })
}

/// A linearizable read of at most so many entries.
pub fn read(log: &str, from: u64, max_entries: u32) -> Request {
    Request::Read(Read {
        log: LogRef::Name(LogName::new(log).expect("the tests' names are names")),
        from: Index(from),
        max_entries,
        max_bytes: 0,
        wait_ms: 0,
        consistency: Consistency::Linearizable,
    })
}

/// One connection to one shard of one node.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    frames: FrameBuffer,
    pending: Vec<u8>,
    last: u64,
}

impl Raw {
    /// Connects and greets.
    #[track_caller]
    pub fn open(endpoint: &str, shard: u16) -> Raw {
        Raw::try_open(endpoint, shard).expect("the node greets")
    }

    /// Connects and greets, if the node answers soon.
    ///
    /// # Errors
    /// Those of the socket, and of a node that refuses.
    pub fn try_open(endpoint: &str, shard: u16) -> io::Result<Raw> {
        let stream = TcpStream::connect(endpoint)?;
        stream.set_nodelay(true)?;
        let mut raw = Raw { stream, frames: FrameBuffer::new(), pending: Vec::new(), last: 1 };
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            cluster: ClusterId(0),
            shard: ShardId(shard),
            features: 0,
            credential_kind: 0,
            credential: Vec::new(),
            client: "tests".to_string(),
        };
        let mut bytes = Vec::new();
        write_hello(&mut bytes, 1, &hello);
        raw.stream.write_all(&bytes)?;
        let answer = raw.next(PATIENCE, read_hello_answer)?;
        match answer.map_err(io::Error::other)? {
            HelloAnswer::Welcome(..) => {}
            HelloAnswer::Refused(_, error) => return Err(io::Error::other(error)),
        }
        raw.frames.set_limit(FRAME_BYTES_MAX);
        Ok(raw)
    }

    /// Sends a request; returns its number. Once this returns the system has its bytes, and so has
    /// the node's socket.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&mut self, request: &Request) -> io::Result<u64> {
        self.last += 1;
        let mut bytes = Vec::new();
        write_request(&mut bytes, self.last, request);
        self.stream.write_all(&bytes)?;
        Ok(self.last)
    }

    /// The next answer, whichever request it is to.
    ///
    /// # Errors
    /// Those of the socket; [`io::ErrorKind::WouldBlock`] when none came in time.
    pub fn receive(&mut self, time: Duration) -> io::Result<(u64, Reply)> {
        self.next(time, |frame| {
            let reply = read_reply(frame).expect("a node answers in the protocol's words");
            (frame.correlation, reply.1)
        })
    }

    /// The answer to the one request that waits for one.
    #[track_caller]
    pub fn answer(&mut self) -> Reply {
        let (number, reply) = self.receive(PATIENCE).expect("the node answers");
        assert_eq!(number, self.last, "an answer to another request");
        reply
    }

    fn next<T>(&mut self, time: Duration, take: impl Fn(&Frame<'_>) -> T) -> io::Result<T> {
        self.stream.set_read_timeout(Some(time))?;
        loop {
            let bytes = std::mem::take(&mut self.pending);
            let mut input = &bytes[..];
            let taken = self.frames.next(&mut input).map_err(io::Error::other)?;
            let taken = taken.map(|frame| take(&frame));
            self.pending = input.to_vec();
            if let Some(taken) = taken {
                return Ok(taken);
            }
            let mut block = [0; 4096];
            let count = self.stream.read(&mut block)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.pending.extend_from_slice(&block[..count]);
        }
    }
}
