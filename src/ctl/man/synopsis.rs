//! SYNOPSIS as it is typed: each option with its value, what must be given, and in which order.

use clap::Arg;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// The section of a command.
#[must_use]
pub fn section(command: &clap::Command) -> Roff {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(name)];
    let shown =
        |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let all: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) =
        all.into_iter().partition(|arg| arg.is_positional());
    let (global, own): (Vec<&Arg>, Vec<&Arg>) =
        options.into_iter().partition(|arg| arg.is_global_set());
    own.iter().for_each(|arg| option(&mut line, arg));
    for arg in positional {
        let (before, after) = if arg.is_required_set() { (" ", "") } else { (" [", "]") };
        line.extend([roman(before), italic(value(arg)), roman(after)]);
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("COMMAND"), roman(" …")]);
    }
    global.iter().for_each(|arg| option(&mut line, arg));
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text(line);
    roff
}

fn option(line: &mut Vec<Inline>, arg: &Arg) {
    let Some(long) = arg.get_long() else { return };
    let (before, after) = if arg.is_required_set() { (" ", "") } else { (" [", "]") };
    line.extend([roman(before), bold(format!("--{long}"))]);
    if arg.get_action().takes_values() {
        line.extend([roman(" "), italic(value(arg))]);
    }
    line.push(roman(after));
}

fn value(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}
