//! What a node that has a checkpoint gives to one that installs it.

use super::rows::{ROW_BYTES, put_row};
use crate::checkpoint::file::ReadError;
use crate::checkpoint::reader::read_state;
use crate::index::{RunError, RunSet};
use crate::limits::INSTALL_CHUNK_BYTES;
use crate::storage::{Storage, StorageError};
use crate::types::{FileOwner, InstallPlace, Slot};

/// Bytes of a part, and whether they are its last ones.
pub(super) type Chunk = (Vec<u8>, bool);

/// Reads from a place on; says why where the checkpoint, or a run of the index, does not give it.
pub(super) fn read_chunk(
    storage: &dyn Storage,
    owner: &FileOwner,
    runs: &RunSet,
    (slot, place): (Slot, InstallPlace),
) -> Result<Result<Chunk, String>, StorageError> {
    match place {
        InstallPlace::State(from) => {
            match read_state(storage, owner, slot, from, INSTALL_CHUNK_BYTES) {
                Ok(chunk) => Ok(Ok(chunk)),
                Err(ReadError::Storage(error)) => Err(error),
                Err(error @ (ReadError::Fault(_) | ReadError::Newer(_))) => {
                    Ok(Err(error.to_string()))
                }
            }
        }
        InstallPlace::Extents(log, first) => {
            let (mut bytes, mut is_last) = (Vec::with_capacity(INSTALL_CHUNK_BYTES), true);
            let mut take = |log, extent: &_| {
                is_last = bytes.len() + ROW_BYTES <= INSTALL_CHUNK_BYTES;
                if is_last {
                    put_row(&mut bytes, log, extent);
                }
                is_last
            };
            match runs.rows_from(storage, (log, first), slot, &mut take) {
                Ok(()) => Ok(Ok((bytes, is_last))),
                Err(RunError::Damaged(damage)) => Ok(Err(damage.to_string())),
                Err(RunError::Storage(error)) => Err(error),
            }
        }
    }
}
