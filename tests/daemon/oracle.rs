//! What a node must make of a connection's bytes. They are cut into frames by a few lines that owe
//! nothing to the node's; what a whole frame says, its own decoders say: tested is that it asks them,
//! and answers, counts and closes accordingly.

use paxosd::api::entries::EntriesLimit;
use paxosd::api::error::{ErrorCode, RequestError};
use paxosd::api::name::LogName;
use paxosd::api::{Append, DeclareLost, Delete, LogRef, Request, SetAttributes, Trim};
use paxosd::limits::{
    APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_DEFAULT, FRAME_BYTES_BEFORE_HELLO,
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES,
};
use paxosd::types::{ClusterId, Incarnation, LogId, NodeId};
use paxosd::wire::client::hello::read_hello;
use paxosd::wire::client::read_request;
use paxosd::wire::frame::Frame;
use paxosd::wire::kind::GreetingKind;
use paxosd::wire::peer::hello::{
    Host, PeerHelloReply, PeerRefusalCode, read_peer_hello, read_peer_hello_reply,
};
use paxosd::wire::peer::read_message;

/// How a connection ends by its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Understood and turned down, for this reason.
    Refused(Reason),
    /// Bytes that make no sense, for this reason.
    Garbage(Reason),
}

/// What the last frame says that a node sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An error of this code, for the request of this correlation.
    Error(u64, ErrorCode),
    /// A refusal between peers.
    Peer(PeerRefusalCode),
    /// Nothing: peers do not learn what made no sense.
    Silence,
}

/// A connection's bytes, cut into frames as docs/PROTOCOL.md says.
#[derive(Clone, Debug)]
struct Frames {
    bytes: Vec<u8>,
    /// Where the next frame starts.
    at: usize,
    limit: usize,
}

impl Frames {
    fn new() -> Frames {
        Frames { bytes: Vec::new(), at: 0, limit: FRAME_BYTES_BEFORE_HELLO }
    }

    /// The next frame, where it is there as a whole, or the error that its bytes are.
    fn next(&mut self) -> Result<Option<Frame<'_>>, ErrorCode> {
        let rest = &self.bytes[self.at..];
        let Some((header, _)) = rest.split_at_checked(FRAME_HEADER_BYTES) else { return Ok(None) };
        let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let short = |at: usize| u16::from_le_bytes(header[at..at + 2].try_into().unwrap());
        let length = number(0) as usize;
        if length > self.limit {
            return Err(ErrorCode::TooLarge);
        }
        let Some(frame) = rest.get(..FRAME_HEADER_BYTES + length) else { return Ok(None) };
        if crc32c::crc32c(&frame[8..]) != number(4) {
            return Err(ErrorCode::BadRequest);
        }
        self.at += frame.len();
        let correlation = u64::from_le_bytes(header[16..].try_into().unwrap());
        let body = &frame[FRAME_HEADER_BYTES..];
        Ok(Some(Frame { kind: short(8), flags: short(10), correlation, body }))
    }
}

/// The log of a client that must not be touched by any mutant.
#[derive(Clone, Debug)]
pub struct Spared {
    pub name: LogName,
    pub id: LogId,
}

/// A client's connection.
#[derive(Clone, Debug)]
pub struct ClientOracle {
    frames: Frames,
    cluster: ClusterId,
    spared: Spared,
    /// A Hello was accepted.
    pub welcome: bool,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// Requests that are refused by their bytes alone, behind which the connection goes on.
    pub refused: Vec<(u64, ErrorCode)>,
    /// Correlations of all frames that may be answered.
    pub asked: Vec<u64>,
    /// A request would change the spared log.
    pub harms: bool,
}

impl ClientOracle {
    /// A connection to the only shard of a node of this cluster.
    pub fn new(cluster: ClusterId, spared: Spared) -> ClientOracle {
        ClientOracle {
            frames: Frames::new(),
            cluster,
            spared,
            welcome: false,
            end: None,
            refused: Vec::new(),
            asked: Vec::new(),
            harms: false,
        }
    }

    /// No frame is under way.
    pub fn is_at_a_boundary(&self) -> bool {
        self.frames.at == self.frames.bytes.len()
    }

    /// The connection brings these bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        // Taken out while it lends out frames.
        let mut frames = std::mem::replace(&mut self.frames, Frames::new());
        frames.bytes.extend_from_slice(bytes);
        while self.end.is_none() {
            let welcome = self.welcome;
            match frames.next() {
                Ok(None) => break,
                Ok(Some(frame)) if welcome => self.request(&frame),
                Ok(Some(frame)) => self.greeting(&frame),
                Err(code) => self.end = Some(End::Garbage(Reason::Error(0, code))),
            }
            if self.welcome {
                frames.limit = FRAME_BYTES_MAX;
            }
        }
        self.frames = frames;
    }

    fn greeting(&mut self, frame: &Frame<'_>) {
        let reason = |error: RequestError| Reason::Error(frame.correlation, error.code);
        match read_hello(frame) {
            // Who takes this port for another one is understood, and answered so.
            Err(refusal) if refusal.error.code == ErrorCode::WrongPort => {
                self.end = Some(End::Refused(reason(refusal.error)));
            }
            Err(refusal) => self.end = Some(End::Garbage(reason(refusal.error))),
            Ok(hello) => match hello.check(self.cluster, 1) {
                Ok(_) => {
                    self.welcome = true;
                    self.asked.push(frame.correlation);
                }
                Err(error) => self.end = Some(End::Refused(reason(error))),
            },
        }
    }

    fn request(&mut self, frame: &Frame<'_>) {
        let limit = EntriesLimit {
            entries_max: APPEND_ENTRIES_MAX as u32,
            entry_bytes_max: ENTRY_BYTES_DEFAULT as u32,
            bytes_max: APPEND_BYTES_MAX as u32,
        };
        self.asked.push(frame.correlation);
        match read_request(frame, &limit) {
            Ok(request) => self.harms |= self.spared.is_changed_by(&request),
            Err(refusal) if refusal.close => {
                let reason = Reason::Error(frame.correlation, refusal.error.code);
                self.end = Some(End::Garbage(reason));
            }
            Err(refusal) => self.refused.push((frame.correlation, refusal.error.code)),
        }
    }
}

impl Spared {
    fn is_changed_by(&self, request: &Request) -> bool {
        let (Request::Append(Append { log, .. })
        | Request::Delete(Delete { log })
        | Request::Trim(Trim { log, .. })
        | Request::DeclareLost(DeclareLost { log, .. })
        | Request::SetAttributes(SetAttributes { log, .. })) = request
        else {
            return false;
        };
        match log {
            LogRef::Name(name) => *name == self.name,
            LogRef::Id(id) => *id == self.id,
        }
    }
}

/// A peer's connection.
#[derive(Clone, Debug)]
pub struct PeerOracle {
    frames: Frames,
    host: Host,
    /// The peer that may come in.
    known: (NodeId, Incarnation),
    /// A greeting was accepted.
    pub welcome: bool,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// A message would be believed.
    pub harms: bool,
}

impl PeerOracle {
    /// A connection to `host`, which takes in `known` and knows all others by other incarnations.
    pub fn new(host: Host, known: (NodeId, Incarnation)) -> PeerOracle {
        let frames = Frames::new();
        PeerOracle { frames, host, known, welcome: false, end: None, harms: false }
    }

    /// The connection brings these bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let mut frames = std::mem::replace(&mut self.frames, Frames::new());
        frames.bytes.extend_from_slice(bytes);
        while self.end.is_none() {
            let welcome = self.welcome;
            match frames.next() {
                Ok(None) => break,
                Ok(Some(frame)) if welcome => self.message(&frame),
                Ok(Some(frame)) => self.greeting(&frame),
                Err(_) => self.end = Some(End::Garbage(Reason::Silence)),
            }
            if self.welcome {
                frames.limit = FRAME_BYTES_MAX;
            }
        }
        self.frames = frames;
    }

    fn greeting(&mut self, frame: &Frame<'_>) {
        let refused = |code| Some(End::Refused(Reason::Peer(code)));
        match read_peer_hello(frame) {
            Err(_) if frame.kind == GreetingKind::Hello.number() => {
                let reason = Reason::Error(frame.correlation, ErrorCode::WrongPort);
                self.end = Some(End::Refused(reason));
            }
            Err(_) => self.end = Some(End::Garbage(Reason::Silence)),
            Ok(hello) => match hello.check(&self.host) {
                Ok(_) if (hello.node, hello.incarnation) == self.known => self.welcome = true,
                Ok(_) => self.end = refused(PeerRefusalCode::Incarnation),
                Err(refusal) => self.end = refused(refusal.code),
            },
        }
    }

    fn message(&mut self, frame: &Frame<'_>) {
        if frame.kind == GreetingKind::PeerHelloReply.number() {
            // A peer that called may still refuse whom it called, without an answer.
            self.end = Some(match read_peer_hello_reply(frame) {
                Ok(PeerHelloReply::Refused(_)) => End::Refused(Reason::Silence),
                Ok(PeerHelloReply::Accepted(_)) | Err(_) => End::Garbage(Reason::Silence),
            });
        } else if read_message(frame).is_ok() {
            self.harms = true;
        } else {
            self.end = Some(End::Garbage(Reason::Silence));
        }
    }
}
