//! Frames and messages: encode, decode, nothing else.
//!
//! `docs/PROTOCOL.md` is the specification of what clients see; [`peer`] is what nodes say to each
//! other. Every number below is little-endian; every decoder takes bytes of any origin and never
//! panics on them.
//!
//! A message is a list of fields, which stands in one place and yields both directions; the private
//! module `field` has the encodings and the macro.

pub mod client;
pub mod codec;
mod field;
pub mod frame;
pub mod kind;
pub mod peer;
