//! Frames and messages: encode, decode, nothing else.
//!
//! `docs/PROTOCOL.md` is the specification of what clients see; [`peer`] is what nodes say to each
//! other.

pub mod peer;
