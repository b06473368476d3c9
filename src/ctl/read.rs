//! `read` and `get`: entries to standard output, as they are or as JSON.

use super::Streams;
use super::args::{self, Format};
use super::entry::to_line;
use super::exit::CommandFailure;
use super::screen;
use super::stop::is_gone;
use super::values::{self, OnGapArg, ReadStart};
use crate::client::{Client, Consistency, FollowOptions, Followed, Gap, GapReason, ReadOptions};
use crate::types::Index;
use serde_json::json;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long `--follow` lets a node wait for an entry before it asks again. A node that died without
/// a word is missed only when this is over, so it is short: another one is asked soon after.
const FOLLOW_WAIT: Duration = Duration::from_secs(1);

/// In the first of so many waits without an entry it is asked whether the log is sealed, so that none can come.
const SEAL_WAITS: u32 = 5;

/// Prints entries until `--count` is reached or, without `--follow`, the log's end.
///
/// # Errors
/// [`CommandFailure`]; what came before it is printed.
pub fn read(
    client: &mut Client,
    read: &args::ReadArgs,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), CommandFailure> {
    let width = screen::width();
    let out = &mut *streams.out;
    let mut printer =
        Printer { format, exact: read.exact, printed: 0, width, hint: Hint::None, out };
    let (from, count) = range(client, read)?;
    let mut gaps = Gaps::of(read);
    match read.follow {
        true => follow(client, read, (from, count), (&mut printer, &mut gaps, streams.err))?,
        false => to_the_end(client, read, (from, count), (&mut printer, &mut gaps, streams.err))?,
    }
    printer.end().map_err(CommandFailure::Output)
}

/// Prints the last entry of a log; raw: its bytes, and nothing else.
///
/// # Errors
/// [`CommandFailure`], also where the log has no entry.
pub fn get(
    client: &mut Client,
    name: &str,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let Some(last) = client.get(name)? else {
        return Err(CommandFailure::NotFound(format!("log \"{name}\" has no entry")));
    };
    if format == Format::Json {
        return writeln!(out, "{}", to_line(last.index, &last.data))
            .map_err(CommandFailure::Output);
    }
    let (width, exact) = (screen::width(), true);
    let mut printer = Printer { format, exact, printed: 0, width, hint: Hint::None, out };
    printer.entry(last.index, &last.data).map_err(CommandFailure::Output)?;
    printer.end().map_err(CommandFailure::Output)
}

/// Where entries go, what becomes of gaps between them, and where these are reported.
type Sink<'a, 'b> = (&'a mut Printer<'b>, &'a mut Gaps, &'a mut dyn Write);

/// Prints what there is from an index on.
fn to_the_end(
    client: &mut Client,
    read: &args::ReadArgs,
    (mut from, mut left): (Index, u64),
    (printer, gaps, err): Sink<'_, '_>,
) -> Result<(), CommandFailure> {
    while left > 0 {
        let options = ReadOptions {
            max_entries: Some(u32::try_from(left).unwrap_or(u32::MAX)),
            max_bytes: None,
            wait: Duration::ZERO,
            consistency: consistency(read),
        };
        let answer = match client.read(read.name.as_str(), from, options) {
            Ok(answer) => answer,
            Err(error) => {
                let gap = error.gap().filter(|gap| gaps.go_on(gap.why));
                let Some(gap) = gap else { return Err(error.into()) };
                gaps.report(from, gap, printer, err)?;
                from = gap.upto;
                continue;
            }
        };
        gaps.begun();
        // A long log takes long to read: each further answer has its own time.
        client.set_timeout(client.timeout());
        for entry in answer.entries.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            printer.entry(from, entry.data).map_err(CommandFailure::Output)?;
            from = from.next();
            left -= 1;
        }
        if from >= answer.next || answer.entries.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Prints entries as they come, until the log is sealed.
fn follow(
    client: &mut Client,
    read: &args::ReadArgs,
    (from, mut left): (Index, u64),
    (printer, gaps, err): Sink<'_, '_>,
) -> Result<(), CommandFailure> {
    let on_gap =
        if gaps.passed_over { crate::client::OnGap::Continue } else { crate::client::OnGap::Fail };
    let options = FollowOptions { consistency: consistency(read), idle: None, on_gap };
    let mut follow = client.follow(read.name.as_str(), from, options)?;
    let mut waits = 0_u32;
    while left > 0 {
        if !follow.is_ready() {
            printer.hint().map_err(CommandFailure::Output)?;
            // The next entry may be long in coming.
            printer.out.flush().map_err(CommandFailure::Output)?;
            // A reader that has seen enough is missed now, and not when the next entry comes.
            if is_gone(io::stdout().as_fd()) {
                return Err(CommandFailure::Output(io::ErrorKind::BrokenPipe.into()));
            }
            if !follow.wait(FOLLOW_WAIT)? {
                if waits.is_multiple_of(SEAL_WAITS) && follow.is_at_end() {
                    let (name, next) = (&read.name, follow.next_index());
                    return writeln!(
                        err,
                        "paxosctl: {name} is sealed at index {next}: nothing follows"
                    )
                    .map_err(CommandFailure::Output);
                }
                waits += 1;
                continue;
            }
            waits = 0;
        }
        match follow.next().expect("a follower that has no end goes on")? {
            Followed::Entry(index, data) => {
                printer.entry(index, &data).map_err(CommandFailure::Output)?;
                left -= 1;
            }
            Followed::Gap { from, first, why } => {
                gaps.report(from, Gap { upto: first, why }, printer, err)?;
            }
        }
    }
    Ok(())
}

/// What becomes of entries that were trimmed before they were read, or that are lost.
struct Gaps {
    passed_over: bool,
    /// Whoever asks for the earliest entry misses none that was trimmed before the first one.
    earliest: bool,
}

impl Gaps {
    fn of(read: &args::ReadArgs) -> Gaps {
        let passed_over = match read.on_gap {
            Some(how) => how == OnGapArg::Continue,
            None => read.follow,
        };
        let from_start = matches!(read.from, None | Some(ReadStart::Earliest));
        Gaps { passed_over, earliest: from_start && read.last.is_none() && !read.follow }
    }

    /// Entries that are gone for this reason are passed over.
    fn go_on(&self, why: GapReason) -> bool {
        self.passed_over || self.earliest && why == GapReason::Trimmed
    }

    /// What was asked for first has been read.
    fn begun(&mut self) {
        self.earliest = false;
    }

    /// Says what was passed over, where anybody misses it.
    fn report(
        &mut self,
        from: Index,
        gap: Gap,
        printer: &mut Printer<'_>,
        err: &mut dyn Write,
    ) -> Result<(), CommandFailure> {
        if std::mem::take(&mut self.earliest) && gap.why == GapReason::Trimmed {
            return Ok(());
        }
        printer.gap(from, gap).map_err(CommandFailure::Output)?;
        let last = gap.upto.0 - 1;
        let text = match gap.why {
            GapReason::Trimmed => format!("entries {from} to {last} were trimmed"),
            GapReason::Lost => {
                format!("entries {from} to {last} are lost: no node has them any more")
            }
        };
        let _nobody_reads_it = writeln!(err, "paxosctl: warning: {text}");
        Ok(())
    }
}

/// The index to begin at, and how many entries to print at most.
fn range(client: &mut Client, read: &args::ReadArgs) -> Result<(Index, u64), CommandFailure> {
    let count = read.count.unwrap_or(u64::MAX);
    let last = match (read.last, read.from) {
        (Some(last), _) | (None, Some(ReadStart::Last(last))) => last,
        (None, Some(ReadStart::Latest)) => 0,
        (None, Some(ReadStart::At(index))) => return Ok((Index(index), count)),
        (None, None | Some(ReadStart::Earliest)) if read.follow => u64::MAX,
        (None, None | Some(ReadStart::Earliest)) => return Ok((Index(0), count)),
    };
    // Past the end there is no entry, and the answer says where the end is.
    let options = ReadOptions {
        max_entries: Some(1),
        max_bytes: None,
        wait: Duration::ZERO,
        consistency: consistency(read),
    };
    let end = client.read(read.name.as_str(), Index(u64::MAX), options)?;
    // What is appended from now on is not among the last ones, unless it is waited for.
    let count = if read.follow { count } else { count.min(last) };
    Ok((end.first.max(Index(end.next.0.saturating_sub(last))), count))
}

fn consistency(read: &args::ReadArgs) -> Consistency {
    match read.consistency {
        values::ConsistencyArg::Linearizable => Consistency::Linearizable,
        values::ConsistencyArg::Local => Consistency::Local,
    }
}

/// Whether it was said how to get what is cut on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    /// Nothing was cut.
    None,
    /// Something was, and it is yet to be said.
    Due,
    /// It was said.
    Said,
}

/// Writes entries in one of the forms.
struct Printer<'a> {
    format: Format,
    /// Raw output is the data alone.
    exact: bool,
    printed: u64,
    /// Columns of the terminal, where a table is printed on one.
    width: Option<usize>,
    hint: Hint,
    out: &'a mut dyn Write,
}

/// Columns in front of an entry in a table.
const INDEX_COLUMNS: usize = 12;

impl Printer<'_> {
    /// Entries are missing that are gone.
    fn gap(&mut self, from: Index, gap: Gap) -> io::Result<()> {
        if self.format != Format::Jsonl {
            return Ok(());
        }
        let (to, why) = (gap.upto.0 - 1, gap.why.name());
        let gap = json!({ "gap": { "from": from.0, "to": to, "why": why } });
        writeln!(self.out, "{gap}")
    }

    fn entry(&mut self, index: Index, data: &[u8]) -> io::Result<()> {
        self.printed += 1;
        match self.format {
            Format::Raw => {
                self.out.write_all(data)?;
                if self.exact { Ok(()) } else { self.out.write_all(b"\n") }
            }
            Format::Table => {
                if self.printed == 1 {
                    writeln!(self.out, "{:>10}  DATA", "INDEX")?;
                }
                let index = index.0;
                let mut line = data.on_one_line();
                if let Some(width) = self.width {
                    let (kept, was_cut) = screen::cut(&line, width.saturating_sub(INDEX_COLUMNS));
                    line = kept;
                    if was_cut && self.hint == Hint::None {
                        self.hint = Hint::Due;
                    }
                }
                writeln!(self.out, "{index:>10}  {line}")
            }
            Format::Jsonl => writeln!(self.out, "{}", to_line(index, data)),
            Format::Json => {
                let before = if self.printed == 1 { "[\n" } else { ",\n" };
                write!(self.out, "{before}{}", to_line(index, data))
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match (self.format, self.printed) {
            (Format::Json, 0) => writeln!(self.out, "[]"),
            (Format::Json, _) => writeln!(self.out, "\n]"),
            (Format::Table | Format::Jsonl | Format::Raw, _) => self.hint(),
        }
    }

    /// Says once how to get what was cut.
    fn hint(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.hint, Hint::Said) {
            Hint::Due => writeln!(self.out, "{}", screen::HINT),
            before @ (Hint::None | Hint::Said) => {
                self.hint = before;
                Ok(())
            }
        }
    }
}

/// Data on one line of a terminal, whatever it holds.
trait OnOneLine {
    /// Text as it is but for control characters; bytes that are no text, escaped.
    fn on_one_line(&self) -> String;
}

impl OnOneLine for [u8] {
    fn on_one_line(&self) -> String {
        let mut line = String::new();
        for chunk in self.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    line.extend(character.escape_default());
                } else {
                    line.push(character);
                }
            }
            for byte in chunk.invalid() {
                line.push_str(&format!("\\x{byte:02x}"));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn printer(format: Format, out: &mut dyn Write) -> Printer<'_> {
        Printer { format, exact: false, printed: 0, width: None, hint: Hint::None, out }
    }

    fn printed(format: Format, entries: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut printer = printer(format, &mut out);
        for (at, entry) in entries.iter().enumerate() {
            printer.entry(Index(at as u64), entry).expect("a vector takes everything");
        }
        printer.end().expect("a vector takes everything");
        String::from_utf8_lossy(&out).into_owned()
    }

    /// JSON holds every entry: as text, or in base64 and marked so.
    #[test]
    fn json_holds_text_and_bytes() {
        let entries: [&[u8]; 2] = [b"a\"b\n", b"\xff\x00"];
        let lines = "{\"index\":0,\"data\":\"a\\\"b\\n\"}\n\
                     {\"index\":1,\"data\":\"/wA=\",\"base64\":true}\n";
        assert_eq!(printed(Format::Jsonl, &entries), lines);
        let whole: Value =
            serde_json::from_str(&printed(Format::Json, &entries)).expect("one document");
        assert_eq!(whole.as_array().map(Vec::len), Some(2));
        assert_eq!(printed(Format::Json, &[]), "[]\n");
    }

    /// A table keeps each entry on one line, whatever it holds.
    #[test]
    fn a_table_keeps_entries_on_one_line() {
        let table = printed(Format::Table, &[b"a\n\x1bb", b"\xffz", "é".as_bytes()]);
        let lines: Vec<&str> = table.lines().map(str::trim).collect();
        assert_eq!(lines, ["INDEX  DATA", "0  a\\n\\u{1b}b", "1  \\xffz", "2  é"]);
    }

    /// On a terminal a long entry is cut to its width, with a hint; elsewhere it is whole.
    #[test]
    fn a_table_fits_its_terminal() {
        let long = "é".repeat(100);
        let mut out = Vec::new();
        let mut table = Printer { width: Some(40), ..printer(Format::Table, &mut out) };
        for entry in [&b"short"[..], long.as_bytes()] {
            table.entry(Index(0), entry).expect("a vector takes everything");
        }
        table.end().expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("  short") && lines[2].ends_with("é…"), "{text}");
        assert_eq!((lines[2].chars().count(), lines[3]), (40, screen::HINT));
        assert!(printed(Format::Table, &[long.as_bytes()]).contains(&long));
    }

    /// Raw output is the entries' bytes, each ended by a newline, or alone where that is asked for.
    #[test]
    fn raw_output_is_the_bytes() {
        assert_eq!(printed(Format::Raw, &[b"a", b"", b"b"]), "a\n\nb\n");
        let mut out = Vec::new();
        let mut printer = Printer { exact: true, ..printer(Format::Raw, &mut out) };
        for entry in [&b"\xff\n"[..], b"", b"b"] {
            printer.entry(Index(0), entry).expect("a vector takes everything");
        }
        assert_eq!(out, b"\xff\nb");
    }
}
