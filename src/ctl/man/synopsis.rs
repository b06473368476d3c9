//! SYNOPSIS as it is typed: that of `--help` and of errors, in the faces of a manual page.

use super::super::usage::{Face, pieces};
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// The section of a command that is built, so that it has the options of all commands.
#[must_use]
pub fn section(command: &clap::Command) -> Roff {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(name)];
    let globals: Vec<_> =
        command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    for piece in pieces(command, &globals) {
        line.push(roman(" "));
        line.extend(piece.into_iter().map(|(face, word)| inline(face, word)));
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text(line);
    roff
}

fn inline(face: Face, word: String) -> Inline {
    match face {
        Face::Bold => bold(word),
        Face::Roman => roman(word),
        Face::Italic => italic(word),
    }
}
