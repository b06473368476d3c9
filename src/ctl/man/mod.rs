//! Manual pages: those of the programs from the definitions of their arguments, that of the
//! configuration from its sample.

mod config;

use super::args::Cli;
use super::exit::Failure;
use super::node;
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// The line at the foot of each page.
const SOURCE: &str = concat!("paxosd ", env!("CARGO_PKG_VERSION"));
/// The line at the head of each page.
const MANUAL: &str = "paxosd manual";

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its name, as in `man NAME`.
    pub name: String,
    /// Its section: 1 commands, 5 files, 8 daemons.
    pub section: u8,
    /// Its text, in roff.
    pub text: Vec<u8>,
}

impl Page {
    /// Where it belongs below `share/man`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("man{}/{}.{}", self.section, self.name, self.section)
    }
}

/// Prints the page of `paxosctl`; or writes all pages to where `man` looks for them below `dir`,
/// such as `/usr/share/man`, and prints their paths.
pub fn man(dir: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let pages = pages().map_err(Failure::Output)?;
    let Some(dir) = dir else {
        let first = pages.iter().find(|page| page.name == "paxosctl");
        let page = first.expect("the list holds the page of this very program");
        return out.write_all(&page.text).map_err(Failure::Output);
    };
    for page in &pages {
        let path = dir.join(page.path());
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).and_then(|()| fs::write(&path, &page.text)).map_err(
            |error| {
                Failure::Other(format!(
                    "{} cannot be written: {error}; give --dir a directory that is yours",
                    path.display()
                ))
            },
        )?;
        writeln!(out, "{}", path.display()).map_err(Failure::Output)?;
    }
    Ok(())
}

/// Every page, sorted by section and name.
///
/// # Errors
/// None that happen: what is written goes to memory.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for (mut program, section) in [(Cli::command(), 1), (node::program(), 8)] {
        program = program.disable_help_subcommand(true);
        program.build();
        let names: Vec<String> = program.get_subcommands().map(page_name).collect();
        pages.push(page(&program, section, &names)?);
        for command in program.get_subcommands() {
            pages.push(page(command, section, &[page_name(&program)])?);
        }
    }
    pages.push(Page { name: "paxosd.toml".to_string(), section: 5, text: config::page()? });
    pages.sort_by(|a, b| (a.section, &a.name).cmp(&(b.section, &b.name)));
    Ok(pages)
}

fn page_name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_string()
}

/// The page of a program or of one of its commands. `others` are pages of the same section.
fn page(command: &clap::Command, section: u8, others: &[String]) -> io::Result<Page> {
    let mut text = Vec::new();
    let number = section.to_string();
    Man::new(command.clone()).section(&number).source(SOURCE).manual(MANUAL).render(&mut text)?;
    let others = others.iter().map(|name| format!("{name}({section})"));
    let both = ["paxosctl(1)", "paxosd(8)", "paxosd.toml(5)"].map(str::to_string);
    let name = page_name(command);
    let own = format!("{name}({section})");
    let mut related: Vec<String> = both.into_iter().chain(others).filter(|at| *at != own).collect();
    related.sort();
    related.dedup();
    text.extend(see_also(&related).to_roff().into_bytes());
    Ok(Page { name, section, text })
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

    fn all() -> Vec<Page> {
        pages().expect("memory takes everything")
    }

    fn text_of(page: &Page) -> String {
        // In roff a hyphen that is meant as one is escaped.
        String::from_utf8(page.text.clone()).expect("UTF-8").replace("\\-", "-")
    }

    /// Every command has a page, and each flag, default and variable of it stands there.
    #[test]
    fn every_flag_has_its_place_on_a_page() {
        let pages = all();
        let (mut flags, mut commands) = (0, 0);
        for (program, section) in [(Cli::command(), 1), (node::program(), 8)] {
            let mut program = program.disable_help_subcommand(true);
            program.build();
            for command in program.get_subcommands().chain([&program]) {
                let name = page_name(command);
                let page = pages.iter().find(|page| page.name == name && page.section == section);
                let text = text_of(page.unwrap_or_else(|| panic!("{name} has no page")));
                commands += 1;
                for arg in command.get_arguments() {
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
