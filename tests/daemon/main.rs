//! The daemon at its ports and at its end, as a process of its own: what it does with strangers,
//! garbage and floods, and which exit code says what.

#![allow(clippy::unwrap_used)]

mod admin;
mod config;
mod config_faults;
mod exits;
mod floods;
mod host;
mod idlers;
#[path = "../process/rig/injected.rs"]
#[allow(dead_code)] // Clusters use more of it.
mod injected;
mod mutant_heads;
mod mutants;
mod mutator;
mod oracle;
mod peers;
#[path = "../process/rig/place.rs"]
#[allow(dead_code)] // Clusters use more of it.
mod place;
#[path = "../process/poll.rs"]
#[allow(dead_code)] // Clusters use more of it.
mod poll;
mod ports;
#[path = "../process/rig/random.rs"]
#[allow(dead_code)] // Clusters use more of it.
mod random;
mod raw_callers;
mod rig;
mod runtime;
mod service;
mod starts;
mod unread;
mod watched;
mod web;
mod well_behaved;
