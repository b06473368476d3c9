//! Where log entries lie, on disk: runs written, read, searched, merged, cut short and rotten (C31).

#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod cost;
mod crash;
mod damage;
mod format;
mod lookups;
mod merging;
mod rig;
mod shortage;
mod slots;
mod spans;
