//! What lies where in a data directory.

use crate::config::Config;
use crate::journal::JournalOptions;
use crate::storage::DirLock;
use crate::types::ShardId;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// File systems keep this in the root of a fresh volume.
const LOST_AND_FOUND: &str = "lost+found";
/// The mark of a directory whose preparation has not come to its end.
pub(in crate::daemon) const UNFINISHED: &str = "init-unfinished";

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

/// True when nothing lies in the directory that a node may have written: `init` makes it anew.
///
/// # Errors
/// Whatever the file system says.
pub fn is_new(dir: &Path) -> io::Result<bool> {
    let found = contents(dir)?;
    let of_node = found.iter().any(|name| name == "identity");
    Ok(found.is_empty() || (!of_node && found.iter().any(|name| name == UNFINISHED)))
}

/// What lies in a directory beside `lost+found` and the lock, which hold nothing, in order; nothing
/// for one that does not exist.
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
        if name != LOST_AND_FOUND && name != DirLock::FILE {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Makes creations, renames and removals in a directory durable.
///
/// # Errors
/// Whatever the system says.
pub(in crate::daemon) fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
