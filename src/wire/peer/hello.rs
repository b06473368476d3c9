//! How two nodes meet: the caller greets, the called one accepts or says why not.

use crate::limits::MEMBERS_MAX;
use crate::types::{ClusterId, ConfigurationNumber, Incarnation, NodeId, ShardId};
use crate::wire::client::hello::common_version;
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::{Field, message};
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};
use crate::wire::kind::GreetingKind;

/// The lowest version of the peer protocol that this program speaks.
pub const PEER_VERSION_MIN: u16 = 1;
/// The highest version of the peer protocol that this program speaks.
pub const PEER_VERSION_MAX: u16 = 1;

/// What a peer's greeting starts with.
const MAGIC: [u8; 4] = *b"PAXP";

/// The first frame of the node that opened the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// The lowest version that the caller speaks.
    pub version_min: u16,
    /// The highest version that the caller speaks.
    pub version_max: u16,
    /// The caller's cluster.
    pub cluster: ClusterId,
    /// The caller.
    pub node: NodeId,
    /// The node that the caller means to reach.
    pub target: NodeId,
    /// The caller's incarnation.
    pub incarnation: Incarnation,
    /// The shard that the connection is for.
    pub shard: ShardId,
    /// Optional features that the caller knows; none exists in version 1.
    pub features: u64,
    /// What all nodes must share (R38).
    pub shared: SharedLimits,
}

/// What all nodes of a cluster must share (R38).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedLimits {
    /// Most bytes of one entry.
    pub entry_bytes_max: u32,
    /// Most bytes of one append's entries, prefixes included.
    pub append_bytes_max: u32,
    /// Most bytes of one slot's value.
    pub value_bytes_max: u32,
    /// Shards of the cluster.
    pub shards: u16,
    /// Most slots proposed beyond the contiguous chosen prefix (α): an acceptor bounds by it what a
    /// leader may have left open (C4).
    pub window_slots: u32,
    /// Members and quorums, shared by all nodes of one configuration.
    pub configuration: SharedConfiguration,
}

/// What all nodes of one configuration must share. Nodes of different configurations differ in it
/// until the older ones have learned of the newer one, so they must not refuse each other for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedConfiguration {
    /// Which configuration this is.
    pub number: ConfigurationNumber,
    /// The prepare quorum: so many members must promise before a candidate leads (phase 1).
    pub prepare_quorum: u16,
    /// The accept quorum: so many members must have accepted a value before it is chosen (phase 2).
    pub accept_quorum: u16,
    /// Digest of the members' ids ([`members_digest`]).
    pub members: u64,
}

/// The answer to a [`PeerHello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerHelloReply {
    /// The caller is taken in: messages follow.
    Accepted(PeerWelcome),
    /// The caller is turned away: the connection is closed behind this.
    Refused(PeerRefusal),
}

/// The called node's side of an accepted greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerWelcome {
    /// The version that both speak from here on.
    pub version: u16,
    /// The called node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Optional features in force: known to both.
    pub features: u64,
}

/// Why a peer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct PeerRefusal {
    /// The reason.
    pub code: PeerRefusalCode,
    /// The reason for people: names both values and what to do.
    pub text: String,
}

/// The reason why a peer is refused. Numbers are never used again for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum PeerRefusalCode {
    /// No common version.
    Version = 1,
    /// Another cluster.
    Cluster = 2,
    /// The caller is no member.
    NotAMember = 3,
    /// The called node is not the one meant.
    WrongTarget = 4,
    /// The caller has another incarnation than the one known: its disk was wiped or replaced.
    Incarnation = 5,
    /// What all nodes must share differs.
    Limits = 6,
    /// There is no such shard.
    Shard = 7,
    /// The called node cannot take connections now; later it may.
    NotNow = 8,
}

/// A digest of the members' ids, equal for equal sets.
#[must_use]
pub fn members_digest(members: impl IntoIterator<Item = NodeId>) -> u64 {
    let members: std::collections::BTreeSet<NodeId> = members.into_iter().collect();
    let bytes: Vec<u8> = members.iter().flat_map(|node| node.0.to_le_bytes()).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// What the called node knows of itself and of the cluster, to judge a greeting by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Itself.
    pub node: NodeId,
    /// The members of the cluster, itself included.
    pub members: Vec<NodeId>,
    /// What all nodes must share.
    pub shared: SharedLimits,
}

impl PeerRefusal {
    /// A refusal.
    #[must_use]
    pub fn new(code: PeerRefusalCode, text: impl Into<String>) -> PeerRefusal {
        PeerRefusal { code, text: text.into() }
    }
}

impl PeerHello {
    /// Whether the called node takes the caller in, and the version that both speak then. The
    /// caller's incarnation is the replica's to judge.
    ///
    /// # Errors
    /// [`PeerRefusal`] with both sides' values.
    pub fn check(&self, host: &Host) -> Result<u16, PeerRefusal> {
        let refuse = |code, text: String| Err(PeerRefusal::new(code, text));
        let (caller, called) = (self.node, host.node);
        let (low, high) = (self.version_min, self.version_max);
        let Some(version) = common_version((PEER_VERSION_MIN, PEER_VERSION_MAX), (low, high))
        else {
            let text = format!(
                "node {caller} speaks peer versions {low} to {high}, node {called} speaks \
                 {PEER_VERSION_MIN} to {PEER_VERSION_MAX}"
            );
            return refuse(PeerRefusalCode::Version, text);
        };
        if self.cluster != host.cluster {
            let (theirs, ours) = (self.cluster, host.cluster);
            let text =
                format!("node {caller} is of cluster {theirs}, node {called} of cluster {ours}");
            return refuse(PeerRefusalCode::Cluster, text);
        }
        if self.target != called {
            let target = self.target;
            let text = format!(
                "node {caller} means to reach node {target}, but this is node {called}: compare \
                 the members' addresses in their configurations"
            );
            return refuse(PeerRefusalCode::WrongTarget, text);
        }
        if caller == called || !host.members.contains(&caller) {
            let members: Vec<String> = host.members.iter().map(NodeId::to_string).collect();
            let text = format!(
                "node {caller} is not another member of the cluster: node {called} knows members {}",
                members.join(", ")
            );
            return refuse(PeerRefusalCode::NotAMember, text);
        }
        let differences = self.shared.differences(&host.shared, caller, called);
        if let Some(text) = differences.or_else(|| self.shared.configuration.fault(caller)) {
            return refuse(PeerRefusalCode::Limits, text);
        }
        if self.shard.0 >= host.shared.shards {
            let (shard, shards) = (self.shard, host.shared.shards);
            let text = format!("there is no shard {shard}: node {called} has {shards}");
            return refuse(PeerRefusalCode::Shard, text);
        }
        Ok(version)
    }
}

impl SharedLimits {
    /// Every limit that differs, by its key in paxosd.toml, with both values; none when all agree.
    /// What belongs to configurations of different numbers is not compared.
    #[must_use]
    pub fn differences(
        &self,
        host: &SharedLimits,
        caller: NodeId,
        called: NodeId,
    ) -> Option<String> {
        let same_append = self.append_bytes_max == host.append_bytes_max;
        let same_number = self.configuration.number == host.configuration.number;
        let ours = host.configuration;
        let theirs = if same_number { self.configuration } else { ours };
        let fields = [
            ("shards", u64::from(self.shards), u64::from(host.shards)),
            ("entry_bytes_max", u64::from(self.entry_bytes_max), u64::from(host.entry_bytes_max)),
            (
                "append_bytes_max",
                u64::from(self.append_bytes_max),
                u64::from(host.append_bytes_max),
            ),
            ("quorum_prepare", u64::from(theirs.prepare_quorum), u64::from(ours.prepare_quorum)),
            ("quorum_accept", u64::from(theirs.accept_quorum), u64::from(ours.accept_quorum)),
            ("window_slots", u64::from(self.window_slots), u64::from(host.window_slots)),
            ("a digest of the [[member]] ids", theirs.members, ours.members),
            // No key of its own: it follows from append_bytes_max, unless the programs differ.
            (
                "the largest value of the program",
                u64::from(if same_append { self.value_bytes_max } else { host.value_bytes_max }),
                u64::from(host.value_bytes_max),
            ),
        ];
        let differences: Vec<String> = fields
            .into_iter()
            .filter(|(_, theirs, ours)| theirs != ours)
            .map(|(name, theirs, ours)| {
                format!("{name} is {theirs} on node {caller} and {ours} on node {called}")
            })
            .collect();
        let must = match differences.len() {
            0 => return None,
            1 => "it must be",
            _ => "they must be",
        };
        let all = differences.join("; ");
        Some(format!("{all}; {must} the same on all nodes: correct paxosd.toml and restart"))
    }
}

impl SharedConfiguration {
    /// What cannot be true of any configuration. Between equal numbers a difference says as much.
    fn fault(&self, caller: NodeId) -> Option<String> {
        let quorums =
            [("quorum_prepare", self.prepare_quorum), ("quorum_accept", self.accept_quorum)];
        let beyond = |quorum: u16| quorum == 0 || usize::from(quorum) > MEMBERS_MAX;
        let (key, quorum) = quorums.into_iter().find(|(_, quorum)| beyond(*quorum))?;
        let number = self.number;
        Some(format!(
            "{key} is {quorum} in configuration {number} of node {caller}; a quorum has 1 to \
             {MEMBERS_MAX} members"
        ))
    }
}

message! {
    PeerHello {
        version_min, version_max, cluster, node, target, incarnation, shard, features, shared,
    }
    SharedLimits {
        entry_bytes_max, append_bytes_max, value_bytes_max, shards, window_slots, configuration,
    }
    SharedConfiguration { number, prepare_quorum, accept_quorum, members }
    PeerWelcome { version, node, incarnation, features }
}

/// Appends a greeting to `out`.
pub fn write_peer_hello(out: &mut Vec<u8>, hello: &PeerHello) {
    write_frame(out, GreetingKind::PeerHello.number(), 0, |body| {
        body.extend_from_slice(&MAGIC);
        hello.put(body);
    });
}

fn greeting<'a>(frame: &Frame<'a>, kind: GreetingKind) -> Result<BodyReader<'a>, DecodeError> {
    if frame.kind != kind.number() {
        return Err(DecodeError::Kind { kind: frame.kind });
    }
    if frame.flags & FLAGS_CRITICAL != 0 {
        return Err(DecodeError::Flags { flags: frame.flags });
    }
    Ok(BodyReader::new(frame.body))
}

/// Reads the first frame of a peer's connection. Bytes behind the fields known here are a newer
/// peer's, and ignored.
///
/// # Errors
/// [`DecodeError`]: this is no peer (R40); the connection is closed.
pub fn read_peer_hello(frame: &Frame<'_>) -> Result<PeerHello, DecodeError> {
    let mut body = greeting(frame, GreetingKind::PeerHello)?;
    body.magic(MAGIC)?;
    Field::take(&mut body, "hello")
}

/// Appends the answer to a greeting to `out`.
pub fn write_peer_hello_reply(out: &mut Vec<u8>, reply: &PeerHelloReply) {
    write_frame(out, GreetingKind::PeerHelloReply.number(), 0, |body| match reply {
        PeerHelloReply::Accepted(welcome) => {
            body.put_u16(0);
            welcome.put(body);
        }
        PeerHelloReply::Refused(refusal) => {
            body.put_u16(refusal.code as u16);
            body.put_text(&refusal.text);
        }
    });
}

/// Reads the answer to a greeting. Bytes behind the fields known here are a newer peer's, and
/// ignored; a refusal of unknown number reads as [`PeerRefusalCode::NotNow`].
///
/// # Errors
/// [`DecodeError`]: this is no answer to a greeting.
pub fn read_peer_hello_reply(frame: &Frame<'_>) -> Result<PeerHelloReply, DecodeError> {
    let mut body = greeting(frame, GreetingKind::PeerHelloReply)?;
    let code = match body.u16("code")? {
        0 => return Field::take(&mut body, "welcome").map(PeerHelloReply::Accepted),
        1 => PeerRefusalCode::Version,
        2 => PeerRefusalCode::Cluster,
        3 => PeerRefusalCode::NotAMember,
        4 => PeerRefusalCode::WrongTarget,
        5 => PeerRefusalCode::Incarnation,
        6 => PeerRefusalCode::Limits,
        7 => PeerRefusalCode::Shard,
        8.. => PeerRefusalCode::NotNow,
    };
    Ok(PeerHelloReply::Refused(PeerRefusal { code, text: body.text("text")?.to_string() }))
}
