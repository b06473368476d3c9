//! The command, and its encoding: a disk format.
//!
//! | kind | command | body |
//! | --- | --- | --- |
//! | 10 | lose | log u64, from u64, before u64, bytes_from u64, bytes_before u64 |

use super::ranges::{LostExtent, take_extent};
use crate::machine::feature::FeatureCommand;
use crate::types::{FormatLevel, LogId};
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// The number of the command in its encoding. Never used again for anything else.
pub(in crate::machine) const LOSE_KIND: u8 = 10;

/// Declares entries of a log lost. Names the log by its identity, so that one that was deleted and created
/// anew is never meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoseCommand {
    /// The log.
    pub log: LogId,
    /// The entries; what is trimmed of them by then is passed over.
    pub extent: LostExtent,
}

impl FeatureCommand for LoseCommand {
    fn kind_number(&self) -> u8 {
        LOSE_KIND
    }

    fn needed_level(&self) -> FormatLevel {
        FormatLevel::LOST_ENTRIES
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        out.put_u64(self.log.0);
        self.extent.put(out);
    }

    fn check_limits(&self) {
        let LostExtent { range, bytes } = self.extent;
        assert!(range.from < range.before, "nothing is to be lost: {range:?}");
        assert!(bytes.0 <= bytes.1, "bytes fall from {} to {}: {range:?}", bytes.0, bytes.1);
    }
}

/// Decodes the body.
pub(in crate::machine) fn decode_body(body: &[u8]) -> Result<LoseCommand, DecodeError> {
    let mut reader = BodyReader::new(body);
    let log = LogId(reader.u64("log")?);
    let extent = take_extent(&mut reader)?;
    reader.finish()?;
    Ok(LoseCommand { log, extent })
}
