//! The frames of clients: [`crate::api`]'s requests and replies as bytes, and the greeting before them.

mod error;
pub mod hello;
mod operations;
mod refusal;
mod reply;
mod request;
mod status;

pub use operations::ReplyKind;
pub use refusal::Refusal;
pub use reply::{read_reply, write_reply};
pub use request::{read_request, write_request};
