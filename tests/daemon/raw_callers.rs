//! Connections of strangers, some at a time: what each sends, and how it ends.

use crate::rig::PATIENCE;
use paxosd::limits::FRAME_BYTES_MAX;
use paxosd::wire::frame::{Frame, FrameBuffer};
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};

/// Connections from one source address: few of the ports that the system gives out, so that those
/// of connections just closed are not missed.
const PER_SOURCE: u64 = 1000;

/// Who ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The stranger, right behind its last byte.
    Hasty,
    /// The stranger, once an answer to this correlation came.
    Answered(u64),
    /// The node, by itself.
    Node,
}

/// One connection.
#[derive(Clone)]
pub struct Call {
    /// Its number in the story, and the story's seed.
    pub number: u64,
    pub seed: u64,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// So many bytes are sent first, and the rest in a packet of its own.
    pub first: usize,
    /// The rest is sent when something was answered to the first.
    pub awaits: bool,
    pub ending: Ending,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { number, seed, bytes, first, awaits, ending } = self;
        write!(f, "connection {number} of MUTANTS_SEED={seed}, {first} bytes first, ")?;
        write!(f, "awaits: {awaits}, {ending:?}:")?;
        bytes.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

/// What came back until a connection's end.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub bytes: Vec<u8>,
    /// It ended by a reset: what was sent was not read as a whole.
    pub reset: bool,
}

impl Heard {
    /// Every frame, in order, as `take` sees it; fails on bytes that are none.
    #[track_caller]
    pub fn frames<T>(&self, call: &Call, take: impl Fn(&Frame<'_>) -> T) -> Vec<T> {
        let mut frames = FrameBuffer::new();
        frames.set_limit(FRAME_BYTES_MAX);
        let (mut input, mut taken) = (&self.bytes[..], Vec::new());
        loop {
            match frames.next(&mut input) {
                Ok(Some(frame)) => taken.push(take(&frame)),
                Ok(None) => break,
                Err(error) => panic!("the node sent garbage, {error}: {call:?}"),
            }
        }
        assert_eq!(frames.held_bytes(), 0, "the node sent half a frame: {call:?}");
        taken
    }

    /// A frame of this correlation came.
    fn holds(&self, correlation: u64) -> bool {
        let mut frames = FrameBuffer::new();
        frames.set_limit(FRAME_BYTES_MAX);
        let mut input = &self.bytes[..];
        while let Ok(Some(frame)) = frames.next(&mut input) {
            if frame.correlation == correlation {
                return true;
            }
        }
        false
    }
}

/// Makes all these calls at once, and returns what each heard until its end.
pub fn exchange(address: SocketAddr, calls: &[Call]) -> Vec<Heard> {
    let mut open: Vec<TcpStream> = Vec::new();
    for call in calls {
        let mut stream = connect(address, call.number);
        send(&mut stream, &call.bytes[..call.first], call);
        if !call.awaits {
            // At once: who is refused for what came first has little time for the rest.
            send_rest(&mut stream, call);
        }
        open.push(stream);
    }
    let mut heard: Vec<Heard> = calls.iter().map(|_| Heard::default()).collect();
    for ((call, stream), heard) in calls.iter().zip(&mut open).zip(&mut heard) {
        if call.awaits {
            listen(stream, call, heard, |heard| !heard.bytes.is_empty());
            send_rest(stream, call);
        }
    }
    for ((call, stream), heard) in calls.iter().zip(&mut open).zip(&mut heard) {
        if let Ending::Answered(wanted) = call.ending {
            listen(stream, call, heard, |heard| heard.holds(wanted));
            finish(stream);
        }
        listen(stream, call, heard, |_| false);
    }
    heard
}

/// Connects, from a source address that few others have.
pub fn connect(address: SocketAddr, number: u64) -> TcpStream {
    let [c, d] = [number / PER_SOURCE / 250 % 250, number / PER_SOURCE % 250 + 1];
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 251, c as u8, d as u8), 0);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A node that closed already does not take the rest.
fn send(stream: &mut TcpStream, bytes: &[u8], call: &Call) {
    match stream.write_all(bytes) {
        Ok(()) => {}
        Err(error) if is_gone(error.kind()) => {}
        Err(error) => panic!("the node does not read, {error}: {call:?}"),
    }
}

fn send_rest(stream: &mut TcpStream, call: &Call) {
    send(stream, &call.bytes[call.first..], call);
    if call.ending == Ending::Hasty {
        finish(stream);
    }
}

fn finish(stream: &TcpStream) {
    // Refused where the node closed first.
    let _ = stream.shutdown(Shutdown::Write);
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Listens until enough was heard, or to the connection's end.
fn listen(stream: &mut TcpStream, call: &Call, heard: &mut Heard, enough: impl Fn(&Heard) -> bool) {
    let mut chunk = [0; 16 << 10];
    while !enough(heard) {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => heard.bytes.extend_from_slice(&chunk[..count]),
            Err(error) if is_gone(error.kind()) => {
                heard.reset = true;
                return;
            }
            Err(error) => panic!("no answer and no end, {error}: {call:?}"),
        }
    }
}
