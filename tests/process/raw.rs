//! A connection as the protocol has it, with nothing between test and node: no redirects, no
//! retries.

use paxosd::client::LogName;
use paxosd::limits::FRAME_BYTES_MAX;
use paxosd::types::{ClusterId, ShardId};
use paxosd::wire::client::{Append, LogRef, Reply, ReplyHeader, Request};
use paxosd::wire::entries::Entries;
use paxosd::wire::frame::FrameBuffer;
use paxosd::wire::hello::{
    Hello, HelloAnswer, VERSION_MAX, VERSION_MIN, read_hello_answer, write_hello,
};
use paxosd::wire::{read_reply, write_request};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An append of one entry.
pub fn append(log: &str, entry: &str) -> Request {
    Request::Append(Append {
        log: LogRef::Name(LogName::new(log).unwrap()),
        expect: None,
        chain: 0,
        create: false,
        entries: Entries::from_slices([entry]).unwrap(),
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
        let stream = TcpStream::connect(endpoint).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
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
        raw.stream.write_all(&bytes).unwrap();
        let answer = raw.next(|frame| read_hello_answer(frame).unwrap());
        assert!(matches!(answer, HelloAnswer::Welcome(..)), "refused: {answer:?}");
        raw.frames.set_limit(FRAME_BYTES_MAX);
        raw
    }

    /// Sends a request; once this returns the system has its bytes, and so has the node's socket.
    #[track_caller]
    pub fn send(&mut self, request: &Request) {
        self.last += 1;
        let mut bytes = Vec::new();
        write_request(&mut bytes, self.last, request);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The answer to the last request.
    #[track_caller]
    pub fn answer(&mut self) -> (ReplyHeader, Reply) {
        let last = self.last;
        self.next(|frame| {
            assert_eq!(frame.correlation, last, "an answer to another request");
            read_reply(frame).unwrap()
        })
    }

    #[track_caller]
    fn next<T>(&mut self, take: impl Fn(&paxosd::wire::frame::Frame<'_>) -> T) -> T {
        loop {
            let bytes = std::mem::take(&mut self.pending);
            let mut input = &bytes[..];
            let taken = self.frames.next(&mut input).unwrap().map(|frame| take(&frame));
            self.pending = input.to_vec();
            if let Some(taken) = taken {
                return taken;
            }
            let mut block = [0; 4096];
            let count = self.stream.read(&mut block).unwrap();
            assert!(count > 0, "the node closed the connection");
            self.pending.extend_from_slice(&block[..count]);
        }
    }
}
