//! The file of vectors, written and read.

use crate::model::Vector;
use crate::refused::{Refused, verdict};
use crate::{client, peer, refused};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

const HEAD: &str = "\
# Test vectors of the protocol (docs/PROTOCOL.md). Each is one whole frame.
# `== name` starts a vector, `-- text` says what it is, all other lines are its bytes in hexadecimal.
# tests/protocol_vectors.rs holds them against the code; REWRITE_VECTORS=1 writes this file anew.
";

pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "docs", name].iter().collect()
}

fn put(out: &mut String, name: &str, text: &str, bytes: &[u8]) {
    writeln!(out, "\n== {name}").expect("a string takes all");
    for line in text.lines() {
        writeln!(out, "-- {line}").expect("a string takes all");
    }
    for row in bytes.chunks(16) {
        let row: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{}", row.join(" ")).expect("a string takes all");
    }
}

fn render() -> String {
    let mut out = HEAD.to_string();
    out.push_str("\n# What clients and nodes say\n");
    for Vector { name, text, message } in client::vectors() {
        put(&mut out, name, text, &message.encode());
    }
    out.push_str("\n# What a node refuses, and its answer\n");
    for Refused { name, text, bytes } in refused::vectors() {
        put(&mut out, name, &format!("{text}\n{}", verdict(&bytes)), &bytes);
    }
    out.push_str("\n# What nodes say to each other\n");
    for Vector { name, text, message } in peer::vectors() {
        put(&mut out, name, text, &message.encode());
    }
    out
}

/// Vectors by name: their text and bytes.
pub fn parse(file: &str) -> BTreeMap<String, (String, Vec<u8>)> {
    let mut vectors = BTreeMap::new();
    let mut name = String::new();
    for line in file.lines() {
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        if let Some(next) = line.strip_prefix("== ") {
            name = next.to_string();
            let before = vectors.insert(name.clone(), (String::new(), Vec::new()));
            assert!(before.is_none(), "{name} stands twice");
            continue;
        }
        let (text, bytes) = vectors.get_mut(&name).expect("bytes belong to a vector");
        match line.strip_prefix("-- ") {
            Some(more) => text.push_str(&format!("{more}\n")),
            None => bytes.extend(hex(line)),
        }
    }
    vectors
}

/// Bytes of a line in hexadecimal, blanks between them.
pub fn hex(line: &str) -> Vec<u8> {
    line.split_whitespace()
        .map(|byte| {
            assert_eq!(byte.len(), 2, "two digits a byte: {line}");
            u8::from_str_radix(byte, 16).expect("hexadecimal digits")
        })
        .collect()
}

fn is_rewriting() -> bool {
    std::env::var_os("REWRITE_VECTORS").is_some()
}

/// The file as it lies in the tree, or is about to.
pub fn read() -> String {
    if is_rewriting() {
        return render();
    }
    std::fs::read_to_string(path("protocol-vectors.txt")).expect("docs/protocol-vectors.txt")
}

// What the code writes is what the file shows, byte for byte.
#[test]
fn the_code_writes_what_the_file_shows() {
    let rendered = render();
    if is_rewriting() {
        std::fs::write(path("protocol-vectors.txt"), &rendered).expect("a writable tree");
        return;
    }
    let (file, code) = (parse(&read()), parse(&rendered));
    for (name, vector) in &code {
        assert_eq!(file.get(name), Some(vector), "{name} differs (REWRITE_VECTORS=1 rewrites)");
    }
    assert_eq!(read(), rendered, "the file's text differs (REWRITE_VECTORS=1 rewrites)");
}

// What the file shows is read as the message that it stands for, and what a node must refuse is
// refused as the file says.
#[test]
fn the_code_reads_what_the_file_shows() {
    let file = parse(&read());
    let vectors: Vec<Vector> = client::vectors().into_iter().chain(peer::vectors()).collect();
    for Vector { name, message, .. } in &vectors {
        let (_, bytes) = &file[*name];
        assert_eq!(message.decode_alike(bytes), *message, "{name}");
    }
    for Refused { name, .. } in refused::vectors() {
        let (text, bytes) = &file[name];
        let last = text.lines().last().expect("a vector has a text");
        assert_eq!(verdict(bytes), last, "{name}");
        assert!(!last.starts_with("accepted"), "{name} must be refused");
    }
    assert_eq!(file.len(), vectors.len() + refused::vectors().len());
}
