//! The part of a record that a read of few entries needs. It has no checksum of its own: what is read of it is believed
//! by the chain values of its extents alone.

use crate::journal::{PieceReader, RecordPiece, RecordPlace};
use crate::limits::REMNANT_FRONT_BYTES;
use crate::machine::{places_in_remnant, remnant_front_bytes};
use crate::storage::StorageError;
use std::ops::Range;

/// A part of a value, or of what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ValuePart {
    /// Its bytes.
    pub bytes: Range<u32>,
    /// Where in it the extents begin.
    pub starts: Vec<u32>,
}

impl ValuePart {
    /// This part of a value, with extents that begin at these bytes of the value.
    pub(super) fn of_value(bytes: Range<u32>, offsets: &[u32]) -> ValuePart {
        let starts = offsets.iter().map(|offset| offset.saturating_sub(bytes.start)).collect();
        ValuePart { bytes, starts }
    }

    /// It is much less than the whole of so many bytes.
    pub(super) fn is_small(&self, value_bytes: u32) -> bool {
        !self.bytes.is_empty() && self.bytes.len() < value_bytes as usize / 2
    }
}

/// The part of a remnant that has these extents, each named by the byte of the value at which it began, rising; nothing
/// where its rows do not say where they are. Reads the rows, and adds the bytes that it reads to `file_bytes`.
///
/// # Errors
/// Only where the system is short of something.
pub(super) fn part_of_remnant(
    reader: &PieceReader<'_>,
    place: RecordPlace,
    offsets: &[u32],
    file_bytes: &mut usize,
) -> Result<Option<ValuePart>, StorageError> {
    let first = REMNANT_FRONT_BYTES.min(place.value_bytes());
    let mut front = read_front(reader, place, first, file_bytes)?;
    let bytes = remnant_front_bytes(&front).unwrap_or_default();
    if bytes > front.len() as u64 {
        // A record that says it has more rows than fit is damaged, or another one; where rows are most of it, it is
        // read whole.
        let Some(bytes) = u32::try_from(bytes).ok().filter(|it| *it < place.value_bytes() / 2)
        else {
            return Ok(None);
        };
        front = read_front(reader, place, bytes, file_bytes)?;
    }
    let Some(places) = places_in_remnant(&front, offsets) else { return Ok(None) };
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(None) };
    let bytes = first.start..last.end.min(place.value_bytes());
    let starts = places.iter().map(|place| place.start.saturating_sub(bytes.start)).collect();
    Ok(Some(ValuePart { bytes, starts }))
}

/// The first bytes of a record's body; none where they cannot be read.
fn read_front(
    reader: &PieceReader<'_>,
    place: RecordPlace,
    bytes: u32,
    file_bytes: &mut usize,
) -> Result<Vec<u8>, StorageError> {
    let mut front = Vec::new();
    let piece = RecordPiece { place, part: Some(0..bytes) };
    *file_bytes += reader.read(&[piece], |found| {
        front.extend_from_slice(found.unwrap_or_default());
    })?;
    Ok(front)
}
