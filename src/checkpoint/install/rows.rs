//! Extents as they travel from one node to another: rows of one length, in the order of a run.

use crate::types::{Extent, Index, LogId, Slot};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// Bytes of one row.
pub const ROW_BYTES: usize = 56;

/// Appends a row.
pub(super) fn put_row(out: &mut Vec<u8>, log: LogId, extent: &Extent) {
    let Extent { first, count, offset, slot, bytes_before, stamp_ms, chain } = *extent;
    for number in [log.0, first.0] {
        out.put_u64(number);
    }
    out.put_u32(count);
    out.put_u32(offset);
    for number in [slot.0, bytes_before, stamp_ms, chain] {
        out.put_u64(number);
    }
}

/// The rows that these bytes are.
pub(super) fn take_rows(bytes: &[u8]) -> Result<Vec<(LogId, Extent)>, DecodeError> {
    let mut reader = BodyReader::new(bytes);
    let mut rows = Vec::with_capacity(bytes.len() / ROW_BYTES);
    while rows.len() < bytes.len().div_ceil(ROW_BYTES) {
        let log = LogId(reader.u64("log")?);
        let first = Index(reader.u64("first")?);
        let count = reader.u32("count")?;
        if log.0 == 0 || count == 0 || first.0.checked_add(u64::from(count)).is_none() {
            return Err(DecodeError::Number { field: "count", found: u64::from(count) });
        }
        let extent = Extent {
            first,
            count,
            offset: reader.u32("offset")?,
            slot: Slot(reader.u64("slot")?),
            bytes_before: reader.u64("bytes_before")?,
            stamp_ms: reader.u64("stamp")?,
            chain: reader.u64("chain")?,
        };
        rows.push((log, extent));
    }
    reader.finish()?;
    Ok(rows)
}
