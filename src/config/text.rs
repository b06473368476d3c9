//! The text of a configuration file: on which line a value stands, and how a fault shows it.

use super::fault::ConfigPlace;
use std::ops::Range;

/// Longest value that a fault repeats in full.
const FOUND_CHARS_MAX: usize = 80;

/// A text and where its lines begin.
pub(super) struct Text<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    /// Finds the lines of a text.
    pub(super) fn new(text: &'a str) -> Text<'a> {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect();
        Text { text, starts }
    }

    /// The line of an offset.
    pub(super) fn place(&self, offset: usize) -> ConfigPlace {
        line(self.starts.partition_point(|start| *start <= offset).saturating_sub(1))
    }

    /// What stands there, for a fault.
    pub(super) fn found(&self, span: Range<usize>) -> String {
        shortened(self.text.get(span).unwrap_or_default())
    }

    /// The whole line of an offset.
    pub(super) fn line(&self, offset: usize) -> &'a str {
        let at = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let end = self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        self.text.get(self.starts[at]..end).unwrap_or_default()
    }
}

/// The place of a line, counted from 0 here and from 1 there.
pub(super) fn line(index: usize) -> ConfigPlace {
    ConfigPlace::Line(u32::try_from(index + 1).unwrap_or(u32::MAX))
}

/// One line of at most [`FOUND_CHARS_MAX`] characters, so that a report stays readable, and none that
/// a terminal would obey.
pub(super) fn shortened(found: &str) -> String {
    let line = found.lines().next().unwrap_or_default();
    if line.chars().count() <= FOUND_CHARS_MAX && line.len() == found.len() {
        return visible(line);
    }
    let head: String = line.chars().take(FOUND_CHARS_MAX).collect();
    format!("{} …", visible(&head))
}

/// A key as it would be typed: in quotes where it needs them.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) {
        return shortened(name);
    }
    format!("\"{}\"", shortened(&name.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A text with its control and invisible characters written out, as TOML writes them.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let hidden = c.is_control() || c.escape_debug().to_string().starts_with("\\u");
        match u32::from(c) {
            _ if !hidden => shown.push(c),
            code @ ..=0xffff => shown.push_str(&format!("\\u{code:04x}")),
            code => shown.push_str(&format!("\\U{code:08x}")),
        }
    }
    shown
}
