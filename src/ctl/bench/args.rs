//! The arguments of `bench`.

use super::super::values::{ConsistencyArg, parse_number, parse_time};
use crate::limits;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is measured.
    #[command(subcommand)]
    pub operation: BenchOperation,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum BenchOperation {
    /// Measure appends, each of one entry
    Append(AppendBench),
    /// Measure reads at random places
    Read(ReadBench),
}

/// `bench append`.
#[derive(Debug, Args)]
pub struct AppendBench {
    /// The load.
    #[command(flatten)]
    pub load: Load,
}

/// `bench read`.
#[derive(Debug, Args)]
pub struct ReadBench {
    /// The load.
    #[command(flatten)]
    pub load: Load,
    /// Most entries of one read
    #[arg(
        long,
        env = "PAXOSCTL_ENTRIES",
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub entries: u32,
    /// Append to each log until it holds so many entries, before anything is measured
    #[arg(
        long,
        env = "PAXOSCTL_FILL",
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub fill: u64,
    /// What the answers may miss
    #[arg(
        long,
        env = "PAXOSCTL_CONSISTENCY",
        value_name = "LEVEL",
        default_value = "linearizable"
    )]
    pub consistency: ConsistencyArg,
}

/// How much is asked of the cluster, and for how long.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Connections, spread evenly over the logs
    #[arg(
        long,
        env = "PAXOSCTL_CONNECTIONS",
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=4096)
    )]
    pub connections: u16,
    /// Operations that each connection has under way at once
    #[arg(
        long,
        env = "PAXOSCTL_WINDOW",
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=limits::CONN_REQUESTS_MAX as i64)
    )]
    pub window: u16,
    /// Bytes of an entry; they come from --seed and do not compress
    #[arg(long, env = "PAXOSCTL_SIZE", value_name = "BYTES", default_value_t = 128)]
    pub size: u32,
    /// Logs, spread evenly over the shards [default: one a shard]
    #[arg(
        long,
        env = "PAXOSCTL_LOGS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=4096)
    )]
    pub logs: Option<u16>,
    /// What the logs' names begin with; they are created where they are missing, and stay
    /// with what was appended, until they are deleted
    #[arg(long, env = "PAXOSCTL_PREFIX", value_name = "NAME", default_value = "bench")]
    pub prefix: String,
    /// How long to measure: seconds, or with a unit, such as 500ms, 5s, 2m
    #[arg(
        long,
        env = "PAXOSCTL_SECONDS",
        value_name = "TIME",
        default_value = "10",
        value_parser = parse_time
    )]
    pub seconds: Duration,
    /// How long the same load runs before anything is measured
    #[arg(
        long,
        env = "PAXOSCTL_WARMUP",
        value_name = "TIME",
        default_value = "1",
        value_parser = parse_warmup
    )]
    pub warmup: Duration,
    /// Operations a second, all connections together, sent on a fixed schedule; latency counts
    /// from when each was due [default: as many as the windows let through]
    #[arg(long, env = "PAXOSCTL_RATE", value_name = "N", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// What the entries' bytes and the places of reads come from
    #[arg(
        long,
        env = "PAXOSCTL_SEED",
        value_name = "N",
        default_value_t = 1,
        value_parser = parse_number
    )]
    pub seed: u64,
    /// Draw throughput and latency over time into this file, as SVG
    #[arg(long, env = "PAXOSCTL_PLOT", value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// Reads a number of seconds, none included.
fn parse_warmup(text: &str) -> Result<Duration, String> {
    if text.trim().parse() == Ok(0.0) { Ok(Duration::ZERO) } else { parse_time(text) }
}

/// Reads a positive number of operations a second.
fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "is not a number".to_string())?;
    if !(0.01..=100_000_000.0).contains(&rate) {
        return Err("must lie between 0.01 and 100000000 operations a second".to_string());
    }
    Ok(rate)
}
