//! Segment files: where the journal begins, what is found in them, and where each value lies.

pub mod batch_scan;
pub mod index;
pub mod manifest;
pub mod reader;
