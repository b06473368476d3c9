//! Stories of real processes: clusters of `paxosd` that are started, killed, frozen, damaged and
//! asked, on addresses of their own, with files in a temporary folder.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test that cannot go on has failed, and says so.

mod admin;
mod damage;
mod deaths;
mod descriptors;
mod dev;
mod disk_check;
mod failing;
mod full;
mod large_reads;
mod load;
mod lost;
#[path = "../docs/markdown.rs"]
#[allow(dead_code)] // The documents' own tests use more of it.
mod markdown;
mod members_fixed;
mod names;
mod pages;
mod partitions;
mod pauses;
mod protocol;
mod refusals;
mod rig;
mod serving;
mod set_back;
mod shell;
mod stalls;
mod stops;
mod verify;
mod watching;
#[path = "../daemon/web.rs"]
mod web;
