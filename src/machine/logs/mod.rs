//! Logs by name and by id: the feature of the machine that holds what clients append.
//!
//! The state is small: a few words per log, and extents that say in which slot's value a log's entries
//! lie. The entries stay in the journal; [`ReadCursor`](super::ReadCursor) takes them out of the
//! values that hold them.

mod apply;
mod codec;
mod command;
mod digest;
mod extents;
mod invariants;
mod outcome;
mod state;

#[cfg(test)]
mod tests;

pub(super) use codec::{BODY_BYTES_MAX, appends_to, decode_body};
pub use command::{LogCommand, LogCommandKind};
pub(super) use digest::DIGEST_WORDS;
pub use extents::LogExtent;
pub use outcome::LogOutcome;
pub use state::{Logs, LookupError};
