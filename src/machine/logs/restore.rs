//! The logs out of a snapshot.
//!
//! Items come in the order of their names, so that a name has to be compared with the one before it and
//! no other, and the map of names is built in one go; each log goes to its place by id at once.
//! Where only the digest is asked for, all is decoded and checked likewise, and little of it is kept.

use super::attributes::PackedAttributes;
use super::digest::{self, DIGEST_WORDS, LogSum};
use super::snapshot::{FLAG_ATTRIBUTES, FLAG_SEALED};
use super::state::{Log, Logs};
use super::table::LogTable;
use crate::api::name::LogName;
use crate::api::{LogAttributes, Retention};
use crate::machine::feature::HomeShard;
use crate::machine::snapshot::error::{RecordFault, SnapshotError};
use crate::types::{Index, LogId, ShardId};
use crate::wire::codec::{BodyReader, DecodeError};

/// What is wanted of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::machine) enum RestoreWanted {
    /// The state.
    #[default]
    Whole,
    /// That it is good, its digest, and where its logs begin.
    Digest,
}

/// The logs of a snapshot of which only the digest was wanted.
#[derive(Debug)]
pub(in crate::machine) struct LogsSurvey {
    /// What the machine's digest covers of them.
    pub(in crate::machine) digest_words: [u64; DIGEST_WORDS],
    /// The first index of each, by rising id.
    pub(in crate::machine) first_indexes: Vec<(LogId, Index)>,
}

/// The section's items so far.
#[derive(Debug)]
pub(in crate::machine) struct LogsRestore {
    home: HomeShard,
    created: u64,
    /// How many logs there are, as the head says.
    count: u64,
    /// How many items came, and the name of the last.
    found: u64,
    last: Option<LogName>,
    kept: LogsKept,
    /// The first id that came twice.
    duplicate: Option<LogId>,
    sum: LogSum,
}

/// What is kept of the items. It grows with those that came, never with what the head says.
#[derive(Debug)]
enum LogsKept {
    /// The logs by rising name, and by id.
    Whole(Vec<(LogName, LogId)>, LogTable<Log>),
    /// Their first indexes, in the order in which they came.
    FirstIndexes(Vec<(LogId, Index)>),
}

impl LogsRestore {
    /// Decodes the section's head.
    pub(in crate::machine) fn new(
        home: HomeShard,
        wanted: RestoreWanted,
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
        let kept = match wanted {
            RestoreWanted::Whole => LogsKept::Whole(Vec::new(), LogTable::new()),
            RestoreWanted::Digest => LogsKept::FirstIndexes(Vec::new()),
        };
        let (found, last, duplicate, sum) = (0, None, None, LogSum::default());
        Ok(LogsRestore { home, created, count, found, last, kept, duplicate, sum })
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
        let mut log = Log {
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
        };
        log.hash = log.facts(id).hash();
        self.sum.add(log.share());
        self.found += 1;
        self.last = Some(name.clone());
        match &mut self.kept {
            LogsKept::Whole(names, logs) => {
                names.push((name, id));
                if !logs.insert(id, log) {
                    self.duplicate = self.duplicate.or(Some(id));
                }
            }
            LogsKept::FirstIndexes(firsts) => firsts.push((id, log.first)),
        }
        Ok(())
    }

    /// The name to the item's end: behind the one before, and one of this shard's.
    fn take_name(&self, item: &mut BodyReader<'_>) -> Result<LogName, RecordFault> {
        let bytes = item.take("name", item.left())?;
        let name = LogName::from_bytes(bytes).map_err(DecodeError::Name)?;
        if self.last.as_ref().is_some_and(|before| *before >= name) {
            return Err(RecordFault::NameOrder);
        }
        let owner = ShardId::of_name(&name, self.home.shards);
        if owner == self.home.shard { Ok(name) } else { Err(RecordFault::WrongOwner { owner }) }
    }

    /// Checks that all items came.
    pub(in crate::machine) fn check_whole(&self) -> Result<(), RecordFault> {
        let (stated, found) = (self.count, self.found);
        if stated == found { Ok(()) } else { Err(RecordFault::Count { stated, found }) }
    }

    /// The logs.
    ///
    /// # Panics
    /// When only the digest was wanted.
    pub(in crate::machine) fn finish(self) -> Result<Logs, SnapshotError> {
        let LogsRestore { home, created, found, kept, duplicate, sum, .. } = self;
        let LogsKept::Whole(names, logs) = kept else {
            panic!("of {found} logs only the digest was wanted");
        };
        match duplicate {
            Some(log) => Err(SnapshotError::Duplicate { log }),
            None => Ok(Logs::restored(home, created, names, logs, sum)),
        }
    }

    /// What the digest covers of the logs, and the first index of each by rising id.
    pub(in crate::machine) fn finish_digest(self) -> Result<LogsSurvey, SnapshotError> {
        let mut first_indexes = match self.kept {
            LogsKept::FirstIndexes(firsts) => firsts,
            LogsKept::Whole(_, logs) => logs.iter().map(|(id, log)| (id, log.first)).collect(),
        };
        sort(&mut first_indexes)?;
        Ok(LogsSurvey { digest_words: self.sum.words(self.created), first_indexes })
    }
}

/// Sorts by ids, each of which may be there once.
fn sort<T>(logs: &mut [(LogId, T)]) -> Result<(), SnapshotError> {
    logs.sort_unstable_by_key(|(id, _)| *id);
    let twice = logs.array_windows().find(|[(one, _), (other, _)]| one == other);
    twice.map_or(Ok(()), |[(log, _), _]| Err(SnapshotError::Duplicate { log: *log }))
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
