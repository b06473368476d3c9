//! What disk and loopback do without a server: what a node that catches up can come to at most.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Bytes that are written or sent.
const BYTES: usize = 1 << 30;
/// Bytes of one write.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces between two syncs.
const PIECES_A_SYNC: usize = 4;

/// MB a second that one thread writes to a new file, with a sync every few MiB.
pub fn disk_mb_s(dir: &Path) -> io::Result<f64> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    let piece = vec![7; PIECE_BYTES];
    let begun = Instant::now();
    for number in 1..=BYTES / PIECE_BYTES {
        file.write_all(&piece)?;
        if number % PIECES_A_SYNC == 0 {
            file.as_file().sync_data()?;
        }
    }
    Ok(mb_s(begun))
}

/// MB a second over one connection.
pub fn loopback_mb_s() -> io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut takes = TcpStream::connect(listener.local_addr()?)?;
    let (mut gives, _) = listener.accept()?;
    let begun = Instant::now();
    let sender = thread::spawn(move || -> io::Result<()> {
        let piece = vec![7; PIECE_BYTES];
        (0..BYTES / PIECE_BYTES).try_for_each(|_| gives.write_all(&piece))
    });
    let mut piece = vec![0; PIECE_BYTES];
    while takes.read(&mut piece)? > 0 {}
    sender.join().expect("a thread whose errors are values")?;
    Ok(mb_s(begun))
}

/// MB a second from one file through a connection into another: what a node must at least do to give
/// another what it lacks.
pub fn copy_mb_s(dir: &Path) -> io::Result<f64> {
    let mut source = tempfile::NamedTempFile::new_in(dir)?;
    let piece = vec![7; PIECE_BYTES];
    (0..BYTES / PIECE_BYTES).try_for_each(|_| source.write_all(&piece))?;
    source.as_file().sync_data()?;
    rustix::fs::fadvise(source.as_file(), 0, None, rustix::fs::Advice::DontNeed)?;
    let mut from = File::open(source.path())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut takes = TcpStream::connect(listener.local_addr()?)?;
    let (mut gives, _) = listener.accept()?;
    let begun = Instant::now();
    let sender = thread::spawn(move || -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match from.read(&mut piece)? {
                0 => return Ok(()),
                count => gives.write_all(&piece[..count])?,
            }
        }
    });
    let mut target = tempfile::NamedTempFile::new_in(dir)?;
    let (mut piece, mut unsynced) = (vec![0; PIECE_BYTES], 0);
    loop {
        let count = takes.read(&mut piece)?;
        target.write_all(&piece[..count])?;
        unsynced += count;
        if unsynced >= PIECES_A_SYNC * PIECE_BYTES || count == 0 {
            target.as_file().sync_data()?;
            unsynced = 0;
        }
        if count == 0 {
            break;
        }
    }
    sender.join().expect("a thread whose errors are values")?;
    Ok(mb_s(begun))
}

fn mb_s(begun: Instant) -> f64 {
    BYTES as f64 / begun.elapsed().as_secs_f64() / 1e6
}
