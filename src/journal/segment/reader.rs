//! Reading a segment piece by piece, with what the medium cannot deliver marked as such.

use crate::journal::format::layout::{BLOCK, file_name, is_zero};
use crate::journal::format::open_error::OpenError;
use crate::limits::SECTOR_BYTES;
use crate::storage::{Storage, read_some};
use crate::types::SegmentId;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes read at a time.
const WINDOW_BYTES: u64 = 1 << 20;
/// What stands for a byte that the medium did not deliver: not zero, so that it is no pre-image,
/// and never part of anything that verifies (R08).
const UNREADABLE: u8 = 0xdb;

/// Reads one segment file. Two windows, so that walking data and descriptors side by side
/// reads each once.
pub(crate) struct SegmentReader<'a> {
    storage: &'a dyn Storage,
    pub segment: SegmentId,
    pub name: Arc<str>,
    pub bytes: u64,
    windows: [ReadWindow; 2],
    /// The window that was used last.
    recent: usize,
    /// What the medium did not deliver, in the order of discovery.
    pub unreadable: Vec<Range<u64>>,
}

#[derive(Default)]
struct ReadWindow {
    start: u64,
    bytes: Vec<u8>,
}

impl ReadWindow {
    fn covers(&self, offset: u64, bytes: u64) -> bool {
        self.start <= offset && offset + bytes <= self.start + self.bytes.len() as u64
    }
}

impl<'a> SegmentReader<'a> {
    pub(crate) fn new(
        storage: &'a dyn Storage,
        segment: SegmentId,
        bytes: u64,
    ) -> SegmentReader<'a> {
        SegmentReader {
            storage,
            segment,
            name: file_name(segment),
            bytes,
            windows: [ReadWindow::default(), ReadWindow::default()],
            recent: 0,
            unreadable: Vec::new(),
        }
    }

    /// The bytes at `offset`, which must lie inside the file.
    pub(crate) fn read(&mut self, offset: u64, bytes: usize) -> Result<&[u8], OpenError> {
        let bytes = bytes as u64;
        assert!(offset + bytes <= self.bytes, "read past {}: {offset}+{bytes}", self.name);
        match self.windows.iter().position(|window| window.covers(offset, bytes)) {
            Some(found) => self.recent = found,
            None => {
                self.recent = 1 - self.recent;
                let start = offset - offset % WINDOW_BYTES;
                let end = (offset + bytes).next_multiple_of(WINDOW_BYTES).min(self.bytes);
                self.load(start..end)?;
            }
        }
        let window = &self.windows[self.recent];
        let at = (offset - window.start) as usize;
        Ok(&window.bytes[at..at + bytes as usize])
    }

    fn load(&mut self, range: Range<u64>) -> Result<(), OpenError> {
        let window = &mut self.windows[self.recent];
        window.start = range.start;
        window.bytes.clear();
        window.bytes.resize((range.end - range.start) as usize, 0);
        let read = read_some(self.storage, &self.name, range.start, &mut window.bytes)?;
        let Err(source) = read else { return Ok(()) };
        if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) {
            return Err(OpenError::Unopenable { file: self.name.to_string(), source });
        }
        for (sector, at) in
            window.bytes.chunks_mut(SECTOR_BYTES).zip((range.start..).step_by(SECTOR_BYTES))
        {
            if read_some(self.storage, &self.name, at, sector)?.is_ok() {
                continue;
            }
            sector.fill(UNREADABLE);
            let end = at + sector.len() as u64;
            match self.unreadable.last_mut() {
                Some(last) if last.end == at => last.end = end,
                Some(last) if last.start <= at && end <= last.end => {}
                Some(_) | None => self.unreadable.push(at..end),
            }
        }
        Ok(())
    }

    /// Offset of the first block in the range that is not zero.
    pub(crate) fn first_dirty_block(
        &mut self,
        range: Range<u64>,
    ) -> Result<Option<u64>, OpenError> {
        for at in range.step_by(BLOCK as usize) {
            if !is_zero(self.read(at, BLOCK as usize)?) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
