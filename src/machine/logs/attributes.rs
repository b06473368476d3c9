//! Attributes as a log has them in memory: most logs have none that were ever changed.

use crate::api::LogAttributes;

/// A word for a log whose attributes are as they were when it was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedAttributes(Option<Box<LogAttributes>>);

impl PackedAttributes {
    pub(super) fn new(attributes: LogAttributes) -> PackedAttributes {
        let is_fresh = attributes == LogAttributes::default();
        PackedAttributes((!is_fresh).then(|| Box::new(attributes)))
    }

    pub(super) fn get(&self) -> LogAttributes {
        self.0.as_deref().copied().unwrap_or_default()
    }
}
