//! Who a data directory belongs to: one small checksummed text file, written once.

use crate::storage::DirLock;
use crate::types::{ClusterId, FailureKind, Incarnation, NodeId, Trouble};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use xxhash_rust::xxh3::xxh3_64;

/// The file's name in the data directory.
const FILE: &str = "identity";
/// Its first line.
const TITLE: &str = "paxosd identity";
/// The newest format version known, and the one written.
const VERSION: u16 = 1;

/// What a data directory is: written once by `init`, compared with every file found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster that the directory belongs to.
    pub cluster: ClusterId,
    /// The member that owns the directory.
    pub node: NodeId,
    /// Drawn at random when the directory was initialised.
    pub incarnation: Incarnation,
    /// How many shards the cluster has, one sub-directory each.
    pub shards: u16,
}

/// Why a data directory cannot be used by this node.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no such directory.
    #[error(
        "the data directory {path} does not exist. Is the disk mounted? `paxosd init` is for a \
         node that never ran"
    )]
    NoDirectory {
        /// The data directory, as configured.
        path: PathBuf,
    },
    /// The directory is empty.
    #[error(
        "the data directory {path} holds nothing. Is the disk mounted? `paxosd init` is for a node that \
         never ran. A node whose data is gone stays down: its peers would refuse a new one in its place"
    )]
    Empty {
        /// The data directory, as configured.
        path: PathBuf,
    },
    /// The directory holds something, but no identity.
    #[error(
        "the data directory {path} holds files but no identity: it is not a paxosd data directory; \
         correct data_dir"
    )]
    NotPaxosd {
        /// The data directory, as configured.
        path: PathBuf,
    },
    /// The directory holds a shard's data, but no identity.
    #[error(
        "the data directory {path} holds shard data but no identity. Do not empty it: restore \
         {path}/identity from a copy. Only a node that never ran (its `paxosd init` was \
         interrupted) may be emptied and initialised again"
    )]
    NoIdentity {
        /// The data directory, as configured.
        path: PathBuf,
    },
    /// The file does not verify.
    #[error(
        "{path} is damaged: {why}; keep the directory, and restore this one file from a copy; see \
         docs/OPERATIONS.md, \"Data is damaged\""
    )]
    Damaged {
        /// The path of the identity file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file was written by a newer program.
    #[error(
        "{path} has format version {found}, this program knows versions up to {known}; \
         run the newer program"
    )]
    FutureVersion {
        /// The path of the identity file.
        path: PathBuf,
        /// The version that the file names.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// The directory belongs to another cluster, node or number of shards.
    #[error(
        "the data directory {path} belongs to {found}, the configuration says {expected}; \
         point the configuration at this node's own directory"
    )]
    Other {
        /// The data directory, as configured.
        path: PathBuf,
        /// What differs, as found.
        found: String,
        /// What the configuration says instead.
        expected: String,
    },
    /// The cluster has another number of shards than the configuration says.
    #[error(
        "the data directory {path} is of a cluster with shards = {found}, the configuration says \
         {expected}; the number never changes: set shards = {found}"
    )]
    Shards {
        /// The data directory, as configured.
        path: PathBuf,
        /// Shards of the directory.
        found: u16,
        /// Shards that the configuration says.
        expected: u16,
    },
    /// An identity is there already.
    #[error("{path} exists already; this directory is initialised")]
    Exists {
        /// The path of the identity file.
        path: PathBuf,
    },
    /// The file system failed: exit 74.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl IdentityError {
    /// What kind of failure it is. It may pass where the system was only short of something, there is
    /// no space, or a disk may only be mounted late.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            IdentityError::Io { source, .. } => match Trouble::of(source) {
                Trouble::Shortage | Trouble::NoSpace => FailureKind::Temporary,
                Trouble::Denied | Trouble::Fault => FailureKind::Disk,
            },
            IdentityError::NoDirectory { .. } | IdentityError::Empty { .. } => {
                FailureKind::Temporary
            }
            IdentityError::NotPaxosd { .. }
            | IdentityError::NoIdentity { .. }
            | IdentityError::Shards { .. }
            | IdentityError::Damaged { .. }
            | IdentityError::FutureVersion { .. }
            | IdentityError::Other { .. }
            | IdentityError::Exists { .. } => FailureKind::Data,
        }
    }
}

impl Identity {
    /// Reads the identity of a data directory. Never creates anything (R08, R27).
    ///
    /// # Errors
    /// Says what the directory is instead.
    pub fn read(dir: &Path) -> Result<Identity, IdentityError> {
        let path = dir.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(dir)),
            Err(source) => return Err(IdentityError::Io { path, source }),
        };
        let damaged = |why: &str| IdentityError::Damaged { path: path.clone(), why: why.into() };
        let text = String::from_utf8(text).map_err(|_| damaged("it is not text"))?;
        let (title, _) = text.split_once('\n').unwrap_or((&text, ""));
        if title != TITLE {
            return Err(damaged("its first line is not the expected one"));
        }
        let fields = fields(&text);
        let field = |name: &str| {
            fields.get(name).copied().ok_or_else(|| damaged(&format!("it has no {name}")))
        };
        let found: u16 = number(field("version")?).ok_or_else(|| damaged("its version"))?;
        if found > VERSION {
            return Err(IdentityError::FutureVersion { path, found, known: VERSION });
        }
        let (signed, _) = text.split_at(text.find("checksum").unwrap_or(text.len()));
        if field("checksum")? != format!("{:016x}", xxh3_64(signed.as_bytes())) {
            return Err(damaged("its checksum does not verify"));
        }
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        Ok(Identity {
            cluster: field("cluster")?.parse().map_err(|why: String| damaged(&why))?,
            node: NodeId(number(field("node")?).ok_or_else(|| damaged("its node"))?),
            incarnation: Incarnation(
                hex(field("incarnation")?).ok_or_else(|| damaged("its incarnation"))?,
            ),
            shards: number(field("shards")?).ok_or_else(|| damaged("its shards"))?,
        })
    }

    /// Writes the identity into a data directory that has none: aside, synced, renamed, directory
    /// synced (R07). Initialisation writes it last, so that a directory with an identity is whole.
    ///
    /// # Errors
    /// When there is one already, or the file system fails.
    pub fn write(&self, dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(FILE);
        if path.exists() {
            return Err(IdentityError::Exists { path });
        }
        let aside = dir.join(format!("{FILE}.new"));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&aside)
            .and_then(|mut file| {
                file.write_all(self.text().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&aside, &path))
            .and_then(|()| File::open(dir)?.sync_all());
        written.map_err(|source| IdentityError::Io { path, source })
    }

    /// Compares the identity found in `dir` with the configuration.
    ///
    /// # Errors
    /// Names all that differs.
    pub fn check(
        &self,
        dir: &Path,
        cluster: ClusterId,
        node: NodeId,
        shards: u16,
    ) -> Result<(), IdentityError> {
        let pairs = [
            ("cluster", self.cluster.to_string(), cluster.to_string()),
            ("node", self.node.to_string(), node.to_string()),
        ];
        let differ: Vec<_> =
            pairs.iter().filter(|(_, found, expected)| found != expected).collect();
        let all = |of: fn(&(&str, String, String)) -> String| {
            differ.iter().map(|pair| of(pair)).collect::<Vec<_>>().join(", ")
        };
        match differ.len() {
            0 if self.shards != shards => Err(IdentityError::Shards {
                path: dir.to_path_buf(),
                found: self.shards,
                expected: shards,
            }),
            0 => Ok(()),
            _ => Err(IdentityError::Other {
                path: dir.to_path_buf(),
                found: all(|(what, found, _)| format!("{what} {found}")),
                expected: all(|(what, _, expected)| format!("{what} {expected}")),
            }),
        }
    }

    fn text(&self) -> String {
        let Identity { cluster, node, incarnation, shards } = self;
        let signed = format!(
            "{TITLE}\nversion = {VERSION}\ncluster = {cluster}\nnode = {node}\n\
             incarnation = {:016x}\nshards = {shards}\n",
            incarnation.0
        );
        format!("{signed}checksum = {:016x}\n", xxh3_64(signed.as_bytes()))
    }
}

/// True for a directory with the name of a shard's: `shard-` and three digits. Others may be anybody's.
#[must_use]
pub fn is_shard_dir(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix("shard-"));
    let has_name = |number: &str| number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit());
    number.is_some_and(has_name) && path.is_dir()
}

fn missing(dir: &Path) -> IdentityError {
    let path = dir.to_path_buf();
    match std::fs::read_dir(dir) {
        Ok(entries) => {
            let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            // What every start makes, before there is anything to lock.
            found.retain(|path| !path.ends_with(DirLock::FILE));
            match found.iter().any(|path| is_shard_dir(path)) {
                true => IdentityError::NoIdentity { path },
                false if found.is_empty() => IdentityError::Empty { path },
                false => IdentityError::NotPaxosd { path },
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            IdentityError::NoDirectory { path }
        }
        Err(source) => IdentityError::Io { path, source },
    }
}

fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(" = ")).collect()
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const IDENTITY: Identity = Identity {
        cluster: ClusterId(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
        node: NodeId(3),
        incarnation: Incarnation(0xfeed),
        shards: 4,
    };

    /// What is written reads back; a second write is refused.
    #[test]
    fn an_identity_is_written_once_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        IDENTITY.write(dir.path()).unwrap();
        assert_eq!(Identity::read(dir.path()).unwrap(), IDENTITY);
        assert!(matches!(IDENTITY.write(dir.path()), Err(IdentityError::Exists { .. })));
    }

    /// R27: missing, empty, foreign and newer directories are distinguished, and none is created.
    #[test]
    fn r27_every_kind_of_wrong_directory_has_its_own_refusal() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(matches!(Identity::read(&gone), Err(IdentityError::NoDirectory { .. })));
        assert!(!gone.exists());
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::Empty { .. })));
        std::fs::write(dir.path().join(DirLock::FILE), "process 1").unwrap();
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::Empty { .. })));
        std::fs::write(dir.path().join("x"), "y").unwrap();
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::NotPaxosd { .. })));
        // Whose names only resemble that of a shard's directory.
        for name in ["shard-base", "shard-0", "shard-0000", "shard-00x"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("shard-001"), "a file").unwrap();
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::NotPaxosd { .. })));
        std::fs::create_dir(dir.path().join("shard-000")).unwrap();
        let orphaned = Identity::read(dir.path()).unwrap_err();
        assert!(matches!(orphaned, IdentityError::NoIdentity { .. }), "{orphaned}");
        assert!(orphaned.to_string().contains("Do not empty it"), "{orphaned}");

        let newer = IDENTITY.text().replace("version = 1", "version = 2");
        std::fs::write(dir.path().join(FILE), newer).unwrap();
        let found = Identity::read(dir.path()).unwrap_err();
        assert!(matches!(found, IdentityError::FutureVersion { found: 2, known: 1, .. }));

        let Identity { cluster, node, shards, .. } = IDENTITY;
        let check = |c, n, s| IDENTITY.check(dir.path(), c, n, s);
        assert!(check(cluster, node, shards).is_ok());
        assert!(check(ClusterId(1), node, shards).unwrap_err().to_string().contains("cluster"));
        assert!(check(cluster, NodeId(4), shards).unwrap_err().to_string().contains("node 3"));
        assert!(check(cluster, node, 5).unwrap_err().to_string().contains("set shards = 4"));
    }

    /// Every flipped bit of the file is noticed.
    #[test]
    fn r03_a_rotten_identity_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let text = IDENTITY.text().into_bytes();
        for bit in 0..(text.len() - 1) * 8 {
            let mut rotten = text.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(dir.path().join(FILE), rotten).unwrap();
            let found = Identity::read(dir.path());
            assert!(found.is_err(), "bit {bit}: {found:?}");
        }
    }
}
