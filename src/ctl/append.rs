//! `append`: one entry from the command line or standard input, or each line, pipelined.

use super::Streams;
use super::args::{self, Format};
use super::exit::Failure;
use super::progress::Line;
use crate::client::{
    AppendOptions, Appended, Appender, AppenderOptions, Cause, Client, ClientError, Completed,
    ErrorCode, Outcome, Settlement,
};
use crate::types::Index;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
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
    let most = client.limits().entry_bytes_max;
    if data.len() as u64 > u64::from(most) {
        let text = format!("the entry has more than {most} bytes, which is the cluster's limit");
        return Err(Failure::TooLarge(format!("append to log \"{}\": {text}", append.name)));
    }
    let mut printer = Printer::new(format, streams.out);
    match client.append_with(append.name.as_str(), [data], options) {
        Ok(appended) => {
            printer.appended(&appended);
            printer.end()
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
    let limit = client.limits().entry_bytes_max;
    let options = AppenderOptions {
        window: usize::from(append.window),
        expect: append.expect.map(Index),
        create: append.create,
    };
    let mut appender = client.appender(append.name.as_str(), options)?;
    let mut input = BufReader::with_capacity(INPUT_BYTES, &mut *streams.input);
    let mut printer = Printer::new(format, &mut *streams.out);
    // Where a terminal shows the indexes, or the lines as they are typed, it shows enough.
    let shown = io::stdout().is_terminal() || io::stdin().is_terminal();
    printer.progress = (!shown).then(Line::new);
    let done = feed(&mut appender, &mut input, &mut printer, limit);
    // Whatever came in between: what is under way has an end, and is counted.
    let done = done.and(drain(&mut appender, &mut printer));
    let told = printer.end();
    match (done, told) {
        (Ok(()), told) => told,
        (Err(Failure::Noted(error, note)), Err(Failure::Unprinted { note: executed, .. })) => {
            Err(Failure::Noted(error, format!("{note}\n{executed}")))
        }
        (failed, _) => failed,
    }
}

/// Appends line by line until the input ends, or until one fails.
fn feed<R: Read>(
    appender: &mut Appender<'_>,
    input: &mut BufReader<R>,
    printer: &mut Printer<'_>,
    limit: u32,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    for number in 1u64.. {
        if appender.is_broken() {
            break;
        }
        if !input.buffer().contains(&b'\n') {
            // The next line may be long in coming: what is known is said before.
            drain(appender, printer)?;
            printer.flush();
        }
        line.clear();
        // One byte over the limit, and the line's end.
        let most = u64::from(limit) + 2;
        input.by_ref().take(most).read_until(b'\n', &mut line).map_err(Failure::Input)?;
        if line.is_empty() {
            break;
        }
        let entry = line.strip_suffix(b"\n").unwrap_or(&line);
        if entry.len() as u64 > u64::from(limit) {
            drain(appender, printer)?;
            return Err(Failure::TooLarge(format!(
                "line {number} has more than {limit} bytes, which is the cluster's limit; of the \
                 lines before it {}; from it on none was",
                printer.executed()
            )));
        }
        let oldest = appender.push([entry]);
        printer.sent(number);
        if let Some(oldest) = oldest {
            take(oldest, appender, printer)?;
        }
    }
    Ok(())
}

/// Waits for everything that is under way.
fn drain(appender: &mut Appender<'_>, printer: &mut Printer<'_>) -> Result<(), Failure> {
    while let Some(completed) = appender.wait() {
        take(completed, appender, printer)?;
    }
    Ok(())
}

/// Prints an index; at the first failure waits for all that was under way, and sums up.
fn take(
    completed: Completed,
    appender: &mut Appender<'_>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let error = match completed.result {
        Ok(appended) => {
            printer.appended(&appended);
            return Ok(());
        }
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

/// Writes indexes in one of the forms, for as long as somebody takes them: what was appended stays
/// appended when standard output is gone, so appending goes on and the end says how far it came.
struct Printer<'a> {
    format: Format,
    out: &'a mut dyn Write,
    /// Entries known to be executed, printed or not.
    executed: u64,
    /// The index of the last of them.
    last: Index,
    /// Why nothing is printed any more.
    broken: Option<io::Error>,
    /// Entries sent, executed or not.
    sent: u64,
    /// Where it is told how far that is.
    progress: Option<Line>,
}

impl<'a> Printer<'a> {
    fn new(format: Format, out: &'a mut dyn Write) -> Printer<'a> {
        let last = Index(0);
        Printer { format, out, executed: 0, last, broken: None, sent: 0, progress: None }
    }

    /// So many entries have been sent.
    fn sent(&mut self, sent: u64) {
        self.sent = sent;
        self.tell();
    }

    fn tell(&mut self) {
        let (sent, executed) = (self.sent, self.executed);
        if let Some(line) = &mut self.progress {
            line.say(|| format!("{sent} lines sent, {executed} acknowledged"));
        }
    }

    fn appended(&mut self, appended: &Appended) {
        self.executed += 1;
        let Appended { id, first, .. } = appended;
        self.last = *first;
        let value = || -> Value { json!({ "index": first.0, "id": id.to_string() }) };
        let text = match self.format {
            Format::Table | Format::Raw => format!("{first}\n"),
            Format::Jsonl => format!("{}\n", value()),
            Format::Json if self.executed == 1 => format!("[\n{}", value()),
            Format::Json => format!(",\n{}", value()),
        };
        self.write(&text);
        self.tell();
    }

    fn write(&mut self, text: &str) {
        if self.broken.is_none() {
            self.broken = self.out.write_all(text.as_bytes()).err();
        }
    }

    fn flush(&mut self) {
        if self.broken.is_none() {
            self.broken = self.out.flush().err();
        }
    }

    /// How many entries are executed, and up to which index.
    fn executed(&self) -> String {
        match self.executed {
            0 => "none was executed".to_string(),
            1 => format!("1 was executed, at index {}", self.last),
            many => format!("{many} were executed, up to index {}", self.last),
        }
    }

    /// Ends the output; a failure if not all of it was taken.
    fn end(&mut self) -> Result<(), Failure> {
        self.progress = None;
        match (self.format, self.executed) {
            (Format::Json, 0) => self.write("[]\n"),
            (Format::Json, _) => self.write("\n]\n"),
            (Format::Table | Format::Jsonl | Format::Raw, _) => {}
        }
        self.flush();
        let Some(source) = self.broken.take() else { return Ok(()) };
        let note = format!(
            "of the entries {}; appending them again would append them twice",
            self.executed()
        );
        Err(Failure::Unprinted { source, note })
    }
}
