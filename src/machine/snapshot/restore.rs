//! Making a machine of a snapshot, or only its digest.

use super::error::{RecordFault, SnapshotError};
use super::header::Header;
use super::record::{Records, SnapshotRecordKind};
use crate::machine::assembly::FeatureRestores;
use crate::machine::feature::HomeShard;
use crate::machine::logs::RestoreWanted;
use crate::machine::state::{Machine, OwnFacts};
use crate::types::{FormatLevel, Index, LogId, ShardId, Slot};
use crate::wire::codec::BodyReader;

/// A machine that is made of the pieces of a snapshot. No bytes make it panic, and none make it allocate
/// more than a few times what they are.
#[derive(Debug)]
pub struct Restore {
    records: Records,
    state: Restored,
    /// The first error: what comes behind it is not looked at.
    failed: Option<SnapshotError>,
}

/// What the records so far came to.
#[derive(Debug)]
struct Restored {
    home: HomeShard,
    /// The highest format level that this node's program knows.
    known: FormatLevel,
    /// With the snapshot's format.
    header: Option<(Header, u16)>,
    features: FeatureRestores,
    /// The digest that the last record states.
    digest: Option<u64>,
}

impl Restore {
    /// Nothing yet of a snapshot that should be of this one of a cluster's `shards`, for a program that knows
    /// format levels up to `known`.
    ///
    /// # Panics
    /// When `shard` is not below `shards`.
    #[must_use]
    pub fn new(shard: ShardId, shards: u16, known: FormatLevel) -> Restore {
        Restore::of((shard, shards), known, RestoreWanted::Whole)
    }

    /// Likewise, of which only a survey is wanted: that takes a small part of the memory of a machine.
    ///
    /// # Panics
    /// When `shard` is not below `shards`.
    #[must_use]
    pub fn survey_only(shard: ShardId, shards: u16, known: FormatLevel) -> Restore {
        Restore::of((shard, shards), known, RestoreWanted::Digest)
    }

    fn of((shard, shards): (ShardId, u16), known: FormatLevel, wanted: RestoreWanted) -> Restore {
        assert!(shard.0 < shards, "shard {shard} of {shards} does not exist");
        let home = HomeShard { shard, shards };
        let features = FeatureRestores::new(wanted);
        Restore {
            records: Records::default(),
            state: Restored { home, known, header: None, features, digest: None },
            failed: None,
        }
    }

    /// Takes the next bytes, in pieces of any size.
    ///
    /// # Errors
    /// When the bytes are no snapshot that this node understands; the same error then for all that
    /// follows.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let state = &mut self.state;
        let taken = self.records.take(bytes, |kind, body| state.record(kind, body));
        taken.inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// The machine, once all bytes were taken. Its digest is computed from what was decoded, and is the
    /// one that the snapshot states. The work grows with the number of logs, as that of all `take` calls
    /// together: neither is for a turn of a loop where there are many.
    ///
    /// # Errors
    /// When an error came before, bytes are missing, or what was decoded is no state or another one.
    ///
    /// # Panics
    /// When only a survey was wanted.
    pub fn finish(self) -> Result<Machine, SnapshotError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let incomplete = SnapshotError::Incomplete { bytes: self.records.bytes() };
        let Restored { home, known, header, features, digest } = self.state;
        let (Some((header, _)), Some(stated)) = (header, digest) else { return Err(incomplete) };
        if self.records.is_inside() {
            return Err(incomplete);
        }
        let mut machine = Machine::new(home.shard, home.shards);
        machine.set_known_level(known);
        machine.applied_upto = header.applied_upto;
        machine.applying_leadership = header.applying_leadership;
        machine.stamp_ms = header.stamp_ms;
        machine.features = features.finish().ok_or(incomplete)??;
        let found = machine.digest();
        if found == stated { Ok(machine) } else { Err(SnapshotError::Digest { stated, found }) }
    }

    /// What the machine would be, once all bytes were taken: all was decoded and checked as for
    /// [`Restore::finish`].
    ///
    /// # Errors
    /// As [`Restore::finish`].
    pub fn survey(self) -> Result<SnapshotSurvey, SnapshotError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let incomplete = SnapshotError::Incomplete { bytes: self.records.bytes() };
        let Restored { home, header, features, digest, .. } = self.state;
        let (Some((header, _)), Some(stated)) = (header, digest) else { return Err(incomplete) };
        if self.records.is_inside() {
            return Err(incomplete);
        }
        let features = features.finish_digest().ok_or(incomplete)??;
        let Header { applied_upto, applying_leadership, stamp_ms, .. } = header;
        let own = OwnFacts { home, applied_upto, applying_leadership, stamp_ms };
        let (digest, first_indexes) =
            (own.digest_with(&features.digest_words), features.first_indexes);
        if digest != stated {
            return Err(SnapshotError::Digest { stated, found: digest });
        }
        Ok(SnapshotSurvey { applied_upto, digest, first_indexes })
    }
}

/// What is to be known of a snapshot whose machine nobody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSurvey {
    /// The slot of which it is the state.
    pub applied_upto: Slot,
    /// The digest of what was decoded, and that which the snapshot states.
    pub digest: u64,
    /// Every log with its first index, by rising id.
    pub first_indexes: Vec<(LogId, Index)>,
}

impl Restored {
    /// Takes a record in.
    fn record(&mut self, kind: u8, body: &[u8]) -> Result<(), RecordFault> {
        let order = RecordFault::Order { kind };
        let Some(kind) = SnapshotRecordKind::from_number(kind).filter(|_| self.digest.is_none())
        else {
            return Err(order);
        };
        let mut reader = BodyReader::new(body);
        match (kind, &self.header) {
            (SnapshotRecordKind::Machine, None) => {
                self.header = Some(Header::take(self.home, body)?)
            }
            (SnapshotRecordKind::Section, Some((header, format))) => {
                let (feature, version) = (reader.u8("feature")?, reader.u16("version")?);
                let place = (header.home, header.applied_upto, self.known);
                self.features.section(place, (feature, version), reader)?;
                self.features.check_format(*format)?;
            }
            (SnapshotRecordKind::Item, Some(_)) => self.features.item(reader)?,
            (SnapshotRecordKind::End, Some(_)) => {
                self.features.check_whole()?;
                let digest = reader.u64("digest")?;
                reader.finish()?;
                self.digest = Some(digest);
            }
            (SnapshotRecordKind::Machine, Some(_))
            | (
                SnapshotRecordKind::Section | SnapshotRecordKind::Item | SnapshotRecordKind::End,
                None,
            ) => {
                return Err(order);
            }
        }
        Ok(())
    }
}
