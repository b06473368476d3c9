//! The paxosd daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    paxosd::ctl::node::main(std::env::args_os())
}
