//! House style that a compiler does not check: names, words, sizes, and calls that hide faults.

use crate::source::{Fault, Kind, Source};

/// Most lines of a file.
const FILE_LINES_MAX: usize = 600;
/// Most lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Fewest words of an `expect` message: a proof does not fit in fewer.
const PROOF_WORDS_MIN: usize = 3;

/// Words of other systems, and what docs/GLOSSARY.md has in their place.
const WORDS: &[(&str, &str)] = &[
    ("term", "ballot, or epoch towards clients"),
    ("view", "ballot, or configuration"),
    ("master", "leader"),
    ("decree", "value"),
    ("instance", "slot, replica or shard"),
    ("commit", "batch, chosen or durable (only `group commit` may be said)"),
    ("commits", "chooses, or makes durable"),
    ("committed", "chosen or durable"),
];

/// Words that leave open who learns what, and how.
const VAGUE: &[&str] = &["tell", "tells", "telling", "told", "untold"];
/// What to write instead of them.
const PLAIN: &str = "what happens: log, report, send, say, show, learn, distinguish";
/// Doc comments that are the text of `--help`, which this check leaves alone.
const HELP: &str = "src/ctl/args/";

/// Names of other people's items that hold a banned word.
const FOREIGN: &[&str] = &["TERM", "TERM_SIGNALS", "max_term_width", "term_width"];

/// Where a test may sleep: the one place that polls for a fact with a deadline.
const POLLING: &[&str] = &["tests/process/poll.rs"];

/// How a test says that it must sleep.
const REASON_TO_SLEEP: &str = "Sleeps because ";

/// Files whose words are the banned ones, because they name them.
const NAMES_THE_WORDS: &[&str] = &["tests/tidy.rs", "tests/tidy/style.rs"];

/// Marks of unfinished work, spelt so that this file does not hold them.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub fn check_file_length(source: &Source) -> Vec<Fault> {
    if source.lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let what = format!(
        "file has {} lines, at most {FILE_LINES_MAX}; one file is one idea: split it by idea",
        source.lines
    );
    vec![source.fault(FILE_LINES_MAX + 1, what)]
}

pub fn check_function_length(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for at in 0..source.tokens.len() {
        let named = source.tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Ident);
        if source.text(at) != "fn" || !named {
            continue;
        }
        let first = source.tokens[at].line;
        let lines = source.tokens[source.item_end(at)].line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let what = format!(
                "function `{}` has {lines} lines, at most {FUNCTION_LINES_MAX}; \
                 name its steps and make them functions",
                source.text(at + 1)
            );
            faults.push(source.fault(first, what));
        }
    }
    faults
}

/// Banned words in identifiers: `current_term`, `ViewNumber`, `is_master`.
pub fn check_names(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for token in &source.tokens {
        if token.kind != Kind::Ident || FOREIGN.contains(&token.text.as_str()) {
            continue;
        }
        let words = words_of_name(&token.text);
        for (at, word) in words.iter().enumerate() {
            let Some((_, instead)) = WORDS.iter().find(|(banned, _)| banned == word) else {
                continue;
            };
            let group = at > 0 && words[at - 1] == "group" && word.starts_with("commit");
            if !group {
                let what = format!("name `{}` holds `{word}`; say {instead}", token.text);
                faults.push(source.fault(token.line, what));
            }
        }
    }
    faults
}

/// `fetchNewView_of` is `fetch new view of`.
pub fn words_of_name(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars() {
        let starts = c == '_' || (c.is_uppercase() && !before.is_uppercase());
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

/// Vague words in identifiers and comments; what users read, literals and help, may have them.
pub fn check_vague_words(source: &Source) -> Vec<Fault> {
    let names = source.tokens.iter().filter(|token| token.kind == Kind::Ident);
    let names =
        names.flat_map(|token| words_of_name(&token.text).into_iter().map(|w| (token.line, w)));
    let comments = source.comments.iter().filter(|_| !source.path.starts_with(HELP));
    let comments = comments.flat_map(|comment| {
        let words = comment.text.split(|c: char| !c.is_alphanumeric());
        words.map(|word| (comment.line, word.to_lowercase()))
    });
    let found = names.chain(comments).filter(|(_, word)| VAGUE.contains(&word.as_str()));
    found
        .map(|(line, word)| source.fault(line, format!("`{word}` is vague; say {PLAIN}")))
        .collect()
}

pub fn check_comments(source: &Source) -> Vec<Fault> {
    if NAMES_THE_WORDS.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let found = source.comments.iter().flat_map(|comment| {
        prose_faults(&comment.text).into_iter().map(|what| source.fault(comment.line, what))
    });
    found.collect()
}

/// Banned words in running text, where the sentence leaves no doubt which sense is meant.
pub fn prose_faults(line: &str) -> Vec<String> {
    let clean = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let words: Vec<String> =
        line.split(|c: char| c.is_whitespace() || c == '-').map(clean).collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
        let after = words.get(at + 1).map_or("", String::as_str);
        let meant = match word.as_str() {
            "term" => !matches!(before, "long" | "short"),
            "view" => {
                matches!(after, "number" | "change" | "id")
                    || matches!(before, "current" | "new" | "next" | "higher" | "old")
            }
            "instance" => before != "for",
            "commit" | "commits" | "committed" => {
                before != "group" && !matches!(before, "git") && after != "hash"
            }
            "master" | "decree" => true,
            _ => false,
        };
        if meant && let Some((_, instead)) = WORDS.iter().find(|(banned, _)| banned == word) {
            found.push(format!("`{word}` is not a word of this project; say {instead}"));
        }
    }
    found
}

/// Marks of unfinished work, in any text file.
pub fn check_marks(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        if let Some(mark) = words.find(|word| MARKS.contains(word)) {
            let what = format!("`{mark}`: finish it, or open an issue and leave nothing here");
            faults.push(Fault { path: path.to_string(), line: at + 1, what });
        }
    }
    faults
}

/// Asynchronous Rust: one shard is one thread and one loop, and nothing else schedules.
pub fn check_async(source: &Source) -> Vec<Fault> {
    let banned = ["async", "await", "tokio", "futures", "async_trait", "async_std", "smol"];
    let found = source
        .tokens
        .iter()
        .filter(|token| token.kind == Kind::Ident && banned.contains(&token.text.as_str()));
    found
        .map(|token| {
            let what = format!("`{}`: no async here; a thread and a loop instead", token.text);
            source.fault(token.line, what)
        })
        .collect()
}

/// Crates of the asynchronous world, and our own byte buffers' rival, in `Cargo.toml`.
pub fn check_manifest(path: &str, text: &str) -> Vec<Fault> {
    let banned = ["tokio", "futures", "bytes", "async-std", "async-trait", "smol"];
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let name = line.split(['=', '.']).next().unwrap_or_default().trim().trim_matches('"');
        if banned.contains(&name) {
            let what = format!("dependency `{name}`: no async here; std, mio and threads instead");
            faults.push(Fault { path: path.to_string(), line: at + 1, what });
        }
    }
    faults
}

/// Modules named after nothing: their content belongs with what it is about.
pub fn check_module_names(source: &Source) -> Vec<Fault> {
    let banned = ["util", "utils", "helper", "helpers", "common", "misc"];
    let mut named: Vec<(usize, String)> =
        source.module().into_iter().map(|name| (1, name)).collect();
    for (at, token) in source.tokens.iter().enumerate() {
        if token.text == "mod" && source.path.starts_with("src/") {
            named.push((token.line, source.text(at + 1).to_string()));
        }
    }
    named.retain(|(_, name)| banned.contains(&name.as_str()));
    let fault = |(line, name)| {
        source.fault(line, format!("module `{name}`; name it after the idea that it holds"))
    };
    named.into_iter().map(fault).collect()
}

/// `.unwrap()`, and `.expect` without a proof, outside tests.
pub fn check_unwrap(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for at in 1..source.tokens.len() {
        let token = &source.tokens[at];
        let method = source.text(at - 1) == "." && source.text(at + 1) == "(";
        let path = source.text(at - 1) == "::";
        if token.test || !(method || path) {
            continue;
        }
        if token.text == "unwrap" {
            let what = "`.unwrap()`; return an error, or `.expect(\"why it cannot fail\")`";
            faults.push(source.fault(token.line, what));
        }
        let argument = source.tokens.get(at + 2);
        if token.text == "expect"
            && method
            && let Some(message) = argument.filter(|token| token.kind == Kind::Literal)
            && message.text.split_whitespace().count() < PROOF_WORDS_MIN
        {
            let what =
                format!("`.expect({})`; the message states why it cannot fail", message.text);
            faults.push(source.fault(token.line, what));
        }
    }
    faults
}

/// Printing outside the commands; `dbg!` anywhere.
pub fn check_printing(source: &Source) -> Vec<Fault> {
    let may_print = match source.module().first().map(String::as_str) {
        Some("bin" | "ctl") | None => true,
        Some(_) => false,
    };
    let mut faults = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        if token.kind != Kind::Ident || source.text(at + 1) != "!" {
            continue;
        }
        let printer = matches!(token.text.as_str(), "println" | "print" | "eprintln" | "eprint");
        let prints = printer && !may_print && !token.test;
        if prints || token.text == "dbg" {
            let what = format!("`{}!`; log it, or return it to a command in ctl/", token.text);
            faults.push(source.fault(token.line, what));
        }
    }
    faults
}

/// Sleeping in a test is a guess at how long a fact takes. Where the passing of time is itself the
/// fact, a comment on that line or the one above says so: `Sleeps because …`.
pub fn check_sleep(source: &Source) -> Vec<Fault> {
    if POLLING.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for at in 1..source.tokens.len() {
        let token = &source.tokens[at];
        let own = matches!(source.text(at - 1), "." | "fn");
        let used = source.text(at - 1) == "::" || source.text(at + 1) == "(";
        let reasoned = source.comments.iter().any(|comment| {
            comment.text.contains(REASON_TO_SLEEP)
                && (comment.line == token.line || comment.line + 1 == token.line)
        });
        let sleeps = matches!(token.text.as_str(), "sleep" | "sleep_until" | "park_timeout");
        if token.test && sleeps && used && !own && !reasoned {
            let what = "a test sleeps; wait for the fact itself: a channel with recv_timeout, \
                        `paxosctl wait`, or the poll with a deadline in tests/process/poll.rs; \
                        where time itself is tested, `// Sleeps because …` says why";
            faults.push(source.fault(token.line, what));
        }
    }
    faults
}
