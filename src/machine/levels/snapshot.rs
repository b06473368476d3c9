//! The level in a snapshot: a section of a head without items, in front of all others, so that a program
//! that does not know the level meets it before what it cannot read.
//!
//! The head is `level u16, since u64`.

use super::command::take_level;
use super::state::Levels;
use crate::machine::snapshot::error::RecordFault;
use crate::machine::snapshot::record::{self, Feature};
use crate::types::{FormatLevel, Slot};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// The section's number and version. The version never changes: any program must be able to read the level.
pub(in crate::machine) const FEATURE: Feature = Feature { number: 3, version: 1 };

impl Levels {
    /// Encodes the whole section: it is two words.
    pub(in crate::machine) fn put_section(&self, out: &mut Vec<u8>) {
        record::put_section(out, FEATURE, |out| {
            out.put_u16(self.level.0);
            out.put_u64(self.since.0);
        });
    }
}

/// Decodes the section's head, of a snapshot that was taken behind slot `applied_upto`, for a program that
/// knows levels up to `known`.
pub(in crate::machine) fn restore(
    applied_upto: Slot,
    known: FormatLevel,
    mut head: BodyReader<'_>,
) -> Result<Levels, RecordFault> {
    let level = take_level(&mut head)?;
    let since = head.u64("since")?;
    head.finish()?;
    let fits = since <= applied_upto.0 && (level == FormatLevel::FIRST) == (since == 0);
    if !fits {
        return Err(DecodeError::Number { field: "since", found: since }.into());
    }
    if level > known {
        return Err(RecordFault::Level { found: level, known });
    }
    Ok(Levels { level, since: Slot(since) })
}
