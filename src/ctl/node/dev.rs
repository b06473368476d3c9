//! `paxosd dev`: a single node for trying out.

use super::load::{absolute, report_unknown, variables};
use super::output::say;
use crate::config::{Address, Config, ConfigFaults, RawConfig, check};
use crate::daemon::disk::data_layout;
use crate::daemon::disk::initialise::initialise;
use crate::daemon::exit::{FatalError, NodeExit, die, install_panic_hook};
use crate::daemon::log::logger;
use crate::daemon::net::ports::Ports;
use crate::daemon::net::sockets::Bound;
use crate::daemon::node;
use crate::journal::{Identity, IdentityError};
use crate::limits;
use crate::types::Count;
use clap::Args;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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

/// Where the node is, and where it listens.
#[derive(Debug, Args)]
pub struct Dev {
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

/// Prepares the directory where that is needed, and runs the node.
///
/// # Errors
/// Each with the exit code that `paxosd run` would end with.
pub fn dev(dev: &Dev) -> Result<(), FatalError> {
    if !dev.listen.ip().is_loopback() {
        let text = format!("--listen {}: must be a loopback address", dev.listen);
        return Err(FatalError::new(NodeExit::Usage, text));
    }
    let wanted = Address { host: dev.listen.ip().to_string(), port: dev.listen.port() };
    let bound = Bound::bind(&wanted, "--listen")?;
    let address = bound
        .address()
        .map_err(|error| FatalError::new(NodeExit::Temporary, format!("--listen: {error}")))?;
    let (admin, admin_address) = dev_admin(dev, address)?;
    let dir = absolute("--dir", &dev.dir)?;
    let config = dev_config(&dir, shards_of(dev)?, address, &admin_address)?;
    logger::start(config.log_level);
    install_panic_hook();
    if is_new(&dir)? {
        initialise(&config)?;
    } else {
        check_own(&dir, &config)?;
    }
    // Whoever started it waits for the address, which nobody else says.
    let say_address = || say(&address.to_string()).unwrap_or_else(|failure| die(&failure));
    node::run(config, None, Ports::of_single(bound, admin), say_address)
}

/// The port of the admin pages, taken, and its address as the configuration says it.
fn dev_admin(dev: &Dev, client: SocketAddr) -> Result<(Option<Bound>, String), FatalError> {
    let at = |ip: std::net::IpAddr, port| Address { host: ip.to_string(), port };
    let bound = match dev.admin.as_deref() {
        Some("off") => return Ok((None, "off".to_string())),
        Some(typed) => match typed.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => {
                Bound::bind(&at(address.ip(), address.port()), "--admin")?
            }
            Ok(_) | Err(_) => {
                let text = format!("--admin {typed}: must be a loopback address and port, or off");
                return Err(FatalError::new(NodeExit::Usage, text));
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
        .map_err(|error| FatalError::new(NodeExit::Temporary, format!("--admin: {error}")))?;
    Ok((Some(bound), address.to_string()))
}

fn is_new(dir: &Path) -> Result<bool, FatalError> {
    data_layout::is_new(dir)
        .map_err(|error| FatalError::new(NodeExit::Config, format!("{}: {error}", dir.display())))
}

/// The shards asked for, or those that the directory has, or one.
fn shards_of(dev: &Dev) -> Result<u16, FatalError> {
    match dev.shards {
        Some(shards) => Ok(shards),
        None if is_new(&dev.dir)? => Ok(1),
        None => Ok(Identity::read(&dev.dir).map_or(1, |identity| identity.shards)),
    }
}

/// Checks that a directory which holds something is one of `paxosd dev`, in the words of its arguments:
/// there is no configuration to be corrected.
fn check_own(dir: &Path, config: &Config) -> Result<(), FatalError> {
    let shown = dir.display();
    let Config { cluster, node, shards, .. } = *config;
    let checked = Identity::read(dir).and_then(|found| found.check(dir, cluster, node, shards));
    let text = match checked {
        Err(IdentityError::Shards { found, .. }) => format!(
            "--shards {shards}: the directory {shown} has {}, and the number never changes: leave \
             --shards out, or give another --dir",
            Count(u64::from(found), "shard")
        ),
        Err(IdentityError::Other { found, .. }) => format!(
            "--dir {shown}: it belongs to {found}, a node that `paxosd dev` did not make: give another \
             --dir"
        ),
        Err(IdentityError::NotPaxosd { .. }) => {
            format!("--dir {shown}: it holds files, and none of a node: give another --dir")
        }
        Ok(())
        | Err(
            IdentityError::NoDirectory { .. }
            | IdentityError::Empty { .. }
            | IdentityError::NoIdentity { .. }
            | IdentityError::Damaged { .. }
            | IdentityError::FutureVersion { .. }
            | IdentityError::Exists { .. }
            | IdentityError::Io { .. },
        ) => return Ok(()), // What is wrong then is found, and said, where the directory is opened.
    };
    Err(FatalError::new(NodeExit::Data, text))
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
) -> Result<Config, FatalError> {
    let Some(dir) = dir.to_str() else {
        return Err(FatalError::new(
            NodeExit::Usage,
            format!("--dir {}: is not UTF-8", dir.display()),
        ));
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
        FatalError::new(NodeExit::Config, ConfigFaults { file: "paxosd dev".to_string(), faults })
    })
}
