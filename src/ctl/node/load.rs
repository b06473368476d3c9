//! The configuration that a command of `paxosd` goes by: the file, and what the environment
//! overrides.

use crate::config::{Config, ConfigError, ConfigFaults, RawConfig, check, variables};
use crate::daemon::exit::{FatalError, NodeExit};
use crate::daemon::log::logger;
use crate::daemon::node::reload::ConfigSource;
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration; the sample paxosd.toml explains every key
    #[arg(
        long,
        value_name = "FILE",
        env = "PAXOSD_CONFIG",
        default_value = "/etc/paxosd/paxosd.toml"
    )]
    pub config: PathBuf,
}

/// Reads the configuration with what the environment overrides.
pub fn load(file: &ConfigFile) -> Result<Config, FatalError> {
    Ok(load_with_source(file)?.0)
}

/// Reads the configuration as [`load`] does, and returns with it what a later reading needs.
pub fn load_with_source(file: &ConfigFile) -> Result<(Config, ConfigSource), FatalError> {
    let (path, variables) = (file.config.clone(), variables().collect::<Vec<_>>());
    let running = RawConfig::from_file(&path, variables.iter().cloned())
        .map_err(|error| unreadable(&error))?;
    report_unknown(&running);
    let mut config = check(running.clone()).map_err(|faults| {
        FatalError::new(NodeExit::Config, ConfigFaults { file: path.display().to_string(), faults })
    })?;
    // Nothing depends on the working directory later, and messages say where a path leads.
    config.data_dir = absolute("data_dir", &config.data_dir)?;
    let path = absolute("--config", &path)?;
    Ok((config, ConfigSource { path, variables, running }))
}

/// A file for which the system was only short of something may be read later; one that is not there
/// is yet to be named, or drawn up.
fn unreadable(error: &ConfigError) -> FatalError {
    match error {
        ConfigError::Unreadable { may_pass: true, .. } => {
            FatalError::new(NodeExit::Temporary, error)
        }
        ConfigError::Unreadable { missing: true, .. } => {
            let text = format!(
                "{error}; next: name it with --config; scripts/bootstrap.sh draws one up, and `paxosd \
                 dev` needs none"
            );
            FatalError::new(NodeExit::Config, text)
        }
        ConfigError::Unreadable { .. } | ConfigError::Faults(_) => {
            FatalError::new(NodeExit::Config, error)
        }
    }
}

/// A path as it is seen from anywhere.
pub fn absolute(key: &str, path: &Path) -> Result<PathBuf, FatalError> {
    std::path::absolute(path).map_err(|error| {
        let text = format!(
            "{key} = {}: is relative, and the working directory cannot be told: {error}; write it from \
             the root on",
            path.display()
        );
        FatalError::new(NodeExit::Config, text)
    })
}

/// Says which variables are ignored, whatever else is wrong.
pub fn report_unknown(raw: &RawConfig) {
    for line in variables::warnings(&raw.unknown_variables) {
        logger::complain(&line);
    }
}

/// The environment, but for what clap has read already.
pub fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name != "PAXOSD_CONFIG")
}
