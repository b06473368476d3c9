//! Segment files: how they are laid out, what is found in them, where each value lies, which are open.

pub mod batch_scan;
pub mod index;
pub mod layout;
pub mod manifest;
pub mod open_files;
pub mod reader;
