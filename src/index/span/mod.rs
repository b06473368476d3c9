//! Spans: which logs were appended to in a range of slots, as a file beside the run of those slots.
//!
//! A run is merged with others and loses the rows that nobody can read any more; a span is never
//! changed. It says of every log how far the span's entries of it reach, so that it can be found out,
//! row by row, when all of them are trimmed or of logs that are gone: then no entry of these slots is
//! live, and none will be. Its blocks are those of runs: checksums depend on the place and on the file.

pub(crate) mod gather;
pub(crate) mod layout;
pub(crate) mod opened;
pub(crate) mod rows;
pub(crate) mod writer;
