//! Names of logs.

use crate::limits::NAME_BYTES_MAX;
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// A log's name: 1 to 255 bytes of UTF-8 without control characters. Ordered by its bytes. Copies share
/// the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Arc<str>);

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The name is empty.
    #[error("the name is empty; a log's name has 1 to {NAME_BYTES_MAX} bytes")]
    Empty,
    /// The name has more bytes than a name may have.
    #[error("the name has {bytes} bytes; a log's name has at most {NAME_BYTES_MAX}")]
    TooLong {
        /// Bytes that the name has.
        bytes: usize,
    },
    /// The name holds a control character.
    #[error("the name holds the control character U+{character:04X} at byte {offset}")]
    Control {
        /// The control character's code point.
        character: u32,
        /// The byte at which it starts, counted from 0.
        offset: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the name is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first byte lies that does not fit.
        offset: usize,
    },
}

impl LogName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] names the rule that the text breaks and where.
    pub fn new(text: &str) -> Result<LogName, NameError> {
        check(text)?;
        Ok(LogName(text.into()))
    }

    /// Checks a name as it came from the wire, the disk or a command line.
    ///
    /// # Errors
    /// As [`LogName::new`], and [`NameError::NotUtf8`].
    pub fn from_bytes(bytes: &[u8]) -> Result<LogName, NameError> {
        if bytes.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { bytes: bytes.len() });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| NameError::NotUtf8 { offset: error.valid_up_to() })?;
        LogName::new(text)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: text.len() });
    }
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(()); // Nearly every name; a start checks those of a million logs.
    }
    match text.char_indices().find(|(_, character)| character.is_control()) {
        Some((offset, character)) => {
            Err(NameError::Control { character: u32::from(character), offset })
        }
        None => Ok(()),
    }
}

impl Deref for LogName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for LogName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<LogName, NameError> {
        LogName::new(text)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A name is accepted exactly within its bounds, and a refusal says which rule and where.
    #[test]
    fn names_are_checked_against_every_rule() {
        let longest = "x".repeat(NAME_BYTES_MAX);
        assert_eq!(LogName::new("orders/2024 é").map(|name| name.len()), Ok(14));
        assert!(LogName::new(&longest).is_ok());
        assert_eq!(LogName::new(""), Err(NameError::Empty));
        assert_eq!(LogName::new(&(longest + "x")), Err(NameError::TooLong { bytes: 256 }));
        assert_eq!(
            LogName::new("a\u{e9}\nb"),
            Err(NameError::Control { character: 0x0a, offset: 3 })
        );
        assert_eq!(LogName::new("a\u{85}"), Err(NameError::Control { character: 0x85, offset: 1 }));
        assert_eq!(LogName::from_bytes(b"ab\xff"), Err(NameError::NotUtf8 { offset: 2 }));
    }
}
