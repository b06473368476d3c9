//! Logs of large entries: a few hundred of them fill segments.

use crate::node::{Node, append, log, read, texts};
use paxosd::api::{Append, Reply, Request, Trim};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::Index;

/// An entry of three kilobytes, which begins with its number. Some eighty fill a segment of the rig's.
pub fn text_of(number: u64) -> String {
    format!("{number:06}{}", "x".repeat(3_000))
}

/// The append of that entry.
pub fn large(text: &str, number: u64) -> Append {
    append(text, &text_of(number))
}

pub fn fill(node: &mut Node, text: &str, entries: std::ops::Range<u64>) {
    for number in entries {
        let reply = node.ask(Request::Append(large(text, number)));
        assert!(matches!(reply, Reply::Appended(_)), "entry {number} of {text}: {reply:?}");
    }
}

pub fn trim(node: &mut Node, text: &str, before: u64) {
    let reply = node.ask(Request::Trim(Trim { log: log(text), before: Index(before) }));
    assert!(matches!(reply, Reply::Trimmed(_)), "{reply:?}");
}

/// Every entry of a log from `from` up to `end` is read as it was appended.
pub fn check_entries(node: &mut Node, text: &str, entries: std::ops::Range<u64>) {
    let (mut next, end) = (entries.start, entries.end);
    while next < end {
        for found in texts(Some(node.ask(read(text, next, 0)))) {
            assert_eq!(found, text_of(next), "entry {next} of {text}");
            next += 1;
        }
    }
    assert_eq!(next, end);
}

pub fn segment_files(storage: &MemStorage) -> usize {
    let names = storage.list().expect("a directory");
    names.iter().filter(|name| name.ends_with(".wal")).count()
}
