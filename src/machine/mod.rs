//! The replicated state machine: logs by name.
//!
//! Every replica of a shard applies the same values in the same order, and because applying is a
//! pure function of state and value (R22) they all hold the same state, which they compare by
//! digest (R23). The state is small: a few words per log, and extents that say in which slot's
//! value a log's entries lie. The entries stay in the journal.
//!
//! - [`Command`] and [`ValueBuilder`]: what a leader proposes.
//! - [`Machine::apply`]: what every replica does with what was chosen; one [`Outcome`] per command.
//! - [`Machine::stat`], [`Machine::list`] …: what clients ask.
//! - [`Machine::reading`] and [`ReadCursor`]: entries, out of the values that hold them.

pub mod apply;
pub mod batch;
pub mod command;
pub mod digest;
pub mod entries;
pub mod extents;
pub mod invariants;
pub mod state;

#[cfg(test)]
mod tests;

pub use apply::{MachineError, Outcome};
pub use batch::{Commands, ValueBuilder};
pub use command::{Command, CommandError};
pub use entries::{Damage, Damaged, ReadCursor};
pub use extents::Extent;
pub use state::{LookupError, Machine};
