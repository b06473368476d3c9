//! `append`: one entry from the command line or standard input, or each line, pipelined.

use super::Streams;
use super::args::{self, Format};
use super::exit::Failure;
use crate::client::{
    AppendOptions, Appended, Appender, AppenderOptions, Cause, Client, ClientError, Completed,
    ErrorCode, Outcome, Settlement,
};
use crate::types::Index;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;

/// Bytes of input read at once: enough lines to keep a pipeline full.
const INPUT_BYTES: usize = 256 << 10;

/// Appends what the arguments say and prints the index of each entry, one a line.
pub fn append(
    client: &mut Client,
    append: &args::Append,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    if append.lines {
        return lines(client, append, format, streams);
    }
    let mut read = Vec::new();
    let data = match &append.data {
        Some(data) => data.as_bytes(),
        None => {
            // One byte over the limit is enough to be refused for it.
            let most = u64::from(client.limits().entry_bytes_max) + 1;
            streams.input.take(most).read_to_end(&mut read).map_err(Failure::Input)?;
            read.as_slice()
        }
    };
    let options = AppendOptions { expect: append.expect.map(Index), create: append.create };
    let mut printer = Printer { format, printed: 0 };
    match client.append_with(append.name.as_str(), [data], options) {
        Ok(appended) => {
            printer.appended(&appended, streams.out).map_err(Failure::Output)?;
            printer.end(streams.out).map_err(Failure::Output)
        }
        Err(error) => Err(look(client, append, data, error)),
    }
}

/// An append that expected an index and is of unknown outcome: looks at that index. Only "not
/// executed" is certain from here, as others may append the same bytes.
fn look(client: &mut Client, append: &args::Append, data: &[u8], error: ClientError) -> Failure {
    let (Some(expect), Outcome::Unknown) = (append.expect, error.outcome) else {
        return Failure::Client(error);
    };
    match client.settle(append.name.as_str(), Index(expect), [data]) {
        Ok(Settlement::NotExecuted { next }) => Failure::Precondition(format!(
            "append to log \"{}\": not executed: index {expect} holds another entry; the next \
             index is {next} (the answer had been lost, the log was read since)",
            append.name
        )),
        Ok(Settlement::Executed { .. }) => {
            let note = format!(
                "index {expect} holds exactly these bytes now: it was executed, unless somebody \
                 else appended the same"
            );
            Failure::Noted(error, note)
        }
        Ok(Settlement::Open { next }) => {
            let note = format!(
                "the log's next index is {next}: nothing is there yet; appending again with \
                 --expect {expect} is safe, one of the two takes effect at most"
            );
            Failure::Noted(error, note)
        }
        Err(_) => Failure::Client(error),
    }
}

/// Appends each line of the input as an entry.
fn lines(
    client: &mut Client,
    append: &args::Append,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let most = u64::from(client.limits().entry_bytes_max) + 2;
    let options = AppenderOptions {
        window: usize::from(append.window),
        expect: append.expect.map(Index),
        create: append.create,
    };
    let mut appender = client.appender(append.name.as_str(), options)?;
    let mut input = BufReader::with_capacity(INPUT_BYTES, &mut *streams.input);
    let mut printer = Printer { format, printed: 0 };
    let out = &mut *streams.out;
    let mut line = Vec::new();
    while !appender.is_broken() {
        if !input.buffer().contains(&b'\n') {
            // The next line may be long in coming: what is known is said before.
            drain(&mut appender, &mut printer, out)?;
            out.flush().map_err(Failure::Output)?;
        }
        line.clear();
        input.by_ref().take(most).read_until(b'\n', &mut line).map_err(Failure::Input)?;
        if line.is_empty() {
            break;
        }
        let entry = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Some(oldest) = appender.push([entry]) {
            take(oldest, &mut appender, &mut printer, out)?;
        }
    }
    drain(&mut appender, &mut printer, out)?;
    printer.end(out).map_err(Failure::Output)
}

/// Waits for everything that is under way.
fn drain(
    appender: &mut Appender<'_>,
    printer: &mut Printer,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    while let Some(completed) = appender.wait() {
        take(completed, appender, printer, out)?;
    }
    Ok(())
}

/// Prints an index; at the first failure waits for all that was under way, and sums up.
fn take(
    completed: Completed,
    appender: &mut Appender<'_>,
    printer: &mut Printer,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let error = match completed.result {
        Ok(appended) => return printer.appended(&appended, out).map_err(Failure::Output),
        Err(error) => error,
    };
    let (mut not_executed, mut unknown, mut executed) = (0u64, 0u64, 0u64);
    while let Some(behind) = appender.wait() {
        match behind.result {
            Ok(_) => executed += 1,
            Err(error) => match error.outcome {
                Outcome::NotExecuted => not_executed += 1,
                Outcome::Unknown => unknown += 1,
                Outcome::Executed => executed += 1,
            },
        }
    }
    let line = completed.ticket + 1;
    let mut note = format!(
        "this was line {line}; of the lines read behind it {not_executed} were not executed"
    );
    for (count, what) in [(unknown, "are of unknown outcome"), (executed, "were executed")] {
        if count > 0 {
            note.push_str(&format!(", {count} {what}"));
        }
    }
    debug_assert!(!is_prior(&error), "the first failure is no consequence of another");
    Err(Failure::Noted(error, note))
}

fn is_prior(error: &ClientError) -> bool {
    matches!(error.cause, Cause::PriorFailed) || error.code() == Some(ErrorCode::PriorFailed)
}

/// Writes indexes in one of the forms.
struct Printer {
    format: Format,
    printed: u64,
}

impl Printer {
    fn appended(&mut self, appended: &Appended, out: &mut dyn Write) -> io::Result<()> {
        self.printed += 1;
        let Appended { id, first, .. } = appended;
        let value = || -> Value { json!({ "index": first.0, "id": id.to_string() }) };
        match self.format {
            Format::Table | Format::Raw => writeln!(out, "{first}"),
            Format::Jsonl => writeln!(out, "{}", value()),
            Format::Json => {
                let before = if self.printed == 1 { "[\n" } else { ",\n" };
                write!(out, "{before}{}", value())
            }
        }
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match (self.format, self.printed) {
            (Format::Json, 0) => writeln!(out, "[]"),
            (Format::Json, _) => writeln!(out, "\n]"),
            (Format::Table | Format::Jsonl | Format::Raw, _) => Ok(()),
        }
    }
}
