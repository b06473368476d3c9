//! One connection's side of the protocol without its socket: which request has which answer, and
//! which requests cannot have reached the node.

use super::error::{Cause, ProtocolError};
use crate::api::{Reply, ReplyHeader, Request};
use crate::limits::{FRAME_BYTES_BEFORE_HELLO, FRAME_BYTES_MAX};
use crate::wire::client::hello::{Hello, HelloAnswer, HelloReply, read_hello_answer, write_hello};
use crate::wire::client::{ReplyKind, read_reply, write_request};
use crate::wire::frame::{Frame, FrameBuffer};
use crate::wire::kind::{GreetingKind, REPLY};
use std::collections::{BTreeMap, VecDeque};

/// An answer to a request: of the kind that the request has, or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAnswer {
    /// The number that [`Session::ask`] gave the request.
    pub correlation: u64,
    /// Who answered, and how far it was.
    pub header: ReplyHeader,
    /// The reply; an error of the node is a reply too.
    pub reply: Reply,
}

/// One connection's protocol without its socket: takes requests, and makes frames of them; takes
/// bytes, and makes answers of them.
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
    /// The first bytes that came, until the greeting is answered.
    first: Vec<u8>,
    /// Requests without an answer, by correlation.
    waiting: BTreeMap<u64, Waiting>,
    answers: VecDeque<SessionAnswer>,
    /// The node broke the protocol, or the connection off: nothing more is made sense of.
    ended: bool,
}

/// Set in the kind of what later versions may say without being asked: to be ignored.
const NOTICE: u16 = 0x4000;
/// First bytes of a node that are kept until it is known for one: enough to see what it is.
const FIRST_BYTES_KEPT: usize = 48;
/// Where the kind stands in a frame.
const KIND_AT: usize = 8;
/// Room that an idle session keeps for requests.
const OUT_BYTES_KEPT: usize = 256 << 10;

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Where in the connection's stream the request ends.
    end: u64,
    /// The kind of reply that it has, unless that is an error.
    reply: u16,
    /// Nobody waits for it any more: its answer is dropped.
    given_up: bool,
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
        let waiting = Waiting { end, reply, given_up: false };
        self.waiting.insert(self.last_correlation, waiting);
        self.last_correlation
    }

    /// Nobody waits for the request any more: its answer, which may still come, is dropped. Its
    /// number is not used again, so no other answer can be taken for it.
    pub fn give_up(&mut self, correlation: u64) {
        if let Some(waiting) = self.waiting.get_mut(&correlation) {
            waiting.given_up = true;
        }
        self.answers.retain(|answer| answer.correlation != correlation);
    }

    /// Returns the bytes that the socket has yet to take.
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

    /// Requests without an answer that somebody waits for.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.values().filter(|waiting| !waiting.given_up).count()
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
        if self.greeted().is_none() {
            let room = FIRST_BYTES_KEPT - self.first.len();
            self.first.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if let Some(length) = self.first.first_chunk()
                && u32::from_le_bytes(*length) as usize > FRAME_BYTES_BEFORE_HELLO
            {
                self.ended = true;
                return Err(self.not_paxosd().into());
            }
        }
        // The buffer is lent out with each frame, so it leaves its place for the while.
        let mut frames = std::mem::take(&mut self.frames);
        let mut taken = 0;
        let received = loop {
            let mut rest = &bytes[taken..];
            let limit = match frames.next(&mut rest) {
                Ok(Some(frame)) => self.frame(&frame),
                Ok(None) => break Ok(()),
                Err(error) => break Err(ProtocolError::from(error).into()),
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

    /// What the node's silence, or the connection's end, is to be taken for: it may have begun to
    /// say something that is no beginning of an answer to a greeting.
    #[must_use]
    pub fn unanswered(&self, cause: Cause) -> Cause {
        let begun = self.greeted().is_none() && !self.first.is_empty();
        let lost = match cause {
            Cause::Silent { .. } | Cause::Closed | Cause::Io { .. } => true,
            Cause::Refused(_)
            | Cause::NoAddress
            | Cause::Protocol(_)
            | Cause::NoLeader { .. }
            | Cause::NoTime
            | Cause::PriorFailed
            | Cause::Invalid(_) => false,
        };
        if begun && lost && !self.may_be_an_answer() { self.not_paxosd().into() } else { cause }
    }

    /// Whether the first bytes can be those of an answer to a greeting. What is too short to decide
    /// is taken for something else: nodes write an answer in one piece.
    fn may_be_an_answer(&self) -> bool {
        let Some(kind) = self.first.get(KIND_AT..KIND_AT + 2) else { return false };
        let kind = u16::from_le_bytes([kind[0], kind[1]]);
        [GreetingKind::HelloReply.number(), ReplyKind::Error.number()].contains(&kind)
    }

    /// What the first bytes say of whoever sent them.
    fn not_paxosd(&self) -> ProtocolError {
        if self.first.starts_with(b"HTTP") {
            return ProtocolError::Http;
        }
        ProtocolError::Foreign { said: self.first.escape_ascii().to_string() }
    }

    /// Takes one frame; returns the new limit of frames when it settled one.
    fn frame(&mut self, frame: &Frame<'_>) -> Result<Option<usize>, Cause> {
        if self.greeted().is_none() {
            return match read_hello_answer(frame).map_err(ProtocolError::Message)? {
                HelloAnswer::Welcome(_, reply) => {
                    self.greeting = Greeting::Done(reply);
                    self.first = Vec::new();
                    Ok(Some(FRAME_BYTES_MAX))
                }
                HelloAnswer::Refused(_, error) => Err(Cause::Refused(error)),
            };
        }
        let correlation = frame.correlation;
        if correlation == 0 && frame.kind & NOTICE != 0 {
            return Ok(None);
        }
        let (header, reply) = read_reply(frame).map_err(ProtocolError::Message)?;
        if let Some(waiting) = self.waiting.remove(&correlation) {
            if !matches!(reply, Reply::Error(_)) && reply.kind().number() != waiting.reply {
                return Err(ProtocolError::WrongReply.into());
            }
            if !waiting.given_up {
                self.answers.push_back(SessionAnswer { correlation, header, reply });
            }
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
    pub fn answer(&mut self) -> Option<SessionAnswer> {
        self.answers.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LogRef;
    use crate::api::error::{ErrorCode, RequestError};
    use crate::types::{ClusterId, NodeId, ShardId};
    use crate::wire::client::hello::{Limits, write_hello_reply};
    use crate::wire::client::write_reply;

    /// A session that was greeted, with nothing left to send.
    fn greeted() -> Session {
        let mut session = Session::new();
        session.greet(&crate::client::link::hello(ShardId(0), ClusterId(0), "test"));
        session.wrote(session.output().len());
        session.receive(&welcome()).expect("a welcome");
        assert!(session.greeted().is_some());
        session
    }

    /// A node's answer to the greeting.
    fn welcome() -> Vec<u8> {
        let mut bytes = Vec::new();
        let limits = Limits {
            frame_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 20,
            append_bytes_max: 1 << 20,
            append_entries_max: 10,
            read_bytes_max: 1 << 20,
            read_entries_max: 10,
            requests_max: 10,
            read_wait_ms_max: 10,
        };
        let reply = HelloReply {
            version: 1,
            cluster: ClusterId(1),
            node: NodeId(1),
            shards: 1,
            features: 0,
            limits,
            server: String::new(),
        };
        write_hello_reply(&mut bytes, 1, &ReplyHeader::NOBODY, &reply);
        bytes
    }

    fn reply(correlation: u64, reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_reply(&mut bytes, correlation, &ReplyHeader::NOBODY, reply);
        bytes
    }

    /// Answers find their requests in whichever order and pieces they come.
    #[test]
    fn answers_find_their_requests() {
        let mut session = greeted();
        let (ping, delete) = (session.ask(&Request::Ping), session.ask(&delete()));
        let bytes = [reply(delete, &Reply::Deleted), reply(ping, &Reply::Pong)].concat();
        for byte in bytes {
            session.receive(&[byte]).expect("a piece of a frame");
        }
        let answers = [session.answer(), session.answer()].map(|answer| answer.map(|a| a.reply));
        assert_eq!(answers, [Some(Reply::Deleted), Some(Reply::Pong)]);
        assert_eq!((session.answer(), session.waiting()), (None, 0));
    }

    fn delete() -> Request {
        Request::Delete(crate::api::Delete { log: LogRef::Id(crate::types::LogId(1)) })
    }

    /// A request can have arrived only when its last byte was given to the socket.
    #[test]
    fn a_request_arrives_with_its_last_byte() {
        let mut session = greeted();
        let first = session.ask(&Request::Ping);
        let first_bytes = session.output().len();
        let second = session.ask(&delete());
        let arrived = |session: &Session| [first, second].map(|c| session.may_have_arrived(c));
        assert_eq!(arrived(&session), [false, false]);
        session.wrote(first_bytes - 1);
        assert_eq!(arrived(&session), [false, false]);
        session.wrote(1);
        assert_eq!(arrived(&session), [true, false]);
        session.wrote(session.output().len());
        assert_eq!(arrived(&session), [true, true]);
        // Positions go on counting after everything has left.
        let third = session.ask(&Request::Ping);
        assert!(!session.may_have_arrived(third) && session.may_have_arrived(second));
    }

    /// What was not asked, or is of another kind than asked, ends the session; answers that came
    /// before stay.
    #[test]
    fn nonsense_ends_the_session() {
        for nonsense in [reply(99, &Reply::Pong), reply(3, &Reply::Deleted), vec![0xAB; 64]] {
            let mut session = greeted();
            let (first, second) = (session.ask(&Request::Ping), session.ask(&Request::Ping));
            assert_eq!((first, second), (2, 3));
            let bytes = [reply(first, &Reply::Pong), nonsense].concat();
            let error = session.receive(&bytes).expect_err("nonsense");
            assert!(matches!(error, Cause::Protocol(_)), "{error}");
            assert_eq!(session.answer().map(|answer| answer.correlation), Some(first));
            let later = session.receive(&reply(second, &Reply::Pong));
            assert!(matches!(later, Err(Cause::Closed)), "believed behind nonsense");
        }
    }

    /// The answer to a request that was given up is dropped, and the session goes on; a second one,
    /// or one of another kind, is nonsense as ever.
    #[test]
    fn answers_to_what_was_given_up_are_dropped() {
        let mut session = greeted();
        let (late, ping) = (session.ask(&delete()), session.ask(&Request::Ping));
        session.give_up(late);
        assert_eq!(session.waiting(), 1);
        let bytes = [reply(late, &Reply::Deleted), reply(ping, &Reply::Pong)].concat();
        session.receive(&bytes).expect("a late answer does no harm");
        assert_eq!(session.answer().map(|answer| answer.correlation), Some(ping));
        assert_eq!(session.answer(), None);
        session.receive(&reply(late, &Reply::Deleted)).expect_err("one request has one answer");

        let mut session = greeted();
        let late = session.ask(&delete());
        session.give_up(late);
        session.receive(&reply(late, &Reply::Pong)).expect_err("a Pong answers no Delete");
    }

    /// A notice of a later version is no answer, and does no harm.
    #[test]
    fn unknown_notices_are_ignored() {
        let mut session = greeted();
        let ping = session.ask(&Request::Ping);
        let mut bytes = Vec::new();
        crate::wire::frame::write_frame(&mut bytes, 0xC0FF, 0, |body| body.push(1));
        bytes.extend(reply(ping, &Reply::Pong));
        session.receive(&bytes).expect("a notice and an answer");
        assert_eq!(session.answer().map(|answer| answer.reply), Some(Reply::Pong));
    }

    /// A server of another kind is recognised by its first bytes: at once where these cannot begin a
    /// frame, else when it says nothing more. A node's answer is not, however few of its bytes came.
    #[test]
    fn strangers_are_recognised_by_their_first_bytes() {
        let silent = || Cause::Silent { waited: std::time::Duration::from_secs(1) };
        let ungreeted = || {
            let mut session = Session::new();
            session.greet(&crate::client::link::hello(ShardId(0), ClusterId(0), "test"));
            session
        };
        for (bytes, said) in [
            (&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], "it says \"SSH-2.0-OpenSSH_9.2p1\\r\\n\""),
            (b"\x15\x03\x01\x00\x02\x02F", "it says \"\\x15\\x03\\x01\\x00\\x02\\x02F\""),
            (b"HTTP/1.0 400 Bad Request\r\n", "it speaks HTTP"),
        ] {
            let error = ungreeted().receive(bytes).expect_err("no frame begins so");
            assert!(error.to_string().contains(said), "{error}");
        }
        for bytes in [&b"hi\n"[..], b"J\0\0\0\n8.0.36\0\x08\0\0\0"] {
            let mut session = ungreeted();
            session.receive(bytes).expect("a frame might begin so");
            let error = session.unanswered(silent()).to_string();
            assert!(error.contains(&bytes.escape_ascii().to_string()), "{error}");
        }
        let mut session = ungreeted();
        assert!(matches!(session.unanswered(silent()), Cause::Silent { .. }));
        for byte in &welcome()[..20] {
            session.receive(&[*byte]).expect("a piece of an answer");
        }
        assert!(matches!(session.unanswered(silent()), Cause::Silent { .. }));
        for byte in &welcome()[20..] {
            session.receive(&[*byte]).expect("a piece of an answer");
        }
        assert!(session.greeted().is_some());
    }

    /// What a node says of the connection as a whole is the reason for its end.
    #[test]
    fn a_farewell_is_the_reason() {
        let farewell = RequestError::new(ErrorCode::ShuttingDown, "stopping");
        let mut session = greeted();
        session.ask(&Request::Ping);
        let received = session.receive(&reply(0, &Reply::Error(farewell.clone())));
        assert!(matches!(received, Err(Cause::Refused(error)) if error == farewell));
    }
}
