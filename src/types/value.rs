//! What a slot decides.

use std::fmt;
use std::sync::Arc;

/// What a slot decides: an encoded batch of commands, or a no-op (no bytes at all). Cheap to clone.
/// Consensus and journal never look inside.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Arc<[u8]>);

impl Value {
    /// Returns the no-op: the value that fills a slot and changes nothing.
    #[must_use]
    pub fn noop() -> Value {
        Value(Arc::from([]))
    }

    /// Makes a value of these bytes; empty bytes are the no-op.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Value {
        Value(bytes.into())
    }

    /// Returns the encoded batch of commands; no bytes for a no-op.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Counts the encoded bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true for a no-op, which has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true for a no-op; the same as [`Value::is_empty`].
    #[must_use]
    pub fn is_noop(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_noop() {
            return f.write_str("no-op");
        }
        match std::str::from_utf8(&self.0) {
            Ok(text) if text.len() <= 32 && !text.contains(char::is_control) => {
                write!(f, "{text:?}")
            }
            _ => write!(f, "<{} bytes>", self.0.len()),
        }
    }
}
