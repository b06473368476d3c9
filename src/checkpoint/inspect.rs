//! Looking at a shard's checkpoints, runs and spans without a start: for `paxosctl verify`.

use super::file::{
    CheckpointFault, ReadError, checkpoint_file_name, not_newer, parse_checkpoint_file_name,
};
use super::manifest::RunEntry;
use super::newest::restore;
use super::reader::read_manifest;
use super::start::owner;
use crate::index::{Run, RunDamage, RunError, Span, parse_span_file_name, run_file_name};
use crate::journal::{Finding, FindingKind, Identity, OpenError, Recovered, inspect_knowing};
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{FileOwner, FormatLevel, Released, ShardId, SlotRanges};
use std::collections::BTreeMap;

/// What a start would make of all that is left of a shard: of its journal, its checkpoints and its runs. Of slots that
/// a peer's checkpoint stands for this node has those values alone that were fetched (C29): where a checkpoint that
/// verifies says so, a slot without a record is no hole. `on_read` gets each number of bytes as it is read.
///
/// # Errors
/// As for [`inspect`], and where the journal could not be used as it is.
pub fn inspect_shard(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    on_read: &(dyn Fn(u64) + Sync),
) -> Result<Recovered, OpenError> {
    let named = released(storage, identity, shard)?;
    let mut recovered = inspect_knowing(storage, identity, shard, &named, on_read)?;
    let Inspected { findings, installed } = inspect(storage, identity, shard, &recovered.released)?;
    recovered.findings.extend(findings);
    recovered.holes.retain(|slot, _| !installed.contains(*slot));
    Ok(recovered)
}

/// What the checkpoints of a shard, their runs and the spans hold.
#[derive(Clone, Debug, Default)]
pub struct Inspected {
    /// What does not verify.
    pub findings: Vec<Finding>,
    /// Slots that a peer's checkpoint stands for, as those checkpoints say that verify.
    pub installed: SlotRanges,
}

/// Reads every checkpoint of a shard whole, decodes it and holds its digest against what it says, and
/// every run that one of them names, and every span. Nothing is missing for
/// what does not verify, as long as an older checkpoint serves, or the whole journal; spans are made anew. Of
/// the journal these segments were released.
///
/// # Errors
/// When the system is short of something, the directory cannot be read, or a newer program wrote a file.
pub fn inspect(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    released: &Released,
) -> Result<Inspected, OpenError> {
    let mut installed = SlotRanges::default();
    let owner = owner(identity, shard);
    let names = storage.list().map_err(StorageError::at(StorageOp::List, ".", 0))?;
    let (mut findings, mut runs) = (Vec::new(), BTreeMap::new());
    let mut serves = released.ranges.is_empty();
    for slot in names.iter().filter_map(|name| parse_checkpoint_file_name(name)) {
        match restore(storage, &owner, (identity.shards, FormatLevel::KNOWN), slot) {
            Ok((_, (_, manifest))) => {
                serves |= manifest.journal.segment > released.last_segment();
                let ranges = manifest.installed.as_slice();
                ranges.iter().for_each(|(first, last)| installed.add(*first, *last));
                let named = |run: RunEntry| (run.id, (run, checkpoint_file_name(slot)));
                runs.extend(manifest.runs.into_iter().map(named));
            }
            Err(error) => findings.push(finding(error.damage()?)),
        }
    }
    if !serves {
        findings.push(none_serves(released));
    }
    for (run, named_by) in runs.into_values() {
        match verify_run(storage, &owner, &run) {
            Ok(true) => {}
            Ok(false) => {
                let (file, offset) = (run_file_name(run.id), 0);
                let what = format!("it is not the run that {named_by} names");
                findings.push(finding(CheckpointFault::Damaged { file, offset, what }));
            }
            Err(RunError::Damaged(damage)) => findings.push(finding(damaged(not_newer(damage)?))),
            Err(RunError::Storage(error)) => return Err(error.into()),
        }
    }
    for name in names.iter().filter(|name| parse_span_file_name(name).is_some()) {
        match Span::open(storage, name, &owner).and_then(|span| span.verify(storage)) {
            Ok(()) => {}
            Err(RunError::Damaged(damage)) => findings.push(finding(damaged(not_newer(damage)?))),
            Err(RunError::Storage(error)) => return Err(error.into()),
        }
    }
    Ok(Inspected { findings, installed })
}

/// What a shard's checkpoints name as released, as far as they verify.
///
/// # Errors
/// When the system is short of something, or the directory cannot be read.
fn released(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
) -> Result<Released, OpenError> {
    let owner = owner(identity, shard);
    let names = storage.list().map_err(StorageError::at(StorageOp::List, ".", 0))?;
    let mut released = Released::default();
    for slot in names.iter().filter_map(|name| parse_checkpoint_file_name(name)) {
        match read_manifest(storage, &owner, slot) {
            Ok((_, manifest)) => released.merge(&manifest.released),
            Err(ReadError::Storage(error)) => return Err(error.into()),
            // Another look at them says what is wrong.
            Err(ReadError::Fault(_) | ReadError::Newer(_)) => {}
        }
    }
    Ok(released)
}

fn damaged(damage: RunDamage) -> CheckpointFault {
    let RunDamage { file, offset, fault } = damage;
    CheckpointFault::Damaged { file, offset, what: fault.to_string() }
}

/// Reads a run whole; false when it is another than the one named.
fn verify_run(
    storage: &dyn Storage,
    owner: &FileOwner,
    entry: &RunEntry,
) -> Result<bool, RunError> {
    let run = Run::open(storage, &run_file_name(entry.id), owner)?;
    run.verify(storage, owner)?;
    Ok(RunEntry::of(&run) == *entry)
}

/// Segments were released, and no checkpoint holds what they held: a start is refused.
fn none_serves(released: &Released) -> Finding {
    let refusal = OpenError::NoCheckpoint { segments: released.segments(), upto: released.upto() };
    Finding {
        file: ".".to_string(),
        offset: 0,
        kind: FindingKind::Damaged,
        lsns: None,
        slot: None,
        text: refusal.to_string(),
    }
}

fn finding(fault: CheckpointFault) -> Finding {
    let (file, offset, text) = match fault {
        CheckpointFault::Unreadable { file, offset, error } => {
            (file, offset, format!("it cannot be read: {error}"))
        }
        CheckpointFault::Damaged { file, offset, what } => (file, offset, what),
    };
    Finding { file, offset, kind: FindingKind::OneCopy, lsns: None, slot: None, text }
}
