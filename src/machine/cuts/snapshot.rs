//! The cuts in a snapshot: a section of a head without items.
//!
//! The head is `last u64, count u64`.

use super::state::Cuts;
use crate::machine::snapshot::error::RecordFault;
use crate::machine::snapshot::record::{self, Feature};
use crate::types::Slot;
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// The section's number and version.
pub(in crate::machine) const FEATURE: Feature = Feature { number: 1, version: 1 };

impl Cuts {
    /// Encodes the whole section: it is two words.
    pub(in crate::machine) fn put_section(&self, out: &mut Vec<u8>) {
        record::put_section(out, FEATURE, |out| {
            out.put_u64(self.last.0);
            out.put_u64(self.count);
        });
    }
}

/// Decodes the section's head, of a snapshot that was taken behind slot `applied_upto`.
pub(in crate::machine) fn restore(
    applied_upto: Slot,
    mut head: BodyReader<'_>,
) -> Result<Cuts, RecordFault> {
    let last = head.u64("last")?;
    let count = head.u64("count")?;
    head.finish()?;
    if last > applied_upto.0 {
        return Err(DecodeError::Number { field: "last", found: last }.into());
    }
    if count > last || (count == 0) != (last == 0) {
        return Err(DecodeError::Number { field: "count", found: count }.into());
    }
    Ok(Cuts { last: Slot(last), count })
}
