//! Layers (docs/ARCHITECTURE.md, "Code map"): imports go down only, between modules, between the folders
//! of a module, and between the files of a folder.

use crate::source::{Fault, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Top-level modules, lowest layer first. Modules of one row do not import each other, but for the
/// bottom row, which is the vocabulary that all of it shares.
const LAYERS: &[&[&str]] = &[
    &["types", "limits", "config"],
    &["api"],
    &["wire", "storage"],
    &["paxos", "machine", "index", "journal"],
    &["checkpoint"],
    &["shard"],
    &["daemon", "client"],
    &["sim"],
    &["ctl"],
    &["bin", "lib"],
];

/// Folders of a module that lie on each other, lowest first.
const FLOORS: &[(&str, &[&str])] = &[("journal", &["format", "segment", "write", "recover"])];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// A name that is no module: a type, a function of the root, or everything.
fn is_item(name: &str) -> bool {
    name == "*" || name.starts_with(char::is_uppercase)
}

/// Imports of one file that do not go down.
pub fn check_layers(source: &Source) -> Vec<Fault> {
    let Some(home) = source.module().first().cloned().or_else(|| in_src(source)) else {
        return Vec::new();
    };
    let Some(here) = layer(&home) else {
        let what = format!("module `{home}` is in no layer; give it a row in tests/tidy/layers.rs");
        return vec![source.fault(1, what)];
    };
    let mut faults = Vec::new();
    for (line, path) in source.absolute_paths(true) {
        let target = &path[0];
        let Some(there) = layer(target) else {
            if is_item(target) && home != "lib" {
                let what =
                    format!("`crate::{target}` hides the layer; name the module that has it");
                faults.push(source.fault(line, what));
            }
            continue;
        };
        let down = there < here || (there == here && (*target == home || here == 0));
        if !down {
            let what = if there == here {
                format!("`{home}` imports its sibling `{target}`; let the layer above join the two")
            } else {
                format!(
                    "`{home}` imports `{target}` from a layer above; \
                     pass it in, or move what is needed below both"
                )
            };
            faults.push(source.fault(line, what));
        }
    }
    faults
}

/// New names for the roots of paths, which would hide what is imported.
pub fn check_aliases(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let root = matches!(token.text.as_str(), "crate" | "super" | "std" | "core" | "alloc");
        if root && source.text(at + 1) == "as" && source.path.starts_with("src/") {
            let what = format!("`{} as {}`; write the path out", token.text, source.text(at + 2));
            faults.push(source.fault(token.line, what));
        }
    }
    faults
}

/// Imports of a folder from one that lies above it in the same module.
pub fn check_floors(source: &Source) -> Vec<Fault> {
    let module = source.module();
    let Some((top, floors)) =
        FLOORS.iter().find(|(top, _)| module.first().is_some_and(|m| m == top))
    else {
        return Vec::new();
    };
    let floor = |name: Option<&String>| {
        floors.iter().position(|floor| Some(*floor) == name.map(String::as_str))
    };
    let Some(here) = floor(module.get(1)) else { return Vec::new() };
    let mut faults = Vec::new();
    for (line, path) in source.absolute_paths(false) {
        if path[0] != *top {
            continue;
        }
        if let Some(there) = floor(path.get(1)).filter(|there| *there > here) {
            let (low, high) = (floors[here], floors[there]);
            let what = format!(
                "`{top}/{low}` imports `{top}/{high}`, which lies above it; \
                 move what is needed below both"
            );
            faults.push(source.fault(line, what));
        } else if path.get(1).is_some_and(|name| is_item(name)) {
            let what = format!("`{}` hides the folder; name the file that has it", path.join("::"));
            faults.push(source.fault(line, what));
        }
    }
    faults
}

fn in_src(source: &Source) -> Option<String> {
    source.path.starts_with("src/").then(|| "lib".to_string())
}

/// Circles of imports between files. `may` names files that are in one, with the reason beside it; a
/// file that stands there without need is a fault, too. A folder's own file joins what is in it, so
/// it is in none.
pub fn check_circles(sources: &[Source], may: &[&str]) -> Vec<Fault> {
    let files: BTreeMap<Vec<String>, &Source> = sources
        .iter()
        .filter(|source| source.path.starts_with("src/") && !source.is_folder_root())
        .map(|source| (source.module(), source))
        .collect();
    let imports: BTreeMap<&str, BTreeSet<&str>> = files
        .values()
        .map(|source| (source.path.as_str(), imported_files(source, &files)))
        .collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|path| (*path, reach(path, &imports))).collect();
    let mut faults = Vec::new();
    for source in files.values() {
        let path = source.path.as_str();
        let circle: Vec<&str> =
            reached[path].iter().filter(|other| reached[**other].contains(path)).copied().collect();
        let listed = may.contains(&path);
        if !circle.is_empty() && !listed {
            let others: Vec<&str> = circle.into_iter().filter(|other| *other != path).collect();
            let what = format!(
                "it imports {}, and is imported by it: move what both need into a file below",
                others.join(", ")
            );
            faults.push(source.fault(1, what));
        } else if circle.is_empty() && listed {
            faults.push(
                source.fault(1, "it is in no circle; take it off the list of those that may"),
            );
        }
    }
    faults
}

/// The files that this one imports from, tests left out.
fn imported_files<'a>(
    source: &Source,
    files: &BTreeMap<Vec<String>, &'a Source>,
) -> BTreeSet<&'a str> {
    let own = source.module();
    let found = source
        .absolute_paths(false)
        .into_iter()
        .filter_map(|(_, path)| (1..=path.len()).rev().find_map(|len| files.get(&path[..len])));
    found.filter(|file| file.module() != own).map(|file| file.path.as_str()).collect()
}

/// Every file that is reached from here by one import or more.
fn reach<'a>(from: &str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = imports.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = next.pop() {
        if found.insert(file) {
            next.extend(imports.get(file).into_iter().flatten().copied());
        }
    }
    found
}
