//! Purity (docs/ARCHITECTURE.md, "Code map"): the pure layers reach nothing that is not passed in, and
//! assert in releases too.

use crate::source::{Fault, Kind, Source};

/// Modules that take time, entropy, disk and network as arguments.
const PURE: &[&str] =
    &["types", "limits", "api", "wire", "paxos", "machine", "journal", "index", "shard"];

/// The consensus core and the machine report through effects and outcomes, and write no log.
const SILENT: &[&str] = &["types", "limits", "api", "wire", "paxos", "machine", "index"];

/// The files of a pure layer whose purpose is to touch the machine: the other side of a seam.
const IMPURE_FILES: &[&str] = &[
    "src/storage/files.rs",
    "src/journal/format/identity.rs",
    "src/storage/lock.rs",
    "src/storage/open_files.rs",
];

/// What a pure layer must not name, and what it does instead.
const OUTSIDE: &[(&[&str], &str)] = &[
    (&["std", "net"], "emit an effect; sockets belong to daemon/ and client/"),
    (&["std", "thread"], "emit an effect; threads belong to daemon/"),
    (&["std", "fs"], "go through the Storage trait of journal/"),
    (&["std", "os"], "go through the Storage trait of journal/"),
    (&["std", "env"], "take it from config/ as an argument"),
    (&["std", "process"], "return an error or emit a fatal effect; daemon/ ends the process"),
    (&["mio"], "emit an effect; sockets belong to daemon/"),
    (&["socket2"], "emit an effect; sockets belong to daemon/ and client/"),
    (&["rustix"], "go through the Storage trait of journal/"),
    (&["fs2"], "go through the Storage trait of journal/"),
    (&["crossbeam"], "emit an effect; channels belong to daemon/"),
    (&["signal_hook"], "take a signal as an input; daemon/ catches it"),
    (&["rand"], "take a seeded generator as an argument"),
];

/// Names that need no path in front of them, and what a pure layer does instead.
const NAMES: &[(&[&str], &str)] = &[
    (&["Instant", "SystemTime"], "is a clock; take the time as a Tick argument"),
    (
        &["thread_rng", "getrandom", "RandomState", "from_entropy"],
        "is chance; take a seeded generator as an argument",
    ),
    (&["HashMap", "HashSet"], "has an order by chance; an ordered map instead"),
];

/// Methods of paths and directories that ask the file system.
const FILE_METHODS: &[&str] = &[
    "exists",
    "try_exists",
    "is_file",
    "is_dir",
    "is_symlink",
    "read_dir",
    "metadata",
    "symlink_metadata",
    "canonicalize",
    "read_link",
];

/// The pure layer that the file belongs to.
fn pure_layer(source: &Source) -> Option<String> {
    source.module().into_iter().next().filter(|top| PURE.contains(&top.as_str()))
}

/// Names of clock, thread, socket, file and chance in a layer that must not know them.
pub fn check_purity(source: &Source) -> Vec<Fault> {
    let Some(layer) = pure_layer(source) else { return Vec::new() };
    if IMPURE_FILES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for at in 0..source.tokens.len() {
        let token = &source.tokens[at];
        if token.kind != Kind::Ident || token.test {
            continue;
        }
        let mut found = outside(source, at);
        found.extend(named(source, at));
        found.extend(logs(source, at, &layer));
        let named_here = found.into_iter().map(|what| format!("{what} (layer `{layer}`)"));
        faults.extend(named_here.map(|what| source.fault(token.line, what)));
    }
    faults
}

/// The paths to what lies outside that begin here.
fn outside(source: &Source, at: usize) -> Vec<String> {
    if !source.starts_path(at) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for path in source.paths(at) {
        for (banned, instead) in OUTSIDE {
            if path.len() >= banned.len() && path.iter().zip(*banned).all(|(a, b)| a == b) {
                found.push(format!("`{}`: {instead}", banned.join("::")));
            }
        }
    }
    found
}

/// The name is one that no path must stand in front of.
fn named(source: &Source, at: usize) -> Option<String> {
    let name = source.text(at);
    if let Some((_, instead)) = NAMES.iter().find(|(names, _)| names.contains(&name)) {
        return Some(format!("`{name}` {instead}"));
    }
    let called = at > 0 && source.text(at - 1) == "." && source.text(at + 1) == "(";
    (called && FILE_METHODS.contains(&name)).then(|| {
        format!("`.{name}()` asks the file system; go through the Storage trait of journal/")
    })
}

/// A line of log is written by a layer that reports by effects.
fn logs(source: &Source, at: usize, layer: &str) -> Option<String> {
    let logs = SILENT.contains(&layer) && source.text(at) == "log" && source.starts_path(at);
    (logs && source.text(at + 1) == "::").then(|| {
        "`log::`: emit an effect or return an outcome; the layers above log it".to_string()
    })
}

/// Assertions of the pure layers that a release build would leave out (R25).
pub fn check_assertions(source: &Source) -> Vec<Fault> {
    if pure_layer(source).is_none() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let method = at > 0 && source.text(at - 1) == ".";
        if token.kind == Kind::Ident
            && token.text.starts_with("debug_assert")
            && !method
            && !token.test
        {
            let what = format!("`{}` is left out of releases; assert in all builds", token.text);
            faults.push(source.fault(token.line, what));
        }
    }
    faults
}
