//! One connection's side of the protocol without its socket: which request has which answer, and
//! which requests cannot have reached the node.

use super::error::{Cause, ProtocolError};
use crate::limits::FRAME_BYTES_MAX;
use crate::wire::client::{Reply, ReplyHeader, Request};
use crate::wire::client_codec::write_request;
use crate::wire::frame::{Frame, FrameBuffer};
use crate::wire::hello::{Hello, HelloReply};
use crate::wire::hello_codec::{read_hello_reply, write_hello};
use crate::wire::kind::Kind;
use crate::wire::reply_codec::read_reply;
use std::collections::{BTreeMap, VecDeque};

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number that [`Session::ask`] gave the request.
    pub correlation: u64,
    /// Who answered, and how far it was.
    pub header: ReplyHeader,
    /// The answer.
    pub reply: Reply,
}

/// Requests out, answers in.
#[derive(Debug, Default)]
pub struct Session {
    greeting: Greeting,
    last_correlation: u64,
    /// Encoded and not yet given to the socket, from `sent` on.
    out: Vec<u8>,
    /// Bytes of `out` that the socket has taken.
    sent: usize,
    /// Bytes that left this session's `out` for good, as a position in the connection's stream.
    left: u64,
    frames: FrameBuffer,
    /// Requests without an answer, and where in the connection's stream each one ends.
    waiting: BTreeMap<u64, u64>,
    answers: VecDeque<Answer>,
}

/// Room that an idle session keeps for requests.
const OUT_BYTES_KEPT: usize = 256 << 10;

/// How far the greeting came.
#[derive(Debug, Default)]
enum Greeting {
    #[default]
    NotSent,
    Sent,
    Done(HelloReply),
}

impl Session {
    /// A session on a fresh connection.
    #[must_use]
    pub fn new() -> Session {
        Session::default()
    }

    /// Queues the greeting, which comes before everything else.
    ///
    /// # Panics
    /// When the greeting was queued before.
    pub fn greet(&mut self, hello: &Hello) {
        assert!(matches!(self.greeting, Greeting::NotSent), "a connection is greeted once");
        write_hello(&mut self.out, hello);
        self.greeting = Greeting::Sent;
    }

    /// The node's answer to the greeting, once it is there.
    #[must_use]
    pub fn greeted(&self) -> Option<&HelloReply> {
        match &self.greeting {
            Greeting::Done(reply) => Some(reply),
            Greeting::NotSent | Greeting::Sent => None,
        }
    }

    /// Queues a request; its answer will carry the number returned.
    pub fn ask(&mut self, request: &Request) -> u64 {
        self.last_correlation += 1;
        write_request(&mut self.out, self.last_correlation, request);
        let end = self.left + self.out.len() as u64;
        self.waiting.insert(self.last_correlation, end);
        self.last_correlation
    }

    /// Bytes for the socket.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// The socket has taken the first `bytes` of [`Session::output`].
    ///
    /// # Panics
    /// When there were not so many.
    pub fn wrote(&mut self, bytes: usize) {
        self.sent += bytes;
        assert!(self.sent <= self.out.len(), "wrote {} of {} bytes", self.sent, self.out.len());
        if self.sent == self.out.len() {
            self.left += self.sent as u64;
            self.sent = 0;
            self.out.clear();
            self.out.shrink_to(OUT_BYTES_KEPT);
        }
    }

    /// Whether the node can have the request: all of its bytes were given to the socket. A node
    /// executes nothing of which it has only a part, so `false` means that it was not executed.
    #[must_use]
    pub fn may_have_arrived(&self, correlation: u64) -> bool {
        let given = self.left + self.sent as u64;
        self.waiting.get(&correlation).is_none_or(|end| *end <= given)
    }

    /// Requests without an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes bytes from the socket; answers in them wait in [`Session::answer`].
    ///
    /// # Errors
    /// [`Cause::Protocol`] when the node breaks the protocol, [`Cause::Refused`] when it refuses
    /// the connection: it is of no more use then.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Cause> {
        // The buffer is lent out with each frame, so it leaves its place for the while.
        let mut frames = std::mem::take(&mut self.frames);
        let received = loop {
            match frames.next(&mut bytes) {
                Ok(Some(frame)) => match self.frame(&frame) {
                    Ok(None) => {}
                    Ok(Some(limit)) => frames.set_limit(limit),
                    Err(cause) => break Err(cause),
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(ProtocolError::Frame(error).into()),
            }
        };
        self.frames = frames;
        received
    }

    /// Takes one frame; returns the new limit of frames when it settled one.
    fn frame(&mut self, frame: &Frame<'_>) -> Result<Option<usize>, Cause> {
        if frame.kind == Kind::HelloReply.number() && matches!(self.greeting, Greeting::Sent) {
            let reply = read_hello_reply(frame).map_err(ProtocolError::Message)?;
            self.greeting = Greeting::Done(reply);
            return Ok(Some(FRAME_BYTES_MAX));
        }
        let correlation = frame.correlation;
        let (header, reply) = read_reply(frame).map_err(ProtocolError::Message)?;
        if correlation == 0 || self.greeted().is_none() {
            // Not about a request: about the greeting, or the connection.
            let Reply::Error(error) = reply else {
                return Err(ProtocolError::Unasked { correlation }.into());
            };
            return Err(Cause::Refused(error));
        }
        if self.waiting.remove(&correlation).is_none() {
            return Err(ProtocolError::Unasked { correlation }.into());
        }
        self.answers.push_back(Answer { correlation, header, reply });
        Ok(None)
    }

    /// The next answer that is there.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }
}
