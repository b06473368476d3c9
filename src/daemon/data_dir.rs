//! A node's data directory: initialised once, opened with care, never made anew (R08, R27).

use super::clock;
use super::disk::Volume;
use super::exit::{Exit, Failure};
use super::replica_config::paxos_config;
use crate::config::Config;
use crate::journal::{
    DirLock, FileStorage, Finding, FindingKind, Identity, IdentityError, Journal, JournalOptions,
    LockError, OpenError, Recovered, format, recover,
};
use crate::types::{Incarnation, ShardId};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

/// File systems keep this in the root of a fresh volume.
const LOST_AND_FOUND: &str = "lost+found";

/// A data directory that is this node's own, locked and replayed.
pub struct DataDir {
    /// Whose it is.
    pub identity: Identity,
    /// Its shards, by their number.
    pub shards: Vec<OpenShard>,
    /// Held as long as the node runs.
    pub lock: DirLock,
}

/// One shard's journal, replayed.
pub struct OpenShard {
    /// The shard.
    pub shard: ShardId,
    /// Where its jobs run.
    pub volume: Volume,
    /// Its journal.
    pub journal: Journal,
    /// What the journal held.
    pub recovered: Recovered,
}

/// The directory of a shard.
#[must_use]
pub fn shard_dir(data_dir: &Path, shard: ShardId) -> PathBuf {
    data_dir.join(format!("shard-{:03}", shard.0))
}

/// The sizes that the journals of a node work with.
#[must_use]
pub fn journal_options(config: &Config) -> JournalOptions {
    JournalOptions {
        segment_bytes: config.bounds.segment_bytes,
        min_free_bytes: config.bounds.min_free_bytes,
    }
}

/// What lies in a directory beside `lost+found`, in order; nothing for one that does not exist.
///
/// # Errors
/// Whatever the file system says.
pub fn contents(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != LOST_AND_FOUND {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Prepares a data directory: every shard's journal first, the identity last, so that a directory
/// whose preparation was cut short is known as such.
///
/// # Errors
/// 65 where the directory holds anything, 74 where the disk fails, 75 where there is no space or
/// somebody else uses it.
pub fn initialise(config: &Config) -> Result<Identity, Failure> {
    let dir = &config.data_dir;
    let shown = dir.display();
    let failed = |error: io::Error| {
        let failure = disk_failure(dir, "cannot be prepared", &error);
        match error.kind() {
            // Nothing was there before: the path is wrong, no disk has failed.
            io::ErrorKind::ReadOnlyFilesystem => Failure { exit: Exit::Config, ..failure },
            _ => failure,
        }
    };
    let found = contents(dir).map_err(failed)?;
    if let Some(first) = found.first() {
        let text = format!(
            "{shown} is not empty: it holds {first}{}; a data directory is initialised once, and \
             only an empty one",
            if found.len() > 1 { format!(" and {} more", found.len() - 1) } else { String::new() }
        );
        return Err(Failure::new(Exit::Data, text));
    }
    let private = |dir: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    private(dir).map_err(failed)?;
    let lock = lock(dir)?;
    let identity = Identity {
        cluster: config.cluster,
        node: config.node,
        incarnation: Incarnation(clock::entropy()),
        shards: config.shards,
    };
    for shard in (0..config.shards).map(ShardId) {
        let home = shard_dir(dir, shard);
        private(&home).map_err(failed)?;
        let storage = FileStorage::new(&home);
        format(&storage, &identity, shard, &journal_options(config)).map_err(|error| {
            let failure = Volume::new(Arc::new(FileStorage::new(&home)), &home).failure(&error);
            match error.source.kind() {
                io::ErrorKind::StorageFull => Failure::new(
                    Exit::Temporary,
                    format!(
                        "{failure}; {} shards need {} bytes each to begin with, beside the {} bytes \
                         that min_free_bytes leaves alone: make room, empty {shown}, and initialise again",
                        config.shards, config.bounds.segment_bytes, config.bounds.min_free_bytes
                    ),
                ),
                _ => failure,
            }
        })?;
    }
    sync_dir(dir).map_err(failed)?;
    identity.write(dir).map_err(identity_failure)?;
    if let Some(parent) = dir.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        sync_dir(parent).map_err(failed)?;
    }
    drop(lock);
    Ok(identity)
}

/// Opens a data directory: locked, its identity compared with the configuration, every shard's
/// journal replayed, all shards at once. `read_bytes` grows as they get on.
///
/// # Errors
/// 65 where it is not this node's, with a sentence that says which and what to do; 74 where the
/// disk fails; 75 where it is not there, or somebody else uses it.
pub fn open(config: &Config, read_bytes: &Arc<AtomicU64>) -> Result<DataDir, Failure> {
    let dir = &config.data_dir;
    let found = contents(dir).map_err(|error| unusable(dir, "cannot be opened", &error))?;
    if found.is_empty() && dir.exists() {
        return Err(identity_failure(IdentityError::Empty { path: dir.clone() }));
    }
    let identity = Identity::read(dir).map_err(identity_failure)?;
    identity.check(dir, config.cluster, config.node, config.shards).map_err(identity_failure)?;
    let lock = lock(dir)?;
    let shards = replay_all(config, &identity, read_bytes)?;
    Ok(DataDir { identity, shards, lock })
}

fn replay_all(
    config: &Config,
    identity: &Identity,
    read_bytes: &Arc<AtomicU64>,
) -> Result<Vec<OpenShard>, Failure> {
    std::thread::scope(|scope| {
        let start = |shard: u16| {
            let thread = std::thread::Builder::new().name(format!("replay-{shard}"));
            let read_bytes = Arc::clone(read_bytes);
            let replay = move || replay(config, identity, ShardId(shard), read_bytes);
            thread.spawn_scoped(scope, replay).map_err(|error| {
                Failure::new(Exit::Temporary, format!("no thread to replay in: {error}"))
            })
        };
        let replays: Vec<_> = (0..config.shards).map(start).collect::<Result<_, _>>()?;
        let joined = replays.into_iter().map(|replay| match replay.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}

fn replay(
    config: &Config,
    identity: &Identity,
    shard: ShardId,
    read_bytes: Arc<AtomicU64>,
) -> Result<OpenShard, Failure> {
    let started = Instant::now();
    let dir = shard_dir(&config.data_dir, shard);
    if let Err(error) = fs::read_dir(&dir)
        && is_denied(&error)
    {
        return Err(unusable(&dir, "cannot be opened", &error));
    }
    if !dir.is_dir() {
        let text = format!(
            "{} is missing. Is its disk mounted? It is never made anew: restore it from a copy, and \
             keep the rest of the directory; see docs/OPERATIONS.md, \"Data is damaged\"",
            dir.display()
        );
        // A disk that is mounted late is there at the next start.
        return Err(Failure::new(Exit::Temporary, text));
    }
    let storage = Arc::new(FileStorage::counting(&dir, read_bytes));
    let volume = Volume::new(storage, &dir);
    let opened = recover(volume.storage(), identity, shard, &journal_options(config));
    let (journal, recovered) = opened.map_err(|error| match error {
        OpenError::Storage(error) if is_denied(&error.source) => {
            unusable(&dir.join(&error.file), "cannot be used", &error.source)
        }
        OpenError::Unopenable { file, source } if is_denied(&source) => {
            unusable(&dir.join(file), "cannot be opened", &source)
        }
        OpenError::Storage(error) => volume.failure(&error),
        other => {
            let exit = Exit::of_code(other.exit_code());
            Failure::new(exit, format!("{}: {other}", dir.display()))
        }
    })?;
    report(shard, &dir, &recovered, started);
    paxos_config(config, identity, 0)
        .check(&recovered.hard)
        .map_err(|refused| Failure::new(Exit::Data, format!("{}: {refused}", dir.display())))?;
    Ok(OpenShard { shard, volume, journal, recovered })
}

/// Says what a start found.
fn report(shard: ShardId, dir: &Path, recovered: &Recovered, started: Instant) {
    let stats = &recovered.stats;
    log::info!(
        "shard {shard}: replayed {} records, {} bytes in {} segments, in {} ms; chosen up to {}; {}",
        stats.records,
        stats.bytes,
        stats.segments,
        started.elapsed().as_millis(),
        recovered.chosen_upto,
        tally(&recovered.findings)
    );
    for finding in &recovered.findings {
        let dir = dir.display();
        match finding.kind {
            FindingKind::Torn | FindingKind::Mended => log::warn!("{dir}/{finding}"),
            FindingKind::OneCopy | FindingKind::Suspect | FindingKind::Damaged => {
                log::error!("{dir}/{finding}");
            }
        }
    }
}

/// How many places of each kind did not verify; each has a line of its own besides.
fn tally(findings: &[Finding]) -> String {
    let count = |kind| findings.iter().filter(|finding| finding.kind == kind).count();
    format!(
        "torn {}, suspect {}, damaged {}, one copy lost {}, mended {}",
        count(FindingKind::Torn),
        count(FindingKind::Suspect),
        count(FindingKind::Damaged),
        count(FindingKind::OneCopy),
        count(FindingKind::Mended)
    )
}

fn lock(dir: &Path) -> Result<DirLock, Failure> {
    DirLock::acquire(dir).map_err(|error| match &error {
        // A process that is ending, or `paxosctl verify`, gives it back; and a second node that was
        // given the same directory never gets further than this.
        LockError::Held { .. } => Failure::new(Exit::Temporary, error),
        LockError::Io { path, source } => unusable(path, "cannot be locked", source),
    })
}

fn identity_failure(error: IdentityError) -> Failure {
    match &error {
        IdentityError::Io { path, source } => unusable(path, "cannot be used", source),
        IdentityError::NoDirectory { .. }
        | IdentityError::Empty { .. }
        | IdentityError::NotPaxosd { .. }
        | IdentityError::NoIdentity { .. }
        | IdentityError::Shards { .. }
        | IdentityError::Damaged { .. }
        | IdentityError::FutureVersion { .. }
        | IdentityError::Other { .. }
        | IdentityError::Exists { .. } => Failure::new(Exit::of_code(error.exit_code()), error),
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// What a failed call on something in a data directory that exists means for the process.
fn unusable(path: &Path, what: &str, error: &io::Error) -> Failure {
    if is_denied(error) {
        let (path, user) = (path.display(), rustix::process::geteuid().as_raw());
        let text = format!(
            "{path} {what}: {error}. This process runs as user {user}, to whom all of the data directory \
             must belong: was the node once initialised or started as another user, such as root? Then \
             chown -R the data directory"
        );
        return Failure::new(Exit::Data, text);
    }
    let failure = disk_failure(path, what, error);
    match error.kind() {
        // It was there a moment ago: a disk that is being unmounted, or mounted.
        io::ErrorKind::NotFound => Failure { exit: Exit::Temporary, ..failure },
        _ => failure,
    }
}

/// What a failed call on a directory means for the process.
fn disk_failure(dir: &Path, what: &str, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        // The path is at fault, not what lies on the disk.
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::NotFound
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::InvalidFilename => Exit::Config,
        io::ErrorKind::StorageFull => Exit::Temporary,
        _ => Exit::Disk,
    };
    Failure::new(exit, format!("{} {what}: {error}", dir.display()))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
