//! The command, and its encoding: a disk format.
//!
//! | kind | command | body |
//! | --- | --- | --- |
//! | 9 | level | level u16 |

use crate::machine::feature::FeatureCommand;
use crate::types::FormatLevel;
use crate::wire::codec::{BodyReader, DecodeError, Writer};

/// The number of the command in its encoding. Never used again for anything else.
pub(in crate::machine) const LEVEL_KIND: u8 = 9;

/// Raises the format level, where it is lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelCommand {
    /// What every member knows.
    pub level: FormatLevel,
}

impl FeatureCommand for LevelCommand {
    fn kind_number(&self) -> u8 {
        LEVEL_KIND
    }

    fn needed_level(&self) -> FormatLevel {
        FormatLevel::FIRST
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        out.put_u16(self.level.0);
    }

    fn check_limits(&self) {
        let (level, first) = (self.level, FormatLevel::FIRST);
        assert!(level >= first, "a command for level {level}, the first one is {first}");
    }
}

/// Decodes the body of a level's command.
pub(in crate::machine) fn decode_body(body: &[u8]) -> Result<LevelCommand, DecodeError> {
    let mut reader = BodyReader::new(body);
    let level = take_level(&mut reader)?;
    reader.finish()?;
    Ok(LevelCommand { level })
}

/// Takes a level, which is never below the first one.
pub(super) fn take_level(reader: &mut BodyReader<'_>) -> Result<FormatLevel, DecodeError> {
    let level = FormatLevel(reader.u16("level")?);
    if level < FormatLevel::FIRST {
        return Err(DecodeError::Number { field: "level", found: u64::from(level.0) });
    }
    Ok(level)
}
