//! Appends of many entries from standard input, pipelined, and what is said when they end early.

use super::super::args;
use super::super::exit::CommandFailure;
use super::super::stop::{Halt, Stoppable, signal_name};
use super::printer::Printer;
use super::source::{EntrySource, Form, NextLine};
use crate::client::{
    Appender, AppenderOptions, Cause, Client, ClientError, Completed, ErrorCode, Outcome,
};
use crate::types::Index;
use std::collections::VecDeque;

/// Appends each line of the input as an entry, and prints their indexes.
///
/// # Errors
/// [`CommandFailure`] of the first entry that was not appended, of the input, or of the output. What was
/// under way has been waited for then, and is counted.
pub fn append_all(
    client: &mut Client,
    append: &args::AppendArgs,
    input: Stoppable<'_>,
    printer: &mut Printer<'_>,
) -> Result<(), CommandFailure> {
    let form = if append.jsonl { Form::Jsonl } else { Form::Plain };
    let limit = client.limits().entry_bytes_max;
    let options = AppenderOptions {
        window: usize::from(append.window),
        expect: append.expect.map(Index),
        create: append.create,
    };
    let mut appender = client.appender(append.name.as_str(), options)?;
    let mut source = EntrySource::new(input, form, limit);
    // The lines of the entries that are under way.
    let mut under_way = VecDeque::new();
    let done = feed(&mut appender, &mut source, &mut under_way, printer);
    // Whatever came in between: what is under way has an end, and is counted.
    let done = done.and_then(|halt| drain(&mut appender, &mut under_way, printer).map(|()| halt));
    let printed = printer.end();
    match (done, printed) {
        (Ok(None), printed) => printed,
        (Ok(Some(halt)), printed) => Err(halted(halt, printer, printed)),
        (
            Err(CommandFailure::Noted(error, note)),
            Err(CommandFailure::Unprinted { note: executed, .. }),
        ) => Err(CommandFailure::Noted(error, format!("{note}\n{executed}"))),
        (Err(failed), _) => Err(failed),
    }
}

/// Appends line by line until the input ends, or until one fails; returns why it ended early if
/// none did.
fn feed(
    appender: &mut Appender,
    source: &mut EntrySource<Stoppable<'_>>,
    under_way: &mut VecDeque<u64>,
    printer: &mut Printer<'_>,
) -> Result<Option<Halt>, CommandFailure> {
    while !appender.is_broken() {
        if !source.has_line() {
            // The next line may be long in coming: what is known is printed before.
            drain(appender, under_way, printer)?;
            printer.flush();
        }
        if let Some(halt) = halt(source, printer) {
            return Ok(Some(halt));
        }
        let next = source.next().map_err(CommandFailure::Input)?;
        if let Some(halt) = source.input().halt() {
            // What was read last may be a part of a line.
            return Ok(Some(halt));
        }
        match next {
            NextLine::End => break,
            NextLine::Fault(what) => {
                drain(appender, under_way, printer)?;
                return Err(CommandFailure::BadInput(format!(
                    "{what}; {}; from that line on nothing was sent",
                    printer.lines(0, 0)
                )));
            }
            NextLine::Entry(entry) => {
                let oldest = appender.push([entry]);
                under_way.push_back(source.number());
                printer.sent(source.number());
                if let Some(oldest) = oldest {
                    take(oldest, appender, under_way, printer)?;
                }
            }
        }
    }
    Ok(None)
}

/// Why no further line is to be sent.
fn halt(source: &EntrySource<Stoppable<'_>>, printer: &Printer<'_>) -> Option<Halt> {
    source.input().halt().or_else(|| printer.is_broken().then_some(Halt::OutputClosed))
}

/// The failure of an input that was not read to its end.
fn halted(
    halt: Halt,
    printer: &Printer<'_>,
    printed: Result<(), CommandFailure>,
) -> CommandFailure {
    let note = format!("{}, and nothing else was sent{}", printer.lines(0, 0), printer.again());
    match (halt, printed) {
        (Halt::Signal(signal), _) => {
            let name = signal_name(signal);
            CommandFailure::Signalled { signal, note: format!("stopped by {name}: {note}") }
        }
        (Halt::OutputClosed, Err(CommandFailure::Unprinted { source, .. })) => {
            CommandFailure::Unprinted { source, note }
        }
        (Halt::OutputClosed, Ok(()) | Err(_)) => {
            CommandFailure::Unprinted { source: std::io::ErrorKind::BrokenPipe.into(), note }
        }
    }
}

/// Waits for everything that is under way.
fn drain(
    appender: &mut Appender,
    under_way: &mut VecDeque<u64>,
    printer: &mut Printer<'_>,
) -> Result<(), CommandFailure> {
    while let Some(completed) = appender.wait() {
        take(completed, appender, under_way, printer)?;
    }
    Ok(())
}

/// Prints an index; at the first failure waits for all that was under way, and sums up.
fn take(
    completed: Completed,
    appender: &mut Appender,
    under_way: &mut VecDeque<u64>,
    printer: &mut Printer<'_>,
) -> Result<(), CommandFailure> {
    // They come back in the order in which they went.
    let line = under_way.pop_front().expect("what comes back was sent, and comes back once");
    let error = match completed.result {
        Ok(appended) => {
            printer.appended(&appended);
            return Ok(());
        }
        Err(error) => error,
    };
    let (mut not, mut unknown) = (0, 0);
    let mut count = |outcome: Outcome, printer: &mut Printer<'_>| match outcome {
        Outcome::NotExecuted => not += 1,
        Outcome::Unknown => unknown += 1,
        Outcome::Executed => printer.appended_behind(None),
    };
    count(error.outcome, printer);
    while let Some(behind) = appender.wait() {
        match behind.result {
            Ok(appended) => printer.appended_behind(Some(appended.first)),
            Err(error) => count(error.outcome, printer),
        }
    }
    let last = under_way.drain(..).next_back().unwrap_or(line);
    let note = format!(
        "this was line {line}; {}; nothing behind line {last} was sent",
        printer.lines(unknown, not)
    );
    debug_assert!(!is_prior(&error), "the first failure is no consequence of another");
    Err(CommandFailure::Noted(error, note))
}

fn is_prior(error: &ClientError) -> bool {
    matches!(error.cause, Cause::PriorFailed) || error.code() == Some(ErrorCode::PriorFailed)
}
