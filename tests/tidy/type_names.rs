//! One public type name = one file: whoever reads a name need not look at the imports first.

use crate::source::{Fault, Kind, Source};
use std::collections::BTreeMap;

/// Names that may stand in two files or more, each with the reason.
pub const SHARED: &[(&str, &str)] = &[
    ("Config", "a node has one, and so has a replica: each layer's own, named with its module"),
    ("Input", "a shard takes inputs, and so does the replica in it: each layer's own"),
    ("Role", "what a replica is, with its state, and the word for it in a status"),
];

/// Finds public types of one name in several files of `src/`, and names in `shared` that are not.
pub fn check_type_names(sources: &[Source], shared: &[(&str, &str)]) -> Vec<Fault> {
    let mut places: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/")) {
        for (name, line) in public_types(source) {
            places.entry(name).or_default().entry(&source.path).or_insert(line);
        }
    }
    let mut faults = Vec::new();
    for (name, files) in &places {
        if files.len() == 1 || shared.iter().any(|(allowed, _)| allowed == name) {
            continue;
        }
        let all: Vec<&str> = files.keys().copied().collect();
        let what = format!(
            "type `{name}` stands in {}; give each its own name, or a reason in SHARED",
            all.join(" and ")
        );
        for (path, line) in files {
            faults.push(Fault { path: (*path).to_string(), line: *line, what: what.clone() });
        }
    }
    for (name, _) in shared {
        if places.get(name).is_none_or(|files| files.len() == 1) {
            let what = format!("`{name}` stands in one file only: take it out of SHARED");
            faults.push(Fault { path: "tests/tidy/type_names.rs".to_string(), line: 1, what });
        }
    }
    faults
}

/// Names and lines of the types that are visible outside their own module. Tests are left out, and
/// so is a name that a macro takes as an argument.
fn public_types(source: &Source) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        if token.test || token.kind != Kind::Ident || token.text != "pub" {
            continue;
        }
        let item = if source.text(at + 1) == "(" { source.after(at + 1) } else { at + 1 };
        let is_type = matches!(source.text(item), "struct" | "enum" | "trait" | "type" | "union");
        if is_type && source.text(item + 1) != "$" {
            found.push((source.text(item + 1), token.line));
        }
    }
    found
}

#[test]
fn a_type_name_in_two_files_is_found() {
    let parse = |path, text| Source::parse(path, text).expect("the sample is Rust");
    let one = parse("src/a.rs", "pub struct Found; struct Own; impl I for T { type Item = u8; }");
    let two =
        parse("src/b.rs", "mod b;\npub(crate) enum Found {} pub type Item = Own; enum Own {}");
    let test = parse("src/c.rs", "#[cfg(test)] mod tests { pub struct Item; }");
    let sources = [one, two, test];
    let at = |faults: Vec<Fault>| -> Vec<String> {
        faults.iter().map(|fault| format!("{}:{}", fault.path, fault.line)).collect()
    };
    assert_eq!(at(check_type_names(&sources, &[])), ["src/a.rs:1", "src/b.rs:2"]);
    assert!(check_type_names(&sources, &[("Found", "a reason")]).is_empty());
    let stale = check_type_names(&sources, &[("Found", "a reason"), ("Item", "a reason")]);
    assert_eq!(at(stale), ["tests/tidy/type_names.rs:1"]);
}
