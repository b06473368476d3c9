//! The lost entries in a snapshot, from format level 2 on: a section with an item for each range, in front of
//! that of the logs.
//!
//! The head is `count u64`. An item is `log u64, from u64, before u64, bytes_from u64, bytes_before u64`; items
//! come by rising log and index.

use super::ranges::{LogLosses, take_extent};
use super::state::{LogBounds, LostEntries};
use crate::limits::{CHECKPOINT_PIECE_BYTES, LOST_RANGES_MAX};
use crate::machine::snapshot::error::{RecordFault, SnapshotError};
use crate::machine::snapshot::record::{self, Feature, RECORD_HEADER_BYTES, SnapshotRecordKind};
use crate::types::LogId;
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// The section's number and version.
pub(in crate::machine) const FEATURE: Feature = Feature { number: 4, version: 1 };

/// Bytes of an item's record.
const ITEM_BYTES: usize = RECORD_HEADER_BYTES + 5 * 8;

// The whole section is encoded when a snapshot begins: it fits the first piece of a checkpoint with room to spare.
const _: () = assert!(LOST_RANGES_MAX * ITEM_BYTES <= CHECKPOINT_PIECE_BYTES * 3 / 4);

impl LostEntries {
    /// Encodes the whole section.
    pub(in crate::machine) fn put_section(&self, out: &mut Vec<u8>) {
        record::put_section(out, FEATURE, |out| out.put_u64(self.ranges() as u64));
        for (log, losses) in self.logs() {
            for extent in losses.extents() {
                record::put_record(out, SnapshotRecordKind::Item, |out| {
                    out.put_u64(log.0);
                    extent.put(out);
                });
            }
        }
    }
}

/// The section's items so far.
#[derive(Debug)]
pub(in crate::machine) struct LostRestore {
    /// How many ranges there are, as the head says.
    count: u64,
    lost: LostEntries,
    /// The log of the last item, and its ranges so far.
    last: Option<(LogId, LogLosses)>,
    found: u64,
}

impl LostRestore {
    /// Decodes the section's head.
    pub(in crate::machine) fn new(mut head: BodyReader<'_>) -> Result<LostRestore, RecordFault> {
        let count = head.u64("count")?;
        head.finish()?;
        if count > LOST_RANGES_MAX as u64 {
            return Err(DecodeError::Number { field: "count", found: count }.into());
        }
        Ok(LostRestore { count, lost: LostEntries::default(), last: None, found: 0 })
    }

    /// Decodes an item.
    pub(in crate::machine) fn item(&mut self, mut item: BodyReader<'_>) -> Result<(), RecordFault> {
        let log = LogId(item.u64("log")?);
        let extent = take_extent(&mut item)?;
        item.finish()?;
        self.found += 1;
        let before = self.last.as_ref().map(|(log, _)| *log);
        if before > Some(log) || self.found > self.count {
            return Err(DecodeError::Number { field: "log", found: log.0 }.into());
        }
        if before != Some(log) {
            self.end_log();
        }
        let (_, losses) = self.last.get_or_insert((log, LogLosses::default()));
        let from = extent.range.from.0;
        if losses.push(extent) {
            Ok(())
        } else {
            Err(DecodeError::Number { field: "from", found: from }.into())
        }
    }

    fn end_log(&mut self) {
        if let Some((log, losses)) = self.last.take() {
            self.lost.replace(log, losses);
        }
    }

    /// Checks that all items came.
    pub(in crate::machine) fn check_whole(&self) -> Result<(), RecordFault> {
        let (stated, found) = (self.count, self.found);
        if stated == found { Ok(()) } else { Err(RecordFault::Count { stated, found }) }
    }

    /// The lost entries, not held against the logs: of a state of which only the digest is wanted.
    pub(in crate::machine) fn finish_unheld(mut self) -> LostEntries {
        self.end_log();
        self.lost
    }

    /// The lost entries, where they are some of the logs that there are.
    pub(in crate::machine) fn finish(
        mut self,
        bounds: impl Fn(LogId) -> Option<LogBounds>,
    ) -> Result<LostEntries, SnapshotError> {
        self.end_log();
        let is_stray = |log: &LogId| !self.lost.fits(*log, bounds(*log));
        let stray = self.lost.logs().map(|(log, _)| log).find(is_stray);
        match stray {
            Some(log) => Err(SnapshotError::StrayLoss { log }),
            None => Ok(self.lost),
        }
    }
}
