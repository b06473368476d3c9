//! The warnings and errors that the source logs, as the table of OPERATIONS.md writes them.

use crate::source::{Kind, Source};

/// A message that the log may show: its level, and its text with `…` for what differs.
pub type Message = (String, String);

/// How many tokens above a call the choice of its level may stand.
const LOOK_BACK: usize = 40;

/// Every warning and error of a file outside its tests.
///
/// # Panics
/// At one whose text is no literal: the document could not show it.
pub fn messages(source: &Source) -> Vec<Message> {
    let mut found = Vec::new();
    for at in 0..source.tokens.len() {
        let Some((level, open)) = level_of(source, at) else { continue };
        let arguments = open + 1..source.tokens[open].close;
        let literal = arguments.clone().find(|at| source.tokens[*at].kind == Kind::Literal);
        let line = source.tokens[at].line;
        let literal = literal.unwrap_or_else(|| {
            panic!("{}:{line}: log a literal text, for the documents", source.path)
        });
        found.push((level.to_string(), template(source.text(literal))));
    }
    found
}

/// The level of the call at a token, and where its arguments open; nothing where none is called.
fn level_of(source: &Source, at: usize) -> Option<(&'static str, usize)> {
    match source.text(at) {
        "warn" if is_of_log(source, at) => Some(("warn", at + 2)),
        "error" if is_of_log(source, at) => Some(("error", at + 2)),
        // Its level is found out while it runs, from levels named a little above.
        "log" if is_of_log(source, at) => {
            let named = |level| (at.saturating_sub(LOOK_BACK)..at).any(|t| source.text(t) == level);
            match (named("Warn"), named("Error")) {
                (_, true) => Some(("error", at + 2)),
                (true, false) => Some(("warn", at + 2)),
                (false, false) => None,
            }
        }
        // What the node says at its end, whatever becomes of the logger.
        "last_words" if source.text(at + 1) == "(" && source.text(at.checked_sub(1)?) != "fn" => {
            (!source.tokens[at].test).then_some(("error", at + 1))
        }
        _ => None,
    }
}

/// True at the name of a macro of `log` that is called outside tests.
fn is_of_log(source: &Source, at: usize) -> bool {
    let called = source.text(at + 1) == "!" && source.text(at + 2) == "(";
    let from = at >= 2 && source.text(at - 1) == "::" && source.text(at - 2) == "log";
    called && from && !source.tokens[at].test
}

/// The text of a literal with `…` for each placeholder.
pub fn template(literal: &str) -> String {
    let inside = literal.trim_start_matches('r').trim_matches('#');
    // One quote each: the text itself may end with another, behind a backslash.
    let inside = inside.strip_prefix('"').unwrap_or(inside);
    let inside = inside.strip_suffix('"').unwrap_or(inside);
    let mut text = String::new();
    let mut rest = inside.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' if rest.peek() == Some(&'\n') => {
                while rest.peek().is_some_and(|c| c.is_whitespace()) {
                    rest.next();
                }
            }
            // A row of the table is one line.
            '\\' => text.extend(rest.next().map(|c| if c == 'n' { ' ' } else { c })),
            '{' | '}' if rest.peek() == Some(&next) => text.extend(rest.next()),
            '{' => {
                rest.by_ref().find(|c| *c == '}');
                if !text.ends_with('…') {
                    text.push('…');
                }
            }
            _ => text.push(next),
        }
    }
    text
}
