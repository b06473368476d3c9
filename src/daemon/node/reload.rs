//! SIGHUP: the configuration file is read again, and what a running node can take over is: how much
//! it logs, how much free space it leaves alone, and what it takes while states differ. What else has changed is named. A thread of its
//! own, so that no loop waits for the file.

use crate::config::{ConfigError, ConfigFaults, ConfigPlace, RawConfig, changes, check};
use crate::daemon::log::logger;
use crate::daemon::node::live::Live;
use crate::daemon::watch::notify::Manager;
use log::LevelFilter;
use signal_hook::consts::SIGHUP;
use signal_hook::low_level::pipe;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

/// The keys that a running node takes over.
const LOG_LEVEL: &str = "log_level";
const MIN_FREE_BYTES: &str = "min_free_bytes";
const ON_DISPUTE: &str = "on_dispute";
/// All of them.
const LIVE: [&str; 3] = [LOG_LEVEL, MIN_FREE_BYTES, ON_DISPUTE];

/// A configuration that can be read again.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    /// The file.
    pub path: PathBuf,
    /// The environment, which overrides the file.
    pub variables: Vec<(OsString, OsString)>,
    /// What the node runs with.
    pub running: RawConfig,
}

/// From now on SIGHUP ends the process no more.
///
/// # Errors
/// Whatever the system says.
pub fn catch() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    pipe::register(SIGHUP, write)?;
    Ok(read)
}

/// Starts the thread that waits for SIGHUP. Without a source, as `paxosd dev` is, it only says so.
///
/// # Errors
/// The system gives no more threads.
pub fn start(
    mut signals: UnixStream,
    source: Option<ConfigSource>,
    live: Arc<Live>,
    manager: Manager,
) -> io::Result<()> {
    let wait = move || {
        let mut bytes = [0; 64];
        loop {
            match signals.read(&mut bytes) {
                // Several that came together are one: the file is read after all of them.
                Ok(count) if count > 0 => {
                    manager.reloading();
                    reload(source.as_ref(), &live);
                    // Whoever waits for the end of it may read what came of it.
                    logger::finish();
                    manager.reloaded();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("reload".to_string()).spawn(wait)?;
    Ok(())
}

fn reload(source: Option<&ConfigSource>, live: &Live) {
    let Some(source) = source else {
        return log::warn!("SIGHUP: this node was started without a configuration file: ignored");
    };
    let file = source.path.display();
    let raw = match read(source) {
        Ok(raw) => raw,
        Err(error) => {
            let level = shown(log::max_level());
            return log::warn!(
                "SIGHUP: {file} cannot be used, nothing changes, log_level stays at {level}:\n\
                 {error}"
            );
        }
    };
    // Checked above as a whole, so that nothing is left to be faulty.
    if let Ok(config) = check(raw.clone()) {
        take_level(source, &raw, config.log_level);
        take_min_free(source, &raw, live, config.bounds.min_free_bytes);
        take_on_dispute(source, &raw, live, config.appends_in_dispute);
    }
    let changed = changes(&source.running, &raw);
    let rest: Vec<&str> = changed.into_iter().filter(|key| !LIVE.contains(key)).collect();
    if !rest.is_empty() {
        log::warn!(
            "SIGHUP: {file}: {} changed and only a restart takes it over: the node goes on with \
             what it was started with",
            rest.join(", ")
        );
    }
}

/// The file as it is now, if it is good.
fn read(source: &ConfigSource) -> Result<RawConfig, ConfigError> {
    let raw = RawConfig::from_file(&source.path, source.variables.iter().cloned())?;
    let file = source.path.display().to_string();
    check(raw.clone()).map_err(|faults| ConfigFaults { file, faults })?;
    Ok(raw)
}

fn take_level(source: &ConfigSource, raw: &RawConfig, level: LevelFilter) {
    let file = source.path.display();
    let before = log::max_level();
    if is_overridden(source, raw, LOG_LEVEL, &shown(before)) {
        return;
    }
    // Said at the more talkative of the two, so that the line is not lost to the change itself.
    logger::set_level(level.max(before));
    let (old, new) = (shown(before), shown(level));
    match level == before {
        true => log::info!("SIGHUP: {file} read again: log_level is {new}, as it was"),
        false => log::info!("SIGHUP: {file} read again: log_level was {old} and is {new} now"),
    }
    logger::set_level(level);
}

fn take_min_free(source: &ConfigSource, raw: &RawConfig, live: &Live, bytes: u64) {
    let before = live.min_free_bytes();
    if is_overridden(source, raw, MIN_FREE_BYTES, &before.to_string()) {
        return;
    }
    live.set_min_free_bytes(bytes);
    if bytes != before {
        let file = source.path.display();
        log::info!("SIGHUP: {file} read again: min_free_bytes was {before} and is {bytes} now");
    }
}

fn take_on_dispute(source: &ConfigSource, raw: &RawConfig, live: &Live, takes: bool) {
    let spelt = |takes: bool| if takes { "append" } else { "stop" };
    let before = live.appends_in_dispute();
    if is_overridden(source, raw, ON_DISPUTE, spelt(before)) {
        return;
    }
    live.set_appends_in_dispute(takes);
    if takes != before {
        let (file, old, new) = (source.path.display(), spelt(before), spelt(takes));
        log::info!("SIGHUP: {file} read again: on_dispute was {old} and is {new} now");
    }
}

/// The environment says what the key is, whatever the file says; which is logged.
fn is_overridden(source: &ConfigSource, raw: &RawConfig, key: &str, value: &str) -> bool {
    let Some(ConfigPlace::Env(variable)) = raw.keys.get(key).map(|given| &given.place) else {
        return false;
    };
    let file = source.path.display();
    log::warn!("SIGHUP: {key} stays at {value}: {variable} in the environment overrides {file}");
    true
}

/// A level as the configuration spells it.
fn shown(level: LevelFilter) -> String {
    level.to_string().to_lowercase()
}
