//! The hard state: two copies far apart in one preallocated file, written one after the other, so
//! that one of them is always whole and no vote needs new space (C2, R06).

use crate::journal::format::hard_state_body::{BODY_BYTES_MAX, decode_body, encode_body};
use crate::journal::format::item::{
    ITEM_BYTES, ItemFault, JournalId, MetadataItem, VERSION, body_checksum, kind,
};
use crate::journal::format::open_error::OpenError;
use crate::journal::write::jobs::BatchStep;
use crate::limits::{BLOCK_BYTES, SECTOR_BYTES};
use crate::storage::{Storage, StorageError, StorageOp, read_some};
use crate::types::{HardState, Lsn};
use std::io;
use std::sync::Arc;

/// The file's name.
pub(crate) const FILE: &str = "hard-state";
/// Room of one copy; the second starts here.
const COPY_BYTES: u64 = 64 << 10;
/// Where the two copies start.
const COPIES: [u64; 2] = [0, COPY_BYTES];
/// Bytes of the file.
pub(crate) const FILE_BYTES: u64 = 2 * COPY_BYTES;
const _: () = assert!(ITEM_BYTES + BODY_BYTES_MAX <= COPY_BYTES as usize);

/// Adds to `hard` what another hard state of the same shard has: its facts only grow.
pub(crate) fn merge(hard: &mut HardState, other: &HardState) {
    hard.promised = hard.promised.max(other.promised);
    hard.lease_longest_us = hard.lease_longest_us.max(other.lease_longest_us);
    if other.boots > hard.boots {
        // Lives follow each other on one disk: the longer account holds the shorter one.
        (hard.boots, hard.lives) = (other.boots, other.lives.clone());
        hard.cuts = other.cuts.clone();
    } else if other.boots == hard.boots {
        // Of the same life: what is accounted for only rises, and cuts only go.
        for (life, other) in hard.lives.iter_mut().zip(&other.lives) {
            life.accounted = life.accounted.max(other.accounted);
        }
        hard.cuts.retain(|cut| other.cuts.contains(cut));
    }
    hard.formed |= other.formed;
    hard.configuration = hard.configuration.take().or_else(|| other.configuration.clone());
    hard.refuted = hard.refuted.or(other.refuted);
    hard.cut_damage = match (hard.cut_damage, other.cut_damage) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (a, b) => a.or(b),
    };
    for (node, incarnation) in &other.incarnations {
        hard.incarnations.entry(*node).or_insert(*incarnation);
    }
    for (node, number) in &other.recoveries {
        let known = hard.recoveries.entry(*node).or_insert(*number);
        *known = (*known).max(*number);
    }
}

/// One copy, encoded in whole blocks. The sequence number shows which of two whole copies is newer.
fn encode_copy(journal_id: &JournalId, sequence: u64, copy: usize, hard: &HardState) -> Vec<u8> {
    let mut out = vec![0; ITEM_BYTES];
    encode_body(hard, &mut out);
    let sequence = Lsn(sequence);
    let item = MetadataItem {
        bytes: (out.len() - ITEM_BYTES) as u32,
        offset: COPIES[copy],
        lsn: sequence,
        words: [0, 0, 0, 0, body_checksum(&out[ITEM_BYTES..], sequence), 0],
        ..MetadataItem::of_kind(kind::HARD_STATE)
    };
    out[..ITEM_BYTES].copy_from_slice(&item.encode(journal_id));
    out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
    out
}

/// The steps that make a hard state durable in both copies, one after the other (C2).
pub(crate) fn steps(
    journal_id: &JournalId,
    sequence: u64,
    hard: &HardState,
    file: &Arc<str>,
) -> Vec<BatchStep> {
    let write = |copy: usize| BatchStep::Write {
        file: Arc::clone(file),
        offset: COPIES[copy],
        bytes: encode_copy(journal_id, sequence, copy, hard),
    };
    let sync = || BatchStep::Sync { file: Arc::clone(file) };
    vec![write(0), sync(), write(1), sync()]
}

/// What was read of the hard state, and what had to be repaired.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub hard: HardState,
    pub sequence: u64,
    /// A copy that did not verify and was written anew: where it lies, and why.
    pub repaired: Option<(u64, String)>,
    /// It was being written when a life ended, as far as can be determined.
    pub interrupted: bool,
}

/// Reads the hard state; a copy that is damaged or older is written anew from the other one.
pub(crate) fn open(storage: &dyn Storage, journal_id: &JournalId) -> Result<Opened, OpenError> {
    let found = storage.len(FILE).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => OpenError::Missing { file: FILE.to_string() },
        _ => OpenError::unopenable(FILE, source),
    })?;
    if found != FILE_BYTES {
        return Err(OpenError::Length { file: FILE.to_string(), found, expected: FILE_BYTES });
    }
    let first = read_copy(storage, journal_id, COPIES[0])?;
    let second = read_copy(storage, journal_id, COPIES[1])?;
    let alone = first.is_err() && second.is_err();
    for bad in [&first, &second].into_iter().filter_map(|copy| copy.as_ref().err()) {
        if let Some(refusal) = bad.refusal(alone) {
            return Err(refusal);
        }
    }
    let (hard, sequence, stale) = match (&first, &second) {
        (Ok((a, hard)), Ok((b, _))) if a > b => (hard, *a, Some(1)),
        (Ok((a, _)), Ok((b, hard))) if b > a => (hard, *b, Some(0)),
        (Ok((a, hard)), Ok(_)) => (hard, *a, None),
        (Ok((a, hard)), Err(_)) => (hard, *a, Some(1)),
        (Err(_), Ok((b, hard))) => (hard, *b, Some(0)),
        (Err(first), Err(second)) => {
            return Err(OpenError::HardStateLost {
                file: FILE.to_string(),
                first: first.to_string(),
                second: second.to_string(),
            });
        }
    };
    if let Some(copy) = stale {
        let bytes = encode_copy(journal_id, sequence, copy, hard);
        let offset = COPIES[copy];
        storage.write_at(FILE, offset, &bytes).map_err(StorageError::at(
            StorageOp::Write,
            FILE,
            offset,
        ))?;
        storage.sync(FILE).map_err(StorageError::at(StorageOp::Sync, FILE, offset))?;
    }
    let repaired = match (&first, &second) {
        (Err(bad), _) => Some((COPIES[0], bad.to_string())),
        (_, Err(bad)) => Some((COPIES[1], bad.to_string())),
        (Ok(_), Ok(_)) => None,
    };
    let interrupted = [&first, &second]
        .into_iter()
        .filter_map(|copy| copy.as_ref().err())
        .all(|bad| bad.is_interrupted(sequence));
    Ok(Opened { hard: hard.clone(), sequence, repaired, interrupted })
}

/// Why a copy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum BadCopy {
    #[error("its header does not verify")]
    Header,
    #[error("its body does not verify")]
    Body {
        /// As its header says.
        sequence: u64,
        /// It fills more than a sector.
        large: bool,
    },
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("it has format version {found}")]
    Version { found: u16, intact: bool },
    #[error("it belongs to {found}, this is {expected}")]
    Foreign { found: JournalId, expected: JournalId },
}

impl BadCopy {
    /// The refusal that one such copy is enough for: it is whole, and not ours to write over.
    /// Without a whole copy (`alone`), a claim of a newer version is taken at its word (R03).
    fn refusal(&self, alone: bool) -> Option<OpenError> {
        let file = FILE.to_string();
        match self {
            BadCopy::Version { found, intact } if *found > VERSION && (*intact || alone) => {
                Some(OpenError::FutureVersion { file, found: *found, known: VERSION })
            }
            BadCopy::Foreign { found, expected } => {
                let (found, expected) = (found.to_string(), expected.to_string());
                Some(OpenError::Foreign { file, found, expected })
            }
            BadCopy::Version { .. }
            | BadCopy::Header
            | BadCopy::Body { .. }
            | BadCopy::Unreadable(_) => None,
        }
    }

    /// A power cut while it was written explains it: sectors are written whole, so the header is the
    /// old or the new one, and what lies in the sectors behind it can be the other's. The whole copy
    /// is then the one before or after it, since they are written one after the other.
    fn is_interrupted(&self, whole: u64) -> bool {
        matches!(self, BadCopy::Body { sequence, large: true } if sequence.abs_diff(whole) <= 1)
    }
}

fn read_copy(
    storage: &dyn Storage,
    journal_id: &JournalId,
    offset: u64,
) -> Result<Result<(u64, HardState), BadCopy>, StorageError> {
    let mut bytes = vec![0; COPY_BYTES as usize];
    let read = read_some(storage, FILE, offset, &mut bytes)?;
    Ok(read
        .map_err(|error| BadCopy::Unreadable(error.to_string()))
        .and_then(|()| decode_copy(&bytes, journal_id, offset)))
}

fn decode_copy(
    bytes: &[u8],
    journal_id: &JournalId,
    offset: u64,
) -> Result<(u64, HardState), BadCopy> {
    let item = MetadataItem::decode_slice(bytes, journal_id).map_err(|fault| match fault {
        ItemFault::Magic | ItemFault::Checksum => BadCopy::Header,
        ItemFault::Version { found, intact } => BadCopy::Version { found, intact },
        ItemFault::Foreign(found) => BadCopy::Foreign { found, expected: *journal_id },
    })?;
    if item.kind != kind::HARD_STATE || item.offset != offset {
        return Err(BadCopy::Header);
    }
    let body_bytes = item.bytes as usize;
    let large = ITEM_BYTES + body_bytes > SECTOR_BYTES;
    let bad_body = || BadCopy::Body { sequence: item.lsn.0, large };
    let body = bytes.get(ITEM_BYTES..ITEM_BYTES + body_bytes).ok_or_else(bad_body)?;
    if body_checksum(body, item.lsn) != item.words[4] {
        return Err(bad_body());
    }
    decode_body(body).map(|hard| (item.lsn.0, hard)).ok_or_else(bad_body)
}
