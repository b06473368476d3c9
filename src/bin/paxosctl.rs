//! The paxosd command line client.

fn main() {}
