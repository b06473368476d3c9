//! `paxosd init`: prepares a data directory, once in its life. What was cut short is begun anew by
//! the next `init`, which knows it by a mark that stands there until the directory is whole.

use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::disk::cow::{self, Cow};
use crate::daemon::disk::data_layout::{
    UNFINISHED, contents, journal_options, shard_dir, sync_dir,
};
use crate::daemon::disk::path_failure::{ROOM, disk_failure, identity_failure, lock_failure};
use crate::daemon::disk::workers::JournalDir;
use crate::daemon::exit::{FatalError, NodeExit};
use crate::daemon::node::inherited;
use crate::journal::{Identity, format, is_shard_dir};
use crate::storage::{DirLock, FileStorage, StorageError};
use crate::types::{Incarnation, ShardId, Trouble};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// What an identity is written as before it has its name.
const IDENTITY_ASIDE: &str = "identity.new";

/// Prepares a data directory: every shard's journal first, the identity last, so that a directory
/// with an identity is whole.
///
/// # Errors
/// 65 where the directory holds anything else, 74 where the disk fails, 75 where there is no space, 78
/// where there can be no directory, or none that holds its promises.
pub fn initialise(config: &Config) -> Result<Identity, FatalError> {
    let dir = &config.data_dir;
    inherited::check_file_size(config.bounds.segment_bytes)?;
    check_new(dir)?;
    private(dir).map_err(|error| unmade(dir, &error))?;
    let lock = DirLock::acquire(dir).map_err(|error| lock_failure(&error))?;
    // Again, for another one may have been at work until now.
    let remains = check_new(dir)?;
    settle_on_disk(dir)?;
    let identity = Identity {
        cluster: config.cluster,
        node: config.node,
        incarnation: Incarnation(clock::entropy()),
        shards: config.shards,
    };
    begin(dir, &remains).map_err(|error| failed(dir, &error))?;
    for shard in (0..config.shards).map(ShardId) {
        let home = shard_dir(dir, shard);
        private(&home).map_err(|error| failed(&home, &error))?;
        let storage = FileStorage::new(&home);
        format(&storage, &identity, shard, &journal_options(config))
            .map_err(|error| unformatted(config, &home, &error))?;
    }
    sync_dir(dir).map_err(|error| failed(dir, &error))?;
    identity.write(dir).map_err(identity_failure)?;
    end(dir).map_err(|error| failed(dir, &error))?;
    if let Some(parent) = dir.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        sync_dir(parent).map_err(|error| failed(parent, &error))?;
    }
    drop(lock);
    Ok(identity)
}

/// What an interrupted preparation left, if the directory holds nothing else.
fn check_new(dir: &Path) -> Result<Vec<String>, FatalError> {
    let found = contents(dir).map_err(|error| failed(dir, &error))?;
    let of_init = |name: &&String| {
        *name == UNFINISHED || *name == IDENTITY_ASIDE || is_shard_dir(&dir.join(name))
    };
    // A node runs only once there is an identity and no mark: what has the mark alone never ran.
    let unfinished = found.iter().any(|name| name == UNFINISHED);
    let stranger = match unfinished {
        true => found.iter().find(|name| !of_init(name)),
        false => found.first(),
    };
    let Some(first) = stranger else { return Ok(found) };
    let more =
        if found.len() > 1 { format!(" and {} more", found.len() - 1) } else { String::new() };
    let text = format!(
        "{} is not empty: it holds {first}{more}; a data directory is initialised once, and only an \
         empty one",
        dir.display()
    );
    Err(FatalError::new(NodeExit::Data, text))
}

/// Marks the directory, durably, before anything else is made in it, and clears away what an
/// interrupted preparation left.
fn begin(dir: &Path, remains: &[String]) -> io::Result<()> {
    fs::write(dir.join(UNFINISHED), "paxosd init has not finished here: run it again\n")?;
    sync_dir(dir)?;
    for name in remains.iter().filter(|name| *name != UNFINISHED) {
        let path = dir.join(name);
        match path.is_dir() {
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}

/// The directory is whole: takes the mark away, durably.
pub(in crate::daemon) fn end(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(UNFINISHED))?;
    sync_dir(dir)
}

/// Sees to it that the directory is written in place.
fn settle_on_disk(dir: &Path) -> Result<(), FatalError> {
    let shown = dir.display();
    match Cow::under(dir).map_err(|error| failed(dir, &error))? {
        None => Ok(()),
        Some(Cow::Btrfs) => cow::write_in_place(dir).map_err(|error| {
            let text = format!(
                "{shown} lies on btrfs and cannot be told to write in place (chattr +C): {error}; a \
                 full disk would end the node: put data_dir on ext4 or XFS"
            );
            FatalError::new(NodeExit::Config, text)
        }),
        Some(Cow::Always(kind)) => {
            let text = format!(
                "{shown} lies on {kind}, which never writes in place: space that paxosd prepared is \
                 not kept for it, and a full disk would end the node: put data_dir on ext4 or XFS"
            );
            Err(FatalError::new(NodeExit::Config, text))
        }
    }
}

fn private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The data directory cannot be made: where this user may not, who could make it for them.
fn unmade(dir: &Path, error: &io::Error) -> FatalError {
    let parent = dir.ancestors().skip(1).find(|parent| parent.is_dir());
    let Some(parent) = parent.filter(|_| Trouble::is_denied(error)) else {
        return failed(dir, error);
    };
    let (shown, user) = (dir.display(), rustix::process::geteuid().as_raw());
    let text = format!(
        "{shown} cannot be made: {error}. This process runs as user {user}, who may not write to {}; \
         next: as root, install -d -m 0700 -o {user} {shown}, or run this as the node's user",
        parent.display()
    );
    FatalError::new(NodeExit::Config, text)
}

fn failed(dir: &Path, error: &io::Error) -> FatalError {
    let failure = disk_failure(dir, "cannot be prepared", error);
    match error.kind() {
        // Nothing was there before: the path is wrong, no disk has failed.
        io::ErrorKind::ReadOnlyFilesystem => FatalError { exit: NodeExit::Config, ..failure },
        _ => failure,
    }
}

/// Why a shard's journal cannot be made.
fn unformatted(config: &Config, home: &Path, error: &StorageError) -> FatalError {
    let failure = JournalDir::new(Arc::new(FileStorage::new(home)), home).failure(error);
    if !Trouble::is_no_space(&error.source) {
        return failure;
    }
    let text = format!(
        "{failure}; {} shards need {} bytes each to begin with, beside the {} bytes that \
         min_free_bytes leaves alone; {ROOM}, and initialise again",
        config.shards, config.bounds.segment_bytes, config.bounds.min_free_bytes
    );
    FatalError::new(NodeExit::Temporary, text)
}
