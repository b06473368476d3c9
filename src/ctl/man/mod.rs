//! Manual pages: those of the programs from the definitions of their arguments, that of the
//! configuration from its sample.

mod config;
mod examples;
mod synopsis;

use super::args;
use super::codes::{self, Code};
use super::exit::CommandFailure;
use super::node;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// The line at the foot of each page.
const SOURCE: &str = concat!("paxosd ", env!("CARGO_PKG_VERSION"));
/// The line at the head of each page.
const MANUAL: &str = "paxosd manual";

/// One page.
#[derive(Clone, Debug)]
pub struct ManPage {
    /// Its name, as in `man NAME`.
    pub name: String,
    /// Its section: 1 commands, 5 files, 8 daemons.
    pub section: u8,
    /// Its text, in roff.
    pub text: Vec<u8>,
}

impl ManPage {
    /// Where it belongs below `share/man`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("man{}/{}.{}", self.section, self.name, self.section)
    }
}

/// Prints the page of `paxosctl`; or writes all pages to where `man` looks for them below `dir`,
/// such as `/usr/share/man`, and prints their paths.
pub fn man(dir: Option<&Path>, out: &mut dyn Write) -> Result<(), CommandFailure> {
    let pages = pages().map_err(CommandFailure::Output)?;
    let Some(dir) = dir else {
        let first = pages.iter().find(|page| page.name == "paxosctl");
        let page = first.expect("the list holds the page of this very program");
        return out.write_all(&page.text).map_err(CommandFailure::Output);
    };
    for page in &pages {
        let path = dir.join(page.path());
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).and_then(|()| fs::write(&path, &page.text)).map_err(
            |error| {
                CommandFailure::Other(format!(
                    "{} cannot be written: {error}; give --dir a directory that is yours",
                    path.display()
                ))
            },
        )?;
        writeln!(out, "{}", path.display()).map_err(CommandFailure::Output)?;
    }
    Ok(())
}

/// Every page, sorted by section and name.
///
/// # Errors
/// None that happen: what is written goes to memory.
pub fn pages() -> io::Result<Vec<ManPage>> {
    let mut pages = Vec::new();
    for (mut program, section, codes) in
        [(args::program(), 1, codes::PAXOSCTL), (node::program(), 8, codes::PAXOSD)]
    {
        program = program.disable_help_subcommand(true);
        program.build();
        let help = program.get_after_help().map(ToString::to_string).unwrap_or_default();
        let environment = help.split_once("\n\n").map(|(_, below)| below.to_string());
        let ends = Ends { codes, environment: environment.unwrap_or_default() };
        pages_of(&program, section, None, &ends, &mut pages)?;
    }
    pages.push(ManPage { name: "paxosd.toml".to_string(), section: 5, text: config::page()? });
    pages.sort_by(|a, b| (a.section, &a.name).cmp(&(b.section, &b.name)));
    Ok(pages)
}

/// What the pages of a program have in common: how its commands end, and what is said of their
/// environment.
struct Ends {
    codes: &'static [Code],
    environment: String,
}

/// The page of a command, and those of its own commands, on all levels.
fn pages_of(
    command: &clap::Command,
    section: u8,
    above: Option<&str>,
    ends: &Ends,
    pages: &mut Vec<ManPage>,
) -> io::Result<()> {
    let name = page_name(command);
    let below = command.get_subcommands().map(page_name);
    let others: Vec<String> = above.map(str::to_string).into_iter().chain(below).collect();
    pages.push(page(command, section, &others, ends)?);
    for inner in command.get_subcommands() {
        pages_of(inner, section, Some(&name), ends, pages)?;
    }
    Ok(())
}

fn page_name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_string()
}

/// The page of a program or of one of its commands. `others` are pages of the same section.
fn page(
    command: &clap::Command,
    section: u8,
    others: &[String],
    ends: &Ends,
) -> io::Result<ManPage> {
    let mut text = Vec::new();
    let number = section.to_string();
    let man = Man::new(command.clone()).section(&number).source(SOURCE).manual(MANUAL);
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    text.extend(synopsis::section(command).to_roff().into_bytes());
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    text.extend(exit_status(command, ends).to_roff().into_bytes());
    text.extend(examples(&page_name(command)).to_roff().into_bytes());
    let others = others.iter().map(|name| format!("{name}({section})"));
    let both = ["paxosctl(1)", "paxosd(8)", "paxosd.toml(5)"].map(str::to_string);
    let name = page_name(command);
    let own = format!("{name}({section})");
    let mut related: Vec<String> = both.into_iter().chain(others).filter(|at| *at != own).collect();
    related.sort();
    related.dedup();
    text.extend(see_also(&related).to_roff().into_bytes());
    Ok(ManPage { name, section, text })
}

/// The exit codes, each with its meaning indented; then what there is to say of the environment.
fn exit_status(command: &clap::Command, ends: &Ends) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let (_, path) = name.split_once(' ').unwrap_or_default();
    for (code, meaning) in codes::of(ends.codes, path) {
        roff.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    if !ends.environment.is_empty() {
        roff.control("SH", ["ENVIRONMENT"]).text([roman(ends.environment.as_str())]);
    }
    roff
}

/// What can be typed, each with what it does.
fn examples(page: &str) -> Roff {
    let mut roff = Roff::new();
    let examples = examples::of(page);
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (what, line) in examples {
        if !what.is_empty() {
            roff.control("PP", []).text([roman(*what)]);
        }
        roff.control("RS", ["4"]).control("nf", []).text([bold(*line)]).control("fi", []);
        roff.control("RE", []);
    }
    roff
}

fn see_also(pages: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([roman(pages.join(", "))]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{KEYS, MEMBER_KEYS};

    fn all() -> Vec<ManPage> {
        pages().expect("memory takes everything")
    }

    fn text_of(page: &ManPage) -> String {
        // In roff a hyphen that is meant as one is escaped.
        String::from_utf8(page.text.clone()).expect("UTF-8").replace("\\-", "-")
    }

    /// A command and all below it.
    fn with_inner(command: &clap::Command) -> Vec<&clap::Command> {
        let inner = command.get_subcommands().flat_map(with_inner);
        std::iter::once(command).chain(inner).collect()
    }

    /// Every page that another one names exists, on whatever level.
    #[test]
    fn every_page_referred_to_exists() {
        let pages = all();
        let exist: Vec<String> =
            pages.iter().map(|page| format!("{}({})", page.name, page.section)).collect();
        let mut references = 0;
        for page in &pages {
            let text = text_of(page);
            let words = text.split(|c: char| c.is_whitespace() || c == ',');
            let names = |word: &&str| {
                let section = word.strip_suffix(')').and_then(|word| word.rsplit_once('('));
                section.is_some_and(|(_, section)| section.parse::<u8>().is_ok())
            };
            for word in words.filter(names) {
                assert!(exist.iter().any(|page| page == word), "{} refers to {word}", page.name);
                references += 1;
            }
        }
        assert!(references > 50, "only {references} references were found");
        for page in ["paxosctl-bench(1)", "paxosctl-bench-append(1)", "paxosctl-bench-read(1)"] {
            assert!(exist.iter().any(|exists| exists == page), "{page} is missing");
        }
    }

    /// Exit codes stand under the heading that people look for, each as an item of its own.
    #[test]
    fn exit_codes_have_their_heading() {
        let pages = all();
        for (name, codes) in [
            ("paxosctl", 14),
            ("paxosd", 7),
            ("paxosctl-bench-read", 11),
            ("paxosctl-list", 5),
            ("paxosd-init", 6),
        ] {
            let page = pages.iter().find(|page| page.name == name).expect("the program has a page");
            let text = text_of(page);
            let (_, below) = text.split_once(".SH \"EXIT STATUS\"\n").expect("a heading");
            let section = below.split(".SH ").next().unwrap_or_default();
            assert_eq!(section.matches(".TP\n\\fB").count(), codes, "{name}:\n{section}");
            assert!(!section.contains("Exit codes") && !text.contains("EXTRA"), "{name}:\n{text}");
        }
        let first = pages.iter().find(|page| page.name == "paxosctl").expect("its page");
        assert!(text_of(first).contains(".SH ENVIRONMENT\nEvery flag can also"));
    }

    /// Each page of a command has the sections that people look for, in the usual order, and a
    /// synopsis that can be typed.
    #[test]
    fn pages_have_the_usual_sections() {
        for page in all().iter().filter(|page| page.section != 5) {
            let text = text_of(page);
            let heads = text.lines().filter_map(|line| line.strip_prefix(".SH "));
            let heads: Vec<&str> = heads.map(|head| head.trim_matches('"')).collect();
            let wanted = [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "EXIT STATUS",
                "EXAMPLES",
                "SEE ALSO",
            ];
            let found: Vec<&str> =
                heads.iter().copied().filter(|head| wanted.contains(head)).collect();
            assert_eq!(found, wanted, "{} has {heads:?}", page.name);
        }
        let synopsis = |name: &str| {
            let page = all().into_iter().find(|page| page.name == name).expect("it has a page");
            let text = text_of(&page).replace("\\fB", "").replace("\\fI", "").replace("\\fR", "");
            let line = text.split(".SH SYNOPSIS\n").nth(1).and_then(|rest| rest.lines().next());
            line.expect("a synopsis").to_string()
        };
        let append = synopsis("paxosctl-append");
        assert!(
            append.starts_with("paxosctl append [--lines] [--jsonl] [--expect N] [--create]"),
            "{append}"
        );
        assert!(append.ends_with(" [--timeout TIME] NAME [DATA]"), "operands are last: {append}");
        assert!(synopsis("paxosctl").starts_with("paxosctl [--endpoints HOST[:PORT],…] "));
        assert!(synopsis("paxosctl").ends_with(" COMMAND …"));
        assert!(synopsis("paxosctl-wait").starts_with("paxosctl wait (--quorum | --ready) ["));
        assert_eq!(synopsis("paxosctl-man"), "paxosctl man [--dir DIR]");
        assert!(synopsis("paxosd-init").starts_with("paxosd init [--config FILE]"));
    }

    /// Every command has a page, and each flag, default and variable of it stands there.
    #[test]
    fn every_flag_has_its_place_on_a_page() {
        let pages = all();
        let (mut flags, mut commands) = (0, 0);
        for (program, section) in [(args::program(), 1), (node::program(), 8)] {
            let mut program = program.disable_help_subcommand(true);
            program.build();
            for command in with_inner(&program) {
                let name = page_name(command);
                let page = pages.iter().find(|page| page.name == name && page.section == section);
                let text = text_of(page.unwrap_or_else(|| panic!("{name} has no page")));
                commands += 1;
                for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                    if let Some(long) = arg.get_long() {
                        assert!(text.contains(&format!("--{long}")), "{name} lacks --{long}");
                        flags += 1;
                    }
                    if let Some(variable) = arg.get_env().and_then(|name| name.to_str()) {
                        assert!(text.contains(variable), "{name} lacks {variable}");
                    }
                }
                for inner in command.get_subcommands() {
                    assert!(text.contains(&page_name(inner)), "{name} does not name its commands");
                }
            }
        }
        assert!(flags > 50 && commands > 15, "{flags} flags of {commands} commands");
        assert_eq!(pages.len(), commands + 1, "the page of paxosd.toml, and no other");
    }

    /// The page of the configuration has every key, each as a paragraph of its own.
    #[test]
    fn every_key_has_its_place_in_section_five() {
        let pages = all();
        let page = pages.iter().find(|page| page.section == 5).expect("a page of section 5");
        assert_eq!(page.path(), "man5/paxosd.toml.5");
        let text = text_of(page);
        for key in KEYS {
            assert!(text.contains(&format!("\\fB{}\\fR = ", key.name)), "{} is missing", key.name);
        }
        for key in MEMBER_KEYS {
            assert!(text.contains(&format!("\\fB{}\\fR", key.name)), "{} is missing", key.name);
        }
        for part in [".SH NAME", ".SH DESCRIPTION", ".SH KEYS", ".SH EXAMPLE"] {
            assert!(text.contains(part), "{part} is missing");
        }
    }
}
