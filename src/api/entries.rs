//! Entries as they travel and as they lie on disk: `len u32, crc32c u32, bytes`, one behind the
//! other. One encoding from the client to the journal and back, so nothing is encoded twice and
//! each entry's checksum is the client's own.

use crate::limits::ENTRY_PREFIX_BYTES;
use byteorder::{ByteOrder, LittleEndian};
use std::fmt;
use thiserror::Error;

/// A sequence of entries, owned, whose structure and checksums were verified or made here.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Entries {
    count: u32,
    raw: Vec<u8>,
}

/// A sequence of entries in borrowed bytes, whose structure was verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EntriesRef<'a> {
    count: u32,
    raw: &'a [u8],
}

/// One entry of a sequence, in borrowed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// CRC-32C of the bytes, as the client computed it.
    pub crc: u32,
    /// The entry's bytes, without its prefix.
    pub data: &'a [u8],
}

/// What one append may hold, as the cluster is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntriesLimit {
    /// Most entries of one append.
    pub entries_max: u32,
    /// Most bytes of one entry, without its prefix.
    pub entry_bytes_max: u32,
    /// Most bytes in all, prefixes included.
    pub bytes_max: u32,
}

/// What is wrong with a sequence of entries. Entries are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntriesError {
    /// The sequence is empty, where at least one entry is needed.
    #[error("there is no entry; an append has at least one")]
    Empty,
    /// The bytes end inside an entry.
    #[error("the bytes end inside entry {entry}")]
    Truncated {
        /// The entry that is not whole, counted from 0.
        entry: u32,
    },
    /// There are bytes behind the last entry.
    #[error("there are {bytes} bytes behind the last entry")]
    Trailing {
        /// Bytes that belong to no entry.
        bytes: usize,
    },
    /// An entry does not fit its checksum.
    #[error("entry {entry} has CRC-32C {computed:#010x}, but says {stated:#010x}")]
    Checksum {
        /// The entry that does not fit, counted from 0.
        entry: u32,
        /// The checksum in front of it.
        stated: u32,
        /// The checksum that its bytes have.
        computed: u32,
    },
    /// One entry is larger than the cluster takes.
    #[error("entry {entry} has {bytes} bytes, the limit is {limit}")]
    EntryTooLarge {
        /// The entry that is too large, counted from 0.
        entry: u32,
        /// Its size in bytes, without its prefix.
        bytes: u64,
        /// Most bytes that an entry may have: `entry_bytes_max`.
        limit: u32,
    },
    /// There are more entries than one append may hold.
    #[error("there are {entries} entries, the limit is {limit}")]
    TooMany {
        /// Entries found.
        entries: u32,
        /// Most entries that an append may hold.
        limit: u32,
    },
    /// The entries are too large together.
    #[error("the entries have {bytes} bytes with their prefixes, the limit is {limit}")]
    TooLarge {
        /// Their size in bytes, prefixes included.
        bytes: u64,
        /// Most bytes that an append may hold: `append_bytes_max`.
        limit: u32,
    },
}

impl Entries {
    /// Returns a sequence without entries, to push to.
    #[must_use]
    pub fn new() -> Entries {
        Entries::default()
    }

    /// Encodes entries from their bytes.
    ///
    /// # Errors
    /// As [`Entries::push`].
    pub fn from_slices<I>(entries: I) -> Result<Entries, EntriesError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut all = Entries::new();
        for entry in entries {
            all.push(entry.as_ref())?;
        }
        Ok(all)
    }

    /// Takes over encoded entries after verifying their structure and checksums.
    ///
    /// # Errors
    /// [`EntriesError`] names the first entry that is wrong, and what about it.
    pub fn from_raw(raw: Vec<u8>, count: u32) -> Result<Entries, EntriesError> {
        EntriesRef::parse(&raw, count)?;
        Ok(Entries { count, raw })
    }

    /// Encodes one more entry.
    ///
    /// # Errors
    /// [`EntriesError::EntryTooLarge`] and [`EntriesError::TooLarge`] when 32-bit lengths cannot
    /// express it; nothing is added then.
    pub fn push(&mut self, data: &[u8]) -> Result<(), EntriesError> {
        let Ok(len) = u32::try_from(data.len()) else {
            let bytes = data.len() as u64;
            return Err(EntriesError::EntryTooLarge { entry: self.count, bytes, limit: u32::MAX });
        };
        self.reserve(ENTRY_PREFIX_BYTES + data.len(), 1)?;
        self.raw.extend_from_slice(&len.to_le_bytes());
        self.raw.extend_from_slice(&crc32c::crc32c(data).to_le_bytes());
        self.raw.extend_from_slice(data);
        self.count += 1;
        Ok(())
    }

    /// Adds encoded entries as they are.
    ///
    /// # Errors
    /// [`EntriesError::TooLarge`] when 32-bit lengths cannot express it; nothing is added then.
    pub fn extend(&mut self, entries: EntriesRef<'_>) -> Result<(), EntriesError> {
        self.reserve(entries.raw.len(), entries.count)?;
        self.raw.extend_from_slice(entries.raw);
        self.count += entries.count;
        Ok(())
    }

    fn reserve(&mut self, bytes: usize, count: u32) -> Result<(), EntriesError> {
        let bytes = self.raw.len().saturating_add(bytes) as u64;
        if bytes > u64::from(u32::MAX) || self.count.checked_add(count).is_none() {
            return Err(EntriesError::TooLarge { bytes, limit: u32::MAX });
        }
        Ok(())
    }

    /// Borrows the same entries; nothing is copied.
    #[must_use]
    pub fn as_ref(&self) -> EntriesRef<'_> {
        EntriesRef { count: self.count, raw: &self.raw }
    }

    /// Counts the entries.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Counts the entries, as a length.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Returns true when there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the entries as they are encoded, each with its prefix.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Counts the bytes of the encoded entries, prefixes included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.raw.len()
    }

    /// Iterates over the entries in order.
    #[must_use]
    pub fn iter(&self) -> EntriesIter<'_> {
        self.as_ref().iter()
    }

    /// Checks the entries against what one append may hold.
    ///
    /// # Errors
    /// As [`EntriesRef::validate`].
    pub fn validate(&self, limit: &EntriesLimit) -> Result<(), EntriesError> {
        self.as_ref().validate(limit)
    }
}

impl<'a> EntriesRef<'a> {
    /// Verifies the structure and the checksums of `count` encoded entries that fill `raw`.
    ///
    /// # Errors
    /// [`EntriesError`] names the first entry that is wrong, and what about it.
    pub fn parse(raw: &'a [u8], count: u32) -> Result<EntriesRef<'a>, EntriesError> {
        let entries = EntriesRef::structured(raw, count)?;
        entries.verify()?;
        Ok(entries)
    }

    /// Verifies only that `count` encoded entries fill `raw`: for bytes that another checksum
    /// already vouches for.
    ///
    /// # Errors
    /// [`EntriesError::Truncated`] and [`EntriesError::Trailing`].
    pub fn structured(raw: &'a [u8], count: u32) -> Result<EntriesRef<'a>, EntriesError> {
        let mut rest = raw;
        for entry in 0..count {
            let (_, behind) = split(rest).ok_or(EntriesError::Truncated { entry })?;
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(EntriesError::Trailing { bytes: rest.len() });
        }
        Ok(EntriesRef { count, raw })
    }

    /// Verifies every entry's checksum.
    ///
    /// # Errors
    /// [`EntriesError::Checksum`] of the first entry that does not fit.
    pub fn verify(self) -> Result<(), EntriesError> {
        for (entry, Entry { crc, data }) in (0u32..).zip(self.iter()) {
            let computed = crc32c::crc32c(data);
            if computed != crc {
                return Err(EntriesError::Checksum { entry, stated: crc, computed });
            }
        }
        Ok(())
    }

    /// Checks the entries against what one append may hold.
    ///
    /// # Errors
    /// [`EntriesError`] names the limit that is passed, and by which entry.
    pub fn validate(self, limit: &EntriesLimit) -> Result<(), EntriesError> {
        if self.count == 0 {
            return Err(EntriesError::Empty);
        }
        if self.count > limit.entries_max {
            let (entries, limit) = (self.count, limit.entries_max);
            return Err(EntriesError::TooMany { entries, limit });
        }
        let bytes = self.raw.len() as u64;
        if bytes > u64::from(limit.bytes_max) {
            return Err(EntriesError::TooLarge { bytes, limit: limit.bytes_max });
        }
        let limit = limit.entry_bytes_max;
        for (entry, Entry { data, .. }) in (0u32..).zip(self.iter()) {
            let bytes = data.len() as u64;
            if bytes > u64::from(limit) {
                return Err(EntriesError::EntryTooLarge { entry, bytes, limit });
            }
        }
        Ok(())
    }

    /// Returns at most `entries_max` entries from number `skip` on whose encoding has at most
    /// `bytes_max` bytes; the first of them whatever its size, unless `entries_max` is 0.
    #[must_use]
    pub fn window(self, skip: u32, entries_max: u32, bytes_max: usize) -> EntriesRef<'a> {
        let mut rest = self.raw;
        for _ in 0..skip {
            match split(rest) {
                Some((_, behind)) => rest = behind,
                None => break,
            }
        }
        let start = rest;
        let (mut count, mut bytes) = (0u32, 0usize);
        while count < entries_max {
            let Some((entry, behind)) = split(rest) else { break };
            let size = ENTRY_PREFIX_BYTES + entry.data.len();
            if count > 0 && bytes + size > bytes_max {
                break;
            }
            (count, bytes, rest) = (count + 1, bytes + size, behind);
        }
        EntriesRef { count, raw: &start[..bytes] }
    }

    /// Copies the entries: the one copy out of a connection's or a journal's buffer.
    #[must_use]
    pub fn to_owned(self) -> Entries {
        Entries { count: self.count, raw: self.raw.to_vec() }
    }

    /// Counts the entries.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// Returns true when there is no entry.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Returns the entries as they are encoded, each with its prefix.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Iterates over the entries in order.
    #[must_use]
    pub fn iter(self) -> EntriesIter<'a> {
        EntriesIter { rest: self.raw, left: self.count }
    }

    /// Counts the bytes of the entries without their prefixes.
    #[must_use]
    pub fn data_len(self) -> u64 {
        self.raw.len() as u64 - u64::from(self.count) * ENTRY_PREFIX_BYTES as u64
    }
}

/// Iterates over entries in order, without copying their bytes.
#[derive(Clone, Debug)]
pub struct EntriesIter<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for EntriesIter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (entry, rest) = split(self.rest)?;
        self.rest = rest;
        self.left -= 1;
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for EntriesIter<'_> {}

/// Iterates over entries that are given away, each as its bytes.
#[derive(Clone, Debug)]
pub struct IntoEntries {
    raw: Vec<u8>,
    at: usize,
    left: u32,
}

impl Iterator for IntoEntries {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let (Entry { data, .. }, _) = split(&self.raw[self.at..])?;
        let data = data.to_vec();
        self.at += ENTRY_PREFIX_BYTES + data.len();
        self.left -= 1;
        Some(data)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for IntoEntries {}

impl IntoIterator for Entries {
    type Item = Vec<u8>;
    type IntoIter = IntoEntries;

    fn into_iter(self) -> IntoEntries {
        IntoEntries { raw: self.raw, at: 0, left: self.count }
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = Entry<'a>;
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for EntriesRef<'a> {
    type Item = Entry<'a>;
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

/// What was read can be appended as it is.
impl AsRef<[u8]> for Entry<'_> {
    fn as_ref(&self) -> &[u8] {
        self.data
    }
}

/// The first encoded entry of `raw` and what lies behind it; none when the bytes end before.
fn split(raw: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (prefix, rest) = raw.split_first_chunk::<ENTRY_PREFIX_BYTES>()?;
    let bytes = usize::try_from(LittleEndian::read_u32(&prefix[..4])).ok()?;
    let crc = LittleEndian::read_u32(&prefix[4..]);
    let (data, rest) = rest.split_at_checked(bytes)?;
    Some((Entry { crc, data }, rest))
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for EntriesRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} entries, {} bytes>", self.count, self.raw.len())
    }
}
