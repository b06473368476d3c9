//! What appends cost: real processes on this machine, built as for release.
//!
//! ```sh
//! cargo bench --bench append                      # everything, some minutes
//! cargo bench --bench append -- pairs             # one client, beside the floor
//! cargo bench --bench append -- cells 64x16 64x1  # connections x window
//! cargo bench --bench append -- failover --times 50
//! cargo bench --bench append -- --size 1024 reads # what is not in memory, beside bare reads
//! cargo bench --bench append -- floor
//! ```

#![allow(clippy::print_stdout)] // Figures are what a benchmark is for.

mod cells;
#[path = "../measure/cost.rs"]
mod cost;
mod failover;
#[path = "../measure/fill.rs"]
mod fill;
mod floor;
#[path = "../measure/generator.rs"]
mod generator;
mod pairs;
mod reads;
#[path = "../../tests/process/rig/mod.rs"]
mod rig;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// What appends cost.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where clusters are made; a folder on the disk that is to be measured
    #[arg(long, global = true, value_name = "DIR", env = "PAXOS_BENCH_DIR")]
    dir: Option<PathBuf>,
    /// Bytes of an entry
    #[arg(long, global = true, default_value_t = 128)]
    size: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One client with one append at a time, alternating with the floor
    Pairs(pairs::Options),
    /// Many connections, each with a window: appends a second, latency, processor time
    Cells(cells::Options),
    /// From the leader's death, or its orderly stop, to the next acknowledged append
    Failover(failover::Options),
    /// Old entries at random places and in order, beside bare reads of the same files
    Reads(reads::Options),
    /// The floor alone
    Floor(floor::Options),
    /// One process of the floor
    #[command(hide = true)]
    FloorProcess(floor::Part),
}

fn main() {
    // Cargo adds this to the arguments of every benchmark.
    let arguments = Arguments::parse_from(std::env::args().filter(|word| word != "--bench"));
    let dir = arguments.dir.unwrap_or_else(std::env::temp_dir);
    let size = arguments.size;
    match arguments.command {
        Some(Command::Pairs(options)) => pairs::run(&dir, size, &options),
        Some(Command::Cells(options)) => cells::run(&dir, size, &options),
        Some(Command::Failover(options)) => failover::run(&dir, &options),
        Some(Command::Reads(options)) => reads::run(&dir, size, &options),
        Some(Command::Floor(options)) => floor::run(&dir, size, &options),
        Some(Command::FloorProcess(part)) => floor::process(&part),
        None => {
            pairs::run(&dir, size, &pairs::Options::default());
            cells::run(&dir, size, &cells::Options::default());
            failover::run(&dir, &failover::Options::default());
        }
    }
}
