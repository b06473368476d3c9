//! The arguments of `paxosctl`. Every flag is also a `PAXOSCTL_…` environment variable.

use super::bench::args::Bench;
use super::top::args::Top;
use crate::limits;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` says below the options of every command.
const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed for another reason
   2  wrong usage
   3  the log was not found
   4  the precondition did not hold (--expect)
   5  the log exists already
   6  not executed: no node, leader, quorum or disk space in time
   7  outcome unknown: it may or may not have been executed
   8  denied
  10  unhealthy (status), or not ready in time (wait)
  11  damage found

Every flag can also be given as PAXOSCTL_<FLAG>, PAXOSCTL_ENDPOINTS for --endpoints.";

/// The command line of `paxosctl`.
#[derive(Debug, Parser)]
#[command(
    name = "paxosctl",
    version,
    about = "Talks to a paxosd cluster: named, replicated, append-only logs",
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Nodes to ask, host or host:port (7420), separated by commas; one that answers is enough
    #[arg(
        long,
        global = true,
        env = "PAXOSCTL_ENDPOINTS",
        value_name = "HOST[:PORT],…",
        value_delimiter = ',',
        default_value = "127.0.0.1:7420"
    )]
    pub endpoints: Vec<String>,

    /// Form of the output [default: raw for append and read, table for the others]
    #[arg(short, long, global = true, env = "PAXOSCTL_OUTPUT", value_name = "FORM")]
    pub output: Option<Format>,

    /// Seconds that the command may take; with read, append --lines, bench and top, that one
    /// answer may take [default: 10; wait: 60]
    #[arg(
        long,
        global = true,
        env = "PAXOSCTL_TIMEOUT",
        value_name = "SECONDS",
        value_parser = parse_seconds
    )]
    pub timeout: Option<Duration>,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// The bare result, for scripts: names, indexes, entries.
    Raw,
}

/// One command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a log
    Create {
        /// The log's name: 1 to 255 bytes of UTF-8 without control characters
        name: String,
    },
    /// Delete a log and all its entries, for good
    Delete {
        /// The log's name
        name: String,
    },
    /// List the logs, sorted by name
    List {
        /// Only names that begin like this
        #[arg(default_value = "")]
        prefix: String,
        /// What the answer may miss
        #[arg(
            long,
            env = "PAXOSCTL_CONSISTENCY",
            value_name = "LEVEL",
            default_value = "linearizable"
        )]
        consistency: Consistency,
    },
    /// Show a log's id, next index, bytes and time of creation
    Stat {
        /// The log's name
        name: String,
        /// What the answer may miss
        #[arg(
            long,
            env = "PAXOSCTL_CONSISTENCY",
            value_name = "LEVEL",
            default_value = "linearizable"
        )]
        consistency: Consistency,
    },
    /// Append DATA, or standard input whole, or each of its lines; print the index
    Append(Append),
    /// Print entries, each followed by a newline
    Read(Read),
    /// Show nodes, shards, leaders, watermarks and lag; exit 10 where something is missing
    Status,
    /// Wait until the cluster works
    Wait(Wait),
    /// Check a stopped node's data, changing nothing; exit 11 on damage
    ///
    /// Runs the node's own recovery over the files, and keeps in memory what recovery would write.
    /// Tells per shard how far the data is durable and chosen, and each place that does not verify:
    /// torn (never acknowledged, would be cut off) and one copy lost are notes; suspect (may have
    /// been acknowledged) and damaged (was durable) exit with 11. Exits with 3 where there is no
    /// data, and with 6 while a node runs on it.
    Verify(Verify),
    /// Measure how fast a directory's disk syncs, and warn where a sync means nothing
    ///
    /// Writes as the journal does: a file filled with zeros ahead, then batches of 4 to 64 KiB and a
    /// block of descriptors each, with one sync a batch. The file is removed at the end, and when a
    /// signal ends the check.
    DiskCheck(DiskCheck),
    /// Print the script that completes paxosctl's commands and flags in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of paxosctl, or write the pages of both programs
    Man {
        /// Write all pages below DIR, into man1, man5 and man8, such as /usr/share/man
        #[arg(long, env = "PAXOSCTL_DIR", value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Measure how much the cluster does, how fast; it writes to logs of its own
    Bench(Bench),
    /// Show nodes, shards, leaders, rates and lag, live; q quits
    Top(Top),
}

/// `append`.
#[derive(Debug, Args)]
pub struct Append {
    /// The log's name
    pub name: String,
    /// The entry; without it the whole of standard input is one entry
    pub data: Option<OsString>,
    /// Append each line of standard input as an entry of its own, in order, pipelined
    #[arg(
        long,
        env = "PAXOSCTL_LINES",
        value_parser = Flag
    )]
    pub lines: bool,
    /// Append only if the log's next index is N (with --lines: for the first line, and so on)
    #[arg(long, env = "PAXOSCTL_EXPECT", value_name = "N")]
    pub expect: Option<u64>,
    /// Create the log if it does not exist
    #[arg(long, env = "PAXOSCTL_CREATE", value_parser = Flag)]
    pub create: bool,
    /// With --lines: how many appends may be under way at once
    #[arg(
        long,
        env = "PAXOSCTL_WINDOW",
        value_name = "N",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=limits::CONN_REQUESTS_MAX as i64)
    )]
    pub window: u16,
}

/// `read`.
#[derive(Debug, Args)]
pub struct Read {
    /// The log's name
    pub name: String,
    /// Index of the first entry
    #[arg(long, env = "PAXOSCTL_FROM", value_name = "N", default_value_t = 0)]
    pub from: u64,
    /// Stop after so many entries
    #[arg(long, env = "PAXOSCTL_COUNT", value_name = "N")]
    pub count: Option<u64>,
    /// At the log's end, wait for more entries
    #[arg(long, env = "PAXOSCTL_FOLLOW", value_parser = Flag)]
    pub follow: bool,
    /// What the answer may miss
    #[arg(
        long,
        env = "PAXOSCTL_CONSISTENCY",
        value_name = "LEVEL",
        default_value = "linearizable"
    )]
    pub consistency: Consistency,
}

/// How fresh a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Consistency {
    /// Everything acknowledged before the read began is seen; needs a leader.
    Linearizable,
    /// What the asked node has applied; may be old, works without a leader.
    Local,
}

/// `wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// Until every shard has a leader that serves (exit 10 if not in time)
    #[arg(long, env = "PAXOSCTL_QUORUM", value_parser = Flag)]
    pub quorum: bool,
    /// Until moreover every node answers, follows its leader and lags by nothing (exit 10 if not in time)
    #[arg(long, env = "PAXOSCTL_READY", value_parser = Flag)]
    pub ready: bool,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A node's data directory, or one shard-… directory in it
    pub dir: PathBuf,
}

/// `disk-check`.
#[derive(Debug, Args)]
pub struct DiskCheck {
    /// The directory whose disk is measured; a file is written there and removed again
    pub dir: PathBuf,
    /// How long to measure
    #[arg(
        long,
        env = "PAXOSCTL_SECONDS",
        value_name = "SECONDS",
        default_value = "5",
        value_parser = parse_seconds
    )]
    pub seconds: Duration,
    /// Size of the file: a number of bytes, KiB, MiB or GiB, from 1MiB to 1024GiB
    #[arg(
        long,
        env = "PAXOSCTL_BYTES",
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = parse_size
    )]
    pub bytes: u64,
}

/// Reads a number of bytes with a unit, and rounds it up to whole blocks.
fn parse_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "is not a number of bytes".to_string())?;
    let scale: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("has the unit {unit:?}; use KiB, MiB or GiB")),
    };
    let bytes = number.saturating_mul(scale);
    if !(1 << 20..=1 << 40).contains(&bytes) {
        return Err("must lie between 1MiB and 1024GiB".to_string());
    }
    Ok(bytes.next_multiple_of(limits::BLOCK_BYTES as u64))
}

/// Reads the command line. What stands on it wins over the environment, also where the two say
/// things that do not go together.
///
/// # Errors
/// Wrong usage; help and version, which were asked for.
pub fn parse<I>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = OsString>,
{
    let matches = Cli::command().try_get_matches_from(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let typed = |flag: &str| {
        let of_command = matches.subcommand().map(|(_, of_command)| of_command);
        of_command.and_then(|found| found.value_source(flag)) == Some(ValueSource::CommandLine)
    };
    let wrong = |kind, text: &str| Err(Cli::command().error(kind, text));
    if let Command::Append(append) = &mut cli.command
        && append.lines
        && append.data.is_some()
    {
        if typed("lines") {
            let text = "DATA and --lines do not go together: an entry, or the lines of the input";
            return wrong(ErrorKind::ArgumentConflict, text);
        }
        append.lines = false;
    }
    if let Command::Wait(wait) = &mut cli.command {
        match (typed("quorum"), typed("ready")) {
            (true, true) => {
                return wrong(ErrorKind::ArgumentConflict, "give one of --quorum and --ready");
            }
            (true, false) => wait.ready = false,
            (false, true) => wait.quorum = false,
            (false, false) if wait.quorum == wait.ready => {
                let text = "say what to wait for: --quorum or --ready";
                return wrong(ErrorKind::MissingRequiredArgument, text);
            }
            (false, false) => {}
        }
    }
    Ok(cli)
}

/// A flag: true where it is given, and true, false, 1 or 0 in the environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag;

impl TypedValueParser for Flag {
    type Value = bool;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<bool, clap::Error> {
        match value.to_str() {
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) | None => {
                let name = arg.and_then(Arg::get_env).unwrap_or(OsStr::new("the flag"));
                let text = format!(
                    "environment {} = {value:?}: must be true, false, 1 or 0",
                    name.to_string_lossy()
                );
                Err(command.clone().error(ErrorKind::InvalidValue, text))
            }
        }
    }
}

/// Reads a positive number of seconds, fractions allowed, at most a day.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "is not a number of seconds".to_string())?;
    if !(0.001..=86_400.0).contains(&seconds) {
        return Err("must lie between 0.001 and 86400 seconds".to_string());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Every flag of every command has its environment variable, named after the flag.
    #[test]
    fn every_flag_is_also_an_environment_variable() {
        let mut root = Cli::command();
        root.build();
        let mut flags = 0;
        let below = root.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in below.chain(root.get_subcommands()).chain([&root]) {
            for arg in command.get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                if long == "help" || long == "version" {
                    continue;
                }
                let wanted = format!("PAXOSCTL_{}", long.to_uppercase().replace('-', "_"));
                let found = arg.get_env().map(|env| env.to_string_lossy().into_owned());
                assert_eq!(found, Some(wanted), "--{long} of {}", command.get_name());
                flags += 1;
            }
        }
        assert!(flags > 10, "the walk saw only {flags} flags");
    }

    /// The definitions hold together, and the command line of the manual parses as it should.
    #[test]
    fn command_lines_parse() {
        Cli::command().debug_assert();
        let cli =
            Cli::try_parse_from(["paxosctl", "--endpoints", "a:1,b:2", "read", "x", "--follow"])
                .expect("a command line of the manual");
        assert_eq!(cli.global.endpoints, ["a:1", "b:2"]);
        let Command::Read(read) = cli.command else { panic!("read was asked for") };
        assert!(read.follow && read.from == 0 && read.count.is_none());
        // Global flags stand before or after the command.
        let cli = Cli::try_parse_from(["paxosctl", "list", "-o", "jsonl", "--timeout", "0.5"])
            .expect("global flags behind the command");
        assert_eq!(cli.global.output, Some(Format::Jsonl));
        assert_eq!(cli.global.timeout, Some(Duration::from_millis(500)));
    }

    /// Sizes come with and without a unit, and are whole blocks.
    #[test]
    fn sizes_are_read_with_their_units() {
        let sizes = [("1048576", 1 << 20), ("1MiB", 1 << 20), ("64MiB", 64 << 20)];
        for (text, bytes) in sizes.into_iter().chain([("2GiB", 2 << 30), ("1048577", 0x10_1000)]) {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1023KiB", "2048GiB", "1.5GiB", "-1", "99999999999999999999"] {
            assert!(parse_size(text).is_err(), "{text:?} passes for a size");
        }
    }

    /// What contradicts itself is wrong usage: exit code 2, as clap gives it.
    #[test]
    fn contradictions_are_wrong_usage() {
        for line in [
            &["paxosctl"][..],
            &["paxosctl", "append", "x", "data", "--lines"],
            &["paxosctl", "wait"],
            &["paxosctl", "wait", "--quorum", "--ready"],
            &["paxosctl", "read", "x", "--from", "-1"],
            &["paxosctl", "read", "x", "--consistency", "eventual"],
            &["paxosctl", "list", "--timeout", "0"],
            &["paxosctl", "append", "x", "--lines", "--window", "0"],
            &["paxosctl", "verify"],
            &["paxosctl", "disk-check", ".", "--seconds", "0"],
            &["paxosctl", "disk-check", ".", "--bytes", "12"],
            &["paxosctl", "disk-check", ".", "--bytes", "1MB"],
            &["paxosctl", "completions", "cmd.exe"],
        ] {
            let error = parse(line.iter().map(OsString::from)).expect_err("a contradiction");
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
