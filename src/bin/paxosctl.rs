//! The paxosctl command line client. The commands live in `ctl/`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(paxosd::ctl::main(std::env::args_os()))
}
