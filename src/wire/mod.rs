//! Frames and messages: encode, decode, nothing else.
//!
//! `docs/PROTOCOL.md` is the specification of what clients see; [`peer`] is what nodes say to each
//! other. Every number below is little-endian; every decoder takes bytes of any origin and never
//! panics on them.

pub mod client;
pub mod codec;
pub mod frame;
pub mod kind;
pub mod peer;
