//! Frames: a header of 24 bytes and a body. Lengths are held against a limit before anything is
//! allocated for them (R37), and a frame is believed only when its CRC-32C fits.

use crate::limits::{FRAME_BYTES_BEFORE_HELLO, FRAME_HEADER_BYTES};
use byteorder::{ByteOrder, LittleEndian};
use thiserror::Error;

/// Where the checksum lies; it covers everything behind itself.
const CRC_AT: usize = 4;
/// Where the checked part of a frame starts.
const CHECKED_FROM: usize = 8;
/// Room made for a frame at first; more follows as its bytes arrive.
const FIRST_ROOM_BYTES: usize = 4096;
/// Flags in the lower byte must be understood or the frame refused; others may be ignored.
pub const FLAGS_CRITICAL: u16 = 0x00FF;

/// A whole frame whose checksum fits, still in the connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is; [`super::kind`] has the numbers.
    pub kind: u16,
    /// The flags; none exists in version 1.
    pub flags: u16,
    /// Pairs a reply with its request; 0 on frames that belong to no request.
    pub correlation: u64,
    /// The body.
    pub body: &'a [u8],
}

/// Why a connection's bytes cannot be followed any further.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The header announces more than the limit.
    #[error("a frame announces {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes of body that the header announces.
        bytes: u32,
        /// Most bytes of body that are taken here.
        limit: usize,
    },
    /// The checksum does not fit.
    #[error("a frame of kind {kind:#06x} has CRC-32C {computed:#010x}, but says {stated:#010x}")]
    Checksum {
        /// The kind, as far as it can be believed.
        kind: u16,
        /// The checksum in the header.
        stated: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
}

/// Cuts a connection's bytes into frames as they arrive. Holds bytes only while a frame is
/// incomplete, and then only that frame's, so that an idle connection holds no buffer.
#[derive(Clone, Debug)]
pub struct FrameBuffer {
    limit: usize,
    held: Vec<u8>,
    /// The frame in `held` was given out and goes with the next call.
    spent: bool,
}

impl Default for FrameBuffer {
    fn default() -> FrameBuffer {
        FrameBuffer::new()
    }
}

impl FrameBuffer {
    /// A buffer for a connection that has not said Hello: bodies of at most
    /// [`FRAME_BYTES_BEFORE_HELLO`] bytes.
    #[must_use]
    pub fn new() -> FrameBuffer {
        FrameBuffer { limit: FRAME_BYTES_BEFORE_HELLO, held: Vec::new(), spent: false }
    }

    /// Sets the limit for the bodies of frames to come, once Hello was accepted.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes of an incomplete frame that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        if self.spent { 0 } else { self.held.len() }
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }

    /// The next frame of what is held and of `input`, which is moved forward past it; none when
    /// `input` is used up. Frames that lie whole in `input` are not copied.
    ///
    /// # Errors
    /// [`FrameError`]: nothing behind it can be made sense of; the connection must be closed.
    pub fn next<'f, 'i: 'f>(
        &'f mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'f>>, FrameError> {
        if self.spent {
            self.held.clear();
            self.spent = false;
        }
        if self.held.is_empty()
            && let Some(bytes) = whole(input, self.limit)?
        {
            let (frame, rest) = input.split_at(bytes);
            *input = rest;
            return open(frame).map(Some);
        }
        self.fill(input, FRAME_HEADER_BYTES);
        if self.held.len() < FRAME_HEADER_BYTES {
            return Ok(self.none_yet());
        }
        let bytes = frame_bytes(&self.held, self.limit)?;
        self.fill(input, bytes);
        if self.held.len() < bytes {
            return Ok(self.none_yet());
        }
        self.spent = true;
        open(&self.held).map(Some)
    }

    /// Moves bytes from `input` until `target` are held or `input` is used up. Memory grows with
    /// what arrived, never with what was only announced.
    fn fill(&mut self, input: &mut &[u8], target: usize) {
        let missing = target.saturating_sub(self.held.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        if taken.is_empty() {
            return;
        }
        let room = (self.held.len() * 2).max(FIRST_ROOM_BYTES).min(target);
        self.held.reserve_exact(room.max(self.held.len() + taken.len()) - self.held.len());
        self.held.extend_from_slice(taken);
        *input = rest;
    }

    /// The input is used up: gives memory back unless a frame is under way.
    fn none_yet<'a>(&mut self) -> Option<Frame<'a>> {
        if self.held.is_empty() {
            self.held = Vec::new();
        }
        None
    }
}

/// Bytes of the frame at the start of `bytes`, if it is there as a whole.
fn whole(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    if bytes.len() < FRAME_HEADER_BYTES {
        return Ok(None);
    }
    let needed = frame_bytes(bytes, limit)?;
    Ok((bytes.len() >= needed).then_some(needed))
}

/// Bytes of a frame by its header, which must be there.
fn frame_bytes(header: &[u8], limit: usize) -> Result<usize, FrameError> {
    let bytes = LittleEndian::read_u32(&header[..4]);
    match usize::try_from(bytes) {
        Ok(body) if body <= limit => Ok(FRAME_HEADER_BYTES + body),
        Ok(_) | Err(_) => Err(FrameError::TooLarge { bytes, limit }),
    }
}

/// Verifies a whole frame.
fn open(frame: &[u8]) -> Result<Frame<'_>, FrameError> {
    let stated = LittleEndian::read_u32(&frame[CRC_AT..]);
    let computed = crc32c::crc32c(&frame[CHECKED_FROM..]);
    let kind = LittleEndian::read_u16(&frame[8..]);
    if stated != computed {
        return Err(FrameError::Checksum { kind, stated, computed });
    }
    let flags = LittleEndian::read_u16(&frame[10..]);
    let correlation = LittleEndian::read_u64(&frame[16..]);
    Ok(Frame { kind, flags, correlation, body: &frame[FRAME_HEADER_BYTES..] })
}

/// Appends one frame to `out`, its body written by `body`; length and checksum are filled in
/// behind it, so that many frames leave in one write.
pub fn write_frame(
    out: &mut Vec<u8>,
    kind: u16,
    correlation: u64,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    let mut header = [0; FRAME_HEADER_BYTES];
    LittleEndian::write_u16(&mut header[8..], kind);
    LittleEndian::write_u64(&mut header[16..], correlation);
    out.extend_from_slice(&header);
    body(out);
    let bytes = u32::try_from(out.len() - start - FRAME_HEADER_BYTES)
        .expect("limits keep every frame far below 4 GiB");
    let crc = crc32c::crc32c(&out[start + CHECKED_FROM..]);
    LittleEndian::write_u32(&mut out[start..], bytes);
    LittleEndian::write_u32(&mut out[start + CRC_AT..], crc);
}
