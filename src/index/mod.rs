//! Where each log's entries lie: extents by log and index.
//!
//! The machine says where entries lie when it applies a slot, and forgets it: its state must not grow with
//! the number of entries. The index keeps it: the extents of recent slots in memory.

mod entry_index;
mod recent;
mod search;

pub use entry_index::EntryIndex;
pub use search::Search;
