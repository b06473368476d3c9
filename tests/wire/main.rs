//! The wire layer against everything that can arrive: what was written is read back as it was, and
//! bytes of any origin neither panic nor make a node allocate (R37).

mod counting;
mod entries;
mod frames;
mod greetings;
mod hostile;
mod refusals;
mod roundtrip;
#[cfg(feature = "server")]
mod shards;
mod strategies;
mod strategies_peer;
