//! Frames and messages: encode, decode, nothing else.
//!
//! `docs/PROTOCOL.md` is the specification of what clients see; [`peer`] is what nodes say to each
//! other. Every number below is little-endian; every decoder takes bytes of any origin and never
//! panics on them.

pub mod client;
mod client_codec;
pub mod codec;
pub mod entries;
pub mod error;
mod error_codec;
pub mod frame;
pub mod hello;
pub mod kind;
pub mod name;
pub mod peer;
mod peer_codec;
pub mod peer_hello;
mod peer_pages;
mod refusal;
mod reply_codec;
pub mod status;
mod status_codec;

pub use client_codec::{read_request, write_request};
pub use peer_codec::{read_message, write_message};
pub use refusal::Refusal;
pub use reply_codec::{read_reply, write_reply};
