//! The warnings and errors that the source logs, as the table of OPERATIONS.md writes them.

use crate::source::{Kind, Source};

/// A message that the log may show: its level, and its text with `…` for what differs.
pub type Message = (String, String);

/// Every warning and error of a file outside its tests.
///
/// # Panics
/// At one whose text is no literal: the document could not show it.
pub fn messages(source: &Source) -> Vec<Message> {
    let mut found = Vec::new();
    for at in 0..source.tokens.len() {
        let level = match source.text(at) {
            "warn" | "error" if is_of_log(source, at) => source.text(at).to_string(),
            // Its level is found out while it runs, and it may be a warning.
            "log" if is_of_log(source, at) => "warn".to_string(),
            _ => continue,
        };
        let arguments = at + 3..source.tokens[at + 2].close;
        let literal = arguments.clone().find(|at| source.tokens[*at].kind == Kind::Literal);
        let line = source.tokens[at].line;
        let literal = literal.unwrap_or_else(|| {
            panic!("{}:{line}: log a literal text, for the documents", source.path)
        });
        found.push((level, template(source.text(literal))));
    }
    found
}

/// True at the name of a macro of `log` that is called outside tests.
fn is_of_log(source: &Source, at: usize) -> bool {
    let called = source.text(at + 1) == "!" && source.text(at + 2) == "(";
    let from = at >= 2 && source.text(at - 1) == "::" && source.text(at - 2) == "log";
    called && from && !source.tokens[at].test
}

/// The text of a literal with `…` for each placeholder.
fn template(literal: &str) -> String {
    let inside = literal.trim_start_matches('r').trim_matches('#').trim_matches('"');
    let mut text = String::new();
    let mut rest = inside.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' if rest.peek() == Some(&'\n') => {
                while rest.peek().is_some_and(|c| c.is_whitespace()) {
                    rest.next();
                }
            }
            '\\' => text.extend(rest.next()),
            '{' | '}' if rest.peek() == Some(&next) => text.extend(rest.next()),
            '{' => {
                rest.by_ref().find(|c| *c == '}');
                text.push('…');
            }
            _ => text.push(next),
        }
    }
    text
}
