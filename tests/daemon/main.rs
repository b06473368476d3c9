//! The daemon at its ports and at its end, as a process of its own: what it does with strangers,
//! garbage and floods, and which exit code says what.

#![allow(clippy::unwrap_used)]

mod admin;
mod config;
mod exits;
mod floods;
mod good;
mod host;
mod idlers;
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
mod rig;
mod runtime;
mod service;
#[path = "../process/rig/stalled.rs"]
mod stalled;
mod strangers;
mod watched;
mod web;
