//! The page of `paxosd.toml`, from the sample: each key with the comment above it.

use super::{MANUAL, SOURCE, see_also};
use clap_mangen::roff::{Inline, Roff, bold, roman};
use std::io;

/// The reference of the configuration.
const SAMPLE: &str = include_str!("../../../paxosd.toml");

/// One stretch of the sample without an empty line in it.
#[derive(Debug, Default)]
struct Block {
    /// Its comment, the `#` taken off.
    comment: Vec<String>,
    /// What follows: keys with their values, or the head of a table.
    lines: Vec<String>,
}

fn blocks() -> Vec<Block> {
    let mut blocks = vec![Block::default()];
    for line in SAMPLE.lines() {
        let last = blocks.last_mut().expect("the list starts with one and only grows");
        match line.strip_prefix('#') {
            Some(text) => last.comment.push(text.strip_prefix(' ').unwrap_or(text).to_string()),
            None if line.is_empty() => blocks.push(Block::default()),
            None => last.lines.push(line.to_string()),
        }
    }
    blocks.retain(|block| !block.comment.is_empty() || !block.lines.is_empty());
    blocks
}

/// The title of `--- Title ------`.
fn title(block: &Block) -> Option<&str> {
    let first = block.comment.first()?.strip_prefix("--- ")?;
    Some(first.trim_end_matches('-').trim_end())
}

/// Words in backticks are bold.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').zip([false, true].iter().cycle());
    parts.map(|(part, quoted)| if *quoted { bold(part) } else { roman(part) }).collect()
}

/// A comment as paragraphs; lines that are indented stand as they are.
fn prose(roff: &mut Roff, comment: &[String]) {
    let mut paragraph: Vec<&str> = Vec::new();
    let flush = |roff: &mut Roff, paragraph: &mut Vec<&str>| {
        if !paragraph.is_empty() {
            roff.text(inlines(&paragraph.join(" ")));
            paragraph.clear();
        }
    };
    for line in comment {
        match line.as_str() {
            "" => {
                flush(roff, &mut paragraph);
                roff.control("PP", []);
            }
            line if line.starts_with("  ") => {
                flush(roff, &mut paragraph);
                roff.control("nf", []).text([roman(line)]).control("fi", []);
            }
            line => paragraph.push(line),
        }
    }
    flush(roff, &mut paragraph);
}

/// The page, in roff.
pub fn page() -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", ["paxosd.toml", "5", "", SOURCE, MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("paxosd.toml - configuration of a node of a paxosd cluster")]);
    roff.control("SH", ["DESCRIPTION"]);
    let blocks = blocks();
    let (head, rest) = blocks.split_first().expect("the sample begins with a comment");
    prose(&mut roff, &head.comment);
    roff.control("SH", ["KEYS"]);
    let mut example: Option<&Block> = None;
    for block in rest {
        if let Some(title) = title(block) {
            roff.control("SS", [title]);
        } else if block.lines.first().is_some_and(|line| line.starts_with('[')) {
            example = example.or(Some(block));
        } else if block.lines.is_empty() {
            prose(&mut roff, &block.comment);
        } else {
            key(&mut roff, block);
        }
    }
    if let Some(block) = example {
        roff.control("SH", ["EXAMPLE"]).control("nf", []);
        for line in &block.lines {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.control("SH", ["FILES"]).text([roman("/etc/paxosd.toml")]);
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    let related = ["paxosctl(1)", "paxosd(8)"].map(str::to_string);
    text.extend(see_also(&related).to_roff().into_bytes());
    Ok(text)
}

/// A key, or several that share a comment, each with the value that the sample gives it.
fn key(roff: &mut Roff, block: &Block) {
    for (line, tag) in block.lines.iter().zip(["TP"].into_iter().chain(std::iter::repeat("TQ"))) {
        let (name, value) = line.split_once(" = ").unwrap_or((line, ""));
        roff.control(tag, []).text([bold(name), roman(format!(" = {value}"))]);
    }
    prose(roff, &block.comment);
}
