//! The arguments of `top`.

use super::super::values::{Flag, parse_time};
use clap::Args;
use std::time::Duration;

/// `top`.
#[derive(Debug, Args)]
pub struct Top {
    /// Time between two looks at the cluster; rates are means over it
    #[arg(
        short,
        long,
        env = "PAXOSCTL_INTERVAL",
        value_name = "TIME",
        default_value = "2",
        value_parser = parse_interval
    )]
    pub interval: Duration,
    /// Look twice, print once, and end; needs no terminal
    #[arg(long, env = "PAXOSCTL_ONCE", value_parser = Flag)]
    pub once: bool,
}

/// Reads a number of seconds that does not ask the nodes without pause.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(100);
    let interval = parse_time(text)?;
    if interval < least { Err("must be at least 0.1 seconds".to_string()) } else { Ok(interval) }
}
