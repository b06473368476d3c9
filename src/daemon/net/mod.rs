//! Connections as values: listeners and sockets, what arrives and what waits to leave, links with peers.
//!
//! [`conn`] is one connection, [`table`] those of one loop. [`links`] says which of them leads to which
//! peer and when to dial again.

pub mod admission;
pub mod asked;
pub(super) mod awaited;
pub mod conn;
pub mod links;
#[cfg(test)]
pub(super) mod links_tests;
pub mod outgoing;
pub(super) mod port;
pub(super) mod port_owner;
pub mod ports;
pub mod resolve;
pub mod sockets;
pub mod table;
pub mod transport;
