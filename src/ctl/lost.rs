//! `declare-lost`, and the lost entries that `stat` shows.

use super::args::Format;
use super::exit::CommandFailure;
use super::values::ConsistencyArg;
use super::{done, write_json};
use crate::client::{Client, Consistency, ErrorCode, Index, LogId, LostRange};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Declares entries lost; raw: the first of them, and the index behind the last.
///
/// # Errors
/// [`CommandFailure`], with what a member has or why one cannot say it.
pub fn declare(
    client: &mut Client,
    name: &str,
    (from, before): (u64, u64),
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    if from >= before {
        let text =
            format!("no entry lies from {from} up to {before}: --from must be less than --before");
        return Err(CommandFailure::Usage(text));
    }
    let range = client.declare_lost(name, (Index(from), Index(before)))?.range;
    let printed = match format {
        Format::Table => writeln!(out, "lost of {name}: {range}").map_err(CommandFailure::Output),
        Format::Json | Format::Jsonl => {
            write_json(out, &json!({ "name": name, "lost": value(&[range]) }))
        }
        Format::Raw => {
            writeln!(out, "{} {}", range.from, range.before).map_err(CommandFailure::Output)
        }
    };
    done(printed, out, || format!("of log \"{name}\" {range} were declared lost"))
}

/// The lost entries of a log; none where the node that answers knows of none.
///
/// # Errors
/// [`CommandFailure`] when nobody answers.
pub fn ranges(
    client: &mut Client,
    log: LogId,
    consistency: ConsistencyArg,
) -> Result<Vec<LostRange>, CommandFailure> {
    let consistency = match consistency {
        ConsistencyArg::Linearizable => Consistency::Linearizable,
        ConsistencyArg::Local => Consistency::Local,
    };
    match client.lost_ranges(&log, consistency) {
        Ok(ranges) => Ok(ranges),
        // A node of an older version: none can be lost before all are of this one.
        Err(error) if error.code() == Some(ErrorCode::Unsupported) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// A line for each range, below the table.
///
/// # Errors
/// When `out` takes no more.
pub fn write_lines(ranges: &[LostRange], out: &mut dyn Write) -> io::Result<()> {
    ranges.iter().try_for_each(|range| writeln!(out, "lost: {range}"))
}

/// The ranges for programs: the first index of each, and the last.
#[must_use]
pub fn value(ranges: &[LostRange]) -> Value {
    let range = |range: &LostRange| json!({ "from": range.from.0, "to": range.before.0 - 1 });
    ranges.iter().map(range).collect()
}
