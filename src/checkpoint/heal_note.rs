//! What a node has tried so far to come by the state that the others have (C32).
//!
//! The note lies in a small file of the shard's directory, so that a process that ends again and again
//! tries nothing for ever. It goes once a majority was seen to share the state.

use super::file::{UNFINISHED, u64_at};
use crate::journal::OpenError;
use crate::storage::{Storage, StorageError, StorageOp, complete_file, read_some, remove_if_there};
use crate::types::{FileOwner, Slot};
use std::io;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The name of the file.
pub const HEAL_FILE: &str = "heal";
const MAGIC: [u8; 4] = *b"pxH\x89";
const VERSION: u16 = 1;
const BYTES: usize = 64;
const OWNER_AT: usize = 24;
const CHECKSUM_AT: usize = BYTES - 8;

/// The last thing that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealStage {
    /// The state was to be rebuilt from a checkpoint of the node's own, at this note's slot.
    Replay,
    /// A peer's checkpoint was to take its place. Until then the state on disk is not believed.
    Install,
    /// It has taken its place, at this note's slot.
    Installed,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealNote {
    /// The last thing that was.
    pub stage: HealStage,
    /// Lives of the process in which a peer's checkpoint was to be installed.
    pub installs: u32,
    /// The slot of the checkpoint that is meant.
    pub slot: Slot,
}

impl HealNote {
    fn to_bytes(self, owner: &FileOwner) -> [u8; BYTES] {
        let stage: u16 = match self.stage {
            HealStage::Replay => 1,
            HealStage::Install => 2,
            HealStage::Installed => 3,
        };
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&stage.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.installs.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.slot.0.to_le_bytes());
        bytes[OWNER_AT..OWNER_AT + FileOwner::BYTES].copy_from_slice(&owner.to_bytes());
        let checksum = xxh3_64_with_seed(&bytes[..CHECKSUM_AT], 0);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Decodes a note. Fails with `Ok(version)` for a version that this program does not know, and with
    /// `Err(why)` for bytes that do not verify or are of another node or shard.
    fn of_bytes(bytes: &[u8; BYTES], owner: &FileOwner) -> Result<HealNote, Result<u16, String>> {
        let damaged = |what: &str| Err(Err(what.to_string()));
        let checksum = xxh3_64_with_seed(&bytes[..CHECKSUM_AT], 0);
        if bytes[..4] != MAGIC || u64_at(bytes, CHECKSUM_AT) != checksum {
            return damaged("its checksum does not verify");
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version > VERSION {
            return Err(Ok(version));
        }
        if bytes[OWNER_AT..OWNER_AT + FileOwner::BYTES] != owner.to_bytes() {
            return damaged("it is of another node or shard");
        }
        let stage = match u16::from_le_bytes([bytes[6], bytes[7]]) {
            1 => HealStage::Replay,
            2 => HealStage::Install,
            3 => HealStage::Installed,
            _ => return damaged("it names no stage"),
        };
        let installs = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        Ok(HealNote { stage, installs, slot: Slot(u64_at(bytes, 16)) })
    }
}

/// The note of a shard's directory, and what is wrong with it. Of a damaged one nobody knows what was
/// tried: it counts as one of a node that has tried everything.
///
/// # Errors
/// When the system is short of something, or a newer program wrote the note.
pub(super) fn read_note(
    storage: &dyn Storage,
    owner: &FileOwner,
) -> Result<(Option<HealNote>, Option<String>), OpenError> {
    let at = StorageError::at;
    match storage.len(HEAL_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, None)),
        len => drop(len.map_err(at(StorageOp::Read, HEAL_FILE, 0))?),
    }
    let mut bytes = [0; BYTES];
    let read = read_some(storage, HEAL_FILE, 0, &mut bytes)?;
    let found = read.map_err(|error| Err(error.to_string()));
    match found.and_then(|()| HealNote::of_bytes(&bytes, owner)) {
        Ok(note) => Ok((Some(note), None)),
        Err(Ok(found)) => {
            let file = HEAL_FILE.to_string();
            Err(OpenError::FutureVersion { file, found, known: VERSION })
        }
        Err(Err(what)) => {
            let note = HealNote { stage: HealStage::Installed, installs: 0, slot: Slot(0) };
            Ok((Some(note), Some(format!("{HEAL_FILE}: {what}"))))
        }
    }
}

/// Writes the note in place of the one that is there.
pub(super) fn write_note(
    storage: &dyn Storage,
    owner: &FileOwner,
    note: HealNote,
) -> Result<(), StorageError> {
    let aside = format!("{HEAL_FILE}{UNFINISHED}");
    remove_if_there(storage, &aside)?;
    storage.create_empty(&aside).map_err(StorageError::at(StorageOp::Create, &aside, 0))?;
    let bytes = note.to_bytes(owner);
    storage.extend(&aside, &bytes).map_err(StorageError::at(StorageOp::Write, &aside, 0))?;
    complete_file(storage, &aside, HEAL_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemStorage;
    use crate::types::{ClusterId, Incarnation, NodeId, ShardId};

    fn owner(node: u16) -> FileOwner {
        let (node, shard) = (NodeId(node), ShardId(3));
        FileOwner { cluster: ClusterId(7), node, incarnation: Incarnation(9), shard }
    }

    /// C32: what was tried is read back as it was written, over what was there.
    #[test]
    fn c32_a_note_is_read_back() {
        let storage = MemStorage::new();
        assert_eq!(read_note(&storage, &owner(1)).expect("no file"), (None, None));
        for stage in [HealStage::Replay, HealStage::Install, HealStage::Installed] {
            let note = HealNote { stage, installs: 2, slot: Slot(47) };
            write_note(&storage, &owner(1), note).expect("there is space");
            assert_eq!(read_note(&storage, &owner(1)).expect("good"), (Some(note), None));
        }
    }

    /// C32: a note that is damaged, or of another node, is not passed over: nothing more is tried.
    #[test]
    fn c32_a_damaged_note_lets_nothing_be_tried() {
        let storage = MemStorage::new();
        let note = HealNote { stage: HealStage::Replay, installs: 0, slot: Slot(47) };
        write_note(&storage, &owner(1), note).expect("there is space");
        let (other, why) = read_note(&storage, &owner(2)).expect("readable");
        assert_eq!(other.map(|note| note.stage), Some(HealStage::Installed));
        assert!(why.is_some_and(|why| why.contains("another node")));
        for at in 0..BYTES as u64 {
            let rotten = storage.duplicate();
            rotten.rot(HEAL_FILE, at..at + 1, |bytes| bytes[0] ^= 8);
            let (found, why) = read_note(&rotten, &owner(1)).expect("readable");
            let stage = found.map(|note| note.stage);
            assert_eq!((stage, why.is_some()), (Some(HealStage::Installed), true), "byte {at}");
        }
    }
}
