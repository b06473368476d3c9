//! What `append` prints: the index of each entry, for as long as somebody takes them.

use super::super::args::Format;
use super::super::exit::CommandFailure;
use super::super::progress::Line;
use crate::client::Appended;
use crate::types::Index;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// The longest that a printed index waits in the buffer while more are coming: whoever is killed has
/// reported all but the last of what was acknowledged.
const FLUSH_PAUSE: Duration = Duration::from_millis(100);

/// Writes indexes in one of the forms. What was appended stays appended when standard output is
/// gone, so the end reports how far it came.
pub struct Printer<'a> {
    format: Format,
    out: &'a mut dyn Write,
    /// Entries known to be executed, printed or not.
    executed: u64,
    /// The index of the last of them.
    last: Index,
    /// Why nothing is printed any more.
    broken: Option<io::Error>,
    flushed_at: Instant,
    /// Entries sent, executed or not.
    sent: u64,
    /// There is one entry, and it is no line.
    single: bool,
    /// Where people see how far that is.
    progress: Option<Line>,
}

impl<'a> Printer<'a> {
    /// For lines; nothing is printed yet.
    #[must_use]
    pub fn new(format: Format, out: &'a mut dyn Write, progress: Option<Line>) -> Printer<'a> {
        let flushed_at = Instant::now();
        let (executed, sent, last, broken) = (0, 0, Index(0), None);
        let single = false;
        Printer { format, out, executed, last, broken, flushed_at, sent, single, progress }
    }

    /// For a single entry.
    #[must_use]
    pub fn single(format: Format, out: &'a mut dyn Write) -> Printer<'a> {
        Printer { single: true, ..Printer::new(format, out, None) }
    }

    /// So many entries have been sent.
    pub fn sent(&mut self, sent: u64) {
        self.sent = sent;
        self.show_progress();
    }

    fn show_progress(&mut self) {
        let (sent, executed) = (self.sent, self.executed);
        if let Some(line) = &mut self.progress {
            line.say(|| format!("{sent} lines sent, {executed} acknowledged"));
        }
    }

    /// Prints the index of an entry that was appended.
    pub fn appended(&mut self, appended: &Appended) {
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
        if self.flushed_at.elapsed() >= FLUSH_PAUSE {
            self.flush();
        }
        self.show_progress();
    }

    /// True once standard output takes nothing any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    fn write(&mut self, text: &str) {
        if self.broken.is_none() {
            self.broken = self.out.write_all(text.as_bytes()).err();
        }
    }

    /// Gives standard output all that was printed.
    pub fn flush(&mut self) {
        if self.broken.is_none() {
            self.broken = self.out.flush().err();
        }
        self.flushed_at = Instant::now();
    }

    /// What became of the lines that were sent: those not known to be appended are `unknown` or `not`.
    #[must_use]
    pub fn lines(&self, unknown: u64, not: u64) -> String {
        let mut text = match self.executed {
            0 if unknown > 0 => "no line is known to be appended".to_string(),
            0 => "no line was appended".to_string(),
            1 => format!("1 line was appended, at index {}", self.last),
            many => format!("{many} lines were appended, up to index {}", self.last),
        };
        if unknown > 0 {
            let verb = if unknown == 1 { "is" } else { "are" };
            text.push_str(&format!(", {unknown} {verb} unknown"));
        }
        if not > 0 && (self.executed > 0 || unknown > 0) {
            let verb = if not == 1 { "was" } else { "were" };
            text.push_str(&format!(", {not} {verb} not"));
        }
        text
    }

    /// What is to be known by whoever appends the same again.
    #[must_use]
    pub fn again(&self) -> &'static str {
        match self.executed {
            0 => "",
            1 => "; go on behind it, as appending it again would append it twice",
            _ => "; go on behind them, as appending them again would append them twice",
        }
    }

    /// Counts an entry that was appended behind one that failed. Its index is not printed: the n-th
    /// index that is printed is the n-th line's.
    pub fn appended_behind(&mut self, index: Option<Index>) {
        self.executed += 1;
        self.last = index.map_or(self.last, |index| index.max(self.last));
    }

    /// Ends the output; a failure if not all of it was taken.
    ///
    /// # Errors
    /// [`CommandFailure::Unprinted`].
    pub fn end(&mut self) -> Result<(), CommandFailure> {
        self.progress = None;
        match (self.format, self.executed) {
            (Format::Json, 0) => self.write("[]\n"),
            (Format::Json, _) => self.write("\n]\n"),
            (Format::Table | Format::Jsonl | Format::Raw, _) => {}
        }
        self.flush();
        let Some(source) = self.broken.take() else { return Ok(()) };
        let note = match (self.single, self.executed) {
            (true, 1) => {
                format!("the entry was appended, at index {}: do not append it again", self.last)
            }
            _ => format!("{}{}", self.lines(0, 0), self.again()),
        };
        Err(CommandFailure::Unprinted { source, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LogId;

    /// What became of the lines adds up, and nothing is said of what there is none of.
    #[test]
    fn what_became_of_the_lines_adds_up() {
        let said = |appended: u64, unknown, not| {
            let mut out = Vec::new();
            let mut printer = Printer::new(Format::Raw, &mut out, None);
            for index in 0..appended {
                printer.appended(&Appended { id: LogId(1), first: Index(index), count: 1 });
            }
            printer.lines(unknown, not)
        };
        assert_eq!(said(0, 0, 3), "no line was appended");
        assert_eq!(said(0, 1, 0), "no line is known to be appended, 1 is unknown");
        assert_eq!(said(1, 0, 0), "1 line was appended, at index 0");
        assert_eq!(said(2, 1, 3), "2 lines were appended, up to index 1, 1 is unknown, 3 were not");
        assert_eq!(said(2, 2, 1), "2 lines were appended, up to index 1, 2 are unknown, 1 was not");
    }

    /// Where nothing was appended, nobody is warned of appending it twice.
    #[test]
    fn only_what_was_appended_is_not_to_be_appended_again() {
        let mut out = Vec::new();
        let mut printer = Printer::new(Format::Raw, &mut out, None);
        assert_eq!(printer.again(), "");
        printer.appended(&Appended { id: LogId(1), first: Index(0), count: 1 });
        assert!(printer.again().contains("would append it twice"));
        printer.appended(&Appended { id: LogId(1), first: Index(1), count: 1 });
        assert!(printer.again().contains("would append them twice"));
    }
}
