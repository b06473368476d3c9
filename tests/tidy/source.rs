//! One Rust file as the checks see it: tokens with their lines, comments, and what is test code.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

/// What a check found, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub path: String,
    pub line: usize,
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ident,
    Literal,
    Punct,
    Open,
    Close,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub line: usize,
    /// Inside an item under `#[cfg(test)]` or `#[test]`, or in a file that holds only tests.
    pub test: bool,
    /// For an opening delimiter, the position of its closing one.
    pub close: usize,
}

#[derive(Debug)]
pub struct Comment {
    pub line: usize,
    pub text: String,
}

/// Words after which a path may begin with `::`.
const KEYWORDS: &[&str] = &[
    "as", "dyn", "else", "for", "if", "impl", "in", "let", "match", "move", "mut", "pub", "return",
    "use", "where", "while",
];

#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub lines: usize,
    pub tokens: Vec<Token>,
    /// Comments and doc comments, one element per line of text.
    pub comments: Vec<Comment>,
    /// Modules declared as `#[cfg(test)] mod name;`: their files are tests.
    pub test_modules: Vec<String>,
}

impl Source {
    /// Takes a file apart. `path` is relative to the package, with forward slashes.
    pub fn parse(path: &str, text: &str) -> Result<Source, Fault> {
        let stream = TokenStream::from_str(text).map_err(|error| Fault {
            path: path.to_string(),
            line: error.span().start().line,
            what: "is not Rust that can be read; make it compile first".to_string(),
        })?;
        let mut flat = Flat::default();
        flat.take(stream);
        let mut source = Source {
            path: path.to_string(),
            lines: text.lines().count(),
            comments: comments(text, &flat.covered),
            tokens: flat.tokens,
            test_modules: Vec::new(),
        };
        source.mark_tests();
        Ok(source)
    }

    /// Path of modules below the crate root: `src/a/b.rs` is `[a, b]`; empty outside `src/`.
    pub fn module(&self) -> Vec<String> {
        let Some(rest) = self.path.strip_prefix("src/") else { return Vec::new() };
        let mut names: Vec<String> =
            rest.trim_end_matches(".rs").split('/').map(str::to_string).collect();
        if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            names.pop();
        }
        names
    }

    pub fn fault(&self, line: usize, what: impl Into<String>) -> Fault {
        Fault { path: self.path.clone(), line, what: what.into() }
    }

    /// The text of the token at `at`, empty past the end.
    pub fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    pub fn mark_all_as_test(&mut self) {
        for token in &mut self.tokens {
            token.test = true;
        }
    }

    /// Every path that starts at token `at`, `use` groups written out: `a::{b, c::d}` is two.
    pub fn paths(&self, at: usize) -> Vec<Vec<String>> {
        let Some(token) = self.tokens.get(at) else { return Vec::new() };
        match token.kind {
            Kind::Open if token.text == "{" => {
                let mut found = Vec::new();
                let mut next = at + 1;
                while next < token.close {
                    found.extend(self.paths(next));
                    while next < token.close && self.text(next) != "," {
                        next = self.after(next);
                    }
                    next += 1;
                }
                found
            }
            Kind::Ident if self.text(at + 1) == "::" => {
                let tails = self.paths(at + 2);
                if tails.is_empty() {
                    return vec![vec![token.text.clone()]];
                }
                tails.into_iter().map(|tail| [vec![token.text.clone()], tail].concat()).collect()
            }
            Kind::Ident => vec![vec![token.text.clone()]],
            Kind::Punct if token.text == "*" => vec![vec!["*".to_string()]],
            Kind::Open | Kind::Close | Kind::Literal | Kind::Punct => Vec::new(),
        }
    }

    /// True where no path goes on at `at`: nothing stands before it, or the `::` of a path from the
    /// root of all crates.
    pub fn starts_path(&self, at: usize) -> bool {
        let before = |back: usize| at.checked_sub(back).map(|at| &self.tokens[at]);
        match before(1).map(|token| token.text.as_str()) {
            Some("::") => !before(2).is_some_and(|token| {
                let keyword = KEYWORDS.contains(&token.text.as_str());
                (token.kind == Kind::Ident && !keyword) || matches!(token.text.as_str(), ">" | "$")
            }),
            Some(".") => false,
            Some(_) | None => true,
        }
    }

    /// The file of a folder, which joins what lies in it.
    pub fn is_folder_root(&self) -> bool {
        ["/mod.rs", "/lib.rs", "/main.rs"].iter().any(|name| self.path.ends_with(name))
    }

    /// Every path that begins at the crate's root, by `crate::…`, or by as many `super::` and `self::`
    /// as lead to a name: with its line, from the top-level module on. Tests only if `tests` says so.
    pub fn absolute_paths(&self, tests: bool) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        let mut inner: Vec<(usize, String)> = Vec::new();
        for at in 0..self.tokens.len() {
            inner.retain(|(close, _)| at < *close);
            let token = &self.tokens[at];
            if token.kind != Kind::Ident || (token.test && !tests) {
                continue;
            }
            if token.text == "mod" && self.text(at + 2) == "{" {
                inner.push((self.tokens[at + 2].close, self.text(at + 1).to_string()));
            }
            if !self.starts_path(at) || self.text(at + 1) != "::" {
                continue;
            }
            let mut home = self.module();
            home.extend(inner.iter().map(|(_, name)| name.clone()));
            for path in self.paths(at) {
                let up = path
                    .iter()
                    .take_while(|name| matches!(name.as_str(), "super" | "self" | "crate"));
                let up: Vec<&str> = up.map(String::as_str).collect();
                let kept = match up.first() {
                    None => continue,
                    Some(&"crate") => 0,
                    Some(_) => {
                        let levels = up.iter().filter(|name| **name == "super").count();
                        let Some(kept) = home.len().checked_sub(levels) else { continue };
                        kept
                    }
                };
                let absolute = [&home[..kept], &path[up.len()..]].concat();
                if !absolute.is_empty() && path.len() > up.len() {
                    found.push((token.line, absolute));
                }
            }
        }
        found
    }

    /// The position after the token at `at`, a whole group counting as one.
    pub fn after(&self, at: usize) -> usize {
        match self.tokens.get(at) {
            Some(token) if token.kind == Kind::Open => token.close + 1,
            Some(_) | None => at + 1,
        }
    }

    /// Where the item that starts at `at` ends: its last token.
    pub fn item_end(&self, at: usize) -> usize {
        let mut next = at;
        while next < self.tokens.len() {
            if self.text(next) == "{" {
                return self.tokens[next].close;
            }
            if matches!(self.text(next), ";" | "}") {
                return next;
            }
            next = self.after(next);
        }
        self.tokens.len().saturating_sub(1)
    }

    fn mark_tests(&mut self) {
        for at in 0..self.tokens.len() {
            let inner = self.text(at) == "#" && self.text(at + 1) == "!";
            let open = if inner { at + 2 } else { at + 1 };
            if self.text(at) != "#" || self.text(open) != "[" || !self.is_test_attribute(open) {
                continue;
            }
            if inner {
                self.mark_all_as_test();
                return;
            }
            let mut item = self.after(open);
            while self.text(item) == "#" {
                item = self.after(item + 1);
            }
            let end = self.item_end(item);
            let name = (item..end).find(|i| self.text(*i) == "mod").map(|i| i + 1);
            if let Some(name) = name.filter(|name| self.text(name + 1) == ";") {
                self.test_modules.push(self.text(name).to_string());
            }
            for token in &mut self.tokens[at..=end] {
                token.test = true;
            }
        }
    }

    /// True for `[test]` and for `[cfg(..)]` that needs `test`.
    fn is_test_attribute(&self, open: usize) -> bool {
        let inside = open + 1..self.tokens[open].close;
        match self.text(open + 1) {
            "test" => inside.len() == 1,
            "cfg" => {
                let names = |name: &str| inside.clone().any(|i| self.text(i) == name);
                names("test") && !names("not") && !names("any")
            }
            _ => false,
        }
    }
}

/// Tokens in reading order, with the bytes that they cover. Doc comments are left out: they count
/// as comments.
#[derive(Default)]
struct Flat {
    tokens: Vec<Token>,
    covered: Vec<Range<usize>>,
}

impl Flat {
    fn push(&mut self, kind: Kind, text: String, span: proc_macro2::Span) {
        let line = span.start().line;
        self.covered.push(span.byte_range());
        self.tokens.push(Token { kind, text, line, test: false, close: 0 });
    }

    fn take(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Ident(ident) => self.push(Kind::Ident, ident.to_string(), ident.span()),
                TokenTree::Literal(literal) => {
                    self.push(Kind::Literal, literal.to_string(), literal.span());
                }
                TokenTree::Punct(punct) => {
                    let joins = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                    if punct.as_char() == '#'
                        && let Some(TokenTree::Group(group)) = trees.peek()
                        && group.stream().into_iter().next().is_some_and(|t| t.to_string() == "doc")
                        && group.span().byte_range() == punct.span().byte_range()
                    {
                        trees.next();
                    } else if joins
                        && matches!(trees.peek(), Some(TokenTree::Punct(p)) if p.as_char() == ':')
                    {
                        self.push(Kind::Punct, "::".to_string(), punct.span());
                        trees.next();
                    } else {
                        self.push(Kind::Punct, punct.to_string(), punct.span());
                    }
                }
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    let at = self.tokens.len();
                    self.push(Kind::Open, open.to_string(), group.span_open());
                    self.take(group.stream());
                    self.push(Kind::Close, close.to_string(), group.span_close());
                    self.tokens[at].close = self.tokens.len() - 1;
                }
            }
        }
    }
}

/// What stands between the tokens is a comment or a blank.
fn comments(text: &str, covered: &[Range<usize>]) -> Vec<Comment> {
    let mut pieces = Vec::new();
    let mut end = 0;
    for range in covered {
        if range.start > end {
            pieces.push(end..range.start);
        }
        end = end.max(range.end);
    }
    pieces.push(end..text.len());
    let mut found = Vec::new();
    for piece in pieces {
        let first = text[..piece.start].matches('\n').count() + 1;
        for (below, line) in text[piece].lines().enumerate() {
            if line.contains(|c: char| c.is_alphanumeric()) {
                found.push(Comment { line: first + below, text: line.trim().to_string() });
            }
        }
    }
    found
}

/// Every file below `root/folder` with one of these endings, by name, relative to `root`.
pub fn files(root: &Path, folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return found };
    for entry in entries {
        let entry = entry.expect("a folder of the package can be listed");
        let name = entry.file_name().into_string().expect("file names of the package are UTF-8");
        let path = if folder == "." { name } else { format!("{folder}/{name}") };
        if entry.file_type().expect("a file's type can be read").is_dir() {
            if folder != "." {
                found.extend(files(root, &path, endings));
            }
        } else if endings.iter().any(|ending| path.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}
