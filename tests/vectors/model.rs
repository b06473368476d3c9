//! A vector: a message, the text that says what it is, and both ways to and from its bytes.

use paxosd::api::entries::EntriesLimit;
use paxosd::api::{Reply, ReplyHeader, Request};
use paxosd::limits::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, FRAME_BYTES_MAX};
use paxosd::wire::client::hello::{
    Hello, HelloAnswer, HelloReply, read_hello, read_hello_answer, write_hello, write_hello_reply,
};
use paxosd::wire::client::{read_reply, read_request, write_reply, write_request};
use paxosd::wire::frame::{Frame, FrameBuffer};
use paxosd::wire::peer;
use paxosd::wire::peer::hello::{
    PeerHello, PeerHelloReply, read_peer_hello, read_peer_hello_reply, write_peer_hello,
    write_peer_hello_reply,
};
use paxosd::wire::peer::{read_message, write_message};

/// What the nodes of the examples take in one append.
pub const LIMIT: EntriesLimit = EntriesLimit {
    entries_max: APPEND_ENTRIES_MAX as u32,
    entry_bytes_max: 1 << 20,
    bytes_max: APPEND_BYTES_MAX as u32,
};

/// A message and where it travels.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Hello(u64, Hello),
    HelloReply(u64, ReplyHeader, HelloReply),
    Request(u64, Request),
    Reply(u64, ReplyHeader, Reply),
    PeerHello(PeerHello),
    PeerHelloReply(PeerHelloReply),
    Peer(peer::Message),
}

/// A message with a name and a text for readers of the file.
pub struct Vector {
    pub name: &'static str,
    pub text: &'static str,
    pub message: Message,
}

pub fn vector(name: &'static str, text: &'static str, message: Message) -> Vector {
    Vector { name, text, message }
}

impl Message {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Message::Hello(correlation, hello) => write_hello(&mut out, *correlation, hello),
            Message::HelloReply(correlation, header, reply) => {
                write_hello_reply(&mut out, *correlation, header, reply);
            }
            Message::Request(correlation, request) => {
                write_request(&mut out, *correlation, request);
            }
            Message::Reply(correlation, header, reply) => {
                write_reply(&mut out, *correlation, header, reply);
            }
            Message::PeerHello(hello) => write_peer_hello(&mut out, hello),
            Message::PeerHelloReply(reply) => write_peer_hello_reply(&mut out, reply),
            Message::Peer(message) => write_message(&mut out, message),
        }
        out
    }

    /// Reads bytes as a message of the same sort as this one.
    pub fn decode_alike(&self, bytes: &[u8]) -> Message {
        let mut buffer = FrameBuffer::new();
        buffer.set_limit(FRAME_BYTES_MAX);
        let mut input = bytes;
        let frame = buffer.next(&mut input).expect("a valid frame").expect("a whole frame");
        assert!(input.is_empty(), "bytes behind the frame");
        self.read_alike(&frame)
    }

    fn read_alike(&self, frame: &Frame<'_>) -> Message {
        let correlation = frame.correlation;
        match self {
            Message::Hello(..) => Message::Hello(correlation, read_hello(frame).expect("a Hello")),
            Message::HelloReply(..) => match read_hello_answer(frame).expect("an answer") {
                HelloAnswer::Welcome(header, reply) => {
                    Message::HelloReply(correlation, header, reply)
                }
                HelloAnswer::Refused(_, error) => panic!("refused: {error}"),
            },
            Message::Request(..) => {
                Message::Request(correlation, read_request(frame, &LIMIT).expect("a request"))
            }
            Message::Reply(..) => {
                let (header, reply) = read_reply(frame).expect("a reply");
                Message::Reply(correlation, header, reply)
            }
            Message::PeerHello(_) => Message::PeerHello(read_peer_hello(frame).expect("a peer")),
            Message::PeerHelloReply(_) => {
                Message::PeerHelloReply(read_peer_hello_reply(frame).expect("an answer"))
            }
            Message::Peer(_) => Message::Peer(read_message(frame).expect("a peer's message")),
        }
    }
}
