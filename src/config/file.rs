//! Reads a configuration file: which files are accepted, and how bytes that are not text are shown.

use crate::limits::CONFIG_BYTES_MAX;
use crate::types::Trouble;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Why a file was not read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) reason: String,
    /// The system was only short of something.
    pub(super) may_pass: bool,
    /// There is no such file.
    pub(super) missing: bool,
}

impl Unread {
    fn of_kind(reason: String) -> Unread {
        Unread { reason, may_pass: false, missing: false }
    }
}

impl From<&io::Error> for Unread {
    fn from(error: &io::Error) -> Unread {
        Unread {
            reason: error.to_string(),
            may_pass: Trouble::is_shortage(error),
            missing: error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// Reads a regular file of a bounded size; never blocks on a pipe or a device.
///
/// # Errors
/// Why it is not read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Unread> {
    // Without this flag a named pipe would keep the node waiting for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| unopened(path, &error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|error| Unread::from(&error))?;
    let (kind, size) = (metadata.file_type(), metadata.len());
    if !kind.is_file() {
        return Err(Unread::of_kind(format!("it is {}, not a regular file", named(kind))));
    }
    let mut bytes = Vec::new();
    let most = CONFIG_BYTES_MAX as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(|error| Unread::from(&error))?;
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(Unread::of_kind(format!(
            "it has {size} bytes, and a configuration {CONFIG_BYTES_MAX} bytes at most: it is likely \
             another file, such as a log, a program or a segment of data_dir; name the node's \
             paxosd.toml (--config)"
        )));
    }
    Ok(bytes)
}

/// Why a file cannot be opened; of one that may not be, who asks and who may.
fn unopened(path: &Path, error: &io::Error) -> Unread {
    let unread = Unread::from(error);
    let file = std::fs::metadata(path).ok().filter(|_| Trouble::is_denied(error));
    let Some(file) = file else { return unread };
    let (user, owner, mode) =
        (rustix::process::geteuid().as_raw(), file.uid(), file.mode() & 0o7777);
    let reason = format!(
        "{}: this process runs as user {user}, and the file is of user {owner} with mode {mode:04o}",
        unread.reason
    );
    Unread { reason, ..unread }
}

fn named(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

/// Bytes as text, and for each line that is not text, by its index, the rule that it breaks.
pub(super) struct Decoded {
    pub(super) text: String,
    pub(super) broken: BTreeMap<usize, String>,
    /// The rule that the file breaks as a whole.
    pub(super) rule: Option<&'static str>,
}

/// Decodes bytes as UTF-8 or, by the byte order mark, as UTF-16. Bytes that are not text are shown as
/// `\xff`.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let order = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return decode_utf8(bytes),
    };
    let units = bytes.chunks_exact(2).skip(1).map(|pair| order([pair[0], pair[1]]));
    let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    let rule = Some("the file is UTF-16, by its byte order mark: save it as UTF-8");
    Decoded { text: text.collect(), broken: BTreeMap::new(), rule }
}

/// Decodes bytes as UTF-8, and notes the lines that are not.
pub(super) fn decode_utf8(bytes: &[u8]) -> Decoded {
    let mut decoded = Decoded { text: String::new(), broken: BTreeMap::new(), rule: None };
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let mut column = 1;
        for chunk in line.utf8_chunks() {
            decoded.text.push_str(chunk.valid());
            column += chunk.valid().chars().count();
            let Some(first) = chunk.invalid().first() else { continue };
            let rule = || format!("is not UTF-8: byte 0x{first:02x} in column {column}");
            decoded.broken.entry(index).or_insert_with(rule);
            for byte in chunk.invalid() {
                // A String takes all that is written to it.
                let _ = write!(decoded.text, "\\x{byte:02x}");
            }
        }
    }
    decoded
}
