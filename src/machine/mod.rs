//! The replicated state machine: logs by name.
//!
//! Every replica of a shard applies the same values in the same order, and because applying is a
//! pure function of state and value (R22) they all hold the same state, which they compare by
//! digest (R23).
//!
//! What the machine can do comes from *features*, one folder each: [`logs`], `cuts`, `levels` and `lost`. A feature has its
//! commands and their encoding, its state, its outcomes, its share of the digest and of a snapshot, and its
//! invariants.
//! `assembly` puts the features together; batching, applying, digests and invariants dispatch to them
//! there. Imports go one way: feature, assembly, command, batch, appends, remnant, and then state, apply and reading.
//!
//! - [`MachineCommand`] and [`ValueBuilder`]: what a leader proposes.
//! - [`Machine::apply`]: what every replica does with what was chosen; one [`MachineOutcome`] per
//!   command, and where the entries lie that were appended.
//! - [`Machine::logs`]: what clients ask of logs.
//! - [`Machine::reading`] and [`ReadCursor`]: entries, out of the values that hold them.
//! - [`cut_down`]: what is left of a value whose other entries are dead.

mod appends;
mod apply;
mod assembly;
mod batch;
mod command;
mod cuts;
mod digest;
mod feature;
mod fetched;
pub mod invariants;
mod levels;
pub mod logs;
mod lost;
mod reading;
mod remnant;
mod snapshot;
mod state;

#[cfg(test)]
mod tests;

pub use appends::EntryDamage;
pub use apply::{AppliedSlot, MachineError};
pub use assembly::{CommandKind, MachineCommand, MachineOutcome};
pub use batch::{Commands, ValueBuilder};
pub use command::CommandError;
pub use cuts::{CutCommand, Cuts};
pub use fetched::{appended_logs, chain_behind};
pub use levels::{LevelCommand, Levels};
pub use logs::{LogCommand, LogOutcome, LookupError, RetainedLog};
pub use lost::{LogLosses, LoseCommand, LostEntries, LostExtent, LostOutcome};
pub use reading::{Damaged, ReadCursor, Unverified};
pub use remnant::{
    NamedExtent, cut_down, has_extent, is_remnant, keep_only, places_in_remnant,
    remnant_front_bytes,
};
pub use snapshot::{RecordFault, Restore, SnapshotError, SnapshotStep, SnapshotSurvey};
pub use state::Machine;
