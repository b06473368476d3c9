//! The way of log lines to standard error: a bounded queue and a thread behind it, so that a pipe
//! that nobody empties never holds up a shard. What does not fit is dropped and counted.

use crate::limits::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX};
use crate::types::Trouble;
use crossbeam::channel::{Receiver, Sender, bounded};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two attempts to write where nothing is taken for now.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Takes lines to the thread that writes them.
#[derive(Clone, Debug)]
pub struct LogQueue {
    items: Sender<Item>,
    /// Lines that did not fit and were not reported yet.
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(Sender<()>),
}

impl LogQueue {
    /// Starts the thread that writes to `out`. `lost` words the line that says how many lines were
    /// dropped.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(
        mut out: impl Write + Send + 'static,
        lost: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<LogQueue> {
        let (send, items) = bounded(LOG_LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log".to_string())
            .spawn(move || write_all(&items, &counted, &mut out, lost))?;
        Ok(LogQueue { items: send, dropped })
    }

    /// Queues a line, or drops and counts it where the queue is full. Never waits.
    pub fn offer(&self, line: &[u8]) {
        if self.items.try_send(Item::Line(shortened(line))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Queues a line that must not be dropped, and waits until it and all before it are written;
    /// false when they were not in time.
    #[must_use]
    pub fn insist(&self, line: &[u8], patience: Duration) -> bool {
        let by = Instant::now() + patience;
        let queued = self.items.send_deadline(Item::Line(shortened(line)), by).is_ok();
        queued && self.flush_by(by)
    }

    /// Waits until everything queued so far is written; false when it was not in time.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        self.flush_by(Instant::now() + patience)
    }

    fn flush_by(&self, by: Instant) -> bool {
        let (done, written) = bounded(1);
        let asked = self.items.send_deadline(Item::Flush(done), by).is_ok();
        asked && written.recv_deadline(by).is_ok()
    }
}

/// Each write is one line, which is how `env_logger` writes.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.offer(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line, or as much of it as one may be long: bounds what the queue holds in bytes.
fn shortened(line: &[u8]) -> Vec<u8> {
    if line.len() <= LOG_LINE_BYTES_MAX {
        return line.to_vec();
    }
    let mut short = line[..LOG_LINE_BYTES_MAX].to_vec();
    short.extend_from_slice(" … (cut)\n".as_bytes());
    short
}

fn write_all(
    items: &Receiver<Item>,
    dropped: &AtomicU64,
    out: &mut impl Write,
    lost: impl Fn(u64) -> Vec<u8>,
) {
    let mut put = |bytes: &[u8]| {
        // Nobody is left to report it to when standard error is gone.
        let _ = put_all(out, bytes);
    };
    let write_lost = |put: &mut dyn FnMut(&[u8])| match dropped.swap(0, Ordering::Relaxed) {
        0 => {}
        count => put(&lost(count)),
    };
    for item in items {
        match item {
            Item::Line(line) => put(&line),
            Item::Flush(done) => {
                write_lost(&mut put);
                // Whoever asked may have stopped waiting.
                let _ = done.try_send(());
            }
        }
        // After the lines that were queued when others did not fit.
        if items.is_empty() {
            write_lost(&mut put);
        }
    }
}

/// Writes all of it. Who shares standard error may have set it so that it takes no more for now: that
/// is waited for, as a full pipe is.
fn put_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if Trouble::is_shortage(&error) => std::thread::sleep(FULL_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that takes nothing until it is let go, as a pipe that nobody reads.
    struct Pipe {
        gate: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Open for good once the other end is gone.
            let _ = self.gate.recv();
            self.written.send(bytes.to_vec()).expect("the test reads");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (LogQueue, Sender<()>, Receiver<Vec<u8>>) {
        let (open, gate) = bounded(0);
        let (written, lines) = crossbeam::channel::unbounded();
        let lost = |count| format!("{count} lost\n").into_bytes();
        let queue = LogQueue::start(Pipe { gate, written }, lost).expect("a thread");
        (queue, open, lines)
    }

    /// A pipe that nobody reads holds nobody up, what it takes later is in order, and a later line
    /// says how much is missing.
    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, open, lines) = queue();
        queue.offer(b"in hand\n");
        while !queue.items.is_empty() {
            std::thread::yield_now();
        }
        let offered = LOG_LINES_MAX + 500;
        for number in 0..offered {
            queue.offer(format!("{number}\n").as_bytes());
        }
        assert!(!queue.insist(b"no room\n", Duration::from_millis(1)));
        assert!(!queue.flush(Duration::from_millis(1)));
        drop(open);
        assert!(queue.flush(Duration::from_secs(30)));
        let mut written: Vec<String> =
            lines.try_iter().map(|line| String::from_utf8_lossy(&line).into_owned()).collect();
        let last = written.pop().expect("something was written");
        assert_eq!(written.remove(0), "in hand\n");
        for (number, line) in written.iter().enumerate() {
            assert_eq!(*line, format!("{number}\n"));
        }
        assert_eq!(written.len(), LOG_LINES_MAX);
        assert_eq!(last, "500 lost\n");
    }

    /// Takes a few bytes now and then, as a pipe that a parent has set to non-blocking.
    struct Hesitant(Vec<u8>, usize);

    impl Write for Hesitant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            match self.1 % 3 {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                1 => Err(io::ErrorKind::Interrupted.into()),
                _ => {
                    let count = bytes.len().min(4);
                    self.0.extend_from_slice(&bytes[..count]);
                    Ok(count)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A line that is not taken at once is taken as a whole later.
    #[test]
    fn a_pipe_that_does_not_block_loses_nothing() {
        let mut pipe = Hesitant(Vec::new(), 0);
        put_all(&mut pipe, b"a line of some length\n").expect("taken in the end");
        assert_eq!(pipe.0, b"a line of some length\n");
    }

    /// What must be said is written before the call returns.
    #[test]
    fn insisting_waits_for_the_line() {
        let (queue, open, lines) = queue();
        drop(open);
        queue.offer(b"before\n");
        assert!(queue.insist(b"the end\n", Duration::from_secs(30)));
        let written: Vec<Vec<u8>> = lines.try_iter().collect();
        assert_eq!(written, [b"before\n".to_vec(), b"the end\n".to_vec()]);
    }

    /// A line of any length takes bounded space.
    #[test]
    fn long_lines_are_cut() {
        let cut = shortened(&vec![b'x'; LOG_LINE_BYTES_MAX * 3]);
        assert!(cut.len() < LOG_LINE_BYTES_MAX + 32 && cut.ends_with(b"(cut)\n"));
        assert_eq!(shortened(b"short\n"), b"short\n");
    }
}
