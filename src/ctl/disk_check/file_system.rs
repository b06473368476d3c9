//! What a directory lies on, and whether a sync there means what it should.

use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The table of mounts of this process.
const MOUNTS: &str = "/proc/self/mountinfo";

/// The file system under a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind, as the kernel names it: `ext4`, `tmpfs`, …
    pub kind: String,
    /// What is mounted: a device, an export.
    pub source: String,
    /// Where.
    pub mount_point: PathBuf,
    /// Options of the mount and of the file system.
    pub options: Vec<String>,
    /// Nothing can be written.
    pub read_only: bool,
    /// Bytes that new files could take.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// `write back` or `write through`: what the device says of its cache, if it is one.
    pub write_cache: Option<String>,
}

/// Why not to trust something, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Warning {
    /// A warning.
    #[must_use]
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Warning {
        Warning { what: what.into(), advice: advice.into() }
    }

    /// As JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({ "what": self.what, "advice": self.advice })
    }
}

/// One line of the table of mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: PathBuf,
    options: Vec<String>,
    kind: String,
    source: String,
}

impl FileSystem {
    /// What the directory, as a path without links, lies on.
    ///
    /// # Errors
    /// When the system does not report its space.
    pub fn of(dir: &Path) -> io::Result<FileSystem> {
        let space = rustix::fs::statvfs(dir)?;
        let mounts = fs::read_to_string(MOUNTS).unwrap_or_default();
        let mount = mount_of(&mounts, dir);
        let flagged = space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
        let mount = mount.unwrap_or_else(|| Mount {
            device: String::new(),
            point: PathBuf::from("/"),
            options: Vec::new(),
            kind: "unknown".to_string(),
            source: "unknown".to_string(),
        });
        Ok(FileSystem {
            read_only: flagged || mount.options.iter().any(|option| option == "ro"),
            free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
            write_cache: write_cache(&mount.device),
            kind: mount.kind,
            source: mount.source,
            mount_point: mount.point,
            options: mount.options,
        })
    }

    /// As JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "kind": self.kind,
            "source": self.source,
            "mount_point": self.mount_point.display().to_string(),
            "options": self.options,
            "read_only": self.read_only,
            "free_bytes": self.free_bytes,
            "total_bytes": self.total_bytes,
            "write_cache": self.write_cache,
        })
    }

    /// What about it breaks the promise of a sync.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        kind_warning(&self.kind).into_iter().chain(self.options_warning()).collect()
    }

    fn options_warning(&self) -> Option<Warning> {
        let broken = ["nobarrier", "barrier=0", "barrier=none", "volatile"];
        let found = self.options.iter().find(|option| broken.contains(&option.as_str()))?;
        Some(Warning::new(
            format!("it is mounted with {found}: a sync does not reach the medium"),
            format!("mount it without {found}; only a cache with its own power allows for it"),
        ))
    }
}

/// What a kind of file system does to a sync; nothing for those that keep it.
fn kind_warning(kind: &str) -> Option<Warning> {
    let local = "put data_dir on a local disk with ext4 or XFS";
    let family = kind.split('.').next().unwrap_or(kind);
    Some(match family {
        "tmpfs" | "ramfs" | "devtmpfs" => Warning::new(
            format!("{kind} is memory: a sync does nothing, and all is gone with the power"),
            local,
        ),
        "overlay" | "aufs" => Warning::new(
            format!("{kind} is the inside of a container: the data is gone with the container"),
            "mount a volume or a directory of the host, on ext4 or XFS, and put data_dir there",
        ),
        "nfs" | "nfs4" => Warning::new(
            format!(
                "{kind} goes over the network: a sync is as good as the server (an `async` export \
                 lies), a fault of it stalls the node, and locks can be lost"
            ),
            local,
        ),
        "cifs" | "smb3" | "smbfs" | "9p" | "virtiofs" | "fuse" | "fuseblk" | "ceph" | "afs"
        | "lustre" | "gpfs" | "vboxsf" | "prl_fs" | "ocfs2" | "gfs2" => Warning::new(
            format!("{kind} leaves it to another program or machine what a sync means"),
            format!("{local}; or find out that it keeps what was synced when power fails there"),
        ),
        "btrfs" | "zfs" | "bcachefs" | "nilfs2" => Warning::new(
            format!(
                "{kind} never writes in place: space that paxosd prepared is not kept for it, so \
                 a sync costs more, and can fail on a full disk"
            ),
            format!("{local}; on btrfs at least `chattr +C` on the empty data_dir"),
        ),
        "vfat" | "msdos" | "exfat" | "ntfs" | "ntfs3" | "hfsplus" | "ext2" => Warning::new(
            format!("{kind} has no journal for its own metadata: a power cut can cost files"),
            local,
        ),
        "ecryptfs" | "encfs" => Warning::new(
            format!("{kind} lies on top of another file system, and hides how that syncs"),
            "encrypt the block device (LUKS) instead",
        ),
        "unknown" => Warning::new(
            format!("the system does not tell what the directory lies on ({MOUNTS})"),
            "look at `findmnt --target DIR`: tmpfs, overlay and NFS keep no promise of a sync",
        ),
        _ => return None,
    })
}

/// The mount that a path lies on: the last one of the longest mount point above it.
fn mount_of(table: &str, path: &Path) -> Option<Mount> {
    let above = table.lines().filter_map(parse).filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /mount options optional… - kind source super-options`.
fn parse(line: &str) -> Option<Mount> {
    let (place, rest) = line.split_once(" - ")?;
    let place: Vec<&str> = place.split(' ').collect();
    let mut rest = rest.split(' ');
    let kind = rest.next()?.to_string();
    let source = unescape(rest.next()?).to_string_lossy().into_owned();
    let options = [place.get(5)?, rest.next().unwrap_or("")];
    let mut options: Vec<String> =
        options.iter().flat_map(|list| list.split(',')).map(str::to_string).collect();
    options.retain(|option| !option.is_empty());
    options.sort();
    options.dedup();
    let device = place.get(2)?.to_string();
    Some(Mount { device, point: unescape(place.get(4)?), options, kind, source })
}

/// The kernel writes spaces and the like as `\040`.
fn unescape(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        let digits = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(|_| *first == b'\\') {
            Some(code) => {
                bytes.push(code);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// What the block device, or the disk that a partition is of, says of its cache.
fn write_cache(device: &str) -> Option<String> {
    let home = PathBuf::from(format!("/sys/dev/block/{device}"));
    let real = fs::canonicalize(home).ok()?;
    let found = [real.join("queue/write_cache"), real.parent()?.join("queue/write_cache")];
    found.iter().find_map(|file| fs::read_to_string(file).ok()).map(|text| text.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=64k
31 22 0:26 / /srv/my\\040data rw master:3 propagate_from:2 - nfs4 10.0.0.1:/x\\011y rw,hard
32 22 8:1 / /srv ro,noatime - xfs /dev/sda1 ro,nobarrier
33 32 8:2 / /srv rw - btrfs /dev/sda2 rw
";

    fn at(path: &str) -> Mount {
        mount_of(TABLE, Path::new(path)).expect("the root is above everything")
    }

    /// The longest mount point above a path counts, of two on one point the later; escapes are read.
    #[test]
    fn the_mount_of_a_path_is_found() {
        assert_eq!(at("/var/lib/paxosd").kind, "ext4");
        assert_eq!(at("/var/lib/paxosd").device, "254:0");
        assert_eq!(at("/dev/shm/x").kind, "tmpfs");
        assert_eq!(at("/dev/shmx").kind, "ext4");
        let nfs = at("/srv/my data/node");
        assert_eq!((nfs.kind.as_str(), nfs.source.as_str()), ("nfs4", "10.0.0.1:/x\ty"));
        assert!(nfs.options.contains(&"hard".to_string()), "{nfs:?}");
        assert_eq!(at("/srv/other").kind, "btrfs");
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    /// Each kind that breaks the promise gets a warning of its own, with advice; a sound one none.
    #[test]
    fn every_doubtful_kind_is_warned_of() {
        for kind in ["ext4", "xfs", "ext3", "jfs"] {
            assert_eq!(kind_warning(kind), None, "{kind}");
        }
        let doubtful =
            ["tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "9p", "virtiofs", "fuse.sshfs"];
        for kind in doubtful.iter().chain(&["btrfs", "zfs", "vfat", "ecryptfs", "unknown"]) {
            let warning = kind_warning(kind).unwrap_or_else(|| panic!("{kind} passes for sound"));
            assert!(!warning.what.is_empty() && !warning.advice.is_empty(), "{kind}");
        }
        let said = |kind: &str| kind_warning(kind).expect("a doubtful kind").what;
        assert!(said("tmpfs").contains("memory") && said("overlay").contains("container"));
        assert!(said("nfs4").contains("network"));
    }

    /// A mount without barriers is warned of whatever its kind.
    #[test]
    fn a_mount_without_barriers_is_warned_of() {
        let system = |options: &[&str]| FileSystem {
            kind: "ext4".to_string(),
            source: "/dev/x".to_string(),
            mount_point: PathBuf::from("/"),
            options: options.iter().map(|option| option.to_string()).collect(),
            read_only: false,
            free_bytes: 1,
            total_bytes: 2,
            write_cache: None,
        };
        assert_eq!(system(&["rw", "relatime"]).warnings(), []);
        let found = system(&["rw", "nobarrier"]).warnings();
        assert!(found.len() == 1 && found[0].what.contains("nobarrier"), "{found:?}");
    }

    /// The directory of this very test lies on something with space and a name.
    #[test]
    fn this_machine_shows_what_it_has() {
        let here = fs::canonicalize(".").expect("a working directory");
        let system = FileSystem::of(&here).expect("a file system");
        assert!(system.kind != "unknown" && !system.source.is_empty(), "{system:?}");
        assert!(system.total_bytes >= system.free_bytes && system.total_bytes > 0, "{system:?}");
        assert!(here.starts_with(&system.mount_point), "{system:?}");
    }
}
