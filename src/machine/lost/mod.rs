//! Lost entries: such that no member of the cluster has any more, and that an operator declared lost (C32b).
//!
//! The command is part of the sequence, so all replicas agree for ever on which entries are lost: reads say so
//! everywhere, also on a node that finds the bytes again. That nobody has them is found out before the command is
//! proposed, and is no part of the state. Indexes never move: a lost entry keeps its own, and the chain value
//! behind it.

mod command;
mod outcome;
mod ranges;
mod snapshot;
mod state;

pub use command::LoseCommand;
pub(super) use command::{LOSE_KIND, decode_body};
pub use outcome::LostOutcome;
pub use ranges::{LogLosses, LostExtent};
pub(super) use snapshot::{FEATURE, LostRestore};
pub(super) use state::LogBounds;
pub use state::LostEntries;
