//! A client that does what clients do while others misbehave, on a thread of its own.

use crate::rig::PATIENCE;
use paxosd::client::{AppendOptions, Client, ClientOptions, Outcome, ReadOptions, Settlement};
use paxosd::types::{Index, LogId};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two appends: often, and yet the processors are there for others.
const PAUSE: Duration = Duration::from_millis(2);
/// Appends between two greetings on a connection of its own.
const GREETS_EVERY: u64 = 8;

/// Its log, which nobody else may touch.
pub const LOG: &str = "the good client's";

/// A client at work. Whatever it is not served in time, it fails of.
pub struct WellBehaved {
    endpoints: Vec<String>,
    /// Its log.
    pub id: LogId,
    stop: Sender<()>,
    thread: JoinHandle<u64>,
}

fn client(endpoints: &[String]) -> Client {
    let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::new(endpoints) };
    Client::connect(options).unwrap()
}

fn entry(index: u64) -> String {
    format!("entry {index} of the good client")
}

impl WellBehaved {
    /// Creates its log at these nodes and begins.
    pub fn start(endpoints: &[String]) -> WellBehaved {
        let mut first = client(endpoints);
        let id = first.create(LOG).unwrap();
        let (stop, stopped) = channel();
        let places = endpoints.to_vec();
        let thread = std::thread::spawn(move || {
            let mut index = 0;
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                append(&mut first, index);
                index += 1;
                if index.is_multiple_of(GREETS_EVERY) {
                    client(&places).ping(&places[0]).unwrap();
                }
            }
            index
        });
        WellBehaved { endpoints: endpoints.to_vec(), id, stop, thread }
    }

    /// Ends, and finds all that it appended in its log, and nothing else; how many entries.
    pub fn finish(self) -> u64 {
        // A thread that failed has nobody to report to; joining it shows why.
        let _ = self.stop.send(());
        let count = self.thread.join().expect("the good client was served all along");
        let mut reader = client(&self.endpoints);
        let mut next = 0;
        while next < count {
            let read = reader.read(LOG, Index(next), ReadOptions::default()).unwrap();
            assert_eq!(read.next, Index(count), "somebody changed the good client's log");
            for found in read.entries.iter() {
                assert_eq!(String::from_utf8_lossy(found.data), entry(next));
                next += 1;
            }
        }
        count
    }
}

/// Appends one entry at `index`, be it at the second try: a leader may have changed meanwhile.
fn append(client: &mut Client, index: u64) {
    let (data, expect) = ([entry(index)], Index(index));
    loop {
        let options = AppendOptions { expect: Some(expect), create: false };
        match client.append_with(LOG, &data, options) {
            Ok(appended) => return assert_eq!(appended.first, expect),
            Err(error) if error.outcome == Outcome::Unknown => {
                match client.settle(LOG, expect, &data).unwrap() {
                    Settlement::Executed { .. } => return,
                    Settlement::Open { .. } => {}
                    Settlement::NotExecuted { .. } => panic!("another entry stands at {index}"),
                }
            }
            Err(error) => panic!("entry {index}: {error}"),
        }
    }
}
