//! One connection: a socket, the frame that is arriving, the bytes that wait to leave.

use super::exit;
use crate::limits::{FRAME_BYTES_MAX, FRAME_MS, READ_TURN_BYTES, UNREAD_BYTES_MIN, UNREAD_MS};
use crate::types::Tick;
use crate::wire::frame::FrameBuffer;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

/// Room made for the first answers of a turn.
const FIRST_ROOM_BYTES: usize = 1 << 10;

/// A connection without its role.
#[derive(Debug)]
pub struct Conn {
    /// The socket, non-blocking.
    pub stream: TcpStream,
    /// The other side.
    pub address: SocketAddr,
    /// Cuts what arrives into frames.
    pub frames: FrameBuffer,
    /// Bytes that were taken from the socket and not looked at, because reading was paused.
    pub unread: Vec<u8>,
    /// What waits to leave.
    pub output: Outgoing,
    /// The socket may hold bytes that were not taken (readiness is reported once, at the edge).
    pub readable: bool,
    /// The other side may have closed: only a read tells.
    pub hung_up: bool,
    /// When the frame that is still incomplete began to arrive.
    begun: Option<Tick>,
    /// How the other side takes what waits for it; nothing while nothing waits.
    owed: Option<Owed>,
}

/// Output that waits to be taken.
#[derive(Clone, Copy, Debug)]
struct Owed {
    /// When the present measure began, and what had been taken in all by then.
    since: Tick,
    taken_by_then: u64,
    /// When something was taken last, and what had been taken in all by then.
    moved_at: Tick,
    taken: u64,
}

/// What one read from a socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The other side closed.
    Closed,
}

impl Conn {
    /// A fresh connection; bodies of frames are small until Hello is accepted.
    #[must_use]
    pub fn new(stream: TcpStream, address: SocketAddr) -> Conn {
        Conn {
            stream,
            address,
            frames: FrameBuffer::new(),
            unread: Vec::new(),
            output: Outgoing::default(),
            readable: true,
            hung_up: false,
            begun: None,
            owed: None,
        }
    }

    /// Hello was accepted: frames may be of full size.
    pub fn greeted(&mut self) {
        self.frames.set_limit(FRAME_BYTES_MAX);
    }

    /// Takes bytes from the socket, once.
    ///
    /// # Errors
    /// Whatever the socket says; the connection is to be closed.
    pub fn take(&mut self, scratch: &mut [u8]) -> io::Result<Taken> {
        loop {
            return match self.stream.read(scratch) {
                Ok(0) => Ok(Taken::Closed),
                Ok(count) => {
                    // A short read emptied the socket; bytes that follow are another edge. Only
                    // the end of the stream may have been reported already.
                    self.readable = count == scratch.len() || self.hung_up;
                    Ok(Taken::Bytes(count))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Ok(Taken::Nothing)
                }
                Err(error) => Err(error),
            };
        }
    }

    /// Notes whether a frame is under way, after the bytes at hand were used up. `progress` is true
    /// when a frame was completed since the last call.
    pub fn note_frame(&mut self, now: Tick, progress: bool) {
        if self.frames.held_bytes() == 0 && self.unread.is_empty() {
            self.begun = None;
        } else if progress || self.begun.is_none() {
            self.begun = Some(now);
        }
    }

    /// Bytes that arrived and are not a frame yet.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.frames.held_bytes() + self.unread.len()
    }

    /// When the frame that is under way must be complete (R39).
    #[must_use]
    pub fn frame_deadline(&self) -> Option<Tick> {
        // What this side has not read yet is not the other side's slowness.
        if self.readable || !self.unread.is_empty() {
            return None;
        }
        self.begun.map(|begun| begun.after(FRAME_MS * 1000))
    }

    /// Notes how the other side takes its output, after it was offered to the socket.
    pub fn note_output(&mut self, now: Tick) {
        let taken = self.output.taken;
        if self.output.is_empty() {
            self.owed = None;
            return;
        }
        let fresh = Owed { since: now, taken_by_then: taken, moved_at: now, taken };
        let owed = self.owed.get_or_insert(fresh);
        if taken - owed.taken_by_then >= UNREAD_BYTES_MIN {
            *owed = fresh;
        } else if taken > owed.taken {
            (owed.moved_at, owed.taken) = (now, taken);
        }
    }

    /// Since when nothing was taken of what waits.
    #[must_use]
    pub fn stands_still_since(&self) -> Option<Tick> {
        self.owed.map(|owed| owed.moved_at)
    }

    /// When the other side must have sent or taken more (R39).
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        let unread = self.owed.map(|owed| owed.since.after(UNREAD_MS * 1000));
        self.frame_deadline().into_iter().chain(unread).min()
    }

    /// Writes as much of the output as the socket takes. True when nothing is left.
    ///
    /// # Errors
    /// Whatever the socket says; the connection is to be closed.
    pub fn flush(&mut self) -> io::Result<bool> {
        let Conn { stream, output, .. } = self;
        output.flush(stream)
    }

    /// No more will be written; what was written arrives before the end.
    pub fn finish_writing(&self) {
        // An error means that the other side is gone, which the next read reports.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Bytes that wait to leave, written with as few calls as the socket allows.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes that the socket ever took.
    taken: u64,
}

impl Outgoing {
    /// Where frames are appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(FIRST_ROOM_BYTES);
        }
        &mut self.bytes
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes to `socket` until it is full or nothing is left; true when nothing is left.
    ///
    /// # Errors
    /// Whatever the socket says.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            if exit::silenced() {
                return Ok(false);
            }
            match socket.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sent += count;
                    self.taken += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.compact();
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        // An idle connection holds no buffer.
        *self = Outgoing { taken: self.taken, ..Outgoing::default() };
        Ok(true)
    }

    /// What was sent is moved out when it is the larger part, so that a slow reader's buffer does
    /// not grow with all that it ever read.
    fn compact(&mut self) {
        if self.sent >= READ_TURN_BYTES && self.sent * 2 >= self.bytes.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R39: a frame has its time from its first byte on; each that is completed starts anew, and
    /// bytes that this side left unread are not held against the other.
    #[test]
    fn r39_frames_have_a_deadline() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let stream = std::net::TcpStream::connect(address).expect("connect");
        let mut conn = Conn::new(TcpStream::from_std(stream), address);
        conn.readable = false;
        let mut frame = Vec::new();
        crate::wire::frame::write_frame(&mut frame, 1, 1, |body| body.extend([0; 100]));
        let feed = |conn: &mut Conn, now, mut bytes: &[u8]| {
            let progress = conn.frames.next(&mut bytes).expect("sound").is_some();
            while conn.frames.next(&mut bytes).expect("sound").is_some() {}
            conn.note_frame(Tick(now), progress);
            conn.frame_deadline()
        };
        let at = |began: u64| Some(Tick(began + FRAME_MS * 1000));
        assert_eq!(feed(&mut conn, 5, &frame), None, "nothing is under way");
        assert_eq!(feed(&mut conn, 10, &frame[..30]), at(10));
        assert_eq!(feed(&mut conn, 20, &frame[30..40]), at(10), "a byte now and then buys no time");
        let rest = [&frame[40..], &frame[..50]].concat();
        assert_eq!(feed(&mut conn, 30, &rest), at(30), "the next frame began");
        conn.unread = vec![1];
        assert_eq!(conn.frame_deadline(), None);
        conn.unread.clear();
        conn.readable = true;
        assert_eq!(conn.frame_deadline(), None);
        conn.readable = false;
        assert_eq!(feed(&mut conn, 40, &frame[50..]), None);
    }

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
            assert_eq!(
                output.flush(&mut socket).expect("no error"),
                left <= (round as usize * 7) % 2300
            );
            assert_eq!(output.len(), wanted.len() - socket.taken.len());
        }
        socket.room = usize::MAX;
        assert!(output.flush(&mut socket).expect("no error"));
        assert_eq!(socket.taken, wanted);
        assert_eq!(output.bytes.capacity(), 0, "an idle connection holds no buffer");
    }

    /// The buffer of a slow reader stays within twice what waits and one turn's bytes.
    #[test]
    fn slow_reader_does_not_grow_the_buffer() {
        let mut output = Outgoing::default();
        let mut socket = Narrow { room: 0, taken: Vec::new() };
        for _ in 0..100 {
            output.buffer().extend_from_slice(&[7; 100_000]);
            socket.room = 100_000 - 10;
            assert!(!output.flush(&mut socket).expect("no error"));
            socket.taken.clear();
            assert!(output.bytes.len() <= 2 * (output.len() + READ_TURN_BYTES));
        }
    }
}
