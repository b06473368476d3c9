//! What `verify` found, in each form.

use super::super::args::Format;
use super::super::exit::CommandFailure;
use super::super::table::{Align, TextTable};
use super::super::write_json;
use super::{Checked, State};
use crate::journal::{Finding, FindingKind, Identity, Recovered};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Most slots listed of those that are damaged.
const HOLES_LISTED: usize = 1000;

/// Writes it all.
pub fn write(
    data_dir: &Path,
    identity: &Identity,
    checked: &[Checked],
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    match format {
        Format::Table => table(data_dir, identity, checked, out).map_err(CommandFailure::Output),
        Format::Json => write_json(out, &document(data_dir, identity, checked)),
        Format::Jsonl => checked.iter().try_for_each(|shard| write_json(out, &shard_value(shard))),
        Format::Raw => checked
            .iter()
            .try_for_each(|shard| writeln!(out, "{} {}", shard.shard, shard.state().word()))
            .map_err(CommandFailure::Output),
    }
}

fn table(
    data_dir: &Path,
    identity: &Identity,
    checked: &[Checked],
    out: &mut dyn Write,
) -> io::Result<()> {
    let Identity { cluster, node, incarnation, shards } = identity;
    writeln!(
        out,
        "{}: node {node} of cluster {cluster}, incarnation {:016x}, shards: {shards}\n",
        data_dir.display(),
        incarnation.0
    )?;
    rows(checked).write(out)?;
    let mut apart = "\n";
    for shard in checked {
        for line in lines(shard) {
            writeln!(out, "{apart}{line}")?;
            apart = "";
        }
    }
    Ok(())
}

fn rows(checked: &[Checked]) -> TextTable {
    let mut table = TextTable::new(&[
        ("SHARD", Align::Right),
        ("STATE", Align::Left),
        ("DURABLE", Align::Right),
        ("CHOSEN", Align::Right),
        ("OPEN", Align::Right),
        ("HOLES", Align::Right),
        ("PROMISED", Align::Right),
        ("RECORDS", Align::Right),
        ("BATCHES", Align::Right),
        ("SEGMENTS", Align::Right),
        ("LIVE", Align::Right),
        ("DISK", Align::Right),
    ]);
    for shard in checked {
        let known = |show: fn(&Recovered) -> String| {
            shard.found.as_ref().map_or_else(|_| "-".to_string(), show)
        };
        table.row(vec![
            shard.shard.to_string(),
            shard.state().word().to_string(),
            known(|found| durable_upto(found).to_string()),
            known(|found| found.chosen_upto.to_string()),
            known(|found| found.open.len().to_string()),
            known(|found| found.holes.len().to_string()),
            known(|found| found.hard.promised.to_string()),
            known(|found| found.stats.records.to_string()),
            known(|found| found.stats.batches.to_string()),
            shard.segments.to_string(),
            known(|found| kib(found.stats.bytes)),
            kib(shard.file_bytes),
        ]);
    }
    table
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}

/// The last LSN.
fn durable_upto(found: &Recovered) -> u64 {
    found.next_lsn.0.saturating_sub(1)
}

/// The directory of a shard as a prefix of file names.
fn prefix(shard: &Checked) -> String {
    let name = shard.dir.file_name();
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Every place that did not verify, a line each.
fn lines(shard: &Checked) -> Vec<String> {
    let home = prefix(shard);
    match &shard.found {
        Ok(found) => found.findings.iter().map(|finding| format!("{home}/{finding}")).collect(),
        Err(error) => vec![format!("{home}: {}: {error}", shard.state().word())],
    }
}

fn document(data_dir: &Path, identity: &Identity, checked: &[Checked]) -> Value {
    let state = checked.iter().map(Checked::state).max().unwrap_or(State::Clean);
    json!({
        "directory": data_dir.display().to_string(),
        "cluster": identity.cluster.to_string(),
        "node": identity.node.0,
        "incarnation": format!("{:016x}", identity.incarnation.0),
        "shards": identity.shards,
        "state": state.word(),
        "checked": checked.iter().map(shard_value).collect::<Vec<_>>(),
    })
}

fn shard_value(shard: &Checked) -> Value {
    let mut value = json!({
        "shard": shard.shard.0,
        "directory": shard.dir.display().to_string(),
        "state": shard.state().word(),
        "damaged": shard.count(FindingKind::Damaged),
        "suspect": shard.count(FindingKind::Suspect),
        "torn": shard.count(FindingKind::Torn),
        "one_copy": shard.count(FindingKind::OneCopy),
        "mended": shard.count(FindingKind::Mended),
        "interrupted": shard.count(FindingKind::Interrupted),
        "segments": shard.segments,
        "file_bytes": shard.file_bytes,
        "error": shard.found.as_ref().err().map(ToString::to_string),
    });
    if let (Ok(found), Value::Object(fields)) = (&shard.found, &mut value) {
        let Value::Object(more) = recovered_value(found) else { return value };
        fields.extend(more);
    }
    value
}

fn recovered_value(found: &Recovered) -> Value {
    json!({
        "promised": found.hard.promised.to_string(),
        "boots": found.hard.boots,
        "formed": found.hard.formed,
        "durable_lsn": durable_upto(found),
        "chosen_upto": found.chosen_upto.0,
        "released_segments": found.released.segments(),
        "released_upto": found.released.upto().0,
        "open": found.open.len(),
        "holes": found.holes.len(),
        "hole_slots": found.holes.keys().take(HOLES_LISTED).map(|slot| slot.0).collect::<Vec<_>>(),
        "segments_read": found.stats.segments,
        "batches": found.stats.batches,
        "records": found.stats.records,
        "batch_bytes": found.stats.bytes,
        "findings": found.findings.iter().map(finding_value).collect::<Vec<_>>(),
    })
}

fn finding_value(finding: &Finding) -> Value {
    json!({
        "file": finding.file,
        "offset": finding.offset,
        "kind": finding.kind.to_string(),
        "first_lsn": finding.lsns.map(|(first, _)| first.0),
        "last_lsn": finding.lsns.map(|(_, last)| last.0),
        "slot": finding.slot.map(|slot| slot.0),
        "text": finding.text,
    })
}
