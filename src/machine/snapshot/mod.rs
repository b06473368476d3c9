//! The whole state as bytes: taken without a pause, and taken in again.
//!
//! [`Machine::begin_snapshot`](super::Machine::begin_snapshot) fixes the state as it is, and
//! [`Machine::snapshot_step`](super::Machine::snapshot_step) encodes it, a bounded piece at a time, while
//! later slots are applied: what they change ahead of the place that the encoding has come to is copied
//! first (C24). The pieces, one behind the other, are the same bytes on every replica, whatever their
//! sizes and whatever was applied meanwhile. [`Restore`] makes a machine of them.
//!
//! docs/JOURNAL.md has the format, in "The state in a checkpoint". The digest of a restored machine is
//! computed from what was decoded, so that a field that the encoder forgot shows as another digest.

mod encode;
pub(super) mod error;
mod header;
mod progress;
pub(super) mod record;
mod restore;

pub use encode::SnapshotStep;
pub use error::{RecordFault, SnapshotError};
pub(super) use progress::SnapshotProgress;
pub use restore::{Restore, SnapshotSurvey};
