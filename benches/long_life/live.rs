//! Live traffic beside what is measured: appends that are due at fixed times, whatever became of those
//! before, so that a stall shows.

use crate::cost;
use crate::rig::Cluster;
use hdrhistogram::Histogram;
use paxosd::client::Client;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Clients that append, each one at a time.
const CLIENTS: u32 = 8;

/// Appends that go on until this is dropped.
#[derive(Debug)]
pub struct Live {
    stop: Arc<AtomicBool>,
    latencies: Arc<Mutex<Histogram<u64>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Live {
    /// Starts so many appends a second, all clients together, of entries of so many bytes.
    pub fn start(cluster: &Cluster, rate: u32, size: usize) -> Live {
        let stop = Arc::new(AtomicBool::new(false));
        let latencies = Arc::new(Mutex::new(cost::latencies()));
        let every = Duration::from_secs(1) * CLIENTS / rate.max(1);
        let threads = (0..CLIENTS.min(rate)).map(|number| {
            let (stop, latencies) = (Arc::clone(&stop), Arc::clone(&latencies));
            let mut client = cluster.client();
            thread::spawn(move || {
                let log = format!("live-{number}");
                client.create(&log).expect("no log of this name");
                append(&mut client, &log, &vec![7; size], every, (&stop, &latencies));
            })
        });
        let threads = threads.collect();
        Live { stop, latencies, threads }
    }

    /// The latencies since the last call.
    pub fn take(&self) -> Histogram<u64> {
        let mut latencies = self.latencies.lock().expect("its holders do not panic");
        std::mem::replace(&mut latencies, cost::latencies())
    }
}

fn append(
    client: &mut Client,
    log: &str,
    entry: &[u8],
    every: Duration,
    (stop, latencies): (&AtomicBool, &Mutex<Histogram<u64>>),
) {
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // Sleeps because appends are due at fixed times.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if let Err(error) = client.append(log, [entry]) {
            eprintln!("live append: {error}");
        }
        let mut latencies = latencies.lock().expect("its holders do not panic");
        cost::record(&mut latencies, due.elapsed());
        due += every;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("a client of the live traffic has panicked");
            }
        }
    }
}
