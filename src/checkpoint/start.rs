//! The start of a shard from its directory: the newest good checkpoint, and the journal behind it.

use super::newest::RestoredState;
use crate::journal::{self, Identity, Journal, JournalOptions, OpenError, Recovered};
use crate::storage::Storage;
use crate::types::{FileOwner, FormatLevel, ShardId, Slot};

/// What a shard starts from.
#[derive(Debug)]
pub struct Start {
    /// The journal, open.
    pub journal: Journal,
    /// What it gave back.
    pub recovered: Recovered,
    /// What the newest good checkpoint gave back.
    pub restored: RestoredState,
}

/// Reads a shard's directory back: the newest checkpoint that is good, and of the journal what lies
/// behind it. Where a checkpoint and the journal do not fit each other, an older one serves, and in the
/// end the whole journal. The program knows format levels up to `known`.
///
/// # Errors
/// When the journal must not be used as it is, or a newer program wrote a part of it.
pub fn start(
    storage: &dyn Storage,
    identity: &Identity,
    (shard, shards): (ShardId, u16),
    known: FormatLevel,
    options: &JournalOptions,
) -> Result<Start, OpenError> {
    let owner = owner(identity, shard);
    let (mut below, mut faults) = (Slot(u64::MAX), Vec::new());
    loop {
        let mut restored = RestoredState::newest(storage, &owner, (shards, known), below)?;
        faults.append(&mut restored.faults);
        let from = (restored.from, &restored.released);
        let recovered = journal::recover_knowing(storage, identity, shard, options, from);
        match (recovered, restored.from) {
            (Ok((journal, recovered)), _) => {
                restored.faults = faults;
                return Ok(Start { journal, recovered, restored });
            }
            (
                Err(error @ (OpenError::StartMoved { .. } | OpenError::StartGone { .. })),
                Some((slot, _)),
            ) => {
                faults.push(error.to_string());
                below = slot;
            }
            (Err(error), _) => return Err(error),
        }
    }
}

/// Whose files of a shard's directory are.
#[must_use]
pub fn owner(identity: &Identity, shard: ShardId) -> FileOwner {
    let Identity { cluster, node, incarnation, .. } = *identity;
    FileOwner { cluster, node, incarnation, shard }
}
