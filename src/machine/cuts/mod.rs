//! Cuts: slots of the sequence at which every replica takes a checkpoint.
//!
//! A leader proposes a cut as it proposes any command, so that all replicas take their checkpoints, and
//! compare their digests, at the same slots, and what they write is the same, byte for byte (C23). The
//! machine only notes that there was one; whoever applied the slot begins a snapshot before the next.

mod command;
mod snapshot;
mod state;

pub use command::CutCommand;
pub(super) use command::{CUT_KIND, decode_body};
pub(super) use snapshot::{FEATURE, restore};
pub use state::Cuts;
pub(super) use state::DIGEST_WORDS;
