//! Values that come from a peer long after they were applied (C29): whether they hold the very entries that
//! the sequence gave the logs.
//!
//! A value alone does not say which index an append got, nor whether it took effect. The index says so,
//! with the log's chain value in front of each extent: the entries must lead from it to the next one's.

use super::assembly::{CommandKind, MachineCommand};
use super::batch::{Commands, VALUE_HEADER_BYTES, Walk};
use super::command::CommandError;
use super::logs::{self, LogCommandKind};
use super::reading::EntryDamage;
use crate::api::name::LogName;
use crate::types::{Extent, LogId, Value};
use crate::wire::codec::BodyReader;
use std::collections::BTreeSet;

/// The logs that a value's commands append to, by id, and by name where the append may have created it.
///
/// # Errors
/// When the value is none that this node can apply.
pub fn appended_logs(value: &Value) -> Result<(BTreeSet<LogId>, BTreeSet<String>), CommandError> {
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    if value.is_noop() {
        return Ok((ids, names));
    }
    Commands::new(value)?; // Its header is one that this node knows.
    for raw in Walk::new(value.bytes(), VALUE_HEADER_BYTES as u32)? {
        let raw = raw?;
        let mut body = BodyReader::new(raw.body);
        match raw.kind {
            CommandKind::Log(LogCommandKind::Append) => {
                ids.extend(body.u64("log").ok().map(LogId));
            }
            CommandKind::Log(LogCommandKind::AppendCreate) => {
                let name = body.bytes16("name").ok().and_then(|name| str::from_utf8(name).ok());
                names.extend(name.map(str::to_string));
            }
            CommandKind::Log(
                LogCommandKind::Create
                | LogCommandKind::Delete
                | LogCommandKind::Trim
                | LogCommandKind::Retain
                | LogCommandKind::SetAttributes,
            )
            | CommandKind::Cut
            | CommandKind::Level => {}
        }
    }
    Ok((ids, names))
}

/// The log's chain value behind an extent, as the entries that `value` has of it make it.
///
/// # Errors
/// [`EntryDamage`] when the value does not have as many entries of the log as the extent says.
pub fn chain_behind(
    value: &Value,
    (log, name): (LogId, &LogName),
    extent: &Extent,
) -> Result<u64, EntryDamage> {
    let (mut chain, mut at) = (extent.chain, extent.first);
    for raw in Walk::new(value.bytes(), extent.offset)? {
        let raw = raw?;
        let is_append = match raw.kind {
            CommandKind::Log(kind) => logs::appends_to(kind, raw.body, log, name),
            CommandKind::Cut | CommandKind::Level => false,
        };
        let entries = match raw.decode()? {
            MachineCommand::Log(command) => command.entries().filter(|_| is_append),
            MachineCommand::Cut(_) | MachineCommand::Level(_) => None,
        };
        let Some(entries) = entries else {
            if raw.offset == extent.offset {
                return Err(EntryDamage::OtherLog { offset: raw.offset });
            }
            continue;
        };
        chain = logs::chain_over(chain, entries);
        at = at.plus(u64::from(entries.count()));
        if at >= extent.end() {
            break;
        }
    }
    if at == extent.end() {
        Ok(chain)
    } else {
        Err(EntryDamage::Extent { found: at, expected: extent.end() })
    }
}
