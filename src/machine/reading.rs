//! Reading: entries out of the values that hold them, verified.
//!
//! A [`ReadCursor`] is an answer in the making. Whoever owns the journal asks it for the next index
//! that it [wants](ReadCursor::wants), finds the extent there in the index, fetches the value
//! of the extent's slot from cache or disk, and hands both to [`ReadCursor::take`]; until
//! nothing more is wanted or the log ends. The machine may move on in between: what a reading
//! needs of it, it took along at its start.
//!
//! Of a large value a part is enough: [`ReadCursor::take_part`] holds the entries of a whole extent
//! against the log's chain values in front of it and behind it, which say what these entries are, and in
//! which order. An entry's own checksum would not do for that: it is as good in any other place, and zeros
//! pass for an entry without bytes.
//!
//! Nothing is believed of the value (C19): it must be the slot's that was asked for, its commands
//! must append to this log and hold as many entries as the extent says, and every entry must fit
//! its own checksum. What does not is [`Damaged`]: an error for the client that says "retry
//! elsewhere", and never the end of the log. That the value's bytes as a whole are those written is
//! for the record's own checksum to say, before it comes here: these checks find what is intact but
//! in the wrong place, and entries that changed since the client computed their checksums.

use super::appends::{EntryDamage, entries_of, is_append_to};
use super::batch::Walk;
use super::logs;
use super::remnant::walk_from;
use super::state::Machine;
use crate::api::entries::{Entries, EntriesRef, Entry};
use crate::api::name::LogName;
use crate::limits::{READ_BYTES_MAX, READ_ENTRIES_MAX};
use crate::types::{Extent, Index, LogId, Slot};
use thiserror::Error;

/// An answer to a read in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCursor {
    log: LogId,
    /// The log's name: appends that may create address it so. A log keeps its name for life.
    name: LogName,
    from: Index,
    entries_max: u32,
    bytes_max: usize,
    /// The entries from `from` on that were taken so far.
    taken: Entries,
    /// The next entry did not fit.
    full: bool,
    /// Most bytes that there is memory for.
    room: usize,
    /// The first entry takes so many bytes, and there is no memory for it.
    lacks: Option<usize>,
}

/// The part of a value does not hold what the chain values say, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unverified;

/// What was found where a log's entry should have been.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("log {log} is damaged here at index {index}, which lies in slot {slot}: {damage}")]
pub struct Damaged {
    /// The log.
    pub log: LogId,
    /// The first index that cannot be served.
    pub index: Index,
    /// The slot whose value should hold it.
    pub slot: Slot,
    /// What is wrong there.
    pub damage: EntryDamage,
}

impl Machine {
    /// Begins to read a log's entries from `from` on, at most `max_entries` of them with at most
    /// `max_bytes` bytes of encoded entries, but one entry whatever its size; 0 stands for as many
    /// as may be, and what is more than that means the same. None when the log does not exist.
    #[must_use]
    pub fn reading(
        &self,
        log: LogId,
        from: Index,
        max_entries: u32,
        max_bytes: u32,
    ) -> Option<ReadCursor> {
        let capped = |max: u32, cap: usize| match max as usize {
            0 => cap,
            max => max.min(cap),
        };
        // An answer ends in front of what is lost (C32b).
        let lost = self.lost().of(log).and_then(|losses| losses.from(from));
        let readable = lost.map_or(u64::MAX, |range| range.from.0.saturating_sub(from.0));
        let entries_max = capped(max_entries, READ_ENTRIES_MAX) as u64;
        Some(ReadCursor {
            log,
            name: self.logs().name(log)?.clone(),
            from,
            entries_max: entries_max.min(readable) as u32,
            bytes_max: capped(max_bytes, READ_BYTES_MAX),
            taken: Entries::new(),
            full: false,
            room: usize::MAX,
            lacks: None,
        })
    }
}

impl ReadCursor {
    /// The next index to be taken, none when the answer is complete. At the log's end there is
    /// nothing to take, and the answer is complete as it is.
    #[must_use]
    pub fn wants(&self) -> Option<Index> {
        let full = self.full
            || self.lacks.is_some()
            || self.taken.count() >= self.entries_max
            || self.bytes_left() == 0 && !self.taken.is_empty();
        (!full).then(|| self.next())
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.log
    }

    /// The index asked for.
    #[must_use]
    pub fn from(&self) -> Index {
        self.from
    }

    /// The index right after the last entry taken.
    #[must_use]
    pub fn next(&self) -> Index {
        self.from.plus(u64::from(self.taken.count()))
    }

    /// How many more entries the answer may hold.
    #[must_use]
    pub fn entries_left(&self) -> u32 {
        self.entries_max - self.taken.count()
    }

    /// How many more bytes of entries the answer may hold.
    #[must_use]
    pub fn bytes_left(&self) -> usize {
        self.bytes_max.min(self.room).saturating_sub(self.taken.byte_len())
    }

    /// There is memory for so many bytes of entries, from now on. A first entry that is larger is not
    /// taken: see [`ReadCursor::lacks`].
    pub fn set_room(&mut self, bytes: usize) {
        (self.room, self.lacks) = (bytes, None);
    }

    /// So many bytes the first entry takes, where there is no memory for it.
    #[must_use]
    pub fn lacks(&self) -> Option<usize> {
        self.lacks
    }

    /// Bytes of entries that the answer may hold.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Bytes of the entries taken.
    #[must_use]
    pub fn bytes_taken(&self) -> usize {
        self.taken.byte_len()
    }

    /// Entries from `end` on are no part of the answer: they were declared lost while it was made.
    pub fn end_before(&mut self, end: Index) {
        let count = end.0.saturating_sub(self.from.0);
        self.entries_max = u64::from(self.entries_max).min(count) as u32;
        if self.taken.count() > self.entries_max {
            self.taken = self.taken.as_ref().window(0, self.entries_max, usize::MAX).to_owned();
        }
    }

    /// The entries taken.
    #[must_use]
    pub fn finish(self) -> Entries {
        self.taken
    }

    /// Takes what is wanted of `extent`, which holds the index that is [wanted](ReadCursor::wants),
    /// out of `value`, which was stored for `slot`: a whole value, or what is left of one.
    ///
    /// # Errors
    /// [`Damaged`] when the value does not verify. What was taken before the damaged entry stays and
    /// can be answered.
    ///
    /// # Panics
    /// When the extent does not hold the next index.
    pub fn take(&mut self, extent: &Extent, slot: Slot, value: &[u8]) -> Result<(), Damaged> {
        let (first, next, end) = (extent.first, self.next(), extent.end());
        assert!(first <= next && next < end, "extent {first}..{end} does not hold {next}");
        self.take_verified(extent, slot, value).map_err(|damage| Damaged {
            log: self.log,
            index: self.next(),
            slot: extent.slot,
            damage,
        })
    }

    fn take_verified(
        &mut self,
        extent: &Extent,
        slot: Slot,
        value: &[u8],
    ) -> Result<(), EntryDamage> {
        if slot != extent.slot {
            return Err(EntryDamage::Slot { found: slot });
        }
        let expected = extent.end();
        let mut at = extent.first;
        for raw in walk_from(value, extent.offset)? {
            let raw = raw?;
            if !is_append_to(&raw, self.log, &self.name) {
                if raw.offset == extent.offset {
                    return Err(EntryDamage::OtherLog { offset: raw.offset });
                }
                continue;
            }
            let entries = entries_of(&raw)?;
            let entries = entries.ok_or(EntryDamage::OtherLog { offset: raw.offset })?;
            let behind = at.plus(u64::from(entries.count()));
            if behind > expected {
                return Err(EntryDamage::Extent { found: behind, expected });
            }
            self.take_command(at, entries)?;
            at = behind;
            if at == expected || self.wants().is_none() {
                return Ok(());
            }
        }
        Err(EntryDamage::Extent { found: at, expected })
    }

    /// Takes what is wanted of `extent`, which holds the index that is [wanted](ReadCursor::wants),
    /// out of a part of its whole value that begins where the extent does. `behind` is the log's chain value
    /// behind the extent.
    ///
    /// # Errors
    /// [`Unverified`] when the part does not hold exactly the entries that the chain values say; nothing
    /// is said then of the value as a whole, and nothing unverified was taken.
    ///
    /// # Panics
    /// When the extent does not hold the next index.
    pub fn take_part(
        &mut self,
        extent: &Extent,
        part: &[u8],
        behind: u64,
    ) -> Result<(), Unverified> {
        let (first, next, end) = (extent.first, self.next(), extent.end());
        assert!(first <= next && next < end, "extent {first}..{end} does not hold {next}");
        let mut found = Vec::new();
        let (mut at, mut chain) = (first, extent.chain);
        for raw in Walk::new(part, 0).map_err(|_| Unverified)? {
            let raw = raw.map_err(|_| Unverified)?;
            if !is_append_to(&raw, self.log, &self.name) {
                continue;
            }
            let entries = entries_of(&raw).ok().flatten().ok_or(Unverified)?;
            chain = logs::chain_over(chain, entries);
            found.push((at, entries));
            at = at.plus(u64::from(entries.count()));
            if at >= end {
                break;
            }
        }
        if at != end || chain != behind {
            return Err(Unverified);
        }
        for (at, entries) in found {
            // The checksum in front of an entry may have rotted, which no chain value covers.
            self.take_command(at, entries).map_err(|_| Unverified)?;
            if self.wants().is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Takes what is wanted of one command's entries, the first of which has index `at`.
    fn take_command(&mut self, at: Index, entries: EntriesRef<'_>) -> Result<(), EntryDamage> {
        let skip = self.next().0 - at.0;
        let Some(left) = u64::from(entries.count()).checked_sub(skip).filter(|left| *left > 0)
        else {
            return Ok(()); // All of them lie before what is wanted.
        };
        let skip = u32::try_from(skip).expect("fewer than the command's entries");
        let entries_left = self.entries_max - self.taken.count();
        let bytes_left = self.bytes_left();
        let window = entries.window(skip, entries_left, bytes_left);
        if window.raw().len() > bytes_left && !self.taken.is_empty() {
            self.full = true; // A window has one entry whatever its size; an answer has it first.
            return Ok(());
        }
        if window.raw().len() > self.room {
            self.lacks = Some(window.raw().len()); // Nothing is taken yet.
            return Ok(());
        }
        self.full = u64::from(window.count()) < left;
        let fits = |entry: &Entry<'_>| crc32c::crc32c(entry.data) == entry.crc;
        let intact = window.iter().take_while(fits).count();
        let intact = u32::try_from(intact).expect("at most the window's entries");
        // What lies in front of a damaged entry is good, and is answered.
        let good = window.window(0, intact, usize::MAX);
        self.taken.extend(good).expect("READ_BYTES_MAX and one more entry are far below 4 GiB");
        match window.iter().nth(intact as usize) {
            None => Ok(()),
            Some(Entry { crc, data }) => {
                Err(EntryDamage::Checksum { stated: crc, computed: crc32c::crc32c(data) })
            }
        }
    }
}
