//! Golden traces of the consensus core, and random schedules over the same cluster.
//!
//! `tests/interaction/*.txt` hold scenarios with everything that happens in them: every input,
//! effect, message and change of role. Each begins with its goal, and comments above its commands say
//! what happens and what must hold; `script.rs` has the commands. `UPDATE_TRACES=1` writes the traces
//! anew, comments kept; the scenarios' `expect` lines and the cluster's own checks hold either way.
//! `TRACE_CLAIMS_ONLY=1` looks at nothing but these, so that it shows which bugs a scenario notices
//! whatever its golden text is.

mod check;
mod checker;
mod cluster;
mod disk;
mod disk_setup;
mod expect;
mod inject;
mod links;
mod random;
mod reads;
mod script;
mod show;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interaction");
    let entries = fs::read_dir(folder).expect("the folder of scenarios is there");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "txt"));
    paths.sort();
    paths
}

/// The first line in which two texts differ.
fn difference(wanted: &str, found: &str) -> String {
    let mut wanted_lines = wanted.lines();
    for (at, line) in found.lines().enumerate() {
        let other = wanted_lines.next();
        if other != Some(line) {
            return format!("line {}:\n  file:  {other:?}\n  found: {line:?}", at + 1);
        }
    }
    format!("the trace ends before {:?}", wanted_lines.next())
}

/// True where the last command of a scenario has a comment right above it.
fn end_is_explained(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with('>'));
    last.is_some_and(|at| at > 0 && lines[at - 1].starts_with("# "))
}

/// Every scenario plays as its file says; R14 to R21, C1 to C9 and C13 to C19 each have theirs.
#[test]
fn golden_traces() {
    let update = std::env::var("UPDATE_TRACES").is_ok();
    let claims_only = std::env::var("TRACE_CLAIMS_ONLY").is_ok();
    let only = std::env::var("TRACE").unwrap_or_default();
    let mut faults = Vec::new();
    for path in scenarios() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_string();
        if !name.contains(&only) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a scenario is text");
        assert!(text.starts_with("# "), "{name} does not begin with its goal");
        assert!(end_is_explained(&text), "{name} does not say what must hold at its end");
        match catch_unwind(AssertUnwindSafe(|| script::run(&text))) {
            Ok(found) if found == text || claims_only => {}
            Ok(found) if update => fs::write(&path, found).expect("the trace can be written"),
            Ok(found) => faults.push(format!("{name}: {}", difference(&text, &found))),
            Err(_) => faults.push(format!("{name}: a check failed, see above")),
        }
    }
    assert!(faults.is_empty(), "{} scenarios differ:\n{}", faults.len(), faults.join("\n"));
}
