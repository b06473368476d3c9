//! Released segments: their files go, and nothing that is needed goes with them (C26, R08).

#![allow(clippy::unwrap_used)]

#[path = "../journal_rig/mod.rs"]
mod journal_rig;
mod reads;
mod remnants;
mod removal;
mod rig;
mod starts;
