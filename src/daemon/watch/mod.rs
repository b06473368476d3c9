//! What a node lets others know of how it is: its loops, its pauses, its numbers, the service manager.

pub mod histogram;
pub mod loops;
pub mod notify;
pub(super) mod pauses;
pub mod requests;
pub mod space;
pub mod status_board;
pub(super) mod unformed;
