//! Runs: files of rows, each a log and one of its extents, in rising order of log and first index.
//!
//! A run is written once and never changed. Every block of it has a checksum that also depends on
//! where the block lies, and on the run that it belongs to. Nothing of it is believed before that
//! is checked.

pub(crate) mod cursor;
pub(crate) mod fault;
pub(crate) mod filter;
pub(crate) mod footer;
pub(crate) mod layout;
pub(crate) mod lookup;
pub(crate) mod merge;
pub(crate) mod opened;
pub(crate) mod plan;
pub(crate) mod rows;
pub(crate) mod scan;
pub(crate) mod set;
pub(crate) mod slots;
pub(crate) mod source;
pub(crate) mod varint;
pub(crate) mod verify;
pub(crate) mod writer;
