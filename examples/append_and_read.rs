//! Appends to a log and reads it back: `cargo run --example append_and_read -- 127.0.0.1:7420`.

use paxosd::client::{AppendOptions, Client, ClientOptions, Outcome, ReadOptions, Settlement};
use paxosd::types::Index;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7420".to_string());
    let mut client = Client::connect(ClientOptions::new([endpoint]))?;

    // Acknowledged means: on stable storage at a quorum of the nodes, at these indexes for ever.
    let create = AppendOptions { create: true, ..AppendOptions::default() };
    let appended = client.append_with("greetings", ["hello", "world"], create)?;
    eprintln!("appended {} entries from index {} on", appended.count, appended.first);

    // Append only if nobody else has appended since. Were the answer lost, nobody could say from
    // here whether it was executed: the log can.
    let next = Index(appended.first.0 + u64::from(appended.count));
    match client.append_expect("greetings", next, ["again"]) {
        Ok(_) => {}
        Err(error) if error.outcome == Outcome::Unknown => {
            match client.settle("greetings", next, ["again"])? {
                Settlement::Executed { .. } => eprintln!("the answer was lost, the entry is there"),
                Settlement::NotExecuted { .. } => eprintln!("somebody else was first"),
                Settlement::Open { .. } => eprintln!("not there yet; appending it again is safe"),
            }
        }
        Err(error) => return Err(error.into()),
    }

    // A linearizable read sees everything that was acknowledged before it began.
    let mut index = appended.first;
    loop {
        let read = client.read("greetings", index, ReadOptions::default())?;
        for entry in read.entries.iter() {
            eprintln!("{index}: {}", String::from_utf8_lossy(entry.data));
            index = index.next();
        }
        if index >= read.next {
            return Ok(());
        }
    }
}
