//! Values that come from a peer long after they were applied (C29): whether they hold the very entries that
//! the sequence gave the logs.
//!
//! A value alone does not say which index an append got, nor whether it took effect. The index says so,
//! with the log's chain value in front of each extent: the entries must lead from it to the next one's.

use super::appends::{EntryDamage, entries_of, is_append_to};
use super::assembly::CommandKind;
use super::batch::{Commands, VALUE_HEADER_BYTES, Walk};
use super::command::{CommandError, RawCommand};
use super::logs::{self, LogCommandKind};
use super::remnant::{Remnant, walk_from};
use crate::api::name::LogName;
use crate::types::{Extent, LogId, Value};
use crate::wire::codec::BodyReader;
use std::collections::BTreeSet;

/// The logs that the commands of a value, or of what is left of one, append to: by id, and by name where the append
/// may have created it.
///
/// # Errors
/// When it is none that this node knows.
pub fn appended_logs(value: &Value) -> Result<(BTreeSet<LogId>, BTreeSet<String>), CommandError> {
    let mut found = AppendedLogs::default();
    if value.is_noop() {
        return Ok((found.ids, found.names));
    }
    if let Some(remnant) = Remnant::of(value.bytes())? {
        for raw in remnant.walks()?.into_iter().flatten() {
            found.add(&raw?);
        }
    } else {
        Commands::new(value)?; // Its header is one that this node knows.
        for raw in Walk::new(value.bytes(), VALUE_HEADER_BYTES as u32)? {
            found.add(&raw?);
        }
    }
    Ok((found.ids, found.names))
}

#[derive(Default)]
struct AppendedLogs {
    ids: BTreeSet<LogId>,
    names: BTreeSet<String>,
}

impl AppendedLogs {
    fn add(&mut self, raw: &RawCommand<'_>) {
        let mut body = BodyReader::new(raw.body);
        match raw.kind {
            CommandKind::Log(LogCommandKind::Append) => {
                self.ids.extend(body.u64("log").ok().map(LogId));
            }
            CommandKind::Log(LogCommandKind::AppendCreate) => {
                let name = body.bytes16("name").ok().and_then(|name| str::from_utf8(name).ok());
                self.names.extend(name.map(str::to_string));
            }
            CommandKind::Log(
                LogCommandKind::Create
                | LogCommandKind::Delete
                | LogCommandKind::Trim
                | LogCommandKind::Retain
                | LogCommandKind::SetAttributes,
            )
            | CommandKind::Cut
            | CommandKind::Level
            | CommandKind::Lose => {}
        }
    }
}

/// The log's chain value behind an extent, as the entries that `value`, or what is left of it, has of it make it.
///
/// # Errors
/// [`EntryDamage`] when the value does not have as many entries of the log as the extent says.
pub fn chain_behind(
    value: &Value,
    (log, name): (LogId, &LogName),
    extent: &Extent,
) -> Result<u64, EntryDamage> {
    let (mut chain, mut at) = (extent.chain, extent.first);
    for raw in walk_from(value.bytes(), extent.offset)? {
        let raw = raw?;
        let is_append = is_append_to(&raw, log, name);
        let Some(entries) = entries_of(&raw)?.filter(|_| is_append) else {
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
