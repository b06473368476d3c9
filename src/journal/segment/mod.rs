//! Segment files: where the journal begins, what is found in them, and where each value lies.

pub mod batch_scan;
pub mod facts;
pub mod gathered;
pub mod index;
pub mod indexed_record;
pub mod places;
pub mod reader;
pub mod records;
pub mod rescan;
mod segments_by_slot;
pub mod spilled;
pub mod start;
