//! How a command is typed: one synopsis for `--help`, for errors and for the manual. Also what both
//! programs want of all their arguments and cannot say at each.

use super::codes::{self, Code};
use clap::builder::{StyledStr, Styles};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Command};
use std::ffi::OsString;

/// The id of a group of flags one of which must be given.
pub const ONE_OF: &str = "one-of";
/// Columns of a usage, its title included.
const WIDTH: usize = 90;
/// What `--help` and errors put before a usage.
const TITLE: &str = "Usage: ";
/// What is behind a long name is indented by so much instead of below its end.
const INDENT_MAX: usize = 34;
/// Names of values that may begin with a hyphen only by mistake, which is then said as such.
const NUMBERS: &[&str] = &["N", "TIME", "BYTES", "SIZE", "COUNT", "A..B"];

/// How a word of a synopsis is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// As it is typed.
    Bold,
    /// Brackets and bars.
    Roman,
    /// What something is typed for.
    Italic,
}

/// What belongs together in a synopsis, such as `[--window N]`.
pub type Piece = Vec<(Face, String)>;

/// A program whose commands show what is to be typed and how they end.
#[must_use]
pub fn dressed(program: Command, codes: &'static [Code]) -> Command {
    let name = program.get_name().to_string();
    dress(program, &name, &[], codes)
}

fn dress(command: Command, name: &str, above: &[Arg], codes: &'static [Code]) -> Command {
    let command = command.mut_args(|arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let is_number = names.iter().any(|name| NUMBERS.contains(&name.as_str()));
        if is_number && !arg.is_positional() { arg.allow_hyphen_values(true) } else { arg }
    });
    let globals: Vec<Arg> =
        command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let own = |arg: &&Arg| !globals.iter().any(|own| own.get_id() == arg.get_id());
    let globals: Vec<Arg> = globals.iter().chain(above.iter().filter(own)).cloned().collect();
    let usage = text(name, &pieces(&command, &globals));
    let (_, path) = name.split_once(' ').unwrap_or_default();
    let mut ends = codes::help(codes, path);
    if let Some(more) = command.get_after_help() {
        ends.push_str(&format!("\n\n{more}"));
    }
    command.override_usage(usage).after_help(ends).mut_subcommands(|below| {
        let name = format!("{name} {}", below.get_name());
        dress(below, &name, &globals, codes)
    })
}

/// What stands behind a command's name: its own options, those of all commands, operands.
#[must_use]
pub fn pieces(command: &Command, globals: &[Arg]) -> Vec<Piece> {
    let is_shown =
        |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let shown: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    let (operands, options): (Vec<&Arg>, Vec<&Arg>) =
        shown.into_iter().partition(|arg| arg.is_positional());
    let own = options.into_iter().filter(|arg| !arg.is_global_set());
    let group = command.get_groups().find(|group| group.get_id().as_str() == ONE_OF);
    let (needed, own): (Vec<&Arg>, Vec<&Arg>) = own
        .partition(|arg| group.is_some_and(|group| group.get_args().any(|id| id == arg.get_id())));
    let mut pieces = Vec::new();
    if !needed.is_empty() {
        let mut piece = vec![(Face::Roman, "(".to_string())];
        for (at, arg) in needed.into_iter().enumerate() {
            piece.extend((at > 0).then(|| (Face::Roman, " | ".to_string())));
            piece.extend(flag(arg));
        }
        piece.push((Face::Roman, ")".to_string()));
        pieces.push(piece);
    }
    pieces.extend(own.into_iter().map(|arg| bracketed(arg, flag(arg))));
    let globals = globals.iter().filter(is_shown);
    pieces.extend(globals.map(|arg| bracketed(arg, flag(arg))));
    pieces.extend(operands.into_iter().map(|arg| bracketed(arg, vec![(Face::Italic, value(arg))])));
    if command.has_subcommands() {
        pieces.push(vec![(Face::Italic, "COMMAND".to_string()), (Face::Roman, " …".to_string())]);
    }
    pieces
}

/// In brackets, unless it must be given.
fn bracketed(arg: &Arg, inner: Piece) -> Piece {
    if arg.is_required_set() {
        return inner;
    }
    let around = |text: &str| (Face::Roman, text.to_string());
    [vec![around("[")], inner, vec![around("]")]].concat()
}

fn flag(arg: &Arg) -> Piece {
    let mut piece = Piece::new();
    if let Some(long) = arg.get_long() {
        piece.push((Face::Bold, format!("--{long}")));
    }
    if arg.get_action().takes_values() {
        piece.extend([(Face::Roman, " ".to_string()), (Face::Italic, value(arg))]);
    }
    piece
}

fn value(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

/// A synopsis as plain text, on as many lines as it takes.
fn text(name: &str, pieces: &[Piece]) -> String {
    let below = TITLE.len() + name.len() + 1;
    let indent = if below > INDENT_MAX { TITLE.len() + 4 } else { below };
    let mut text = name.to_string();
    let mut column = TITLE.len() + name.chars().count();
    for piece in pieces {
        let piece: String = piece.iter().map(|(_, word)| word.as_str()).collect();
        let width = piece.chars().count();
        if column + 1 + width > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(&piece);
        column += width;
    }
    text
}

/// Reads a command line. `reworded` may say first what a program has better words for.
///
/// # Errors
/// Wrong usage, with the usage of the command, and with the environment blamed for what came from
/// there; help and version, which were asked for.
pub fn matches(
    program: &Command,
    arguments: &[OsString],
    reworded: impl FnOnce(clap::Error) -> clap::Error,
) -> Result<ArgMatches, clap::Error> {
    let matches = program.clone().try_get_matches_from(arguments);
    matches.map_err(|error| explained(reworded(error), program, arguments))
}

fn explained(mut error: clap::Error, program: &Command, arguments: &[OsString]) -> clap::Error {
    // Only what is built has the options of all commands, and can name an argument.
    let mut program = program.clone();
    program.build();
    let command = typed(&program, arguments);
    if let Some(ContextValue::String(blamed)) = error.get(ContextKind::InvalidArg)
        && let Some(arg) = command.get_arguments().find(|arg| arg.to_string() == *blamed)
        && let Some(variable) = arg.get_env().and_then(|name| name.to_str())
        && std::env::var_os(variable).is_some()
        && !is_typed(arg, arguments)
    {
        let blamed = format!("{variable} of the environment ({blamed})");
        error.insert(ContextKind::InvalidArg, ContextValue::String(blamed));
    }
    // Clap shows none with a value that is refused.
    if error.use_stderr() && error.get(ContextKind::Usage).is_none() {
        let usage = titled_usage(command.clone());
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// The usage of a command, its title in the style that clap gives it.
fn titled_usage(mut command: Command) -> StyledStr {
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix(TITLE).unwrap_or(&usage);
    let style = Styles::styled();
    let style = style.get_usage();
    format!("{style}{}{style:#} {usage}", TITLE.trim_end()).into()
}

/// The command that a command line names.
fn typed<'a>(program: &'a Command, arguments: &[OsString]) -> &'a Command {
    let mut command = program;
    let mut words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if word.starts_with('-') {
            let takes_next = command.get_arguments().any(|arg| {
                let named = arg.get_long().is_some_and(|long| word == format!("--{long}"))
                    || arg.get_short().is_some_and(|short| word == format!("-{short}"));
                named && arg.get_action().takes_values()
            });
            if takes_next {
                words.next();
            }
            continue;
        }
        let Some(below) = command.find_subcommand(&*word) else { break };
        command = below;
    }
    command
}

/// True where the command line gives the flag.
fn is_typed(arg: &Arg, arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| {
        let word = word.to_string_lossy();
        let long = arg.get_long().map(|long| format!("--{long}"));
        let long = long.is_some_and(|long| {
            word.strip_prefix(&long).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        let is_short = |short: char| {
            word.starts_with('-') && !word.starts_with("--") && word[1..].starts_with(short)
        };
        long || arg.get_short().is_some_and(is_short)
    })
}
