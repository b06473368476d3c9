//! `create`, `delete`, `list`, `stat`, `trim`, `set`, `seal`.

use super::args::Format;
use super::calendar::utc;
use super::exit::CommandFailure;
use super::lost;
use super::screen;
use super::table::{Align, TextTable};
use super::values::{ConsistencyArg, age_text};
use super::{done, write_json};
use crate::client::{AttributeChanges, Client, LogAttributes, LogStat, Retention};
use crate::types::Index;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Creates a log; raw: its id.
pub fn create(
    client: &mut Client,
    name: &str,
    retention: Retention,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let id = client.create_with(name, retention)?;
    let printed = match format {
        Format::Table => writeln!(out, "created {name} (id {id})").map_err(CommandFailure::Output),
        Format::Json | Format::Jsonl => {
            write_json(out, &json!({ "name": name, "id": id.to_string() }))
        }
        Format::Raw => writeln!(out, "{id}").map_err(CommandFailure::Output),
    };
    done(printed, out, || format!("log \"{name}\" was created, with id {id}"))
}

/// Deletes a log; raw: nothing.
pub fn delete(
    client: &mut Client,
    name: &str,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    client.delete(name)?;
    let printed = match format {
        Format::Table => writeln!(out, "deleted {name}").map_err(CommandFailure::Output),
        Format::Json | Format::Jsonl => write_json(out, &json!({ "name": name, "deleted": true })),
        Format::Raw => return Ok(()),
    };
    done(printed, out, || format!("log \"{name}\" was deleted"))
}

/// Trims a log; raw: its first index.
pub fn trim(
    client: &mut Client,
    name: &str,
    before: u64,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let trimmed = client.trim(name, Index(before))?;
    let (first, next) = (trimmed.first.0, trimmed.next.0);
    let printed = match format {
        Format::Table => {
            let text = match next.checked_sub(first) {
                None | Some(0) => {
                    format!("trimmed {name}: it has no entries, and the next is {next}")
                }
                Some(_) => format!("trimmed {name}: its entries are {first} to before {next}"),
            };
            writeln!(out, "{text}").map_err(CommandFailure::Output)
        }
        Format::Json | Format::Jsonl => {
            write_json(out, &json!({ "name": name, "first_index": first, "next_index": next }))
        }
        Format::Raw => writeln!(out, "{first}").map_err(CommandFailure::Output),
    };
    done(printed, out, || format!("log \"{name}\" was trimmed: its first index is {first}"))
}

/// Changes a log's attributes; raw: nothing.
pub fn set(
    client: &mut Client,
    name: &str,
    changes: AttributeChanges,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    client.set_attributes(name, changes)?;
    let what = if changes.seal { "sealed" } else { "set attributes of" };
    let printed = match format {
        Format::Table => writeln!(out, "{what} {name}").map_err(CommandFailure::Output),
        Format::Json | Format::Jsonl => write_json(out, &json!({ "name": name, "set": true })),
        Format::Raw => return Ok(()),
    };
    done(printed, out, || format!("the attributes of log \"{name}\" were set"))
}

/// Lists logs; raw: their names.
pub fn list(
    client: &mut Client,
    prefix: &str,
    consistency: ConsistencyArg,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let logs = match consistency {
        ConsistencyArg::Linearizable => client.list(prefix)?,
        ConsistencyArg::Local => client.list_local(prefix)?,
    };
    match format {
        Format::Table => table(&logs, out).map_err(CommandFailure::Output),
        Format::Json => write_json(out, &logs.iter().map(value).collect()),
        Format::Jsonl => logs.iter().try_for_each(|log| write_json(out, &value(log))),
        Format::Raw => {
            let mut names = logs.iter().map(|log| &log.name);
            names.try_for_each(|name| writeln!(out, "{name}")).map_err(CommandFailure::Output)
        }
    }
}

/// Shows a log; raw: its next index.
pub fn stat(
    client: &mut Client,
    name: &str,
    consistency: ConsistencyArg,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let log = match consistency {
        ConsistencyArg::Linearizable => client.stat(name)?,
        ConsistencyArg::Local => client.stat_local(name)?,
    };
    match format {
        Format::Table => {
            let lost = lost::ranges(client, log.id, consistency)?;
            table(std::slice::from_ref(&log), out).map_err(CommandFailure::Output)?;
            lost::write_lines(&lost, out).map_err(CommandFailure::Output)
        }
        Format::Json | Format::Jsonl => {
            let mut value = value(&log);
            value["lost"] = lost::value(&lost::ranges(client, log.id, consistency)?);
            write_json(out, &value)
        }
        Format::Raw => writeln!(out, "{}", log.next_index).map_err(CommandFailure::Output),
    }
}

fn table(logs: &[LogStat], out: &mut dyn Write) -> io::Result<()> {
    let mut table = TextTable::new(&[
        ("NAME", Align::Left),
        ("SHARD", Align::Right),
        ("ID", Align::Right),
        ("FIRST INDEX", Align::Right),
        ("NEXT INDEX", Align::Right),
        ("BYTES", Align::Right),
        ("CREATED", Align::Left),
        ("ATTRIBUTES", Align::Left),
    ]);
    for log in logs {
        table.row(vec![
            log.name.to_string(),
            log.id.shard().to_string(),
            log.id.to_string(),
            log.first_index.to_string(),
            log.next_index.to_string(),
            log.bytes.to_string(),
            utc(log.created_ms),
            attributes_text(&log.attributes),
        ]);
    }
    table.write_within(out, screen::width())
}

/// The attributes that are set, as `paxosctl set` takes them; nothing where none is.
fn attributes_text(attributes: &LogAttributes) -> String {
    let Retention { bytes, entries, age_ms } = attributes.retention;
    let mut texts = Vec::new();
    for (key, limit) in [("retain.bytes", bytes), ("retain.entries", entries)] {
        if limit > 0 {
            texts.push(format!("{key}={limit}"));
        }
    }
    if age_ms > 0 {
        texts.push(format!("retain.age={}", age_text(age_ms)));
    }
    if attributes.sealed {
        texts.push("sealed".to_string());
    }
    texts.join(" ")
}

/// Ids are texts: many readers of JSON cannot hold 64-bit numbers.
fn value(log: &LogStat) -> Value {
    json!({
        "name": log.name.as_str(),
        "shard": log.id.shard().0,
        "id": log.id.to_string(),
        "first_index": log.first_index.0,
        "next_index": log.next_index.0,
        "bytes": log.bytes,
        "created": utc(log.created_ms),
        "created_ms": log.created_ms,
        "attributes": {
            "version": log.attributes.version,
            "retain.bytes": log.attributes.retention.bytes,
            "retain.entries": log.attributes.retention.entries,
            "retain.age_ms": log.attributes.retention.age_ms,
            "sealed": log.attributes.sealed,
        },
    })
}
