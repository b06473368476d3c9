//! The commands of `paxosd`.

mod dev;
mod load;
mod output;

use super::codes;
use super::usage;
use crate::daemon::disk::in_memory;
use crate::daemon::disk::initialise::initialise;
use crate::daemon::exit::{FatalError, NodeExit, install_panic_hook};
use crate::daemon::log::logger;
use crate::daemon::net::ports::Ports;
use crate::daemon::node;
use crate::daemon::node::inherited;
use crate::sim::command::{SimulateArgs, simulate};
use crate::types::Count;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use dev::{Dev, dev};
use load::{ConfigFile, load, load_with_source};
use output::{say, write};
use std::ffi::OsString;
use std::process::ExitCode;

/// A node of a replicated log.
#[derive(Debug, Parser)]
#[command(name = "paxosd", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prepare the data directory of a new node, once in its life
    Init(ConfigFile),
    /// Run a node
    Run(ConfigFile),
    /// Name every fault of a configuration
    CheckConfig(ConfigFile),
    /// Run a single node for trying out; its directory is prepared where that is needed
    Dev(Dev),
    /// Run whole clusters over simulated networks, disks and clocks, and check what they promise
    Simulate(SimulateArgs),
    /// Print the script that completes paxosd's commands and flags in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The definitions of the arguments, for completions and manual pages.
#[must_use]
pub fn program() -> clap::Command {
    usage::dressed(Arguments::command(), codes::PAXOSD)
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    Arguments::from_arg_matches(&usage::matches(&program(), &arguments, |error| error)?)
}

/// Does what the arguments say.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are what was asked for; all else is a wrong use.
            let code = if error.use_stderr() { NodeExit::Usage.code() } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let runs = matches!(arguments.command, Command::Run(_) | Command::Dev(_));
    // First of all: a thread that was started before would keep what the parent left behind.
    let applied = inherited::apply();
    let done = |()| ExitCode::SUCCESS;
    let outcome = applied.and_then(|()| match arguments.command {
        Command::Init(file) => init(&file).map(done),
        Command::Run(file) => run(&file).map(done),
        Command::CheckConfig(file) => check_config(&file).map(done),
        Command::Dev(arguments) => dev(&arguments).map(done),
        Command::Simulate(arguments) => Ok(ExitCode::from(simulate(&arguments))),
        Command::Completions { shell } => completions(shell).map(done),
    });
    let code = match outcome {
        Ok(code) => code,
        Err(failure) => {
            match failure.exit {
                // What a person typed, or what came of it before there was a node.
                NodeExit::Usage | NodeExit::Config => logger::complain(&failure.text),
                _ if !runs => logger::complain(&failure.text),
                NodeExit::Data | NodeExit::Invariant | NodeExit::Disk | NodeExit::Temporary => {
                    failure.say()
                }
            }
            ExitCode::from(failure.exit.code())
        }
    };
    logger::finish();
    code
}

fn check_config(file: &ConfigFile) -> Result<(), FatalError> {
    let config = load(file)?;
    say(&format!(
        "{}: good: node {} of cluster {}, {}, {}",
        file.config.display(),
        config.node,
        config.cluster,
        Count(config.members.len() as u64, "member"),
        Count(u64::from(config.shards), "shard")
    ))?;
    if !(config.listen.is_loopback() && config.listen_peer.is_loopback()) {
        logger::complain(
            "warning: insecure_listen = true: whoever reaches its ports may read, write and \
             delete; let a firewall keep them for hosts that are trusted",
        );
    } else if config.listen_admin.is_some_and(|admin| !admin.is_loopback()) {
        logger::complain(
            "warning: insecure_listen = true: whoever reaches its admin port may read metrics and \
             status; let a firewall keep it for hosts that are trusted",
        );
    }
    Ok(())
}

fn completions(shell: Shell) -> Result<(), FatalError> {
    let script = super::completions::script(shell, program());
    write(&script)
}

fn init(file: &ConfigFile) -> Result<(), FatalError> {
    let config = load(file)?;
    logger::start(config.log_level);
    let identity = initialise(&config)?;
    in_memory::warn(&config.data_dir);
    let text = format!(
        "{}: prepared for node {} of cluster {}, {}, incarnation {:016x}",
        config.data_dir.display(),
        identity.node,
        identity.cluster,
        Count(u64::from(identity.shards), "shard"),
        identity.incarnation.0
    );
    say(&text).map_err(|failure| FatalError::new(failure.exit, format!("{failure}\n{text}")))
}

fn run(file: &ConfigFile) -> Result<(), FatalError> {
    let (config, source) = load_with_source(file)?;
    logger::start(config.log_level);
    install_panic_hook();
    let ports = Ports::bind(&config)?;
    in_memory::warn(&config.data_dir);
    node::run(config, Some(source), ports, || {})
}
