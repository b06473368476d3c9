//! `append`: one entry from the command line or standard input, or each line, pipelined.

mod pipeline;
mod printer;
mod source;

use super::Streams;
use super::args::{self, Format};
use super::exit::CommandFailure;
use super::progress::Line;
use super::stop::Stoppable;
use crate::client::{AppendOptions, Client, ClientError, Outcome, Settlement};
use crate::types::Index;
use printer::Printer;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// What to do with an entry that no node takes.
const SMALLER: &str = "append it in parts, or raise entry_bytes_max on all nodes";

/// Appends what the arguments say and prints the index of each entry, one a line.
///
/// # Errors
/// [`CommandFailure`]; it says what was executed where that is not nothing.
pub fn append(
    client: &mut Client,
    append: &args::AppendArgs,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), CommandFailure> {
    if append.data.is_none() {
        announce(append, streams.err);
    }
    if append.lines || append.jsonl {
        return lines(client, append, format, streams);
    }
    let mut read = Vec::new();
    let data = match &append.data {
        Some(data) => data.as_bytes(),
        None => {
            // One byte over the limit is enough to be refused for it.
            let most = u64::from(client.limits().entry_bytes_max) + 1;
            streams.input.take(most).read_to_end(&mut read).map_err(CommandFailure::Input)?;
            if read.is_empty() {
                return Err(CommandFailure::Usage(nothing_to_append(&append.name)));
            }
            read.as_slice()
        }
    };
    let options = AppendOptions { expect: append.expect.map(Index), create: append.create };
    let most = client.limits().entry_bytes_max;
    if data.len() as u64 > u64::from(most) {
        return Err(CommandFailure::BadInput(format!(
            "append to log \"{}\": not executed: the entry has more than {most} bytes, which is the \
             cluster's limit; next: {SMALLER}",
            append.name
        )));
    }
    let mut printer = Printer::single(format, streams.out);
    match client.append_with(append.name.as_str(), [data], options) {
        Ok(appended) => {
            printer.appended(&appended);
            printer.end()
        }
        Err(error) => Err(look(client, append, data, error)),
    }
}

/// An input that has ended before it began is more often a mistake (a command that failed, a lost
/// `<file`) than an entry, so an empty entry is one only where it is typed.
fn nothing_to_append(name: &str) -> String {
    format!(
        "standard input is empty: nothing was appended to log \"{name}\"; an empty entry is \
         appended by paxosctl append LOG ''"
    )
}

/// Says to whoever sits at a terminal that the command waits for them.
fn announce(append: &args::AppendArgs, err: &mut dyn Write) {
    if !io::stdin().is_terminal() {
        return;
    }
    let what = match (append.lines, append.jsonl) {
        (true, _) => "each line is an entry",
        (false, true) => "each line is an entry in JSON",
        (false, false) => "all of it is one entry",
    };
    let _nobody_reads_it =
        writeln!(err, "paxosctl: reading standard input, {what}; Ctrl-D at a line's start ends it");
}

/// An append that expected an index and is of unknown outcome: looks at that index. Only "not
/// executed" is certain from here, as others may append the same bytes.
fn look(
    client: &mut Client,
    append: &args::AppendArgs,
    data: &[u8],
    error: ClientError,
) -> CommandFailure {
    let (Some(expect), Outcome::Unknown) = (append.expect, error.outcome) else {
        return CommandFailure::Client(error);
    };
    match client.settle(append.name.as_str(), Index(expect), [data]) {
        Ok(Settlement::NotExecuted { next }) => CommandFailure::Precondition(format!(
            "append to log \"{}\": not executed: index {expect} holds another entry; the next \
             index is {next} (the answer had been lost, the log was read since)",
            append.name
        )),
        Ok(Settlement::Executed { .. }) => {
            let note = format!(
                "index {expect} holds exactly these bytes now: it was executed, unless somebody \
                 else appended the same"
            );
            CommandFailure::Noted(error, note)
        }
        Ok(Settlement::Open { next }) => {
            let note = format!(
                "the log's next index is {next}: nothing is there yet; appending again with \
                 --expect {expect} is safe, one of the two takes effect at most"
            );
            CommandFailure::Noted(error, note)
        }
        Err(_) => CommandFailure::Client(error),
    }
}

/// Appends each line of the input as an entry.
fn lines(
    client: &mut Client,
    append: &args::AppendArgs,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), CommandFailure> {
    // Where a terminal shows the indexes, or the lines as they are typed, it shows enough.
    let shown = io::stdout().is_terminal() || io::stdin().is_terminal();
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let input = Stoppable::new(streams.input, stdin.as_fd(), stdout.as_fd())
        .map_err(|error| CommandFailure::Other(format!("cannot catch signals: {error}")))?;
    let mut printer = Printer::new(format, streams.out, (!shown).then(Line::new));
    pipeline::append_all(client, append, input, &mut printer)
}
