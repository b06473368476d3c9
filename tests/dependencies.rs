//! A program that appends and reads does not bring the node with it: what the client library alone
//! puts into a user's tree stays small.

#![allow(clippy::unwrap_used, reason = "a test says by failing what went wrong")]

use std::collections::BTreeSet;
use std::process::Command;

/// Crates that a program brings along which uses the client library and nothing else, the program
/// and this crate included.
const CRATES_MAX: usize = 25;

/// The crates that are built with these features, as `name version`; those that only builds or
/// tests of this crate need are none of a user's.
fn crates(features: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .args(features)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&err));
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    out.lines().filter(|line| !line.is_empty()).map(name).collect()
}

/// The client library alone brings few crates; and the count counts: with the node it is over.
#[test]
fn the_client_library_brings_few_crates() {
    let client = crates(&["--no-default-features"]);
    assert!(client.len() < CRATES_MAX, "{} crates: {client:#?}", client.len());
    for heavy in ["clap", "ratatui", "mio", "serde", "log"] {
        let found = client.iter().find(|one| one.split(' ').next() == Some(heavy));
        assert!(found.is_none(), "the client library needs no {heavy}");
    }
    let whole = crates(&[]);
    assert!(whole.len() > CRATES_MAX && whole.is_superset(&client), "{}", whole.len());
}
