//! The daemon at its ports and at its end, as a process of its own: what it does with strangers,
//! garbage and floods, and which exit code says what.

#![allow(clippy::unwrap_used)]

mod config;
mod exits;
mod floods;
mod peers;
mod ports;
mod rig;
mod runtime;
mod service;
#[path = "../process/rig/stalled.rs"]
mod stalled;
