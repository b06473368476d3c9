//! Reading a journal back without changing it: recovery as it is, over a storage that keeps what
//! recovery writes in memory.

use crate::journal::format::identity::Identity;
use crate::journal::format::layout::BLOCK;
use crate::journal::format::open_error::OpenError;
use crate::journal::recover::places_check::check_places;
use crate::journal::recover::recovered::Recovered;
use crate::journal::recover::run::{Scope, read_back};
use crate::journal::write::journal::JournalOptions;
use crate::limits::{BLOCK_BYTES, SEGMENT_BYTES_DEFAULT};
use crate::storage::Storage;
use crate::types::{Released, ShardId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What recovery would make of all that is left of a shard's journal, and whether the files of places say the same.
/// Nothing is written: the repairs of recovery are
/// kept in memory and dropped. `on_read` gets each number of bytes as it is read.
///
/// # Errors
/// As for [`recover`](crate::journal::recover()): the journal could not be used as it is.
pub fn inspect(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    on_read: &(dyn Fn(u64) + Sync),
) -> Result<Recovered, OpenError> {
    inspect_knowing(storage, identity, shard, &Released::default(), on_read)
}

/// As [`inspect`], where checkpoints name what was released before they were taken.
///
/// # Errors
/// As for [`inspect`].
pub fn inspect_knowing(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    released: &Released,
    on_read: &(dyn Fn(u64) + Sync),
) -> Result<Recovered, OpenError> {
    // The size is only what a refusal names where the file itself does not say it.
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES_DEFAULT, min_free_bytes: 0 };
    let overlay = Overlay::new(storage, on_read);
    let (journal, mut recovered) =
        read_back(&overlay, identity, shard, &options, (Scope::WhatIsLeft, released))?;
    recovered.findings.extend(check_places(&overlay, &journal.journal_id, &journal.index)?);
    Ok(recovered)
}

/// A storage that reads another one and never changes it: what is written to it stays in memory,
/// and is read back from there.
pub struct Overlay<'a> {
    below: &'a dyn Storage,
    changes: Mutex<Changes>,
    on_read: &'a (dyn Fn(u64) + Sync),
}

#[derive(Default)]
struct Changes {
    /// By file, then by the block's offset: blocks that were written to. The last one of a file
    /// may be short.
    blocks: BTreeMap<String, BTreeMap<u64, Vec<u8>>>,
    removed: BTreeSet<String>,
}

impl<'a> Overlay<'a> {
    /// Nothing changed yet. `on_read` gets each number of bytes read from below.
    #[must_use]
    pub fn new(below: &'a dyn Storage, on_read: &'a (dyn Fn(u64) + Sync)) -> Overlay<'a> {
        Overlay { below, changes: Mutex::default(), on_read }
    }

    fn present(&self, name: &str) -> io::Result<()> {
        match self.changes.lock().removed.contains(name) {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(()),
        }
    }

    fn read_below(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (self.on_read)(buf.len() as u64);
        self.below.read_at(name, offset, buf)
    }
}

/// The blocks that a range touches: the offset of each, and which part of the range lies in it.
fn blocks(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + bytes as u64;
    let first = offset - offset % BLOCK;
    (first..end).step_by(BLOCK_BYTES).map(move |block| {
        let from = block.max(offset) - offset;
        let upto = (block + BLOCK).min(end) - offset;
        (block, from as usize..upto as usize)
    })
}

/// The refusal of what recovery never does: it makes no file, and renames none.
fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Storage for Overlay<'_> {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.below.list()?;
        let changes = self.changes.lock();
        names.retain(|name| !changes.removed.contains(name));
        Ok(names)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        self.present(name)?;
        self.below.len(name)
    }

    fn read_at(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.present(name)?;
        let changes = self.changes.lock();
        let Some(changed) = changes.blocks.get(name) else {
            drop(changes);
            return self.read_below(name, offset, buf);
        };
        // A block that was written to is whole here, whatever the medium says of it (R08).
        let (mut at, mut upto) = (0, 0);
        for (block, part) in blocks(offset, buf.len()) {
            upto = part.end;
            let Some(bytes) = changed.get(&block) else { continue };
            if at < part.start {
                self.read_below(name, offset + at as u64, &mut buf[at..part.start])?;
            }
            let within = (offset + part.start as u64 - block) as usize;
            let Some(found) = bytes.get(within..within + part.len()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            at = part.end;
            buf[part].copy_from_slice(found);
        }
        if at < upto {
            self.read_below(name, offset + at as u64, &mut buf[at..upto])?;
        }
        Ok(())
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let len = self.len(name)?;
        if offset + bytes.len() as u64 > len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (block, part) in blocks(offset, bytes.len()) {
            let size = BLOCK.min(len - block) as usize;
            let mut content = vec![0; size];
            if part.len() < size {
                self.read_at(name, block, &mut content)?;
            }
            let within = (offset + part.start as u64 - block) as usize;
            content[within..within + part.len()].copy_from_slice(&bytes[part]);
            let mut changes = self.changes.lock();
            changes.blocks.entry(name.to_string()).or_default().insert(block, content);
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.present(name)
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        self.present(name)?;
        self.below.forget(name)
    }

    fn create(&self, _name: &str, _bytes: u64) -> io::Result<()> {
        refused()
    }

    fn allocate(&self, _name: &str, _bytes: u64) -> io::Result<()> {
        refused()
    }

    fn create_empty(&self, _name: &str) -> io::Result<()> {
        refused()
    }

    fn extend(&self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.present(name)?;
        let mut changes = self.changes.lock();
        changes.blocks.remove(name);
        changes.removed.insert(name.to_string());
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.below.free_bytes()
    }
}
