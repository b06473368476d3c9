//! The file work of a node that heals: notes of what was tried, and its own checkpoint read back (C32).

use crate::checkpoint::file::{ReadError, checkpoint_file_name};
use crate::checkpoint::heal_note::{HEAL_FILE, HealNote, write_note};
use crate::checkpoint::newest::{open_runs, restore};
use crate::index::RunSet;
use crate::machine::Machine;
use crate::storage::{Storage, StorageError, StorageOp, remove_if_there};
use crate::types::{FileOwner, FormatLevel, Slot};

/// One step of it.
#[derive(Clone, Debug)]
pub enum HealStep {
    /// Removes files, and then writes down what is tried.
    Note {
        /// Whose the file is.
        owner: FileOwner,
        /// What is tried.
        note: HealNote,
        /// Checkpoints that no start may begin from once the note is there.
        remove: Vec<String>,
    },
    /// Nothing has to be tried any more.
    Forget,
    /// Reads back a checkpoint of this node's own.
    Restore {
        /// Whose it is.
        owner: FileOwner,
        /// Shards of the cluster.
        shards: u16,
        /// The highest format level that this node's program knows.
        known: FormatLevel,
        /// Its slot.
        slot: Slot,
        /// The digest that it must have.
        digest: u64,
    },
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum HealDone {
    /// What is tried is durable.
    Noted,
    /// The note is gone.
    Forgotten,
    /// The state of the checkpoint, and the runs of its extents.
    Restored(Box<(Machine, RunSet)>),
    /// The checkpoint is not to be believed.
    NotRestored(String),
    /// There was no space for the note.
    NoSpace,
}

pub(super) fn heal(storage: &dyn Storage, step: &HealStep) -> Result<HealDone, StorageError> {
    match step {
        HealStep::Note { owner, note, remove } => {
            for name in remove {
                remove_if_there(storage, name)?;
            }
            storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))?;
            write_note(storage, owner, *note)?;
            Ok(HealDone::Noted)
        }
        HealStep::Forget => {
            remove_if_there(storage, HEAL_FILE)?;
            storage.sync_dir().map_err(StorageError::at(StorageOp::SyncDir, ".", 0))?;
            Ok(HealDone::Forgotten)
        }
        HealStep::Restore { owner, shards, known, slot, digest } => {
            match read_back(storage, owner, (*shards, *known), *slot) {
                Ok((machine, _)) if machine.digest() != *digest => {
                    let found = machine.digest();
                    let why = format!("its state has digest {found:016x}, not {digest:016x}");
                    Ok(HealDone::NotRestored(why))
                }
                Ok(restored) => Ok(HealDone::Restored(Box::new(restored))),
                Err(ReadError::Storage(error)) => Err(error),
                Err(error @ (ReadError::Fault(_) | ReadError::Newer(_))) => {
                    Ok(HealDone::NotRestored(error.to_string()))
                }
            }
        }
    }
}

/// Reads a checkpoint of this node's own, and opens its runs. The page cache drops the checkpoint's file first: what
/// failed may have been memory.
fn read_back(
    storage: &dyn Storage,
    owner: &FileOwner,
    place: (u16, FormatLevel),
    slot: Slot,
) -> Result<(Machine, RunSet), ReadError> {
    let name = checkpoint_file_name(slot);
    storage.forget(&name).map_err(StorageError::at(StorageOp::Read, &name, 0))?;
    let (machine, (_, manifest)) = restore(storage, owner, place, slot)?;
    let runs = open_runs(storage, owner, slot, &manifest.runs)?;
    Ok((machine, runs))
}
