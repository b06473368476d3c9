//! The scripts and files that bring paxosd to real hosts, run as an operator runs them.

#![allow(clippy::print_stdout)] // The rig's writers say what went wrong.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod bootstrap;
mod install;
mod unit;

#[path = "../process/rig/mod.rs"]
mod rig;

use rig::ctl::Ran;
use rig::node::clean_command;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo built the programs.
fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_paxosd")).parent().unwrap()
}

/// A script of the repository, with nothing of this process's environment.
fn script(name: &str) -> Command {
    clean_command(root().join("scripts").join(name).to_str().unwrap())
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran::new(format!("{command:?}"), &output)
}

/// Every file and folder below a folder, in order, without the folder itself.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path.strip_prefix(folder).unwrap().to_path_buf());
        }
    }
    found.sort();
    found
}
