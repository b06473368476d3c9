//! The logs out of a snapshot.
//!
//! Items come in the order of their names, so that a name has to be compared with the one before it and
//! no other. Ids, which are numbers, are sorted once all are there. Both maps are then built in one go.

use super::attributes::PackedAttributes;
use super::digest::{self, LogSum};
use super::snapshot::{FLAG_ATTRIBUTES, FLAG_SEALED};
use super::state::{Log, Logs};
use crate::api::name::LogName;
use crate::api::{LogAttributes, Retention};
use crate::machine::feature::HomeShard;
use crate::machine::snapshot::error::{RecordFault, SnapshotError};
use crate::types::{Index, LogId, ShardId};
use crate::wire::codec::{BodyReader, DecodeError};

/// The section's items so far.
#[derive(Debug)]
pub(in crate::machine) struct LogsRestore {
    home: HomeShard,
    created: u64,
    /// How many logs there are, as the head says.
    count: u64,
    /// By rising name. It grows with the items that came, never with what the head says.
    names: Vec<(LogName, LogId)>,
    /// In the same order.
    logs: Vec<(LogId, Box<Log>)>,
    sum: LogSum,
}

impl LogsRestore {
    /// Decodes the section's head.
    pub(in crate::machine) fn new(
        home: HomeShard,
        mut head: BodyReader<'_>,
    ) -> Result<LogsRestore, RecordFault> {
        let created = head.u64("created")?;
        let count = head.u64("count")?;
        head.finish()?;
        if created >= 1 << 48 {
            return Err(number("created", created));
        }
        if count > created {
            return Err(number("count", count));
        }
        let (names, logs, sum) = (Vec::new(), Vec::new(), LogSum::default());
        Ok(LogsRestore { home, created, count, names, logs, sum })
    }

    /// Decodes an item.
    pub(in crate::machine) fn item(&mut self, mut item: BodyReader<'_>) -> Result<(), RecordFault> {
        let id = LogId(item.u64("id")?);
        if id.shard() != self.home.shard || id.counter() == 0 || id.counter() > self.created {
            return Err(number("id", id.0));
        }
        let (first, next) = (item.u64("first")?, item.u64("next")?);
        if first > next {
            return Err(number("first", first));
        }
        let appended_bytes = item.u64("appended_bytes")?;
        let trimmed_bytes = item.u64("trimmed_bytes")?;
        if trimmed_bytes > appended_bytes {
            return Err(number("trimmed_bytes", trimmed_bytes));
        }
        let (created_ms, content) = (item.u64("created_ms")?, item.u64("content")?);
        let attributes = take_attributes(&mut item)?;
        let name = self.take_name(&mut item)?;
        let mut log = Box::new(Log {
            name_hash: digest::name_hash(&name),
            name: name.clone(),
            first: Index(first),
            next: Index(next),
            appended_bytes,
            trimmed_bytes,
            created_ms,
            content,
            attributes,
            hash: 0,
        });
        log.hash = log.facts(id).hash();
        self.sum.add(log.share());
        self.names.push((name, id));
        self.logs.push((id, log));
        Ok(())
    }

    /// The name to the item's end: behind the one before, and one of this shard's.
    fn take_name(&self, item: &mut BodyReader<'_>) -> Result<LogName, RecordFault> {
        let bytes = item.take("name", item.left())?;
        let name = LogName::from_bytes(bytes).map_err(DecodeError::Name)?;
        if self.names.last().is_some_and(|(before, _)| *before >= name) {
            return Err(RecordFault::NameOrder);
        }
        let owner = ShardId::of_name(&name, self.home.shards);
        if owner == self.home.shard { Ok(name) } else { Err(RecordFault::WrongOwner { owner }) }
    }

    /// Checks that all items came.
    pub(in crate::machine) fn check_whole(&self) -> Result<(), RecordFault> {
        let (stated, found) = (self.count, self.names.len() as u64);
        if stated == found { Ok(()) } else { Err(RecordFault::Count { stated, found }) }
    }

    /// The logs.
    pub(in crate::machine) fn finish(self) -> Result<Logs, SnapshotError> {
        let LogsRestore { home, created, count: _, names, mut logs, sum } = self;
        logs.sort_unstable_by_key(|(id, _)| *id);
        let twice = logs.array_windows().find(|[(one, _), (other, _)]| one == other);
        if let Some([(log, _), _]) = twice {
            return Err(SnapshotError::Duplicate { log: *log });
        }
        Ok(Logs::restored(home, created, names, logs, sum))
    }
}

fn take_attributes(item: &mut BodyReader<'_>) -> Result<PackedAttributes, RecordFault> {
    let flags = item.u8("flags")?;
    let unknown = flags & !(FLAG_ATTRIBUTES | FLAG_SEALED);
    if unknown != 0 {
        let (field, bits) = ("flags", u64::from(unknown));
        return Err(DecodeError::UnknownBits { field, bits }.into());
    }
    if flags == 0 {
        return Ok(PackedAttributes::default());
    }
    if flags & FLAG_ATTRIBUTES == 0 {
        return Err(number("flags", u64::from(flags)));
    }
    let version = item.u64("version")?;
    let retention = Retention {
        bytes: item.u64("retain_bytes")?,
        entries: item.u64("retain_entries")?,
        age_ms: item.u64("retain_age_ms")?,
    };
    let sealed = flags & FLAG_SEALED != 0;
    let attributes = LogAttributes { version, retention, sealed };
    if attributes == LogAttributes::default() {
        return Err(number("version", version)); // One state has one encoding.
    }
    Ok(PackedAttributes::new(attributes))
}

/// A number that no state has there.
fn number(field: &'static str, found: u64) -> RecordFault {
    DecodeError::Number { field, found }.into()
}
