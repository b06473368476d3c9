//! Installing the checkpoint of a peer (C29): where the journals of all peers have released what a node
//! lacks, it takes their state instead.
//!
//! What arrives is kept in part files, so that a restart of either side goes on where it was. Once all
//! is there, a checkpoint of this node's own is made of it, as if it had been taken here.

mod build;
mod heal;
mod job;
mod part_file;
#[cfg(test)]
mod part_file_tests;
mod rows;
mod slot_rows;
mod source;
mod verify;

pub use build::{BuildPlan, Built};
pub use heal::{HealDone, HealStep};
pub use job::{InstallDone, InstallJob, InstallJobError, Received, execute};
pub use part_file::{part_file_names, part_file_slot};
pub use rows::ROW_BYTES;
pub use slot_rows::SlotRow;
pub use verify::{
    KeptPart, LogEnd, RecordsBeside, RowName, ValueFault, Verified, VerifyValues, verify,
};
