//! The files below a journal: one seam, with real files and with files in memory behind it.

pub mod files;
pub mod lock;
pub mod memory;
pub mod seam;
