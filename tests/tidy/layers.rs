//! Layers and purity (docs/ARCHITECTURE.md, "Code map"): imports go down only, and the pure layers reach nothing
//! that is not passed in.

use crate::source::{Fault, Kind, Source};

/// Top-level modules, lowest layer first. Modules of one row do not import each other, but for the
/// bottom row, which is the vocabulary that all of it shares.
const LAYERS: &[&[&str]] = &[
    &["types", "limits", "config"],
    &["api"],
    &["wire"],
    &["paxos", "machine", "journal"],
    &["shard"],
    &["daemon", "client"],
    &["sim"],
    &["ctl"],
    &["bin", "lib"],
];

/// Folders of a module that lie on each other, lowest first.
const FLOORS: &[(&str, &[&str])] =
    &[("journal", &["storage", "format", "segment", "write", "recover"])];

/// Modules that take time, entropy, disk and network as arguments.
const PURE: &[&str] = &["types", "limits", "api", "wire", "paxos", "machine", "journal", "shard"];

/// The files of a pure layer whose purpose is to touch the machine: the other side of a seam.
const IMPURE_FILES: &[&str] = &[
    "src/journal/storage/files.rs",
    "src/journal/format/identity.rs",
    "src/journal/storage/lock.rs",
    "src/journal/storage/open_files.rs",
];

/// What a pure layer must not name, and what it does instead.
const OUTSIDE: &[(&[&str], &str)] = &[
    (&["std", "net"], "emit an effect; sockets belong to daemon/ and client/"),
    (&["std", "thread"], "emit an effect; threads belong to daemon/"),
    (&["std", "fs"], "go through the Storage trait of journal/"),
    (&["std", "os"], "go through the Storage trait of journal/"),
    (&["std", "env"], "take it from config/ as an argument"),
    (&["std", "process"], "return an error or emit a fatal effect; daemon/ ends the process"),
    (&["std", "time", "Instant"], "take the time as a Tick argument"),
    (&["std", "time", "SystemTime"], "take the time as an argument"),
    (&["mio"], "emit an effect; sockets belong to daemon/"),
    (&["socket2"], "emit an effect; sockets belong to daemon/ and client/"),
    (&["rustix"], "go through the Storage trait of journal/"),
    (&["fs2"], "go through the Storage trait of journal/"),
    (&["crossbeam"], "emit an effect; channels belong to daemon/"),
    (&["signal_hook"], "take a signal as an input; daemon/ catches it"),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
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
    for (line, target) in top_level_targets(source) {
        let Some(there) = layer(&target) else { continue };
        let down = there < here || (there == here && (target == home || here == 0));
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
    for (at, token) in source.tokens.iter().enumerate() {
        if token.text != "crate" || token.test || source.text(at + 1) != "::" {
            continue;
        }
        for path in source.paths(at + 2).iter().filter(|path| path[0] == *top) {
            let Some(there) = floor(path.get(1)) else { continue };
            if there > here {
                let (low, high) = (floors[here], floors[there]);
                let what = format!(
                    "`{top}/{low}` imports `{top}/{high}`, which lies above it; \
                     move what is needed below both"
                );
                faults.push(source.fault(token.line, what));
            }
        }
    }
    faults
}

fn in_src(source: &Source) -> Option<String> {
    source.path.starts_with("src/").then(|| "lib".to_string())
}

/// Top-level modules named by `crate::…`, or by enough `super::` to reach the crate's root.
fn top_level_targets(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inner: Vec<(usize, String)> = Vec::new();
    for at in 0..source.tokens.len() {
        inner.retain(|(close, _)| at < *close);
        let token = &source.tokens[at];
        if token.kind != Kind::Ident {
            continue;
        }
        if token.text == "mod" && source.text(at + 2) == "{" {
            inner.push((source.tokens[at + 2].close, source.text(at + 1).to_string()));
        }
        let starts = at == 0 || source.text(at - 1) != "::";
        if !starts || source.text(at + 1) != "::" {
            continue;
        }
        match token.text.as_str() {
            "crate" => {
                for path in source.paths(at + 2) {
                    found.push((token.line, path[0].clone()));
                }
            }
            "super" => {
                let depth = source.module().len() + inner.len();
                for path in source.paths(at) {
                    let up = path.iter().take_while(|name| *name == "super").count();
                    if up == depth && path.len() > up {
                        found.push((token.line, path[up].clone()));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Names of clock, thread, socket, file and chance in a layer that must not know them.
pub fn check_purity(source: &Source) -> Vec<Fault> {
    let module = source.module();
    let pure = module.first().is_some_and(|top| PURE.contains(&top.as_str()));
    if !pure || IMPURE_FILES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for at in 0..source.tokens.len() {
        let token = &source.tokens[at];
        let continues = at > 0 && matches!(source.text(at - 1), "::" | ".");
        if token.kind != Kind::Ident || token.test || continues {
            continue;
        }
        for path in source.paths(at) {
            for (banned, instead) in OUTSIDE {
                if path.len() >= banned.len() && path.iter().zip(*banned).all(|(a, b)| a == b) {
                    let what = format!("`{}` in the pure layer `{}`", banned.join("::"), module[0]);
                    faults.push(source.fault(token.line, format!("{what}; {instead}")));
                }
            }
        }
        let chance = ["thread_rng", "getrandom", "RandomState", "from_entropy"];
        let clock = ["Instant", "SystemTime"];
        let bare = source.text(at + 1) == "::";
        if chance.contains(&token.text.as_str()) {
            let what =
                format!("`{}` is chance; take a seeded generator as an argument", token.text);
            faults.push(source.fault(token.line, what));
        } else if bare && clock.contains(&token.text.as_str()) {
            let what = format!("`{}` is a clock; take the time as a Tick argument", token.text);
            faults.push(source.fault(token.line, what));
        }
    }
    faults
}

/// Assertions of the pure layers that a release build would leave out (R25).
pub fn check_assertions(source: &Source) -> Vec<Fault> {
    let module = source.module();
    if !module.first().is_some_and(|top| PURE.contains(&top.as_str())) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let debug = token.text.starts_with("debug_assert") && source.text(at + 1) == "!";
        if token.kind == Kind::Ident && debug && !token.test {
            let what = format!("`{}!` is left out of releases; assert in all builds", token.text);
            faults.push(source.fault(token.line, what));
        }
    }
    faults
}
