//! What becomes of a cluster whose logs live long: real processes on this machine, built as for release.
//!
//! ```sh
//! cargo bench --bench long_life -- start --entries 100000000 --logs 10000
//! cargo bench --bench long_life -- catch-up         # a node that was away installs a checkpoint
//! cargo bench --bench long_life -- retention        # as root: each node on a disk of its own
//! cargo bench --bench long_life -- growth           # appends to a small cluster beside a large one
//! ```

#![allow(clippy::print_stdout)] // Figures are what a benchmark is for.

#[path = "../measure/admin.rs"]
mod admin;
mod bare;
mod catch_up;
#[path = "../measure/cost.rs"]
mod cost;
#[path = "../measure/fill.rs"]
mod fill;
#[path = "../measure/generator.rs"]
mod generator;
mod growth;
mod in_making;
mod live;
mod retention;
#[path = "../../tests/process/rig/mod.rs"]
mod rig;
mod start;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// What becomes of a cluster whose logs live long.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where clusters are made; a folder on the disk that is to be measured
    #[arg(long, global = true, value_name = "DIR", env = "PAXOS_BENCH_DIR")]
    dir: Option<PathBuf>,
    /// Bytes of an entry
    #[arg(long, global = true, default_value_t = 128)]
    size: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// From exec to ready with many entries and logs, and the memory of a node then
    Start(start::Options),
    /// A node that was away while much was appended, beside bare disk and loopback
    CatchUp(catch_up::Options),
    /// Far more than the disk holds is appended to logs that trim themselves, while nodes are killed
    Retention(retention::Options),
    /// Appends to a cluster that holds little, beside one that holds much
    Growth(growth::Options),
}

fn main() {
    // Cargo adds this to the arguments of every benchmark.
    let arguments = Arguments::parse_from(std::env::args().filter(|word| word != "--bench"));
    let dir = arguments.dir.unwrap_or_else(std::env::temp_dir);
    let size = arguments.size;
    match arguments.command {
        Command::Start(options) => start::run(&dir, size, &options),
        Command::CatchUp(options) => catch_up::run(&dir, size, &options),
        Command::Retention(options) => retention::run(&dir, &options),
        Command::Growth(options) => growth::run(&dir, size, &options),
    }
}
