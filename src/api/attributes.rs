//! Attributes of a log: what it keeps, and whether it takes more entries.

/// What a log has beside its entries. It changes by [`super::SetAttributes`] only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogAttributes {
    /// Rises with every change; 0 for a log whose attributes were never changed.
    pub version: u64,
    /// What the log keeps at least, where its entries may be trimmed without being asked for.
    pub retention: Retention,
    /// The log takes no more entries, for ever.
    pub sealed: bool,
}

/// When an entry may be trimmed by itself: once any of the limits that are set allows it. The last entry
/// of a log always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Retention {
    /// An entry may go once the entries behind it have so many bytes, prefixes not counted; 0 for no
    /// such limit.
    pub bytes: u64,
    /// An entry may go once so many entries lie behind it; 0 for no such limit.
    pub entries: u64,
    /// An entry may go once it is so old, in milliseconds; 0 for no such limit.
    pub age_ms: u64,
}

impl Retention {
    /// Nothing goes by itself.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Retention::default()
    }
}

/// A change of attributes: what is none stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AttributeChanges {
    /// The new [`Retention::bytes`].
    pub retain_bytes: Option<u64>,
    /// The new [`Retention::entries`].
    pub retain_entries: Option<u64>,
    /// The new [`Retention::age_ms`].
    pub retain_age_ms: Option<u64>,
    /// Seals the log; a seal is never taken back.
    pub seal: bool,
}

impl AttributeChanges {
    /// The attributes behind the change, as far as it changes them; the version rises with it.
    #[must_use]
    pub fn applied_to(&self, before: LogAttributes) -> LogAttributes {
        let retention = Retention {
            bytes: self.retain_bytes.unwrap_or(before.retention.bytes),
            entries: self.retain_entries.unwrap_or(before.retention.entries),
            age_ms: self.retain_age_ms.unwrap_or(before.retention.age_ms),
        };
        let sealed = before.sealed || self.seal;
        let after = LogAttributes { retention, sealed, ..before };
        if after == before {
            before
        } else {
            LogAttributes { version: before.version + 1, ..after }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change changes what it names, a seal stays, and the version says whether anything did.
    #[test]
    fn c28_a_change_of_attributes_changes_what_it_names() {
        let seal = AttributeChanges { seal: true, ..AttributeChanges::default() };
        let keep = AttributeChanges { retain_entries: Some(7), ..AttributeChanges::default() };
        let sealed = seal.applied_to(LogAttributes::default());
        assert_eq!((sealed.version, sealed.sealed), (1, true));
        let kept = keep.applied_to(sealed);
        assert_eq!((kept.version, kept.sealed, kept.retention.entries), (2, true, 7));
        assert_eq!(keep.applied_to(kept), kept, "nothing changes a second time");
        let free = AttributeChanges { retain_entries: Some(0), ..AttributeChanges::default() };
        assert!(free.applied_to(kept).retention.is_unlimited());
        let aged = AttributeChanges { retain_age_ms: Some(9), ..AttributeChanges::default() };
        let both = Retention { bytes: 0, entries: 7, age_ms: 9 };
        assert_eq!(aged.applied_to(kept).retention, both, "a limit more takes none away");
    }
}
