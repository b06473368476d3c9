//! Completions for shells, from the definitions of the arguments.

use clap_complete::{Shell, generate};

/// The script that teaches a shell the commands and flags of a program.
#[must_use]
pub fn script(shell: Shell, mut program: clap::Command) -> Vec<u8> {
    let name = program.get_name().to_string();
    let mut text = Vec::new();
    generate(shell, &mut program, name, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::super::{args, node};
    use super::*;
    use clap::ValueEnum;

    /// For every shell, every command and every flag of both programs is in the script.
    #[test]
    fn every_flag_is_completed_in_every_shell() {
        let mut seen = 0;
        for program in [args::program(), node::program()] {
            for shell in Shell::value_variants() {
                let text = String::from_utf8(script(*shell, program.clone())).expect("UTF-8");
                let mut built = program.clone();
                built.build();
                for command in built.get_subcommands() {
                    let name = command.get_name();
                    assert!(text.contains(name), "{shell}: {name} is missing");
                    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
                    for flag in shown.filter_map(clap::Arg::get_long) {
                        // fish writes `-l flag`.
                        let ways = [format!("--{flag}"), format!("-l {flag}")];
                        let found = ways.iter().any(|way| text.contains(way.as_str()));
                        assert!(found, "{shell}: {name} --{flag} is missing");
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 100, "the walk saw only {seen} flags");
    }
}
