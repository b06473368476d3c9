//! The lost entries of one log: ranges by rising index, with entries between each two of them that are not lost.

use crate::machine::digest::hash_words;
use crate::types::{Index, LogId, LostRange};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// Lost entries, and the bytes that they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostExtent {
    /// The entries, at least one.
    pub range: LostRange,
    /// Payload bytes of the log in front of the first extent that is lost as a whole, and behind the last one:
    /// what lies between counts as live no more. As the leader found them.
    pub bytes: (u64, u64),
}

impl LostExtent {
    /// Payload bytes of it, beside those that are trimmed.
    fn live_bytes(&self, trimmed_bytes: u64) -> u64 {
        self.bytes.1.saturating_sub(self.bytes.0.max(trimmed_bytes))
    }

    /// Its share of the digest.
    pub(super) fn hash(&self, log: LogId) -> u64 {
        let LostExtent { range, bytes } = self;
        hash_words(&[log.0, range.from.0, range.before.0, bytes.0, bytes.1])
    }

    /// Encodes it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let LostExtent { range: LostRange { from, before }, bytes } = *self;
        for number in [from.0, before.0, bytes.0, bytes.1] {
            out.put_u64(number);
        }
    }
}

/// Decodes a range of at least one entry.
pub(super) fn take_extent(reader: &mut BodyReader<'_>) -> Result<LostExtent, DecodeError> {
    let (from, before) = (reader.u64("from")?, reader.u64("before")?);
    if from >= before {
        return Err(DecodeError::Number { field: "before", found: before });
    }
    let bytes = (reader.u64("bytes_from")?, reader.u64("bytes_before")?);
    if bytes.0 > bytes.1 {
        return Err(DecodeError::Number { field: "bytes_before", found: bytes.1 });
    }
    Ok(LostExtent { range: LostRange { from: Index(from), before: Index(before) }, bytes })
}

/// The lost entries of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLosses {
    /// By rising index; between two of them some entry is not lost.
    extents: Vec<LostExtent>,
}

impl LogLosses {
    pub(super) fn extents(&self) -> &[LostExtent] {
        &self.extents
    }

    /// The ranges, by rising index.
    pub fn ranges(&self) -> impl Iterator<Item = LostRange> {
        self.extents.iter().map(|extent| extent.range)
    }

    /// The range that has this index; else the next one behind it.
    #[must_use]
    pub fn from(&self, index: Index) -> Option<LostRange> {
        let at = self.extents.partition_point(|extent| extent.range.before <= index);
        self.extents.get(at).map(|extent| extent.range)
    }

    /// All entries from `first` up to `end`, which is not one of them, are lost.
    #[must_use]
    pub fn covers(&self, first: Index, end: Index) -> bool {
        // Neighbours are one range, so that one has them all.
        self.from(first).is_some_and(|range| range.from <= first && end <= range.before)
    }

    /// Payload bytes of all of them, beside those that are trimmed.
    pub(super) fn live_bytes(&self, trimmed_bytes: u64) -> u64 {
        self.extents.iter().map(|extent| extent.live_bytes(trimmed_bytes)).sum()
    }

    /// Adds entries; those that touch become one range.
    pub(super) fn add(&mut self, added: LostExtent) {
        let touches = |extent: &LostExtent| {
            extent.range.from <= added.range.before && added.range.from <= extent.range.before
        };
        let whole = self.extents.iter().filter(|extent| touches(extent)).fold(added, |sum, one| {
            let from = sum.range.from.min(one.range.from);
            let before = sum.range.before.max(one.range.before);
            let bytes = (sum.bytes.0.min(one.bytes.0), sum.bytes.1.max(one.bytes.1));
            LostExtent { range: LostRange { from, before }, bytes }
        });
        self.extents.retain(|extent| !touches(extent));
        let at = self.extents.partition_point(|extent| extent.range.from < whole.range.from);
        self.extents.insert(at, whole);
    }

    /// Adds one that a snapshot has behind the others; false where it does not come there.
    pub(super) fn push(&mut self, extent: LostExtent) -> bool {
        let follows = self.extents.last().is_none_or(|last| last.range.before < extent.range.from);
        self.extents.push(extent);
        follows
    }

    /// Entries before `first` are trimmed: nobody asks for them.
    pub(super) fn trim(&mut self, first: Index) {
        self.extents.retain(|extent| extent.range.before > first);
        if let Some(extent) = self.extents.first_mut() {
            extent.range.from = extent.range.from.max(first);
        }
    }
}
