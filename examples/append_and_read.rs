//! Appends to a log and reads it back: `cargo run --example append_and_read -- 127.0.0.1:7420`.

use paxosd::client::{
    AppendOptions, AppenderOptions, Client, ClientOptions, FollowOptions, Followed, Outcome,
    Settlement,
};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7420".to_string());
    let mut client = Client::connect(ClientOptions::new([endpoint]))?;

    // Acknowledged means: on stable storage at a quorum of the nodes, at these indexes for ever.
    let create = AppendOptions { create: true, ..AppendOptions::default() };
    let appended = client.append_with("greetings", ["hello", "world"], create)?;
    eprintln!("appended {} entries from index {} on", appended.count, appended.first);

    // Append only if nobody else has appended since. Were the answer lost, nobody could say from
    // here whether it was executed: the log can.
    let next = appended.next();
    match client.append_expect("greetings", next, ["again"]) {
        Ok(_) => {}
        Err(error) if error.outcome == Outcome::Unknown => {
            match client.settle("greetings", next, ["again"])? {
                Settlement::Executed { .. } => eprintln!("the answer was lost, the entry is there"),
                Settlement::NotExecuted { .. } => eprintln!("somebody else was first"),
                Settlement::Open { .. } => eprintln!("not there yet; appending it again is safe"),
            }
        }
        Err(error) => {
            eprintln!("{}", error.next_step());
            return Err(error.into());
        }
    }

    // Many at once: a pipeline has a connection of its own, and results come in order.
    let mut appender = client.appender("greetings", AppenderOptions::default())?;
    for number in 0..100 {
        if let Some(oldest) = appender.push([format!("number {number}")]) {
            oldest.result?;
        }
    }
    while let Some(oldest) = appender.wait() {
        oldest.result?;
    }

    // Linearizable: it sees everything that was acknowledged before. This ends at the log's end;
    // by default it would wait there for what comes next.
    let to_the_end = FollowOptions { idle: Some(Duration::ZERO), ..FollowOptions::default() };
    for entry in client.follow("greetings", appended.first, to_the_end)? {
        match entry? {
            Followed::Entry(index, data) => {
                eprintln!("{index}: {}", String::from_utf8_lossy(&data));
            }
            Followed::Gap { from, first, why } => {
                eprintln!("{from} to before {first}: {}", why.name());
            }
        }
    }
    Ok(())
}
