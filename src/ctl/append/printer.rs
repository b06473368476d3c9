//! What `append` prints: the index of each entry, for as long as somebody takes them.

use super::super::args::Format;
use super::super::exit::Failure;
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
    /// Where people see how far that is.
    progress: Option<Line>,
}

impl<'a> Printer<'a> {
    /// Nothing is printed yet.
    #[must_use]
    pub fn new(format: Format, out: &'a mut dyn Write, progress: Option<Line>) -> Printer<'a> {
        let flushed_at = Instant::now();
        let (executed, sent, last, broken) = (0, 0, Index(0), None);
        Printer { format, out, executed, last, broken, flushed_at, sent, progress }
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

    /// How many entries are executed, and up to which index.
    #[must_use]
    pub fn executed(&self) -> String {
        match self.executed {
            0 => "none was executed".to_string(),
            1 => format!("1 was executed, at index {}", self.last),
            many => format!("{many} were executed, up to index {}", self.last),
        }
    }

    /// Ends the output; a failure if not all of it was taken.
    ///
    /// # Errors
    /// [`Failure::Unprinted`].
    pub fn end(&mut self) -> Result<(), Failure> {
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
