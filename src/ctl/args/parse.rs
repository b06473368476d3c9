//! Reading the command line: what goes together, and what the environment adds.

use super::super::usage;
use super::{AppendArgs, Cli, Command, Format, ReadArgs, Wait, program};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
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
    let cut = |error| cut_endpoints(error, &arguments);
    let matches = usage::matches(&program(), &arguments, cut)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let typed = Typed(&matches);
    typed.settle_output(&mut cli)?;
    match &mut cli.command {
        Command::Append(append) => typed.settle_append(append)?,
        Command::Read(read) => typed.settle_read(read)?,
        Command::Wait(wait) => typed.settle_wait(wait)?,
        Command::DeclareLost { yes: false, .. } => {
            let text = "say --yes: entries that are declared lost stay so for good";
            return typed.wrong(ErrorKind::MissingRequiredArgument, text);
        }
        Command::Create { .. }
        | Command::Get { .. }
        | Command::Put(_)
        | Command::Delete { .. }
        | Command::Trim { .. }
        | Command::DeclareLost { yes: true, .. }
        | Command::Seal { .. }
        | Command::Set { .. }
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
fn cut_endpoints(error: clap::Error, arguments: &[OsString]) -> clap::Error {
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
    program().error(ErrorKind::InvalidValue, text)
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
        let mut program = program();
        program.build();
        let (mut command, mut matches) = (&mut program, self.0);
        while let Some((name, below)) = matches.subcommand() {
            command = command
                .find_subcommand_mut(name)
                .expect("a command that was parsed is one of the program's");
            matches = below;
        }
        Err(command.error(kind, text))
    }

    /// A form that the command does not have is wrong usage where it was typed. The environment
    /// speaks for all commands: what means nothing to this one is ignored, and said to be.
    fn settle_output(&self, cli: &mut Cli) -> Result<(), clap::Error> {
        let Some(form) = cli.global.output else { return Ok(()) };
        let (forms, why) = forms(&cli.command);
        if forms.contains(&form) {
            return Ok(());
        }
        if self.has("output") {
            return self.wrong(ErrorKind::ArgumentConflict, why);
        }
        cli.global.output = None;
        cli.notes.push(format!("PAXOSCTL_OUTPUT of the environment is ignored: {why}"));
        Ok(())
    }

    /// DATA, `--lines` and `--jsonl` exclude each other.
    fn settle_append(&self, append: &mut AppendArgs) -> Result<(), clap::Error> {
        let (lines, jsonl) = (self.has("lines"), self.has("jsonl"));
        let pipelined = append.data.is_none() && (append.lines || append.jsonl);
        if self.has("window") && !pipelined {
            let text = "--window goes with --lines or --jsonl: one entry has nothing beside it";
            return self.wrong(ErrorKind::ArgumentConflict, text);
        }
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
    fn settle_read(&self, read: &mut ReadArgs) -> Result<(), clap::Error> {
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

/// The forms of output that a command has, and what is said of another one.
fn forms(command: &Command) -> (&'static [Format], &'static str) {
    use Format::{Json, Jsonl, Raw, Table};
    match command {
        Command::Top(_) => {
            (&[Table], "top prints no other form than table; paxosctl status -o json does")
        }
        Command::Bench(_) => (&[Table, Json], "bench prints a table or json (-o)"),
        Command::Read(read) if read.exact => {
            (&[Raw], "--exact prints bytes as they are, which only -o raw does")
        }
        Command::Read(read) if read.follow => (
            &[Table, Jsonl, Raw],
            "-o json is one document and never ends with --follow; use -o jsonl",
        ),
        Command::Read(_)
        | Command::Create { .. }
        | Command::Get { .. }
        | Command::Put(_)
        | Command::Delete { .. }
        | Command::Trim { .. }
        | Command::DeclareLost { .. }
        | Command::Seal { .. }
        | Command::Set { .. }
        | Command::List { .. }
        | Command::Stat { .. }
        | Command::Append(_)
        | Command::Status
        | Command::Wait(_)
        | Command::Verify(_)
        | Command::DiskCheck(_)
        | Command::Completions { .. }
        | Command::Man { .. } => (&[Table, Json, Jsonl, Raw], ""),
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
            &["read", "x", "--from", "now"],
            &["read", "x", "--from", "1", "--last", "2"],
            &["trim", "x"],
            &["declare-lost", "x", "--from", "1", "--before", "2"],
            &["declare-lost", "x", "--from", "1", "--yes"],
            &["put", "x"],
            &["get"],
            &["set", "x"],
            &["set", "x", "sealed=false"],
            &["set", "x", "retain.age"],
            &["set", "x", "retain.age=7"],
            &["create", "x", "--retain-age", "1w"],
            &["set", "x", "retain.colour=1"],
            &["read", "x", "--consistency", "eventual"],
            &["list", "--timeout", "0"],
            &["list", "--timeout", "5 minutes"],
            &["list", "--cluster", "7"],
            &["append", "x", "--lines", "--window", "0"],
            &["append", "x", "data", "--window", "5"],
            &["append", "x", "--window", "5"],
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
            (&["append", "x", "data", "--lines"][..], "append [--lines] [--jsonl] [--expect N]"),
            (&["append", "orders", "x", "--expct", "3"], "append [--lines] [--jsonl] [--expect N]"),
            (&["append"], "append [--lines] [--jsonl] [--expect N]"),
            (&["wait"], "wait (--quorum | --ready) [--endpoints HOST[:PORT],…]"),
            (
                &["read", "x", "--from", "1", "--last", "2"],
                "read [--from INDEX] [--on-gap HOW] [--last N]",
            ),
            (&["read", "x", "--timeout", "5x"], "read [--from INDEX] [--on-gap HOW] [--last N]"),
            (&["--timeout", "0", "read", "x"], "read [--from INDEX] [--on-gap HOW] [--last N]"),
            (&["read", "x", "--from", "now"], "read [--from INDEX] [--on-gap HOW] [--last N]"),
            (&["read", "x", "-o", "xml"], "read [--from INDEX] [--on-gap HOW] [--last N]"),
            (&["read"], "read [--from INDEX] [--on-gap HOW] [--last N]"),
            (&["ls", "--wrong"], "list [--consistency LEVEL] [--endpoints HOST[:PORT],…]"),
            (&["ls", "--consistency", "old"], "list [--consistency LEVEL]"),
            (&["rm"], "delete [--endpoints HOST[:PORT],…] [--output FORM]"),
            (&["bench", "append", "--seconds", "0"], "bench append [--connections N] [--window N]"),
            (&["verify", "--wrong", "x"], "verify [--output FORM] DIR"),
        ] {
            let text = parsed(line).expect_err("wrong usage").to_string();
            let usage = format!("\n\nUsage: paxosctl {usage}");
            assert_eq!(text.matches("Usage: ").count(), 1, "{line:?}: {text}");
            assert!(text.contains(&usage), "{line:?}, no {usage:?} in: {text}");
        }
        let text = parsed(&["rm"]).expect_err("wrong usage").to_string();
        assert!(text.contains("\n                       [--timeout TIME] NAME\n"), "{text}");
    }

    /// A number that begins with a hyphen is said to be no number that will do; there is no way to
    /// type it that would.
    #[test]
    fn negative_numbers_are_said_to_be_wrong() {
        for line in [&["read", "x", "--last", "-1"][..], &["list", "--timeout", "-5s"]] {
            let text = parsed(line).expect_err("wrong usage").to_string();
            assert!(text.contains("invalid value '-") && !text.contains("tip:"), "{text}");
        }
        let text = parsed(&["read", "x", "--last", "-1"]).expect_err("wrong usage").to_string();
        assert!(text.contains("is not a whole number, 0 or more"), "{text}");
    }

    /// Flags that mean nothing to a command are taken, and not shown.
    #[test]
    fn flags_that_mean_nothing_are_hidden() {
        for (command, flags) in super::super::ALONE {
            let help = parsed(&[command, "--help"]).expect_err("help").to_string();
            for flag in *flags {
                assert!(!help.contains(&format!("--{flag}")), "{command} shows --{flag}: {help}");
            }
        }
        let help = parsed(&["verify", "--help"]).expect_err("help").to_string();
        assert!(help.contains("--output"), "{help}");
        let cli = parsed(&["--timeout", "5", "verify", "dir"]).expect("it is taken");
        assert_eq!(cli.global.timeout, Some(std::time::Duration::from_secs(5)));
    }

    /// A form of output that the command does not have is wrong usage where it is typed.
    #[test]
    fn a_form_that_there_is_not_is_wrong_usage() {
        for line in [
            &["top", "--once", "-o", "json"][..],
            &["-o", "raw", "bench", "append"],
            &["read", "x", "--follow", "-o", "json"],
            &["read", "x", "--exact", "-o", "table"],
        ] {
            let error = parsed(line).expect_err("there is no such form");
            assert_eq!(error.exit_code(), 2, "{line:?}");
            assert!(error.to_string().contains("Usage: paxosctl "), "{error}");
        }
        assert!(parsed(&["read", "x", "--follow", "-o", "jsonl"]).is_ok());
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
