//! The command, and its encoding: a disk format.
//!
//! | kind | command | body |
//! | --- | --- | --- |
//! | 8 | cut | nothing |

use crate::machine::feature::FeatureCommand;
use crate::types::FormatLevel;
use crate::wire::codec::{BodyReader, DecodeError};

/// The number of the command in its encoding. Never used again for anything else.
pub(in crate::machine) const CUT_KIND: u8 = 8;

/// Asks every replica for a checkpoint of the state behind the slot that holds the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutCommand;

impl FeatureCommand for CutCommand {
    fn kind_number(&self) -> u8 {
        CUT_KIND
    }

    fn needed_level(&self) -> FormatLevel {
        FormatLevel::FIRST
    }

    fn encode_body(&self, _out: &mut Vec<u8>) {}

    fn check_limits(&self) {}
}

/// Decodes the body of a cut.
pub(in crate::machine) fn decode_body(body: &[u8]) -> Result<CutCommand, DecodeError> {
    BodyReader::new(body).finish()?;
    Ok(CutCommand)
}
