//! The paxosd daemon.

fn main() {}
