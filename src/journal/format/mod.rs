//! What lies on disk, byte by byte: items, batches, the bodies of records. docs/JOURNAL.md says the same.

pub mod batch;
pub mod hard_state_body;
pub mod identity;
pub mod item;
pub mod witnessed;
