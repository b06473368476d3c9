//! One connection's side of the protocol without its socket: which request has which answer, and
//! which requests cannot have reached the node.

use super::error::{Cause, ProtocolError};
use crate::limits::FRAME_BYTES_MAX;
use crate::wire::client::{Reply, ReplyHeader, Request};
use crate::wire::frame::{Frame, FrameBuffer};
use crate::wire::hello::{Hello, HelloAnswer, HelloReply, read_hello_answer, write_hello};
use crate::wire::kind::REPLY;
use crate::wire::{read_reply, write_request};
use std::collections::{BTreeMap, VecDeque};

/// An answer to a request: of the kind that the request has, or an error.
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
    /// Requests without an answer, by correlation.
    waiting: BTreeMap<u64, Waiting>,
    answers: VecDeque<Answer>,
    /// The node broke the protocol, or the connection off: nothing more is made sense of.
    ended: bool,
}

/// Room that an idle session keeps for requests.
const OUT_BYTES_KEPT: usize = 256 << 10;

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Where in the connection's stream the request ends.
    end: u64,
    /// The kind of reply that it has, unless that is an error.
    reply: u16,
}

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
        self.last_correlation += 1;
        write_hello(&mut self.out, self.last_correlation, hello);
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
        let reply = request.kind().number() | REPLY;
        self.waiting.insert(self.last_correlation, Waiting { end, reply });
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
        self.waiting.get(&correlation).is_none_or(|waiting| waiting.end <= given)
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
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        if self.ended {
            return Err(Cause::Closed);
        }
        // The buffer is lent out with each frame, so it leaves its place for the while.
        let mut frames = std::mem::take(&mut self.frames);
        let mut taken = 0;
        let received = loop {
            let mut rest = &bytes[taken..];
            let limit = match frames.next(&mut rest) {
                Ok(Some(frame)) => self.frame(&frame),
                Ok(None) => break Ok(()),
                Err(error) => break Err(ProtocolError::Frame(error).into()),
            };
            taken = bytes.len() - rest.len();
            match limit {
                Ok(None) => {}
                Ok(Some(limit)) => frames.set_limit(limit),
                Err(cause) => break Err(cause),
            }
        };
        self.frames = frames;
        self.ended = received.is_err();
        received
    }

    /// Takes one frame; returns the new limit of frames when it settled one.
    fn frame(&mut self, frame: &Frame<'_>) -> Result<Option<usize>, Cause> {
        if self.greeted().is_none() {
            return match read_hello_answer(frame).map_err(ProtocolError::Message)? {
                HelloAnswer::Welcome(_, reply) => {
                    self.greeting = Greeting::Done(reply);
                    Ok(Some(FRAME_BYTES_MAX))
                }
                HelloAnswer::Refused(_, error) => Err(Cause::Refused(error)),
            };
        }
        let correlation = frame.correlation;
        let (header, reply) = read_reply(frame).map_err(ProtocolError::Message)?;
        if let Some(waiting) = self.waiting.remove(&correlation) {
            if !matches!(reply, Reply::Error(_)) && reply.kind().number() != waiting.reply {
                return Err(ProtocolError::WrongReply.into());
            }
            self.answers.push_back(Answer { correlation, header, reply });
            return Ok(None);
        }
        if let Reply::Error(error) = reply
            && correlation == 0
        {
            // Not about a request, but about the connection.
            return Err(Cause::Refused(error));
        }
        Err(ProtocolError::Unasked { correlation }.into())
    }

    /// The next answer that is there.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }
}
