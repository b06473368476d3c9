//! A node's data directory: initialised once, opened with care, never made anew (R08, R27).

use crate::checkpoint::{self, Start};
use crate::config::Config;
use crate::daemon::disk::cow::{self, Cow};
use crate::daemon::disk::data_layout::{UNFINISHED, contents, journal_options, shard_dir};
use crate::daemon::disk::initialise;
use crate::daemon::disk::path_failure::{identity_failure, lock_failure, unusable};
use crate::daemon::disk::workers::JournalDir;
use crate::daemon::exit::{FatalError, NodeExit};
use crate::daemon::node::replica_config::paxos_config;
use crate::journal::{Finding, FindingKind, Identity, IdentityError, OpenError};
use crate::storage::{DirLock, FileStorage};
use crate::types::{Count, FormatLevel, ShardId, Trouble};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

/// What a start makes and removes in each directory, to see whether it may.
const PROBE: &str = "probe.new";

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
    pub volume: JournalDir,
    /// What its directory gave back.
    pub start: Start,
}

/// Opens a data directory: locked, its identity compared with the configuration, every shard's
/// journal replayed, all shards at once. Each keeps `read_files` files open that are only read.
/// `read_bytes` grows as they get on.
///
/// # Errors
/// 65 where it is not this node's, with a sentence that says which and what to do; 74 where the
/// disk fails; 75 where it is not there, or somebody else uses it.
pub fn open(
    config: &Config,
    read_files: usize,
    read_bytes: &Arc<AtomicU64>,
) -> Result<DataDir, FatalError> {
    let dir = &config.data_dir;
    let found = contents(dir).map_err(|error| unusable(dir, "cannot be opened", &error))?;
    if found.is_empty() && dir.exists() {
        return Err(identity_failure(IdentityError::Empty { path: dir.clone() }));
    }
    let unfinished = found.iter().any(|name| name == UNFINISHED);
    let identity = match Identity::read(dir) {
        Err(IdentityError::NotPaxosd { .. } | IdentityError::NoIdentity { .. }) if unfinished => {
            let text = format!(
                "the preparation of {} was interrupted: run `paxosd init` again, with the same \
                 configuration; nothing is lost, for no node ever ran on it",
                dir.display()
            );
            return Err(FatalError::new(NodeExit::Data, text));
        }
        read => read.map_err(identity_failure)?,
    };
    identity.check(dir, config.cluster, config.node, config.shards).map_err(identity_failure)?;
    let lock = DirLock::acquire(dir).map_err(|error| lock_failure(&error))?;
    if unfinished {
        // It was whole, but for that: from now on the node has run.
        initialise::end(dir).map_err(|error| unusable(dir, "cannot be written to", &error))?;
    }
    let shards = replay_all(config, &identity, read_files, read_bytes)?;
    Ok(DataDir { identity, shards, lock })
}

fn replay_all(
    config: &Config,
    identity: &Identity,
    read_files: usize,
    read_bytes: &Arc<AtomicU64>,
) -> Result<Vec<OpenShard>, FatalError> {
    std::thread::scope(|scope| {
        let start = |shard: u16| {
            let thread = std::thread::Builder::new().name(format!("replay-{shard}"));
            let read_bytes = Arc::clone(read_bytes);
            let home = shard_dir(&config.data_dir, ShardId(shard));
            let storage = FileStorage::bounded(&home, read_files, read_bytes);
            let replay = move || replay(config, identity, ShardId(shard), storage);
            thread.spawn_scoped(scope, replay).map_err(|error| {
                FatalError::new(NodeExit::Temporary, format!("no thread to replay in: {error}"))
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
    storage: FileStorage,
) -> Result<OpenShard, FatalError> {
    let started = Instant::now();
    let dir = storage.dir().to_path_buf();
    if let Err(error) = fs::read_dir(&dir)
        && Trouble::is_denied(&error)
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
        return Err(FatalError::new(NodeExit::Temporary, text));
    }
    check_writable(&dir)?;
    warn_of_copying(shard, &dir);
    let volume = JournalDir::new(Arc::new(storage), &dir);
    let place = (shard, config.shards);
    let (known, options) = (FormatLevel::KNOWN, journal_options(config));
    let opened = checkpoint::start(volume.storage(), identity, place, known, &options);
    let start = opened.map_err(|error| match error {
        OpenError::Storage(error) if Trouble::is_denied(&error.source) => {
            unusable(&dir.join(&error.file), "cannot be used", &error.source)
        }
        OpenError::Unopenable { file, source } if Trouble::is_denied(&source) => {
            unusable(&dir.join(file), "cannot be opened", &source)
        }
        OpenError::Storage(error) => volume.failure(&error),
        other => {
            FatalError::new(NodeExit::from(other.kind()), format!("{}: {other}", dir.display()))
        }
    })?;
    report(shard, &dir, &start, started);
    paxos_config(config, identity, 0).check(&start.recovered.hard).map_err(|refused| {
        FatalError::new(NodeExit::Data, format!("{}: {refused}", dir.display()))
    })?;
    Ok(OpenShard { shard, volume, start })
}

/// Makes a file in the directory, as each new segment will need it hours later. A full disk is none of
/// its business: it has space for votes, and for appends again some day.
fn check_writable(dir: &Path) -> Result<(), FatalError> {
    let path = dir.join(PROBE);
    let made = fs::File::create(&path).and_then(|_| fs::remove_file(&path));
    match made {
        Err(error) if !Trouble::is_no_space(&error) => {
            Err(unusable(dir, "takes no new file", &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Says so where a full disk would end the node.
fn warn_of_copying(shard: ShardId, dir: &Path) {
    let copies = match Cow::under(dir) {
        Ok(Some(Cow::Btrfs)) => !cow::writes_in_place(dir).unwrap_or(false),
        Ok(Some(Cow::Always(_))) => true,
        Ok(None) | Err(_) => false,
    };
    if copies {
        log::warn!(
            "shard {shard}: {} is not written in place: when its disk is full, the node ends, and does \
             not start before there is room; move data_dir to ext4 or XFS",
            dir.display()
        );
    }
}

/// Says what a start found.
fn report(shard: ShardId, dir: &Path, start: &Start, started: Instant) {
    let Start { recovered, restored, .. } = start;
    let stats = &recovered.stats;
    for fault in &restored.faults {
        log::error!("{}: {fault}; an older checkpoint serves, or the journal", dir.display());
    }
    if let Some((slot, _)) = restored.from {
        log::info!("shard {shard}: begins from the checkpoint at slot {slot}");
    }
    log::info!(
        "shard {shard}: replayed {}, {} in {}, in {} ms; chosen up to {}; {}",
        Count(stats.records, "record"),
        Count(stats.bytes, "byte"),
        Count(stats.segments, "segment"),
        started.elapsed().as_millis(),
        recovered.chosen_upto,
        tally(&recovered.findings)
    );
    for finding in &recovered.findings {
        let dir = dir.display();
        match finding.kind {
            FindingKind::Interrupted => log::info!("{dir}/{finding}"),
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
