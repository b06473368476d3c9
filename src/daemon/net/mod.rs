//! Connections: listeners and sockets, handshakes, calls to peers, what arrives and what waits to leave.
//!
//! [`conn`] is one connection, [`table`] those of one loop. [`links`] says which of them leads to which
//! peer and when to dial again; [`handshake`] is what a connection has to say first.

pub mod admission;
pub mod asked;
pub(super) mod awaited;
pub mod conn;
pub(super) mod connections;
pub(super) mod dialling;
pub mod handshake;
pub mod links;
#[cfg(test)]
pub(super) mod links_tests;
pub mod outgoing;
pub(super) mod peering;
pub(super) mod port;
pub(super) mod port_owner;
pub mod ports;
pub mod resolve;
pub(super) mod slow_clients;
pub mod sockets;
pub mod table;
pub mod transport;
pub mod writing;
