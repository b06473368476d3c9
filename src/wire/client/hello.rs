//! How a client and a node meet.

use super::operations::ReplyKind;
use super::refusal::Refusal;
use crate::api::entries::EntriesLimit;
use crate::api::error::{Detail, ErrorCode, RequestError};
use crate::api::{NO_SHARD, ReplyHeader};
use crate::types::{ClusterId, NodeId, ShardId};
use crate::wire::codec::{BodyReader, DecodeError};
use crate::wire::field::{Bytes16, Field, message};
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};
use crate::wire::kind::GreetingKind;

/// The lowest protocol version that this program speaks.
pub const VERSION_MIN: u16 = 1;
/// The highest protocol version that this program speaks.
pub const VERSION_MAX: u16 = 1;

/// What a client's Hello starts with.
const MAGIC: [u8; 4] = *b"PAXC";

/// A client's first frame on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version that the client speaks.
    pub version_min: u16,
    /// The highest version that the client speaks.
    pub version_max: u16,
    /// The cluster that the client means; zero for any.
    pub cluster: ClusterId,
    /// The shard that the connection is for; [`NO_SHARD`] for Status, Map and
    /// Ping only.
    pub shard: ShardId,
    /// Optional features that the client knows; none exists in version 1.
    pub features: u64,
    /// Kind of credential: 0 is none. Others are reserved.
    pub credential_kind: u8,
    /// The credential.
    pub credential: Vec<u8>,
    /// The client program's name and version, for people who read logs.
    pub client: String,
}

/// A node's answer to a greeting that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// The version that both speak from here on.
    pub version: u16,
    /// The node's cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// How many shards the cluster has.
    pub shards: u16,
    /// Optional features in force: known to both.
    pub features: u64,
    /// What the node takes.
    pub limits: Limits,
    /// The node program's version, for people.
    pub server: String,
}

/// What a node takes from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Most bytes of a frame's body.
    pub frame_bytes_max: u32,
    /// Most bytes of one entry.
    pub entry_bytes_max: u32,
    /// Most bytes of one append's entries, prefixes included.
    pub append_bytes_max: u32,
    /// Most entries of one append.
    pub append_entries_max: u32,
    /// Most bytes of entries in one answer to a read, but for a single larger entry.
    pub read_bytes_max: u32,
    /// Most entries in one answer to a read.
    pub read_entries_max: u32,
    /// Most requests of one connection that wait for their answers.
    pub requests_max: u32,
    /// Longest wait of a read, in milliseconds.
    pub read_wait_ms_max: u32,
}

impl Limits {
    /// What one append may hold.
    #[must_use]
    pub fn append(&self) -> EntriesLimit {
        EntriesLimit {
            entries_max: self.append_entries_max,
            entry_bytes_max: self.entry_bytes_max,
            bytes_max: self.append_bytes_max,
        }
    }
}

/// What comes back for a Hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloAnswer {
    /// Requests may follow.
    Welcome(ReplyHeader, HelloReply),
    /// The node closes the connection.
    Refused(ReplyHeader, RequestError),
}

/// The version that two sides speak: the highest that both know; none if their ranges do not meet.
#[must_use]
pub fn common_version(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let (highest, lowest) = (ours.1.min(theirs.1), ours.0.max(theirs.0));
    (lowest <= highest).then_some(highest)
}

impl Hello {
    /// Whether a node of `cluster` with `shards` shards takes the client in, and the version that
    /// both speak then.
    ///
    /// # Errors
    /// The answer to send before closing the connection; its text has both sides' values.
    pub fn check(&self, cluster: ClusterId, shards: u16) -> Result<u16, RequestError> {
        let theirs = (self.version_min, self.version_max);
        let Some(version) = common_version((VERSION_MIN, VERSION_MAX), theirs) else {
            let (low, high) = theirs;
            let ours = format!("this node {VERSION_MIN} to {VERSION_MAX}");
            let text = if low > high {
                format!("version_min {low} is above version_max {high}: no range; {ours}")
            } else {
                format!("the client speaks versions {low} to {high}, {ours}")
            };
            let detail = Detail::Versions { min: VERSION_MIN, max: VERSION_MAX };
            return Err(RequestError::new(ErrorCode::VersionMismatch, text).with_detail(detail));
        };
        if self.cluster != ClusterId(0) && self.cluster != cluster {
            let text = format!("this node is of cluster {cluster}, not of {}", self.cluster);
            return Err(RequestError::new(ErrorCode::WrongCluster, text));
        }
        if self.shard != NO_SHARD && self.shard.0 >= shards {
            let text = format!("there is no shard {}: the cluster has {shards}", self.shard);
            return Err(RequestError::new(ErrorCode::WrongShard, text));
        }
        if self.credential_kind != 0 {
            let text = format!("credentials of kind {} are not known here", self.credential_kind);
            return Err(RequestError::new(ErrorCode::Unsupported, text));
        }
        Ok(version)
    }
}

message! {
    Hello {
        version_min, version_max, cluster, shard, features, credential_kind, credential as Bytes16,
        client,
    }
    HelloReply { version, cluster, node, shards, features, limits, server }
    Limits {
        frame_bytes_max, entry_bytes_max, append_bytes_max, append_entries_max, read_bytes_max,
        read_entries_max, requests_max, read_wait_ms_max,
    }
}

/// Appends a Hello to `out`.
pub fn write_hello(out: &mut Vec<u8>, correlation: u64, hello: &Hello) {
    write_frame(out, GreetingKind::Hello.number(), correlation, |body| {
        body.extend_from_slice(&MAGIC);
        hello.put(body);
    });
}

/// Reads the first frame of a client's connection. Bytes behind the fields known here are a newer
/// client's, and ignored.
///
/// # Errors
/// The answer, behind which the connection is closed.
pub fn read_hello(frame: &Frame<'_>) -> Result<Hello, Refusal> {
    if frame.kind == GreetingKind::PeerHello.number() {
        let text = "this port is for clients; peers meet on the peer port";
        return Err(Refusal::greeting(RequestError::new(ErrorCode::WrongPort, text)));
    }
    let hello = hello(frame).map_err(|error| {
        let text = format!("a connection starts with a Hello: {error}");
        Refusal::greeting(RequestError::new(ErrorCode::BadRequest, text))
    })?;
    Ok(hello)
}

fn hello(frame: &Frame<'_>) -> Result<Hello, DecodeError> {
    if frame.kind != GreetingKind::Hello.number() {
        return Err(DecodeError::Kind { kind: frame.kind });
    }
    if frame.correlation == 0 {
        return Err(DecodeError::Number { field: "correlation", found: 0 });
    }
    if frame.flags & FLAGS_CRITICAL != 0 {
        return Err(DecodeError::Flags { flags: frame.flags });
    }
    let mut body = BodyReader::new(frame.body);
    body.magic(MAGIC)?;
    Field::take(&mut body, "hello")
}

/// Appends a node's answer to a Hello to `out`; a refusal is a [`crate::api::Reply::Error`].
pub fn write_hello_reply(
    out: &mut Vec<u8>,
    correlation: u64,
    header: &ReplyHeader,
    reply: &HelloReply,
) {
    write_frame(out, GreetingKind::HelloReply.number(), correlation, |body| {
        header.put(body);
        reply.put(body);
    });
}

/// Reads a node's answer to a Hello. Bytes behind the fields known here are a newer node's, and
/// ignored.
///
/// # Errors
/// [`DecodeError`]: this is no answer to a Hello.
pub fn read_hello_answer(frame: &Frame<'_>) -> Result<HelloAnswer, DecodeError> {
    if frame.flags & FLAGS_CRITICAL != 0 {
        return Err(DecodeError::Flags { flags: frame.flags });
    }
    let mut body = BodyReader::new(frame.body);
    if frame.kind == ReplyKind::Error.number() {
        let header = Field::take(&mut body, "header")?;
        return Ok(HelloAnswer::Refused(header, Field::take(&mut body, "error")?));
    }
    if frame.kind != GreetingKind::HelloReply.number() {
        return Err(DecodeError::Kind { kind: frame.kind });
    }
    let header = Field::take(&mut body, "header")?;
    Ok(HelloAnswer::Welcome(header, Field::take(&mut body, "hello_reply")?))
}
