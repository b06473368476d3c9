//! The document's tables against the code: kinds, errors, limits, shards of names.

use crate::file::path;
use paxosd::api::RequestKind;
use paxosd::api::error::{ErrorCode, Outcome, Retry};
use paxosd::types::ShardId;
use paxosd::wire::client::ReplyKind;
use paxosd::wire::kind::GreetingKind;
use paxosd::wire::peer::PeerKind;

/// The cells of every row of every table.
fn rows() -> Vec<Vec<String>> {
    let document = std::fs::read_to_string(path("PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let row = |line: &str| {
        let line = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(line.split('|').map(|cell| cell.trim().trim_matches('`').to_string()).collect())
    };
    document.lines().filter_map(row).collect()
}

// Every kind stands in the document with its number, and no number stands for two kinds.
#[test]
fn every_kind_is_in_the_document() {
    let rows = rows();
    let kinds = [
        RequestKind::ALL
            .iter()
            .map(|kind| (kind.number(), format!("{kind:?}")))
            .collect::<Vec<_>>(),
        ReplyKind::ALL.iter().map(|kind| (kind.number(), format!("{kind:?}"))).collect(),
        GreetingKind::ALL.iter().map(|kind| (kind.number(), format!("{kind:?}"))).collect(),
        PeerKind::ALL.iter().map(|kind| (kind.number(), format!("{kind:?}"))).collect(),
    ];
    let kinds = kinds.concat();
    for (number, name) in &kinds {
        let number = format!("0x{number:04X}");
        let is_there = rows.iter().any(|row| row.len() > 1 && row[0] == number && row[1] == *name);
        assert!(is_there, "no row | {number} | {name} |");
    }
    let mut numbers: Vec<u16> = kinds.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), kinds.len());
}

// Every error stands in the document with its number, name, outcome and retry hint.
#[test]
fn every_error_is_in_the_document() {
    let rows = rows();
    for code in ErrorCode::ALL {
        let (outcome, retry, _) = code.defaults();
        let outcome = match outcome {
            Outcome::NotExecuted => "not executed",
            Outcome::Executed => "executed",
            Outcome::Unknown => "unknown",
        };
        let retry = match retry {
            Retry::No => "no",
            Retry::Here => "here",
            Retry::Elsewhere => "elsewhere",
        };
        let wanted = [&code.number().to_string(), code.name(), outcome, retry];
        let is_there = rows.iter().any(|row| row.len() > 4 && row[..4] == wanted);
        assert!(is_there, "no row {wanted:?}");
        assert_eq!(ErrorCode::from_number(code.number()), *code);
    }
}

// The shards that the document computes for names are those that the code computes.
#[test]
fn shards_of_names_are_as_documented() {
    let rows = rows();
    for name in ["orders", "123456789", "größe/✓"] {
        let crc = crc32c::crc32c(name.as_bytes());
        let shard = |shards| ShardId::of_name(name, shards).to_string();
        let wanted = [name.to_string(), format!("0x{crc:08X}"), shard(2), shard(4), shard(7)];
        assert!(rows.contains(&wanted.to_vec()), "no row {wanted:?}");
    }
}
