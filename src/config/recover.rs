//! Reads what can be read of a text that is not TOML, one statement after the other: each line that
//! is broken is a fault and left out, so that all that is beside it can be checked.

use super::fault::{ConfigFault, ConfigPlace};
use super::keys::{self, KEYS, MEMBER_KEYS};
use super::text::{self, line, shortened};
use super::unreadable::{Section, UnreadableParts};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// Most lines of one value. A value that is not closed by then is one broken line, and what follows it
/// is read.
const STATEMENT_LINES_MAX: usize = 256;
/// Most bytes that are parsed again, in all, to find the ends of values of several lines.
const AGAIN_BYTES_MAX: usize = 16 << 20;
/// The head of a member.
const HEAD: &str = "[[member]]\n";
/// Most edits that make a name that of the members.
const HEAD_EDITS_MAX: usize = 2;

/// What was read of a text.
pub(super) struct RecoveredText {
    /// The text without what is broken, line by line; each statement of it is TOML by itself.
    pub(super) text: String,
    /// What is broken.
    pub(super) faults: Vec<ConfigFault>,
    /// What may have been set on the broken lines.
    pub(super) unreadable: UnreadableParts,
}

/// Reads a text to its end, whatever is wrong with it. Lines that are known to be broken are given by
/// their index, with the rule that each breaks.
pub(super) fn recover(text: &str, broken: &BTreeMap<usize, String>) -> RecoveredText {
    let lines = text.split_inclusive('\n').collect();
    let read = RecoveredText {
        text: String::new(),
        faults: Vec::new(),
        unreadable: UnreadableParts::default(),
    };
    let (section, seen) = (Section::Top, BTreeMap::new());
    let mut reader = Reader { lines, known: broken, read, section, members: 0, seen, again: 0 };
    let mut at = 0;
    while at < reader.lines.len() {
        at = reader.statement(at);
    }
    reader.read
}

/// A line that is broken: key and value as far as they can be distinguished.
pub(super) fn typed(line: &str) -> (String, String) {
    let line = line.trim_start_matches('\u{feff}').trim();
    let named = |key: &str| {
        let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
        !key.is_empty() && (key.starts_with(['"', '\'']) || key.chars().all(bare))
    };
    match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
        Some((key, value)) if named(key) => (shortened(key), shortened(value)),
        Some(_) | None => (String::new(), shortened(line)),
    }
}

/// True for a name that was meant as that of the members' tables.
pub(super) fn is_like_member(name: &str) -> bool {
    keys::distance("member", &name.to_ascii_lowercase()) <= HEAD_EDITS_MAX
}

/// The rule that an unreadable line breaks: of its key, where that is known and its value is one bare
/// word, which is a number or a text to whoever wrote it.
fn unreadable(section: Section, line: &str, message: &str) -> String {
    let (key, value) = typed(line);
    let value = value.split('#').next().unwrap_or_default().trim();
    let is_word =
        !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || "\"'=[]{}".contains(c));
    let known = match section {
        Section::Top => keys::find(KEYS, &key),
        Section::Member(_) => keys::find(MEMBER_KEYS, &key),
        Section::Other(_) | Section::Unknown => None,
    };
    known.filter(|_| is_word).map_or_else(|| not_toml(message), |key| key.kind.rule())
}

/// The rule that an unreadable line breaks, in the parser's words.
pub(super) fn not_toml(message: &str) -> String {
    format!("is not valid TOML: {}", message.trim())
}

/// Faults of a text by itself, by offset.
type Errors = Vec<(usize, String)>;

fn errors(found: Vec<toml::de::Error>) -> Errors {
    let mut errors: Errors = found
        .into_iter()
        .map(|error| (error.span().map_or(0, |span| span.start), error.message().to_string()))
        .collect();
    errors.sort();
    errors
}

/// A statement: lines that are TOML by themselves, but for those that were taken out of them.
struct Statement {
    text: String,
    /// The line behind it.
    end: usize,
    broken: Vec<(usize, String)>,
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    /// Lines that are broken whatever they look like, and the rule of each.
    known: &'a BTreeMap<usize, String>,
    read: RecoveredText,
    section: Section,
    members: usize,
    /// On which line each key of each section was set first.
    seen: BTreeMap<(Section, String), usize>,
    /// Bytes that were read more than once.
    again: usize,
}

impl Reader<'_> {
    /// Reads the statement that begins on a line, and says where the next one begins.
    fn statement(&mut self, at: usize) -> usize {
        if let Some(rule) = self.known.get(&at) {
            self.broken(at, rule.clone());
            return at + 1;
        }
        let first = self.lines[at];
        let (_, found) = DeTable::parse_recoverable(first);
        let found = errors(found);
        let Some((_, message)) = found.first() else {
            self.good(at, Statement { text: first.to_string(), end: at + 1, broken: Vec::new() });
            return at + 1;
        };
        let is_open = |(offset, _): &(usize, String)| *offset >= first.trim_end().len();
        if found.iter().all(is_open)
            && let Some(statement) = self.extended(at)
        {
            let end = statement.end;
            self.good(at, statement);
            return end;
        }
        self.broken(at, unreadable(self.section, first, message));
        let mut end = at + 1;
        if found.iter().any(is_open) {
            // What follows are further lines of the same value: no statement begins with these.
            while self.lines.get(end).is_some_and(|l| l.trim_start().starts_with(['{', '}', ']'])) {
                self.read.text.push('\n');
                end += 1;
            }
        }
        end
    }

    /// A statement of several lines, if the value that the first one opens is closed.
    fn extended(&mut self, at: usize) -> Option<Statement> {
        let first = self.lines[at];
        let (mut text, mut broken) = (first.to_string(), Vec::new());
        let behind = self.lines.len().min(at + STATEMENT_LINES_MAX);
        for next in at + 1..behind {
            if let Some(rule) = self.known.get(&next) {
                text.push('\n');
                broken.push((next, rule.clone()));
                continue;
            }
            let before = text.len();
            text.push_str(self.lines[next]);
            self.again += text.len();
            if self.again > AGAIN_BYTES_MAX {
                return None;
            }
            let found = errors(DeTable::parse_recoverable(&text).1);
            let end = text.trim_end().len();
            let Some((_, message)) = found.iter().find(|(offset, _)| *offset < end) else {
                if found.is_empty() {
                    return Some(Statement { text, end: next + 1, broken });
                }
                continue;
            };
            if found.iter().any(|(offset, _)| *offset < first.len()) {
                return None;
            }
            text.truncate(before);
            text.push('\n');
            broken.push((next, not_toml(message)));
        }
        None
    }

    /// Copies a statement to the text, unless its key was set before or its table is unknown.
    fn good(&mut self, at: usize, statement: Statement) {
        let (table, _) = DeTable::parse_recoverable(&statement.text);
        let head = statement.text.trim_start_matches('\u{feff}').trim_start().starts_with('[');
        for (line, rule) in &statement.broken {
            self.inner(*line, rule, table.get_ref().contains_key("member"));
        }
        let entry = table.get_ref().iter().next();
        let taken_over = match (head, entry) {
            (true, Some((name, value))) => return self.head(at, name.get_ref(), value.get_ref()),
            (false, Some((name, value)))
                if name.span() != value.span() && self.section != Section::Unknown =>
            {
                let found = shortened(statement.text.get(value.span()).unwrap_or_default());
                self.key(at, name.get_ref(), found)
            }
            // A dotted key, or no statement at all.
            (_, Some(_) | None) => true,
        };
        if taken_over && self.section != Section::Unknown {
            self.read.text.push_str(&statement.text);
        } else {
            self.read.text.push_str(&"\n".repeat(statement.end - at));
        }
    }

    /// False for a key that was set already.
    fn key(&mut self, at: usize, name: &str, found: String) -> bool {
        let first = *self.seen.entry((self.section, name.to_string())).or_insert(at);
        if first != at {
            let rule = format!("is a duplicate key: line {} sets it already", first + 1);
            self.fault(at, &text::key(name), found, rule);
        }
        first == at
    }

    /// Begins a table. `[member]` is a fault, and is read as `[[member]]`.
    fn head(&mut self, at: usize, name: &str, value: &DeValue<'_>) {
        let is_member = match value {
            DeValue::Array(_) => name == "member",
            DeValue::Table(table) if name == "member" && table.is_empty() => {
                self.member(at);
                let rule = "is not in double brackets: write [[member]]".to_string();
                self.fault(at, "", String::new(), rule);
                return;
            }
            _ => false,
        };
        if is_member {
            return self.member(at);
        }
        self.section = Section::Other(at);
        self.read.text.push_str(self.lines[at]);
    }

    /// Begins a member.
    fn member(&mut self, at: usize) {
        self.section = Section::Member(self.members);
        self.members += 1;
        let last = !self.lines[at].ends_with('\n');
        self.read.text.push_str(if last { HEAD.trim_end() } else { HEAD });
    }

    /// Reports a line that cannot be read, and notes what it may have set.
    fn broken(&mut self, at: usize, rule: String) {
        let line = self.lines[at].trim_start_matches('\u{feff}').trim();
        if line.starts_with('[') {
            self.fault(at, "", shortened(line), rule);
            return self.broken_head(at, line);
        }
        let (key, found) = typed(line);
        self.fault(at, &key, found, rule);
        self.read.text.push('\n');
        if line.starts_with('#') {
            return;
        }
        let word = line.trim_start_matches(['"', '\'']);
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
        self.read.unreadable.note(self.section, &word[..end.unwrap_or(word.len())]);
    }

    fn broken_head(&mut self, at: usize, line: &str) {
        let code = line.split('#').next().unwrap_or_default();
        let name: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
        if is_like_member(&name) {
            return self.member(at);
        }
        self.section = Section::Unknown;
        self.read.unreadable.note(Section::Unknown, "");
        self.read.text.push('\n');
    }

    /// Reports an unreadable line within a value.
    fn inner(&mut self, at: usize, rule: &str, of_members: bool) {
        let found = shortened(self.lines[at].trim());
        self.read.unreadable.member_list |= of_members;
        let (key, rule) = (String::new(), rule.to_string());
        self.read.faults.push(ConfigFault { place: line(at), key, found, rule });
    }

    fn fault(&mut self, at: usize, key: &str, found: String, rule: String) {
        let place: ConfigPlace = line(at);
        let key = match (self.section, key) {
            // A broken head belongs to no member, and shows what it is.
            (_, "") if !found.is_empty() => String::new(),
            (Section::Member(index), "") => format!("member[{}]", index + 1),
            (Section::Member(index), key) => format!("member[{}].{key}", index + 1),
            (Section::Top | Section::Other(_) | Section::Unknown, key) => key.to_string(),
        };
        self.read.faults.push(ConfigFault { place, key, found, rule });
    }
}
