//! What lies on disk, byte by byte: segments, batches, items, the bodies of records; and why files are
//! refused. docs/JOURNAL.md says the same.

pub mod batch;
pub mod hard_state_body;
pub mod identity;
pub mod item;
pub mod layout;
pub mod open_error;
pub mod released;
pub mod witnessed;
