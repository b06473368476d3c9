//! The files below a journal: one seam, with real files, some of which stay open, and with files in
//! memory behind it.

pub mod files;
pub mod lock;
pub mod memory;
pub mod open_files;
pub mod seam;
