//! Stories of real processes: clusters of `paxosd` that are started, killed, frozen, damaged and
//! asked, on addresses of their own, with files in a temporary folder.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test that cannot go on has failed, and says so.

mod damage;
mod deaths;
mod dev;
mod load;
mod pauses;
mod refusals;
mod rig;
mod serving;
mod shell;
