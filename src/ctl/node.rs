//! The commands of `paxosd`.

use crate::config::{Address, Bounds, Config, Member, Quorums, Timing};
use crate::daemon::data_dir;
use crate::daemon::exit::{Exit, Failure, install_panic_hook};
use crate::daemon::logging;
use crate::daemon::node::{self, Ports};
use crate::limits;
use crate::types::{ClusterId, NodeId};
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// A node of a replicated log.
#[derive(Debug, Parser)]
#[command(name = "paxosd", version, about, disable_help_subcommand = true)]
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
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration; the sample paxosd.toml explains every key
    #[arg(long, value_name = "FILE", env = "PAXOSD_CONFIG", default_value = "/etc/paxosd.toml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Dev {
    /// Where the data is kept
    #[arg(long, value_name = "DIR", default_value = "paxosd-dev")]
    dir: PathBuf,
    /// Shards of a new directory
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::SHARDS_MAX)))]
    shards: u16,
    /// Where to listen for clients, on loopback; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7420")]
    listen: SocketAddr,
}

/// Does what the arguments say.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are what was asked for; all else is a wrong use.
            let code = if error.use_stderr() { Exit::Usage.code() } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let done = match arguments.command {
        Command::Init(file) => init(&file),
        Command::Run(file) => run(&file),
        Command::CheckConfig(file) => check_config(&file),
        Command::Dev(dev) => run_dev(&dev),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("paxosd: {failure}");
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Reads the configuration with what the environment overrides.
fn load(file: &ConfigFile) -> Result<Config, Failure> {
    let variables = std::env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .filter(|(name, _)| name != "PAXOSD_CONFIG");
    let (config, unknown) = Config::load(&file.config, variables)
        .map_err(|error| Failure::new(Exit::Config, error))?;
    for variable in unknown {
        eprintln!("paxosd: environment {variable} names no key of paxosd.toml; it is ignored");
    }
    Ok(config)
}

fn check_config(file: &ConfigFile) -> Result<(), Failure> {
    let config = load(file)?;
    println!(
        "{}: good: node {} of cluster {}, {} members, {} shards",
        file.config.display(),
        config.node,
        config.cluster,
        config.members.len(),
        config.shards
    );
    Ok(())
}

fn init(file: &ConfigFile) -> Result<(), Failure> {
    let config = load(file)?;
    logging::start(config.log_level);
    let identity = data_dir::initialise(&config)?;
    println!(
        "{}: prepared for node {} of cluster {}, {} shards, incarnation {:016x}",
        config.data_dir.display(),
        identity.node,
        identity.cluster,
        identity.shards,
        identity.incarnation.0
    );
    Ok(())
}

fn run(file: &ConfigFile) -> Result<(), Failure> {
    let config = load(file)?;
    logging::start(config.log_level);
    install_panic_hook();
    let ports = Ports::bind(&config)?;
    node::run(config, ports)
}

fn run_dev(dev: &Dev) -> Result<(), Failure> {
    if !dev.listen.ip().is_loopback() {
        let text = format!("--listen {}: must be a loopback address", dev.listen);
        return Err(Failure::new(Exit::Usage, text));
    }
    let mut config = dev_config(dev);
    logging::start(config.log_level);
    install_panic_hook();
    let ports = Ports::bind(&config)?;
    let address = ports
        .client_address()
        .map_err(|error| Failure::new(Exit::Temporary, format!("no address: {error}")))?;
    config = dev_config(&Dev { listen: address, dir: dev.dir.clone(), shards: dev.shards });
    let found = data_dir::contents(&config.data_dir)
        .map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", dev.dir.display())))?;
    if found.is_empty() {
        data_dir::initialise(&config)?;
    }
    println!("{address}");
    node::run(config, ports)
}

/// A cluster of one node, with the defaults of `paxosd.toml`.
fn dev_config(dev: &Dev) -> Config {
    let node = NodeId(1);
    let listen = Address { host: dev.listen.ip().to_string(), port: dev.listen.port() };
    // Never listened to: there are no peers.
    let listen_peer = Address { host: listen.host.clone(), port: 0 };
    let member = Member { id: node, client: listen.clone(), peer: listen_peer.clone() };
    Config {
        cluster: DEV_CLUSTER,
        node,
        data_dir: dev.dir.clone(),
        shards: dev.shards,
        members: BTreeMap::from([(node, member)]),
        listen,
        listen_peer,
        quorums: Quorums { prepare: 1, accept: 1 },
        timing: Timing::default(),
        bounds: Bounds::default(),
        pin: false,
        sync_inline: false,
        log_level: log::LevelFilter::Info,
    }
}

/// Every `paxosd dev` is a cluster of its own kind: nodes of real clusters refuse it.
const DEV_CLUSTER: ClusterId = ClusterId(0x7061_786f_7364_2064_6576_0000_0000_0001);
