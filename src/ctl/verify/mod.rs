//! `verify`: what a stopped node's disk holds, without changing a bit of it.
//!
//! It runs the node's own recovery over a storage that keeps what recovery writes in memory, so
//! that both can only ever say the same.

mod report;

use super::args::{self, Format};
use super::exit::CommandFailure;
use super::progress::TransientBar;
use crate::checkpoint;
use crate::journal::{FindingKind, Identity, IdentityError, OpenError, Recovered};
use crate::storage::{DirLock, FileStorage, LockError};
use crate::types::{ShardId, Trouble};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that marks a data directory.
const IDENTITY: &str = "identity";
/// What to do where files cannot be opened.
const WHO: &str = "run it as the user that the node runs as";

/// Where to look.
struct Target {
    /// The node's data directory.
    data_dir: PathBuf,
    /// The only shard that was asked for.
    shard: Option<ShardId>,
}

/// A shard's directory, checked.
struct Checked {
    shard: ShardId,
    dir: PathBuf,
    /// Segment files, and the bytes of all of them and the hard state.
    segments: u64,
    file_bytes: u64,
    found: Result<Recovered, OpenError>,
}

/// How a shard is, by rising gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Every copy of everything verifies.
    Clean,
    /// One of two copies was never written, because the node ended in between; nothing is missing.
    Interrupted,
    /// What does not verify was written again since; nothing is missing.
    Mended,
    /// Of something one copy is lost; nothing is missing.
    OneCopy,
    /// The end of a batch that was never acknowledged would be cut off.
    Torn,
    /// It is of another place or of a newer program, or may not be read: nothing is known of it.
    Refused,
    /// The last batch does not verify and may have been acknowledged.
    Suspect,
    /// What was durable does not verify or is gone.
    Damaged,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Clean => "clean",
            State::Interrupted => "interrupted",
            State::Mended => "mended",
            State::OneCopy => "one copy lost",
            State::Torn => "torn",
            State::Refused => "refused",
            State::Suspect => "suspect",
            State::Damaged => "damaged",
        }
    }
}

impl Checked {
    fn state(&self) -> State {
        match &self.found {
            Ok(recovered) => {
                let worst = recovered.findings.iter().map(|finding| finding.kind).max();
                let missing = !recovered.holes.is_empty() || !recovered.losses.lost.is_empty();
                match worst {
                    Some(FindingKind::Damaged) => State::Damaged,
                    Some(FindingKind::Suspect) => State::Suspect,
                    Some(
                        FindingKind::Torn
                        | FindingKind::OneCopy
                        | FindingKind::Mended
                        | FindingKind::Interrupted,
                    )
                    | None
                        if missing =>
                    {
                        State::Damaged
                    }
                    Some(FindingKind::Torn) => State::Torn,
                    Some(FindingKind::OneCopy) => State::OneCopy,
                    Some(FindingKind::Mended) => State::Mended,
                    Some(FindingKind::Interrupted) => State::Interrupted,
                    None => State::Clean,
                }
            }
            Err(error) => state_of(error),
        }
    }

    fn count(&self, kind: FindingKind) -> usize {
        let findings = self.found.as_ref().map_or(&[][..], |found| &found.findings);
        findings.iter().filter(|finding| finding.kind == kind).count()
    }
}

fn state_of(error: &OpenError) -> State {
    match error {
        OpenError::FutureVersion { .. }
        | OpenError::FutureLevel { .. }
        | OpenError::Foreign { .. } => State::Refused,
        OpenError::Unopenable { source, .. } if is_denied(source) => State::Refused,
        // What the system is short of says nothing about the data.
        OpenError::Storage(error)
            if is_denied(&error.source) || Trouble::is_shortage(&error.source) =>
        {
            State::Refused
        }
        OpenError::NotFormatted
        | OpenError::Missing { .. }
        | OpenError::Length { .. }
        | OpenError::Unopenable { .. }
        | OpenError::StartMoved { .. }
        | OpenError::StartGone { .. }
        | OpenError::NoCheckpoint { .. }
        | OpenError::HardStateLost { .. }
        | OpenError::Storage(_) => State::Damaged,
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Checks a data directory, or one shard's; says what it found, and fails if that is damage.
pub fn verify(
    arguments: &args::Verify,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let target = locate(&arguments.dir)?;
    let identity = identity(&target.data_dir)?;
    let _held_until_the_end = lock(&target.data_dir)?;
    let shards: Vec<ShardId> = match target.shard {
        Some(shard) if shard.0 >= identity.shards => {
            let (dir, shards) = (arguments.dir.display(), identity.shards);
            let text = format!("{dir} is none of the {shards} shards that its node has");
            return Err(CommandFailure::NotFound(text));
        }
        Some(shard) => vec![shard],
        None => (0..identity.shards).map(ShardId).collect(),
    };
    let homes: Vec<_> =
        shards.iter().map(|shard| (*shard, home(&target.data_dir, *shard))).collect();
    let total = homes.iter().map(|(_, dir)| sizes(dir).1).sum();
    let progress = TransientBar::of_bytes("Reading", total);
    let check = |(shard, dir): (ShardId, PathBuf)| {
        let (segments, file_bytes) = sizes(&dir);
        let storage = FileStorage::read_only(&dir);
        let found = match fs::metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(OpenError::Missing { file: dir.display().to_string() })
            }
            Ok(_) | Err(_) => inspected(&storage, &identity, shard, &progress),
        };
        Checked { shard, dir, segments, file_bytes, found }
    };
    let checked: Vec<Checked> = homes.into_iter().map(check).collect();
    drop(progress);
    report::write(&target.data_dir, &identity, &checked, format, out)?;
    verdict(&checked)
}

/// What the journal, the checkpoints and the runs of a shard hold.
fn inspected(
    storage: &FileStorage,
    identity: &Identity,
    shard: ShardId,
    progress: &TransientBar,
) -> Result<Recovered, OpenError> {
    checkpoint::inspect_shard(storage, identity, shard, &|bytes| progress.add_bytes(bytes))
}

/// The directory of a shard.
fn home(data_dir: &Path, shard: ShardId) -> PathBuf {
    crate::daemon::disk::data_layout::shard_dir(data_dir, shard)
}

/// Segments in a shard's directory, and the bytes of all its files. A file that cannot be looked
/// at counts as nothing here: recovery says what is wrong with it.
fn sizes(dir: &Path) -> (u64, u64) {
    let Ok(entries) = fs::read_dir(dir) else { return (0, 0) };
    let mut sum = (0, 0);
    for entry in entries.flatten() {
        let name = entry.file_name();
        sum.0 += u64::from(name.to_string_lossy().ends_with(".wal"));
        sum.1 += entry.metadata().map_or(0, |file| file.len());
    }
    sum
}

/// A node's data directory, or a shard's in it.
fn locate(dir: &Path) -> Result<Target, CommandFailure> {
    let shown = dir.display();
    let real = match fs::canonicalize(dir) {
        Ok(real) if real.is_dir() => real,
        Ok(_) => {
            let text = format!("{shown} is a file; name the directory that holds it");
            return Err(CommandFailure::Usage(text));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("{shown} does not exist; name the data_dir of a node's paxosd.toml");
            return Err(CommandFailure::NotFound(text));
        }
        Err(error) => {
            return Err(CommandFailure::Other(format!("{shown} cannot be opened: {error}; {WHO}")));
        }
    };
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned());
    let number = name.as_deref().and_then(|name| name.strip_prefix("shard-"));
    let shard = number.and_then(|number| number.parse().ok()).map(ShardId);
    match (shard, real.parent()) {
        (Some(shard), Some(parent))
            if home(parent, shard) == real && !real.join(IDENTITY).exists() =>
        {
            Ok(Target { data_dir: parent.to_path_buf(), shard: Some(shard) })
        }
        (Some(_) | None, _) => Ok(Target { data_dir: real, shard: None }),
    }
}

fn identity(dir: &Path) -> Result<Identity, CommandFailure> {
    Identity::read(dir).map_err(|error| match &error {
        IdentityError::NoDirectory { .. }
        | IdentityError::Empty { .. }
        | IdentityError::NotPaxosd { .. } => CommandFailure::NotFound(format!(
            "{} holds no paxosd data: there is no file `{IDENTITY}` in it; name the data_dir of a \
             node's paxosd.toml, or one of its shard-… directories",
            dir.display()
        )),
        IdentityError::Io { source, .. } if is_denied(source) => {
            CommandFailure::Other(format!("{error}; {WHO}"))
        }
        IdentityError::Io { source, .. } if Trouble::is_shortage(source) => {
            CommandFailure::NotExecuted(format!(
                "{error}; try again when the system has more of it"
            ))
        }
        // What the medium does not give back is damaged (R08).
        IdentityError::Io { .. }
        | IdentityError::Damaged { .. }
        | IdentityError::NoIdentity { .. } => CommandFailure::Damage(error.to_string()),
        IdentityError::FutureVersion { .. }
        | IdentityError::Other { .. }
        | IdentityError::Shards { .. }
        | IdentityError::Exists { .. } => CommandFailure::Other(error.to_string()),
    })
}

fn lock(dir: &Path) -> Result<Option<DirLock>, CommandFailure> {
    DirLock::acquire_shared(dir).map_err(|error| match error {
        LockError::Held { path, by } => CommandFailure::NotExecuted(format!(
            "{} is in use by a running node ({by}), whose files change while they are read; stop \
             it first, or ask it: paxosctl status",
            path.display()
        )),
        LockError::Io { .. } => CommandFailure::Other(format!("{error}; {WHO}")),
    })
}

/// What the exit code says.
fn verdict(checked: &[Checked]) -> Result<(), CommandFailure> {
    let of = |state| {
        let shards: Vec<String> = checked
            .iter()
            .filter(|checked| checked.state() == state)
            .map(|checked| checked.shard.to_string())
            .collect();
        (!shards.is_empty()).then(|| {
            format!("shard{} {}", if shards.len() == 1 { "" } else { "s" }, shards.join(", "))
        })
    };
    let mut texts = Vec::new();
    if let Some(shards) = of(State::Damaged) {
        texts.push(format!(
            "{shards}: what was durable does not verify or is gone; keep the directory as it is, and \
             see docs/OPERATIONS.md, \"Data is damaged\""
        ));
    }
    if let Some(shards) = of(State::Suspect) {
        texts.push(format!(
            "{shards}: the last batch does not verify and may have been acknowledged; start the \
             node: it settles that with the others"
        ));
    }
    if !texts.is_empty() {
        return Err(CommandFailure::Damage(texts.join("; ")));
    }
    match of(State::Refused) {
        Some(shards) => Err(CommandFailure::Other(format!(
            "{shards}: could not be judged, for the reasons above"
        ))),
        None => Ok(()),
    }
}
