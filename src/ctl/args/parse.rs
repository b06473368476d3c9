//! Reading the command line: what goes together, and what the environment adds.

use super::{Append, Cli, Command, Read, Wait};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use std::ffi::OsString;

/// Reads the command line. What stands on it wins over the environment, also where the two say
/// things that do not go together.
///
/// # Errors
/// Wrong usage; help and version, which were asked for.
pub fn parse<I>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = Cli::command()
        .try_get_matches_from(&arguments)
        .map_err(|error| explained(error, &arguments))?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let typed = Typed(&matches);
    match &mut cli.command {
        Command::Append(append) => typed.settle_append(append)?,
        Command::Read(read) => typed.settle_read(read)?,
        Command::Wait(wait) => typed.settle_wait(wait)?,
        Command::Create { .. }
        | Command::Delete { .. }
        | Command::List { .. }
        | Command::Stat { .. }
        | Command::Status
        | Command::Verify(_)
        | Command::DiskCheck(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Bench(_)
        | Command::Top(_) => {}
    }
    Ok(cli)
}

/// Endpoints with a blank behind a comma, and no quotes: the shell makes words of them, and the
/// second one stands where the command should be.
fn explained(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let is_cut = |words: &[OsString]| {
        let [flag, value] = words else { return false };
        let flag = flag.to_string_lossy();
        let cut = |word: &str| word.ends_with(',');
        (flag == "--endpoints" && cut(&value.to_string_lossy()))
            || (flag.starts_with("--endpoints=") && cut(&flag))
    };
    if error.kind() != ErrorKind::InvalidSubcommand || !arguments.windows(2).any(is_cut) {
        return error;
    }
    let text = "--endpoints ends with a comma: endpoints are separated by commas, without blanks \
                (or quote them all)";
    Cli::command().error(ErrorKind::InvalidValue, text)
}

/// What was typed, as opposed to what the environment adds.
struct Typed<'a>(&'a ArgMatches);

impl Typed<'_> {
    fn has(&self, flag: &str) -> bool {
        let of_command = self.0.subcommand().map(|(_, of_command)| of_command);
        of_command.and_then(|found| found.value_source(flag)) == Some(ValueSource::CommandLine)
    }

    /// Wrong usage, with the usage of the command that was typed.
    fn wrong<T>(&self, kind: ErrorKind, text: &str) -> Result<T, clap::Error> {
        let mut program = Cli::command();
        program.build();
        let name = self.0.subcommand_name().unwrap_or_default();
        let command = program.find_subcommand_mut(name);
        let command = command.expect("a command that was parsed is one of the program's");
        Err(command.error(kind, text))
    }

    /// DATA, `--lines` and `--jsonl` exclude each other.
    fn settle_append(&self, append: &mut Append) -> Result<(), clap::Error> {
        let (lines, jsonl) = (self.has("lines"), self.has("jsonl"));
        let text = match (append.data.is_some(), lines, jsonl) {
            (true, true, _) => {
                "DATA and --lines do not go together: an entry, or the input's lines"
            }
            (true, _, true) => {
                "DATA and --jsonl do not go together: an entry, or the input's lines"
            }
            (false, true, true) => "give one of --lines and --jsonl",
            (true, false, false) => {
                (append.lines, append.jsonl) = (false, false);
                return Ok(());
            }
            (false, true, false) => {
                append.jsonl = false;
                return Ok(());
            }
            (false, false, true) => {
                append.lines = false;
                return Ok(());
            }
            (false, false, false) if append.lines && append.jsonl => {
                "PAXOSCTL_LINES and PAXOSCTL_JSONL are both set: unset one of them"
            }
            (false, false, false) => return Ok(()),
        };
        self.wrong(ErrorKind::ArgumentConflict, text)
    }

    /// `--from` and `--last` exclude each other.
    fn settle_read(&self, read: &mut Read) -> Result<(), clap::Error> {
        if read.from.is_none() || read.last.is_none() {
            return Ok(());
        }
        match (self.has("from"), self.has("last")) {
            (true, false) => read.last = None,
            (false, true) => read.from = None,
            (true, true) | (false, false) => {
                let text =
                    "give one of --from and --last: the entries from one on, or the last ones";
                return self.wrong(ErrorKind::ArgumentConflict, text);
            }
        }
        Ok(())
    }

    /// One of `--quorum` and `--ready` is needed.
    fn settle_wait(&self, wait: &mut Wait) -> Result<(), clap::Error> {
        match (self.has("quorum"), self.has("ready")) {
            (true, true) => {
                self.wrong(ErrorKind::ArgumentConflict, "give one of --quorum and --ready")
            }
            (true, false) => {
                wait.ready = false;
                Ok(())
            }
            (false, true) => {
                wait.quorum = false;
                Ok(())
            }
            (false, false) if wait.quorum == wait.ready => {
                let text = "say what to wait for: --quorum or --ready";
                self.wrong(ErrorKind::MissingRequiredArgument, text)
            }
            (false, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Cli, clap::Error> {
        parse(["paxosctl"].iter().chain(line).map(OsString::from))
    }

    /// What contradicts itself is wrong usage: exit code 2, as clap gives it.
    #[test]
    fn contradictions_are_wrong_usage() {
        for line in [
            &[][..],
            &["append", "x", "data", "--lines"],
            &["append", "x", "data", "--jsonl"],
            &["append", "x", "--lines", "--jsonl"],
            &["wait"],
            &["wait", "--quorum", "--ready"],
            &["read", "x", "--from", "-1"],
            &["read", "x", "--from", "1", "--last", "2"],
            &["read", "x", "--consistency", "eventual"],
            &["list", "--timeout", "0"],
            &["list", "--timeout", "5 minutes"],
            &["list", "--cluster", "7"],
            &["append", "x", "--lines", "--window", "0"],
            &["verify"],
            &["disk-check", ".", "--seconds", "0"],
            &["disk-check", ".", "--bytes", "12"],
            &["disk-check", ".", "--bytes", "1MB"],
            &["completions", "cmd.exe"],
        ] {
            let error = parsed(line).expect_err("a contradiction");
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }

    /// An error shows the usage of the command that was typed, not of the program.
    #[test]
    fn errors_show_the_usage_of_their_command() {
        for (line, usage) in [
            (
                &["append", "x", "data", "--lines"][..],
                "Usage: paxosctl append [OPTIONS] <NAME> [DATA]",
            ),
            (&["wait"], "Usage: paxosctl wait [OPTIONS]"),
            (&["read", "x", "--from", "1", "--last", "2"], "Usage: paxosctl read [OPTIONS] <NAME>"),
            (&["read"], "Usage: paxosctl read <NAME>"),
            (&["ls", "--wrong"], "Usage: paxosctl list [OPTIONS] [PREFIX]"),
        ] {
            let text = parsed(line).expect_err("wrong usage").to_string();
            assert!(text.contains(usage), "{line:?}: {text}");
        }
    }

    /// The usual short names work.
    #[test]
    fn aliases_are_the_commands_they_stand_for() {
        let list = parsed(&["ls", "or"]).expect("an alias").command;
        assert!(matches!(list, Command::List { prefix, .. } if prefix == "or"));
        let delete = parsed(&["rm", "orders"]).expect("an alias").command;
        assert!(matches!(delete, Command::Delete { name } if name == "orders"));
    }
}
