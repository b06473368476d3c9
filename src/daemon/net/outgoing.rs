//! The bytes that wait to leave on one connection.

use crate::daemon::exit;
use std::collections::VecDeque;
use std::io::{self, Write};

/// Room made for the first answers of a turn.
const FIRST_ROOM_BYTES: usize = 1 << 10;
/// A piece of this size is closed, and the next frame begins another one.
const PIECE_BYTES: usize = 64 << 10;

/// Bytes that wait to leave, written with few calls. They are kept in pieces of about
/// `PIECE_BYTES`, or of one larger frame: a piece that was sent gives its memory back, and a slow
/// reader's buffer is never copied or doubled to make room for another answer.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Closed pieces, the oldest first.
    closed: VecDeque<Vec<u8>>,
    /// Bytes of these.
    closed_bytes: usize,
    /// The piece that frames are appended to.
    last: Vec<u8>,
    /// Bytes of the oldest piece that the socket took.
    sent: usize,
    /// Bytes that the socket ever took.
    taken: u64,
}

/// How far the socket took what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left.
    All,
    /// The socket is full: it says when it takes more.
    Full,
    /// The share is used up, and the socket may take more.
    Share,
}

impl Outgoing {
    /// Where frames are appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.last.len() >= PIECE_BYTES {
            self.closed_bytes += self.last.len();
            self.closed.push_back(std::mem::take(&mut self.last));
        }
        if self.last.capacity() == 0 {
            self.last.reserve(FIRST_ROOM_BYTES);
        }
        &mut self.last
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.closed_bytes + self.last.len() - self.sent
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that are held for them: what the socket took of a piece is free only when it
    /// took all of it.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.closed_bytes + self.last.capacity()
    }

    /// Bytes that the socket ever took.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Writes to `socket` until it is full, it took `most` bytes, or nothing is left.
    ///
    /// # Errors
    /// Whatever the socket says.
    pub fn flush(&mut self, socket: &mut impl Write, most: usize) -> io::Result<Flushed> {
        let mut left = most;
        while !self.is_empty() {
            if exit::silenced() {
                return Ok(Flushed::Full);
            }
            if left == 0 {
                return Ok(Flushed::Share);
            }
            let piece = &self.closed.front().unwrap_or(&self.last)[self.sent..];
            match socket.write(&piece[..piece.len().min(left)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    left -= count;
                    self.took(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Full);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed::All)
    }

    /// The socket took so many bytes of the oldest piece.
    fn took(&mut self, count: usize) {
        self.taken += count as u64;
        self.sent += count;
        let oldest = self.closed.front().unwrap_or(&self.last);
        if self.sent < oldest.len() {
            return;
        }
        self.sent = 0;
        // An idle connection holds no buffer.
        match self.closed.pop_front() {
            Some(piece) => self.closed_bytes -= piece.len(),
            None => self.last = Vec::new(),
        }
        if self.closed.is_empty() {
            self.closed = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::exit::tests::{ALONE, alone, fall_silent};

    /// Takes `room` bytes, then is full.
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A socket that is full gets the rest later, in order, and nothing twice.
    #[test]
    fn output_leaves_in_order_across_full_sockets() {
        let mut output = Outgoing::default();
        let mut socket = Narrow { room: 0, taken: Vec::new() };
        let mut wanted = Vec::new();
        for round in 0..2000_u32 {
            let bytes = [round.to_le_bytes(); 300].concat();
            output.buffer().extend_from_slice(&bytes);
            wanted.extend_from_slice(&bytes);
            socket.room = (round as usize * 7) % 2300;
            let left = wanted.len() - socket.taken.len();
            let all = left <= socket.room;
            let flushed = output.flush(&mut socket, usize::MAX).expect("no error");
            assert_eq!(flushed, if all { Flushed::All } else { Flushed::Full });
            assert_eq!(output.len(), wanted.len() - socket.taken.len());
        }
        socket.room = usize::MAX;
        assert_eq!(output.flush(&mut socket, usize::MAX).expect("no error"), Flushed::All);
        assert_eq!(socket.taken, wanted);
        assert_eq!(output.held_bytes(), 0, "an idle connection holds no buffer");
    }

    /// One connection gives its socket its share, and the others have their turn.
    #[test]
    fn a_share_is_a_bound() {
        let mut output = Outgoing::default();
        let mut socket = Narrow { room: usize::MAX, taken: Vec::new() };
        for _ in 0..3 {
            output.buffer().extend_from_slice(&[7; PIECE_BYTES]);
        }
        assert_eq!(output.flush(&mut socket, PIECE_BYTES + 1).expect("no error"), Flushed::Share);
        assert_eq!(socket.taken.len(), PIECE_BYTES + 1);
        let rest = 2 * PIECE_BYTES - 1;
        assert_eq!(output.flush(&mut socket, rest).expect("no error"), Flushed::All);
    }

    /// R39: the memory of a slow reader is what waits, one frame and one piece, however long it
    /// reads.
    #[test]
    fn r39_slow_reader_does_not_grow_the_buffer() {
        const FRAME: usize = 100_000;
        let mut output = Outgoing::default();
        let mut socket = Narrow { room: 0, taken: Vec::new() };
        for _ in 0..100 {
            output.buffer().extend_from_slice(&[7; FRAME]);
            socket.room = FRAME - 10;
            assert_eq!(output.flush(&mut socket, usize::MAX).expect("no error"), Flushed::Full);
            socket.taken.clear();
            assert!(output.held_bytes() <= output.len() + FRAME + PIECE_BYTES);
        }
    }

    /// The body of the test below, which runs it in a process of its own.
    #[test]
    fn falls_silent() {
        if std::env::var_os(ALONE).is_none() {
            return;
        }
        let mut output = Outgoing::default();
        let mut wire = Vec::new();
        output.buffer().extend_from_slice(b"before");
        let flushed = output.flush(&mut wire, usize::MAX).expect("memory takes all");
        assert_eq!(flushed, Flushed::All);
        fall_silent();
        output.buffer().extend_from_slice(b"a vote that rests on a failed write");
        let flushed = output.flush(&mut wire, usize::MAX).expect("no error");
        assert_eq!(flushed, Flushed::Full);
        assert_eq!(wire, b"before");
    }

    /// R01: once a disk failed, no thread writes to a socket any more, whatever it has to say.
    #[test]
    fn r01_nothing_leaves_after_a_failure() {
        let output = alone("daemon::net::outgoing::tests::falls_silent");
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }
}
