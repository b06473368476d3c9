//! The first record: what a snapshot is of, and the state of the machine itself.
//!
//! `magic 8 bytes, format u16, shard u16, shards u16, applied_upto u64, leadership u8, round u64, node
//! u16, stamp_ms u64`; leadership is 0 or 1, and where it is 0, round and node are, too.

use super::error::RecordFault;
use crate::machine::feature::HomeShard;
use crate::types::{Ballot, FormatLevel, NodeId, ShardId, Slot};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// What every snapshot begins with, behind the first record's length and kind.
const MAGIC: [u8; 8] = *b"PAXSTATE";
/// The newest format that this node reads.
const VERSION: u16 = 2;

// What is written at any level that is known can be read.
const _: () = assert!(FormatLevel::KNOWN.versions().state <= VERSION);

/// The machine's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) home: HomeShard,
    pub(super) applied_upto: Slot,
    pub(super) applying_leadership: Option<Ballot>,
    pub(super) stamp_ms: u64,
}

impl Header {
    /// Encodes the header as the state's format level says.
    pub(super) fn put(&self, level: FormatLevel, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.put_u16(level.versions().state);
        out.put_u16(self.home.shard.0);
        out.put_u16(self.home.shards);
        out.put_u64(self.applied_upto.0);
        out.put_bool(self.applying_leadership.is_some());
        let leadership = self.applying_leadership.unwrap_or(Ballot::ZERO);
        out.put_u64(leadership.round);
        out.put_u16(leadership.node.0);
        out.put_u64(self.stamp_ms);
    }

    /// Decodes the header of a snapshot that should be of `home`, and the snapshot's format.
    pub(super) fn take(home: HomeShard, body: &[u8]) -> Result<(Header, u16), RecordFault> {
        let mut reader = BodyReader::new(body);
        let mut found = MAGIC;
        found.copy_from_slice(reader.take("magic", MAGIC.len())?);
        if found != MAGIC {
            return Err(RecordFault::Magic { found });
        }
        let version = reader.u16("format")?;
        if !(1..=VERSION).contains(&version) {
            return Err(RecordFault::Version { found: version, known: VERSION });
        }
        let (shard, shards) = (ShardId(reader.u16("shard")?), reader.u16("shards")?);
        if (HomeShard { shard, shards }) != home {
            return Err(RecordFault::WrongShard { shard, shards });
        }
        let applied_upto = Slot(reader.u64("applied_upto")?);
        let named = reader.bool("leadership")?;
        let ballot = Ballot { round: reader.u64("round")?, node: NodeId(reader.u16("node")?) };
        if !named && ballot != Ballot::ZERO {
            return Err(DecodeError::Number { field: "round", found: ballot.round }.into());
        }
        let stamp_ms = reader.u64("stamp_ms")?;
        reader.finish()?;
        let applying_leadership = named.then_some(ballot);
        Ok((Header { home, applied_upto, applying_leadership, stamp_ms }, version))
    }
}
