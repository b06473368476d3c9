//! The commands of `paxosd`.

use super::codes;
use super::usage;
use crate::config::{Address, Config, ConfigError, Faults, RawConfig, check, variables};
use crate::daemon::disk::data_layout;
use crate::daemon::disk::initialise::initialise;
use crate::daemon::exit::{Exit, Failure, die, install_panic_hook};
use crate::daemon::log::logger;
use crate::daemon::net::ports::Ports;
use crate::daemon::net::sockets::Bound;
use crate::daemon::node;
use crate::daemon::node::inherited;
use crate::daemon::node::reload::Source;
use crate::journal::Identity;
use crate::limits;
use crate::sim::command::{SimulateArgs, simulate};
use crate::types::Count;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Every `paxosd dev` is of this cluster, which no node of a real one is: they refuse each other.
const DEV_CLUSTER: &str = "7061786f736420646576000000000001";
/// What the arguments of `paxosd dev` say, or what they leave no choice in.
const DEV_FIXED: &[&str] = &[
    "PAXOSD_CLUSTER_ID",
    "PAXOSD_NODE_ID",
    "PAXOSD_DATA_DIR",
    "PAXOSD_SHARDS",
    "PAXOSD_LISTEN",
    "PAXOSD_LISTEN_PEER",
    "PAXOSD_LISTEN_ADMIN",
];

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

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration; the sample paxosd.toml explains every key
    #[arg(
        long,
        value_name = "FILE",
        env = "PAXOSD_CONFIG",
        default_value = "/etc/paxosd/paxosd.toml"
    )]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Dev {
    /// Where the data is kept
    #[arg(long, value_name = "DIR", default_value = "paxosd-dev")]
    dir: PathBuf,
    /// Shards of a new directory, 1 where nothing is said
    #[arg(long, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::SHARDS_MAX)))]
    shards: Option<u16>,
    /// Where to listen for clients, on loopback; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7420")]
    listen: SocketAddr,
    /// Where the admin pages are, on loopback, or "off"; two ports above --listen where nothing is
    /// said and that is free, and at a free one otherwise
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
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
            let code = if error.use_stderr() { Exit::Usage.code() } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let runs = matches!(arguments.command, Command::Run(_) | Command::Dev(_));
    // First of all: a thread that was started before would keep what the parent left behind.
    let settled = inherited::settle();
    let done = |()| ExitCode::SUCCESS;
    let outcome = settled.and_then(|()| match arguments.command {
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
                Exit::Usage | Exit::Config => logger::complain(&failure.text),
                _ if !runs => logger::complain(&failure.text),
                Exit::Data | Exit::Invariant | Exit::Disk | Exit::Temporary => failure.say(),
            }
            ExitCode::from(failure.exit.code())
        }
    };
    logger::finish();
    code
}

/// Reads the configuration with what the environment overrides.
fn load(file: &ConfigFile) -> Result<Config, Failure> {
    Ok(load_with_source(file)?.0)
}

/// Likewise, with what it takes to read it again.
fn load_with_source(file: &ConfigFile) -> Result<(Config, Source), Failure> {
    let (path, variables) = (file.config.clone(), variables().collect::<Vec<_>>());
    let running = RawConfig::from_file(&path, variables.iter().cloned())
        .map_err(|error| Failure::new(exit_of(&error), error))?;
    report_unknown(&running);
    let mut config = check(running.clone()).map_err(|faults| {
        Failure::new(Exit::Config, Faults { file: path.display().to_string(), faults })
    })?;
    // Nothing depends on the working directory later, and messages say where a path leads.
    config.data_dir = absolute("data_dir", &config.data_dir)?;
    let path = absolute("--config", &path)?;
    Ok((config, Source { path, variables, running }))
}

/// A file for which the system was only short of something may be read later.
fn exit_of(error: &ConfigError) -> Exit {
    match error {
        ConfigError::Unreadable { may_pass: true, .. } => Exit::Temporary,
        ConfigError::Unreadable { .. } | ConfigError::Faults(_) => Exit::Config,
    }
}

/// A path as it is seen from anywhere.
fn absolute(key: &str, path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        let text = format!(
            "{key} = {}: is relative, and the working directory cannot be told: {error}; write it from \
             the root on",
            path.display()
        );
        Failure::new(Exit::Config, text)
    })
}

/// Says which variables are ignored, whatever else is wrong.
fn report_unknown(raw: &RawConfig) {
    for line in variables::warnings(&raw.unknown_variables) {
        logger::complain(&line);
    }
}

/// The environment, but for what clap has read already.
fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name != "PAXOSD_CONFIG")
}

fn check_config(file: &ConfigFile) -> Result<(), Failure> {
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

fn completions(shell: Shell) -> Result<(), Failure> {
    let script = super::completions::script(shell, program());
    write(&script)
}

fn init(file: &ConfigFile) -> Result<(), Failure> {
    let config = load(file)?;
    logger::start(config.log_level);
    let identity = initialise(&config)?;
    let text = format!(
        "{}: prepared for node {} of cluster {}, {}, incarnation {:016x}",
        config.data_dir.display(),
        identity.node,
        identity.cluster,
        Count(u64::from(identity.shards), "shard"),
        identity.incarnation.0
    );
    say(&text).map_err(|failure| Failure::new(failure.exit, format!("{failure}\n{text}")))
}

/// Says on standard output what a command was asked for. A reader that went away has what it
/// wanted.
///
/// # Errors
/// 74 where standard output takes nothing.
fn say(text: &str) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Disk, format!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn run(file: &ConfigFile) -> Result<(), Failure> {
    let (config, source) = load_with_source(file)?;
    logger::start(config.log_level);
    install_panic_hook();
    let ports = Ports::bind(&config)?;
    node::run(config, Some(source), ports, || {})
}

fn dev(dev: &Dev) -> Result<(), Failure> {
    if !dev.listen.ip().is_loopback() {
        let text = format!("--listen {}: must be a loopback address", dev.listen);
        return Err(Failure::new(Exit::Usage, text));
    }
    let wanted = Address { host: dev.listen.ip().to_string(), port: dev.listen.port() };
    let bound = Bound::bind(&wanted, "--listen")?;
    let address = bound
        .address()
        .map_err(|error| Failure::new(Exit::Temporary, format!("--listen: {error}")))?;
    let (admin, admin_address) = dev_admin(dev, address)?;
    let dir = absolute("--dir", &dev.dir)?;
    let config = dev_config(&dir, shards_of(dev)?, address, &admin_address)?;
    logger::start(config.log_level);
    install_panic_hook();
    if is_new(&dev.dir)? {
        initialise(&config)?;
    }
    // Whoever started it waits for the address, which nobody else says.
    let say_address = || say(&address.to_string()).unwrap_or_else(|failure| die(&failure));
    node::run(config, None, Ports::of_single(bound, admin), say_address)
}

/// The port of the admin pages, taken, and its address as the configuration says it.
fn dev_admin(dev: &Dev, client: SocketAddr) -> Result<(Option<Bound>, String), Failure> {
    let at = |ip: std::net::IpAddr, port| Address { host: ip.to_string(), port };
    let bound = match dev.admin.as_deref() {
        Some("off") => return Ok((None, "off".to_string())),
        Some(typed) => match typed.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => {
                Bound::bind(&at(address.ip(), address.port()), "--admin")?
            }
            Ok(_) | Err(_) => {
                let text = format!("--admin {typed}: must be a loopback address and port, or off");
                return Err(Failure::new(Exit::Usage, text));
            }
        },
        None => {
            // A second node beside this one must not be in its way: any free port will do.
            let wanted = if dev.listen.port() == 0 { None } else { client.port().checked_add(2) };
            let near = wanted.and_then(|port| Bound::bind(&at(client.ip(), port), "--admin").ok());
            near.map_or_else(|| Bound::bind(&at(client.ip(), 0), "--admin"), Ok)?
        }
    };
    let address = bound
        .address()
        .map_err(|error| Failure::new(Exit::Temporary, format!("--admin: {error}")))?;
    Ok((Some(bound), address.to_string()))
}

fn is_new(dir: &Path) -> Result<bool, Failure> {
    data_layout::is_new(dir)
        .map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", dir.display())))
}

/// The shards asked for, or those that the directory has, or one.
fn shards_of(dev: &Dev) -> Result<u16, Failure> {
    match dev.shards {
        Some(shards) => Ok(shards),
        None if is_new(&dev.dir)? => Ok(1),
        None => Ok(Identity::read(&dev.dir).map_or(1, |identity| identity.shards)),
    }
}

/// A port beside the clients' one that is not the admin pages' either.
fn free_beside(client: u16, admin: &str) -> u16 {
    let taken = |port: &u16| *port == client || admin.ends_with(&format!(":{port}"));
    let mut ports = (client..=u16::MAX).chain(1..client).filter(|port| !taken(port));
    ports.next().unwrap_or(1)
}

/// A cluster of one node, with the defaults of `paxosd.toml` and what the environment overrides
/// beside where and who it is.
fn dev_config(
    dir: &Path,
    shards: u16,
    address: SocketAddr,
    admin: &str,
) -> Result<Config, Failure> {
    let Some(dir) = dir.to_str() else {
        return Err(Failure::new(Exit::Usage, format!("--dir {}: is not UTF-8", dir.display())));
    };
    let dir = toml::Value::String(dir.to_string());
    // There are no peers, and nobody listens there; but every member has an address.
    let peer_port = free_beside(address.port(), admin);
    let peer = SocketAddr::new(address.ip(), peer_port);
    let text = format!(
        "cluster_id = \"{DEV_CLUSTER}\"\nnode_id = 1\ndata_dir = {dir}\nshards = {shards}\n\
         listen_admin = \"{admin}\"\n\
         [[member]]\nid = 1\nclient = \"{address}\"\npeer = \"{peer}\"\n"
    );
    let mut raw = RawConfig::parse(&text);
    let is_fixed = |name: &OsString| DEV_FIXED.iter().any(|fixed| name == fixed);
    raw.override_from(variables().filter(|(name, _)| !is_fixed(name)));
    report_unknown(&raw);
    check(raw).map_err(|faults| {
        Failure::new(Exit::Config, Faults { file: "paxosd dev".to_string(), faults })
    })
}
