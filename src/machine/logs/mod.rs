//! Logs by name and by id: the feature of the machine that holds what clients append.
//!
//! The state is small: a few words per log. Where a log's entries lie is said once, when they are
//! appended ([`Extent`](crate::types::Extent)), and kept by the index. The entries stay in the journal;
//! [`ReadCursor`](super::ReadCursor) takes them out of the values that hold them.

mod apply;
mod attributes;
mod capture;
mod codec;
mod command;
mod digest;
mod invariants;
mod outcome;
mod restore;
mod slot_extents;
mod snapshot;
mod state;
mod table;

pub(super) use codec::{BODY_BYTES_MAX, appends_to, decode_body};
pub use command::{LogCommand, LogCommandKind};
pub(super) use digest::{DIGEST_WORDS, chain_over};
pub use outcome::LogOutcome;
pub(super) use restore::{LogsRestore, LogsSurvey, RestoreWanted};
pub(super) use slot_extents::SlotExtents;
pub(super) use snapshot::FEATURE;
pub use state::{Logs, LookupError, RetainedLog};
