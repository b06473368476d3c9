//! Reads of entries that are not in memory, by a thread that may block: one job looks up in the runs where
//! they lie, finds the records, reads what is wanted of them, and takes the entries out.

use super::value_part::{ValuePart, part_of_remnant};
use crate::index::{RunDamage, RunError, RunSet};
use crate::journal::{PieceReader, PieceSource, ReadDamage, RecordPiece, RecordPlace, SlotPlace};
use crate::limits::{
    COLD_READ_BYTES_MAX, ENTRY_PREFIX_BYTES, LOOKUP_EXTENTS_MAX, READ_EXTENT_BYTES_MAX,
    WHOLE_VALUE_BYTES,
};
use crate::machine::ReadCursor;
use crate::storage::{Storage, StorageError};
use crate::types::{Ballot, Extent, Index, SegmentId, Slot};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes of a value beside a log's entries, up to the end of its extent: headers of commands, and those
/// of other logs between them. Where it is more than that, the value is read as a whole.
const BETWEEN_BYTES: u64 = 4 << 10;

/// A read of old entries.
#[derive(Clone, Debug)]
pub struct ColdReadJob {
    pub(super) token: u64,
    /// What is wanted, and taken so far.
    pub(super) cursor: ReadCursor,
    /// Where the next entries lie, as far as that is known.
    pub(super) extents: VecDeque<Extent>,
    /// Where more of that is looked up; nothing where the shard knows it.
    pub(super) runs: Option<RunSet>,
    /// Stands behind the log's last extent, and has its chain value there.
    pub(super) end: Extent,
    pub(super) source: Arc<PieceSource>,
    /// A part of this slot's value did not verify: it is read as a whole.
    pub(super) distrusted: Option<Slot>,
    /// Of this slot the record that counts did not serve: another one is read in its place.
    pub(super) second: Option<(Slot, RecordPlace)>,
    /// Slots of which the record that counts did not serve, and another one did.
    pub(super) mends: BTreeMap<Slot, SlotMend>,
    /// Bytes of files that were read.
    pub(super) file_bytes: usize,
    /// So many bytes behind what is wanted are read ahead.
    pub(super) ahead: usize,
}

/// The record of a slot that counts did not serve.
#[derive(Clone, Debug)]
pub(super) struct SlotMend {
    /// The highest ballot of the records that were read.
    pub(super) ballot: Ballot,
    /// What a read of a file found wrong with it; nothing where it was read, and lacks the entries.
    pub(super) damage: Option<ReadDamage>,
}

/// What a read of old entries brought.
#[derive(Clone, Debug)]
pub struct ColdReadDone {
    /// The read's token.
    pub token: u64,
    pub(super) cursor: ReadCursor,
    pub(super) extents: VecDeque<Extent>,
    pub(super) ended: ColdReadEnd,
    /// Slots of which the record that counts did not serve, and another one did.
    pub(super) mends: BTreeMap<Slot, SlotMend>,
    /// Segments whose files of places do not serve.
    pub(super) unplaced: Vec<SegmentId>,
    /// Bytes of files that were read for it, those of the index apart.
    pub file_bytes: usize,
    /// Bytes of values behind that the page cache was asked to read.
    pub ahead_bytes: usize,
}

/// Why a read of old entries ended.
#[derive(Clone, Debug)]
pub(super) enum ColdReadEnd {
    /// All that is wanted was taken, or as much as one read brings.
    Taken,
    /// The shard knows where the next entry lies.
    Beyond,
    /// The runs have no place for the next entry.
    NotIndexed,
    /// The next value cannot be read.
    Lost(Slot, ReadDamage),
    /// The next entry is damaged, or is not in the record that counts, which was written down in this ballot.
    Damaged(Slot, Ballot, String),
    /// The index is damaged.
    IndexDamaged(RunDamage),
}

/// What is read of one value, and of how many extents it has the entries.
struct Planned {
    piece: RecordPiece,
    extents: usize,
    /// Where in the part the extents begin; nothing where all is read.
    starts: Vec<u32>,
}

/// Why no more is done.
enum Stop {
    End(ColdReadEnd),
    Short(StorageError),
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Stop {
        Stop::Short(error)
    }
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Stop {
        match error {
            RunError::Damaged(damage) => Stop::End(ColdReadEnd::IndexDamaged(damage)),
            RunError::Storage(error) => Stop::Short(error),
        }
    }
}

impl ColdReadJob {
    /// Where entries lie is looked up in the runs.
    #[must_use]
    pub fn looks_up(&self) -> bool {
        self.runs.is_some()
    }

    /// Reads. What is left of it comes back where the system is short of something.
    pub(super) fn run(
        mut self,
        storage: &dyn Storage,
    ) -> Result<ColdReadDone, (StorageError, Box<ColdReadJob>)> {
        let source = Arc::clone(&self.source);
        let mut reader = PieceReader::new(storage, &source);
        let ended = loop {
            match self.go_on(storage, &mut reader) {
                Ok(()) => {}
                Err(Stop::End(ended)) => break ended,
                Err(Stop::Short(error)) => return Err((error, Box::new(self))),
            }
        };
        let ahead_bytes = match ended {
            ColdReadEnd::Taken => self.read_ahead(storage, &mut reader),
            ColdReadEnd::Beyond
            | ColdReadEnd::NotIndexed
            | ColdReadEnd::Lost(..)
            | ColdReadEnd::Damaged(..)
            | ColdReadEnd::IndexDamaged(_) => 0,
        };
        let ColdReadJob { token, cursor, extents, mends, file_bytes, .. } = self;
        let unplaced = reader.finish();
        Ok(ColdReadDone { token, cursor, extents, ended, mends, unplaced, file_bytes, ahead_bytes })
    }

    /// Takes the next entries, some at a time.
    fn go_on(&mut self, storage: &dyn Storage, reader: &mut PieceReader<'_>) -> Result<(), Stop> {
        let want = match self.cursor.wants() {
            Some(want) if self.file_bytes < COLD_READ_BYTES_MAX => want,
            Some(_) | None => return Err(Stop::End(ColdReadEnd::Taken)),
        };
        while self.extents.front().is_some_and(|extent| extent.end() <= want) {
            self.extents.pop_front();
        }
        if self.extents.front().is_none_or(|extent| extent.first > want) {
            self.look_up(storage, want)?;
        }
        let planned = self.plan(reader)?;
        self.read(reader, &planned)
    }

    /// Looks up where the next entries lie.
    fn look_up(&mut self, storage: &dyn Storage, want: Index) -> Result<(), Stop> {
        let Some(runs) = &self.runs else { return Err(Stop::End(ColdReadEnd::Taken)) };
        // With the extent behind, which has the chain value there.
        let rows = LOOKUP_EXTENTS_MAX.min(self.cursor.entries_left() as usize) + 1;
        self.extents = runs.extents_from(storage, self.cursor.log(), want, rows)?.into();
        if self.extents.front().is_none_or(|extent| extent.first > want) {
            self.extents.clear();
            return Err(Stop::End(ColdReadEnd::NotIndexed));
        }
        Ok(())
    }

    /// Has the values that will be asked for next read into the page cache, and returns how many bytes
    /// they have. What cannot be found is left out: whoever asks for it will hear why.
    fn read_ahead(&mut self, storage: &dyn Storage, reader: &mut PieceReader<'_>) -> usize {
        let next = self.cursor.next();
        if self.ahead == 0 || next >= self.end.first {
            return 0;
        }
        if let Some(runs) = &self.runs {
            let found = runs.extents_from(storage, self.cursor.log(), next, LOOKUP_EXTENTS_MAX);
            self.extents = found.unwrap_or_default().into();
        }
        let (mut pieces, mut bytes, mut last) = (Vec::new(), 0, None);
        for extent in &self.extents {
            if bytes >= self.ahead {
                break;
            }
            if last.replace(extent.slot) != Some(extent.slot) {
                let Ok(SlotPlace::At(place)) = reader.find(extent.slot) else { break };
                bytes += place.value_bytes() as usize;
                pieces.push(RecordPiece { place, part: None });
            }
        }
        reader.will_need(&pieces);
        bytes
    }

    /// Plans the next reads: no more than is wanted, of no more bytes than one read of a file brings, but
    /// of one value whatever its size.
    fn plan(&mut self, reader: &mut PieceReader<'_>) -> Result<Vec<Planned>, Stop> {
        let (mut planned, mut bytes, mut at) = (Vec::new(), 0, 0);
        while self.is_wanted(at) && bytes < READ_EXTENT_BYTES_MAX {
            let slot = self.extents[at].slot;
            let place = match reader.find(slot)? {
                SlotPlace::At(place) => self.second_of(slot).unwrap_or(place),
                SlotPlace::Damaged(_) | SlotPlace::Beyond if at > 0 => break,
                SlotPlace::Damaged(damage) => {
                    return Err(Stop::End(ColdReadEnd::Lost(slot, damage)));
                }
                SlotPlace::Beyond => return Err(Stop::End(ColdReadEnd::Beyond)),
            };
            let is_same = |nth: &usize| self.is_wanted(*nth) && self.extents[*nth].slot == slot;
            let count = 1 + (at + 1..).take_while(is_same).count();
            let part = self.part(reader, (at, count), place)?;
            let (part, starts) = part.map_or((None, Vec::new()), |it| (Some(it.bytes), it.starts));
            bytes += part.as_ref().unwrap_or(&(0..place.value_bytes())).len();
            planned.push(Planned { piece: RecordPiece { place, part }, extents: count, starts });
            at += count;
        }
        Ok(planned)
    }

    /// The record of a slot that is read in the place of the one that counts.
    fn second_of(&self, slot: Slot) -> Option<RecordPlace> {
        self.second.filter(|(of, _)| *of == slot).map(|(_, place)| place)
    }

    /// The answer has space for entries of this extent, as far as is known.
    fn is_wanted(&self, nth: usize) -> bool {
        let Some(extent) = self.extents.get(nth) else { return false };
        let Some(before) = nth.checked_sub(1).map(|before| &self.extents[before]) else {
            return true;
        };
        let entries = extent.first.0.saturating_sub(self.cursor.next().0);
        // Of the first extent some may lie in front of what is wanted.
        let bytes = extent.bytes_before.saturating_sub(self.extents[1].bytes_before);
        before.end() == extent.first
            && entries < u64::from(self.cursor.entries_left())
            && (nth == 1 || bytes < self.cursor.bytes_left() as u64)
    }

    /// What stands right behind an extent, and has the chain value there.
    fn behind(&self, nth: usize) -> Option<&Extent> {
        let end = self.extents[nth].end();
        let next = self.extents.get(nth + 1).filter(|next| next.first == end);
        next.or(Some(&self.end).filter(|last| last.first == end))
    }

    /// The part of a value, or of what is left of it, that is read for some of its extents, where that is much less than
    /// the whole.
    fn part(
        &mut self,
        reader: &PieceReader<'_>,
        (nth, count): (usize, usize),
        place: RecordPlace,
    ) -> Result<Option<ValuePart>, StorageError> {
        let (first, last) = (self.extents[nth], self.extents[nth + count - 1]);
        let value = place.value_bytes();
        if value as usize <= WHOLE_VALUE_BYTES || self.distrusted == Some(first.slot) {
            return Ok(None);
        }
        let Some(behind) = self.behind(nth + count - 1) else { return Ok(None) };
        let offsets = self.extents.range(nth..nth + count).map(|extent| extent.offset);
        let offsets: Vec<u32> = offsets.collect();
        let part = if place.is_remnant() {
            part_of_remnant(reader, place, &offsets, &mut self.file_bytes)?
        } else {
            let upto = if behind.slot == first.slot {
                u64::from(behind.offset)
            } else {
                let prefixes = u64::from(last.count) * ENTRY_PREFIX_BYTES as u64;
                let bytes = behind.bytes_before.saturating_sub(last.bytes_before);
                u64::from(last.offset).saturating_add(bytes + prefixes + BETWEEN_BYTES)
            };
            let bytes = first.offset..u32::try_from(upto).unwrap_or(value).min(value);
            Some(ValuePart::of_value(bytes, &offsets))
        };
        Ok(part.filter(|part| part.is_small(value)))
    }

    /// Reads what was planned, and takes the entries out.
    fn read(&mut self, reader: &mut PieceReader<'_>, planned: &[Planned]) -> Result<(), Stop> {
        let pieces: Vec<RecordPiece> =
            planned.iter().map(|planned| planned.piece.clone()).collect();
        let mut left = planned.iter();
        let mut ended = Ok(true);
        let bytes = reader.read(&pieces, |found| {
            let planned = left.next().expect("each piece is visited once");
            // Only what follows what was taken can be taken.
            if let Ok(true) = ended {
                ended = self.take(planned, found);
            }
        })?;
        self.file_bytes += bytes;
        let Err(ended) = ended else { return Ok(()) };
        self.fall_back(reader, ended)
    }

    /// The record that counts for a slot did not serve: it is a remnant without the entries, or has rotted. Goes on with
    /// the one beside it, if there is one.
    fn fall_back(&mut self, reader: &mut PieceReader<'_>, ended: ColdReadEnd) -> Result<(), Stop> {
        let (slot, ballot, damage) = match &ended {
            ColdReadEnd::Damaged(slot, ballot, _) => (*slot, *ballot, None),
            ColdReadEnd::Lost(slot, damage) => (*slot, damage.ballot(), Some(damage.clone())),
            ColdReadEnd::Taken
            | ColdReadEnd::Beyond
            | ColdReadEnd::NotIndexed
            | ColdReadEnd::IndexDamaged(_) => return Err(Stop::End(ended)),
        };
        if self.second_of(slot).is_some() {
            self.mends.remove(&slot);
            return Err(Stop::End(ended));
        }
        let Some(place) = reader.beside(slot)? else { return Err(Stop::End(ended)) };
        self.second = Some((slot, place));
        self.mends.insert(slot, SlotMend { ballot: ballot.max(place.ballot()), damage });
        Ok(())
    }

    /// Takes the entries of some extents of one value. False: the value is to be read as a whole.
    fn take(
        &mut self,
        planned: &Planned,
        found: Result<&[u8], ReadDamage>,
    ) -> Result<bool, ColdReadEnd> {
        for nth in 0..planned.extents {
            let extent = self.extents[0];
            let body = match &found {
                Ok(body) => *body,
                Err(damage) => return Err(ColdReadEnd::Lost(extent.slot, damage.clone())),
            };
            if self.cursor.wants().is_none() {
                break;
            }
            if planned.piece.part.is_some() {
                let from = planned.starts[nth] as usize;
                let behind = self.behind(0).map(|behind| behind.chain);
                let part = body.get(from..).zip(behind);
                let taken = part.map(|(part, chain)| self.cursor.take_part(&extent, part, chain));
                if taken != Some(Ok(())) {
                    self.distrusted = Some(extent.slot);
                    return Ok(false);
                }
            } else if let Err(damaged) = self.cursor.take(&extent, extent.slot, body) {
                let ballot = planned.piece.place.ballot();
                let ballot =
                    self.mends.get(&extent.slot).map_or(ballot, |it| ballot.max(it.ballot));
                return Err(ColdReadEnd::Damaged(extent.slot, ballot, damaged.to_string()));
            }
            if self.cursor.next() >= extent.end() {
                self.extents.pop_front();
            }
        }
        Ok(true)
    }
}
