//! One connection: its transport, the frame that is arriving, the bytes that wait to leave.

use crate::daemon::net::outgoing::{Flushed, Outgoing};
use crate::daemon::net::transport::Transport;
use crate::limits::{FRAME_BYTES_MAX, FRAME_MS, UNREAD_BYTES_MIN, UNREAD_MS};
use crate::types::Tick;
use crate::wire::frame::FrameBuffer;
use mio::net::TcpStream;
use std::io::{self, Read};
use std::net::SocketAddr;

/// A connection without its role.
#[derive(Debug)]
pub struct Conn {
    /// What carries its bytes.
    pub transport: Transport,
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
    /// The other side may have closed: only a read shows it.
    pub hung_up: bool,
    /// When the frame that is still incomplete began to arrive.
    begun: Option<Tick>,
    /// How the other side takes what waits for it; nothing while nothing waits.
    owed: Option<UnreadOutput>,
}

/// Output that waits to be taken.
#[derive(Clone, Copy, Debug)]
struct UnreadOutput {
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

/// The bytes that come next on a connection.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// These.
    Bytes(&'a [u8]),
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
            transport: Transport::plain(stream),
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
            return match self.transport.read(scratch) {
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

    /// Takes the bytes that come next: those left unread before, which move to `kept`, or else what
    /// one read from the socket puts into `scratch`.
    ///
    /// # Errors
    /// Whatever the socket says; the connection is to be closed.
    pub fn next_bytes<'a>(
        &mut self,
        scratch: &'a mut [u8],
        kept: &'a mut Vec<u8>,
    ) -> io::Result<Arrived<'a>> {
        if !self.unread.is_empty() {
            *kept = std::mem::take(&mut self.unread);
            return Ok(Arrived::Bytes(kept));
        }
        Ok(match self.take(scratch)? {
            Taken::Bytes(count) => Arrived::Bytes(&scratch[..count]),
            Taken::Nothing => Arrived::Nothing,
            Taken::Closed => Arrived::Closed,
        })
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
        let taken = self.output.taken();
        if self.output.is_empty() {
            self.owed = None;
            return;
        }
        let fresh = UnreadOutput { since: now, taken_by_then: taken, moved_at: now, taken };
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
        Ok(self.flush_share(usize::MAX)? == Flushed::All)
    }

    /// Writes at most so many bytes of the output, and no more than the socket takes.
    ///
    /// # Errors
    /// Whatever the socket says; the connection is to be closed.
    pub fn flush_share(&mut self, most: usize) -> io::Result<Flushed> {
        let Conn { transport, output, .. } = self;
        output.flush(transport, most)
    }

    /// No more will be written; what was written arrives before the end.
    pub fn finish_writing(&self) {
        // An error means that the other side is gone, which the next read reports.
        let _ = self.transport.finish_writing();
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
}
