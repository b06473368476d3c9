//! Records, what snapshots are made of: `length u16, kind u8, body`, little-endian.
//!
//! The length counts kind and body. The first record is the machine's own, then come the features'
//! sections, each one record for its head and one for each of its items, and a last record ends the
//! snapshot. A head is `feature u8, version u16` and what the feature adds.

use super::error::{RecordFault, SnapshotError};
use crate::limits::SNAPSHOT_RECORD_BYTES_MAX;
use crate::wire::codec::Writer;

/// Bytes in front of every record's body.
pub(in crate::machine) const RECORD_HEADER_BYTES: usize = 3;

// A length fits its field.
const _: () = assert!(SNAPSHOT_RECORD_BYTES_MAX <= u16::MAX as usize);

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::machine) enum SnapshotRecordKind {
    /// The machine's own state: the first record.
    Machine = 1,
    /// The head of a feature's section.
    Section = 2,
    /// An item of the section that began last.
    Item = 3,
    /// The digest: the last record.
    End = 4,
}

impl SnapshotRecordKind {
    /// The kind of this number.
    pub(super) fn from_number(number: u8) -> Option<SnapshotRecordKind> {
        use SnapshotRecordKind::{End, Item, Machine, Section};
        [Machine, Section, Item, End].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A feature as its section's head names it. A number is never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine) struct Feature {
    pub(in crate::machine) number: u8,
    /// The version of the section that this node writes, and the newest that it reads.
    pub(in crate::machine) version: u16,
}

/// Encodes a record behind what `out` holds.
pub(in crate::machine) fn put_record(
    out: &mut Vec<u8>,
    kind: SnapshotRecordKind,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.put_u16(0); // The length, known once the body is written.
    out.put_u8(kind as u8);
    body(out);
    let bytes = out.len() - start - 2;
    let max = SNAPSHOT_RECORD_BYTES_MAX;
    assert!(bytes <= max, "a record of {bytes} bytes passes the limit {max}");
    out[start..start + 2].copy_from_slice(&(bytes as u16).to_le_bytes());
}

/// Encodes the head of a feature's section.
pub(in crate::machine) fn put_section(
    out: &mut Vec<u8>,
    feature: Feature,
    head: impl FnOnce(&mut Vec<u8>),
) {
    put_record(out, SnapshotRecordKind::Section, |out| {
        out.put_u8(feature.number);
        out.put_u16(feature.version);
        head(out);
    });
}

/// What one step of a snapshot may encode.
pub(in crate::machine) struct SnapshotPiece<'a> {
    out: &'a mut Vec<u8>,
    /// Bytes in front of the piece.
    start: usize,
    bytes_max: usize,
}

impl<'a> SnapshotPiece<'a> {
    /// A piece of at most so many bytes behind what `out` holds.
    pub(super) fn new(out: &'a mut Vec<u8>, bytes_max: usize) -> SnapshotPiece<'a> {
        SnapshotPiece { start: out.len(), out, bytes_max }
    }

    /// The most bytes that the piece may have.
    pub(in crate::machine) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// True when a record of so many bytes fits; the first one always does.
    pub(in crate::machine) fn has_room_for(&self, bytes: usize) -> bool {
        let used = self.out.len() - self.start;
        used == 0 || used + bytes <= self.bytes_max
    }

    /// Adds records.
    pub(super) fn put(&mut self, records: &[u8]) {
        self.out.extend_from_slice(records);
    }

    /// Adds a record.
    pub(in crate::machine) fn put_record(
        &mut self,
        kind: SnapshotRecordKind,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        put_record(self.out, kind, body);
    }
}

/// Parts bytes that arrive in any pieces into records.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The beginning of a record whose end has not arrived.
    begun: Vec<u8>,
    /// Bytes of all records that were whole.
    offset: u64,
}

impl Records {
    /// Bytes taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.offset + self.begun.len() as u64
    }

    /// A record has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Takes the next bytes, and gives `each` every record that they complete: its kind's number and its
    /// body.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(u8, &[u8]) -> Result<(), RecordFault>,
    ) -> Result<(), SnapshotError> {
        loop {
            let offset = self.offset;
            let located = |fault| SnapshotError::Record { offset, fault };
            if self.begun.is_empty() {
                // The common case: the record lies whole in what arrived, and nothing is copied.
                let Some(record) = whole(bytes).map_err(located)? else { break };
                let (kind, body) = (record[2], &record[RECORD_HEADER_BYTES..]);
                each(kind, body).map_err(located)?;
                self.offset += record.len() as u64;
                bytes = &bytes[record.len()..];
                continue;
            }
            let wanted = wanted(&self.begun).map_err(located)?;
            let missing = (wanted - self.begun.len()).min(bytes.len());
            let (now, later) = bytes.split_at(missing);
            self.begun.extend_from_slice(now);
            bytes = later;
            if let Some(record) = whole(&self.begun).map_err(located)? {
                each(record[2], &record[RECORD_HEADER_BYTES..]).map_err(located)?;
                self.offset += record.len() as u64;
                self.begun.clear();
            } else if bytes.is_empty() {
                return Ok(());
            }
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}

/// Bytes of the record that begins with `begun`, as far as they can be known: its length first.
fn wanted(begun: &[u8]) -> Result<usize, RecordFault> {
    let Some(length) = begun.first_chunk::<2>() else { return Ok(2) };
    let bytes = usize::from(u16::from_le_bytes(*length));
    let max = SNAPSHOT_RECORD_BYTES_MAX;
    if bytes == 0 || bytes > max {
        return Err(RecordFault::Length { bytes, max });
    }
    Ok(2 + bytes)
}

/// The record that `bytes` begin with, none where its end is missing.
fn whole(bytes: &[u8]) -> Result<Option<&[u8]>, RecordFault> {
    let wanted = wanted(bytes)?;
    Ok(if wanted > 2 { bytes.get(..wanted) } else { None })
}
