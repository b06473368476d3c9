//! The arguments of `paxosctl`. Every flag is also a `PAXOSCTL_…` environment variable.

mod parse;

pub use parse::parse;

use super::bench::args::Bench;
use super::codes;
use super::top::args::Top;
use super::usage;
use super::values::{
    ConsistencyArg, Flag, OnGapArg, ReadStart, parse_age, parse_attribute, parse_bytes,
    parse_cluster, parse_number, parse_size, parse_start, parse_time,
};
use crate::client::{AttributeChanges, Retention};
use crate::limits;
use crate::types::ClusterId;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` says below the exit codes of all commands.
const ENVIRONMENT: &str = "\
Every flag can also be given as PAXOSCTL_<FLAG>, PAXOSCTL_ENDPOINTS for --endpoints.";

/// The command line of `paxosctl`.
#[derive(Debug, Parser)]
#[command(
    name = "paxosctl",
    version,
    about = "Talks to a paxosd cluster: named, replicated, append-only logs",
    after_help = ENVIRONMENT,
    max_term_width = 100
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// What of the environment was ignored, each as a sentence.
    #[arg(skip)]
    pub notes: Vec<String>,
}

/// Commands that ask no node, and the flags of all commands that mean nothing there.
const ALONE: &[(&str, &[&str])] = &[
    ("verify", &["endpoints", "cluster", "timeout"]),
    ("disk-check", &["endpoints", "cluster", "timeout"]),
    ("completions", &["endpoints", "cluster", "timeout", "output"]),
    ("man", &["endpoints", "cluster", "timeout", "output"]),
];

/// The definitions of the command line.
#[must_use]
pub fn program() -> clap::Command {
    let mut program = Cli::command();
    for (command, flags) in ALONE {
        let is_one = |arg: &&clap::Arg| flags.contains(&arg.get_id().as_str());
        // They are taken, as the environment may set them for all commands, and are not shown.
        let hidden: Vec<clap::Arg> =
            program.get_arguments().filter(is_one).map(|arg| arg.clone().hide(true)).collect();
        program = program.mut_subcommand(command, |command| command.args(hidden));
    }
    usage::dressed(program, codes::PAXOSCTL)
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

    /// Form of the output; top has table alone, bench table and json [default: raw for append and read,
    /// table for the others]
    #[arg(short, long, global = true, env = "PAXOSCTL_OUTPUT", value_name = "FORM")]
    pub output: Option<Format>,

    /// Cluster that is meant, 32 hexadecimal digits; nodes of another one are not used [default: the
    /// cluster of the endpoints]
    #[arg(long, global = true, env = "PAXOSCTL_CLUSTER", value_name = "ID", value_parser = parse_cluster)]
    pub cluster: Option<ClusterId>,

    /// Time that the command may take; with read, append --lines or --jsonl, bench and top, that one
    /// answer may take: seconds, or with a unit, such as 500ms, 5s, 2m [default: 10s; wait: 60s]
    #[arg(
        long,
        global = true,
        env = "PAXOSCTL_TIMEOUT",
        value_name = "TIME",
        value_parser = parse_time
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
        /// What it keeps.
        #[command(flatten)]
        retain: RetainArgs,
    },
    /// Delete a log and all its entries, for good; disk space comes back by whole segments
    #[command(visible_alias = "rm")]
    Delete {
        /// The log's name
        name: String,
    },
    /// List the logs, sorted by name
    #[command(visible_alias = "ls")]
    List {
        /// Only names that begin like this
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// What the answer may miss
        #[arg(
            long,
            env = "PAXOSCTL_CONSISTENCY",
            value_name = "LEVEL",
            default_value = "linearizable"
        )]
        consistency: ConsistencyArg,
    },
    /// Trim a log: its entries before an index can be read no longer
    Trim {
        /// The log's name
        name: String,
        /// The first index that stays; at most the log's next index
        #[arg(long, env = "PAXOSCTL_BEFORE", value_name = "N", value_parser = parse_number)]
        before: u64,
    },
    /// Declare entries lost for good that no node has any more, so that nothing waits for them
    ///
    /// For entries that have rotted on every node. Each member is asked first, and reads its disk: where one
    /// has any of them, or does not answer, nothing is done. Readers are told that the entries are lost, and
    /// go on behind them; indexes stay. It cannot be taken back.
    DeclareLost {
        /// The log's name
        name: String,
        /// The first of them
        #[arg(long, env = "PAXOSCTL_FROM", value_name = "A", value_parser = parse_number)]
        from: u64,
        /// The index behind the last of them
        #[arg(long, env = "PAXOSCTL_BEFORE", value_name = "B", value_parser = parse_number)]
        before: u64,
        /// Needed: what is declared lost stays so for good
        #[arg(long, env = "PAXOSCTL_YES", value_parser = Flag)]
        yes: bool,
    },
    /// Seal a log: it takes no more entries, for ever
    Seal {
        /// The log's name
        name: String,
    },
    /// Set what a log keeps, or seal it
    ///
    /// With retain.bytes, retain.entries or retain.age the log trims itself: an entry may go once as many
    /// bytes, or entries, lie behind it, or once it is so old. The last entry always stays. 0 takes a
    /// limit away.
    Set {
        /// The log's name
        name: String,
        /// retain.bytes=SIZE, retain.entries=N, retain.age=TIME (such as 7d, 12h, 30m, 90s), sealed=true
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = parse_attribute)]
        changes: Vec<AttributeChanges>,
    },
    /// Show a log's shard, id, indexes, bytes, time of creation, attributes and lost entries
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
        consistency: ConsistencyArg,
    },
    /// Append DATA, or standard input whole, or each of its lines; print the index
    Append(AppendArgs),
    /// Print entries, each followed by a newline unless --exact
    Read(ReadArgs),
    /// Print the last entry's bytes, exactly, and nothing else
    ///
    /// With put, a log is a small file of which every version is kept until it is trimmed: a configuration,
    /// or the name of whoever is in charge. Nothing acknowledged before is missed.
    Get {
        /// The log's name
        name: String,
    },
    /// Append one entry, for get; the log is created if it does not exist; print the index
    Put(PutArgs),
    /// Show nodes, shards, leaders, watermarks and lag; exit 10 where something is missing
    ///
    /// The first table has a line for each node. STATE is up, DEAD where it does not answer, or CUT
    /// OFF where it answers and the leader of some shard has no link with it: its peers may refuse it.
    /// FREE is the free space on the disk of its data. LEADS names the shards that it leads, none
    /// where it leads none.
    ///
    /// The second table has a line for each shard on each node. Two counts must not be mixed: LSNs
    /// count what a node has written to its own journal, and differ from node to node; slots count
    /// what the shard has decided, and are the same on all. DURABLE LSN is the last record that is on
    /// this node's disk. CHOSEN SLOT is the last slot that the node knows to be decided, APPLIED SLOT
    /// the last one that its logs reflect, and LAG SLOTS by how many slots that is behind the furthest
    /// node. EPOCH is the leadership, as round.node. DISK is what the shard's journal takes.
    ///
    /// What is wrong stands on standard error, a line for each problem, causes before what follows
    /// from them.
    ///
    /// An endpoint that is no node of the cluster is shown as NOT A NODE, WRONG PORT, OTHER CLUSTER or
    /// OTHER VERSION where no endpoint is one.
    ///
    /// With -o raw there is a line for each shard on each node, with tabs between node, address, state
    /// (up, cut_off, dead, not_a_node, wrong_port, other_cluster, other_version), shard, role, leader,
    /// chosen slot, applied slot and lag; - is not known.
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

/// What a new log keeps; everything unless it is said.
#[derive(Clone, Copy, Debug, Args)]
pub struct RetainArgs {
    /// Entries may go by themselves once the ones behind them have so many bytes
    #[arg(long, env = "PAXOSCTL_RETAIN_BYTES", value_name = "SIZE", value_parser = parse_bytes)]
    pub retain_bytes: Option<u64>,
    /// Entries may go by themselves once so many lie behind them
    #[arg(long, env = "PAXOSCTL_RETAIN_ENTRIES", value_name = "N", value_parser = parse_number)]
    pub retain_entries: Option<u64>,
    /// Entries may go by themselves once they are so old: a number with the unit d, h, m, s or ms
    #[arg(long, env = "PAXOSCTL_RETAIN_AGE", value_name = "TIME", value_parser = parse_age)]
    pub retain_age: Option<u64>,
}

impl RetainArgs {
    /// As the library takes it.
    #[must_use]
    pub fn retention(&self) -> Retention {
        let limit = |limit: Option<u64>| limit.unwrap_or(0);
        Retention {
            bytes: limit(self.retain_bytes),
            entries: limit(self.retain_entries),
            age_ms: limit(self.retain_age),
        }
    }
}

/// `append`.
#[derive(Debug, Args)]
pub struct AppendArgs {
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
    /// Append each line of standard input as an entry of its own, in order, pipelined; each line is
    /// an entry as read -o jsonl prints it, so that any bytes are copied exactly
    #[arg(long, env = "PAXOSCTL_JSONL", value_parser = Flag)]
    pub jsonl: bool,
    /// Append only if the log's next index is N (with --lines or --jsonl: for the first line, and so
    /// on)
    #[arg(long, env = "PAXOSCTL_EXPECT", value_name = "N", value_parser = parse_number)]
    pub expect: Option<u64>,
    /// Create the log if it does not exist
    #[arg(long, env = "PAXOSCTL_CREATE", value_parser = Flag)]
    pub create: bool,
    /// With --lines or --jsonl: how many appends may be under way at once
    #[arg(
        long,
        env = "PAXOSCTL_WINDOW",
        value_name = "N",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=limits::CONN_REQUESTS_MAX as i64)
    )]
    pub window: u16,
}

/// `put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The log's name
    pub name: String,
    /// The entry; - for the whole of standard input
    pub data: OsString,
    /// Put only if the log's next index is N: the index that get -o json prints, and 1; 0 for a log that
    /// is empty or does not exist
    #[arg(long, env = "PAXOSCTL_EXPECT", value_name = "N", value_parser = parse_number)]
    pub expect: Option<u64>,
}

impl PutArgs {
    /// As an append.
    #[must_use]
    pub fn append(&self) -> AppendArgs {
        AppendArgs {
            name: self.name.clone(),
            data: (self.data != "-").then(|| self.data.clone()),
            lines: false,
            jsonl: false,
            expect: self.expect,
            create: true,
            window: 1,
        }
    }
}

/// `read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The log's name
    pub name: String,
    /// Where to begin: an index, earliest, latest, or -N for the last N entries [default: earliest]
    #[arg(
        long,
        env = "PAXOSCTL_FROM",
        value_name = "INDEX",
        value_parser = parse_start,
        allow_hyphen_values = true
    )]
    pub from: Option<ReadStart>,
    /// What to do where entries were trimmed before they were read, or are lost: end with exit code 9 or
    /// 12, or say so on standard error (-o jsonl: as an object, too) and go on behind them [default: fail;
    /// with --follow: continue]
    #[arg(long, env = "PAXOSCTL_ON_GAP", value_name = "HOW")]
    pub on_gap: Option<OnGapArg>,
    /// Only the last N entries; with --follow, and what comes after them
    #[arg(long, env = "PAXOSCTL_LAST", value_name = "N", value_parser = parse_number)]
    pub last: Option<u64>,
    /// Stop after so many entries
    #[arg(long, env = "PAXOSCTL_COUNT", value_name = "N", value_parser = parse_number)]
    pub count: Option<u64>,
    /// At the log's end, wait for more entries, until the log is sealed
    #[arg(long, env = "PAXOSCTL_FOLLOW", value_parser = Flag)]
    pub follow: bool,
    /// Print the entries' bytes and nothing else: no newline behind each (only with -o raw)
    #[arg(long, env = "PAXOSCTL_EXACT", value_parser = Flag)]
    pub exact: bool,
    /// What the answer may miss
    #[arg(
        long,
        env = "PAXOSCTL_CONSISTENCY",
        value_name = "LEVEL",
        default_value = "linearizable"
    )]
    pub consistency: ConsistencyArg,
}

/// `wait`.
#[derive(Debug, Args)]
#[group(id = usage::ONE_OF, multiple = true)]
pub struct Wait {
    /// Until every shard has a leader that serves (exit 10 if not in time)
    #[arg(long, env = "PAXOSCTL_QUORUM", value_parser = Flag)]
    pub quorum: bool,
    /// As --quorum, and every node answers, follows its leader and lags by nothing (exit 10 if not in
    /// time)
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
    /// How long to measure: seconds, or with a unit, such as 500ms, 5s, 2m
    #[arg(
        long,
        env = "PAXOSCTL_SECONDS",
        value_name = "TIME",
        default_value = "5",
        value_parser = parse_time
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag of every command has its environment variable, named after the flag.
    #[test]
    fn every_flag_is_also_an_environment_variable() {
        let mut root = program();
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
        program().debug_assert();
        let cli =
            Cli::try_parse_from(["paxosctl", "--endpoints", "a:1,b:2", "read", "x", "--follow"])
                .expect("a command line of the manual");
        assert_eq!(cli.global.endpoints, ["a:1", "b:2"]);
        let Command::Read(read) = cli.command else { panic!("read was asked for") };
        assert!(read.follow && read.from.is_none() && read.count.is_none());
        // Global flags stand before or after the command.
        let cli = Cli::try_parse_from(["paxosctl", "list", "-o", "jsonl", "--timeout", "0.5"])
            .expect("global flags behind the command");
        assert_eq!(cli.global.output, Some(Format::Jsonl));
        assert_eq!(cli.global.timeout, Some(Duration::from_millis(500)));
    }
}
