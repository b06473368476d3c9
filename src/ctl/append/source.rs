//! Where `append --lines` and `append --jsonl` take their entries from: one line, one entry.

use super::super::entry;
use std::io::{self, BufRead, BufReader, Read};

/// Bytes of input read at once: enough lines to keep a pipeline full.
const INPUT_BYTES: usize = 256 << 10;

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The entry itself.
    Plain,
    /// The entry as `read -o jsonl` prints it.
    Jsonl,
}

/// The entries of an input, in order.
#[derive(Debug)]
pub struct EntrySource<R> {
    input: BufReader<R>,
    form: Form,
    entry_bytes_max: u32,
    line: Vec<u8>,
    number: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum NextLine {
    /// An entry.
    Entry(Vec<u8>),
    /// A line that is none, and what is wrong with it.
    Fault(String),
    /// Nothing.
    End,
}

impl<R: Read> EntrySource<R> {
    /// Entries of at most so many bytes.
    #[must_use]
    pub fn new(input: R, form: Form, entry_bytes_max: u32) -> EntrySource<R> {
        let input = BufReader::with_capacity(INPUT_BYTES, input);
        EntrySource { input, form, entry_bytes_max, line: Vec::new(), number: 0 }
    }

    /// The input itself.
    pub fn input(&self) -> &R {
        self.input.get_ref()
    }

    /// True when the next line is here already: asking for it waits for nobody.
    #[must_use]
    pub fn has_line(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    /// The number of the line that came last, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next entry; waits for its line.
    ///
    /// # Errors
    /// Those of the input.
    pub fn next(&mut self) -> io::Result<NextLine> {
        let most = match self.form {
            Form::Plain => u64::from(self.entry_bytes_max),
            Form::Jsonl => entry::line_bytes_max(self.entry_bytes_max),
        };
        loop {
            self.line.clear();
            // One byte over the limit, and the line's end.
            self.input.by_ref().take(most + 2).read_until(b'\n', &mut self.line)?;
            if self.line.is_empty() {
                return Ok(NextLine::End);
            }
            self.number += 1;
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            if line.len() as u64 > most {
                return Ok(self.too_large());
            }
            match self.form {
                Form::Plain => return Ok(NextLine::Entry(line.to_vec())),
                Form::Jsonl if line.trim_ascii().is_empty() => {}
                Form::Jsonl => return Ok(self.parsed(line)),
            }
        }
    }

    fn parsed(&self, line: &[u8]) -> NextLine {
        match entry::from_line(line) {
            Ok(entry) if entry.len() as u64 > u64::from(self.entry_bytes_max) => self.too_large(),
            Ok(entry) => NextLine::Entry(entry),
            Err(what) => NextLine::Fault(format!("line {} {what}", self.number)),
        }
    }

    fn too_large(&self) -> NextLine {
        let (number, most) = (self.number, self.entry_bytes_max);
        NextLine::Fault(format!(
            "line {number} has more than {most} bytes, which is the cluster's limit"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(form: Form, text: &[u8]) -> Vec<NextLine> {
        let mut source = EntrySource::new(text, form, 4);
        let mut found = Vec::new();
        loop {
            match source.next().expect("a slice can be read") {
                NextLine::End => return found,
                next => {
                    let last = matches!(next, NextLine::Fault(_));
                    found.push(next);
                    if last {
                        return found;
                    }
                }
            }
        }
    }

    fn entry(data: &[u8]) -> NextLine {
        NextLine::Entry(data.to_vec())
    }

    /// Plain lines are entries, empty ones too, with or without a newline at the end.
    #[test]
    fn each_line_is_an_entry() {
        assert_eq!(all(Form::Plain, b"a\n\n\xffb"), [entry(b"a"), entry(b""), entry(b"\xffb")]);
        assert_eq!(all(Form::Plain, b""), []);
        let last = all(Form::Plain, b"abcd\nabcde\n").pop();
        let what = "line 2 has more than 4 bytes, which is the cluster's limit";
        assert_eq!(last, Some(NextLine::Fault(what.to_string())));
    }

    /// Lines of JSON hold the data; blank ones between them hold nothing.
    #[test]
    fn each_object_is_an_entry() {
        let text = b"{\"data\":\"a\\nb\"}\n \n{\"data\":\"\"}\n{\"data\":\"\\u0000\\u0000\\u0000\\u0000\"}\n";
        assert_eq!(all(Form::Jsonl, text), [entry(b"a\nb"), entry(b""), entry(&[0; 4])]);
        let last = all(Form::Jsonl, b"{\"data\":\"abcde\"}").pop();
        let what = "line 1 has more than 4 bytes, which is the cluster's limit";
        assert_eq!(last, Some(NextLine::Fault(what.to_string())));
        let Some(NextLine::Fault(what)) = all(Form::Jsonl, b"{\"data\":\"a\"}\n{\"dat").pop()
        else {
            panic!("half an object is none")
        };
        assert!(what.starts_with("line 2 is no entry as read -o jsonl prints it"), "{what}");
    }
}
