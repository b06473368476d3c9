//! The files of one shard, below all that keeps something on disk: one seam, with real files, some of
//! which stay open, and with files in memory behind it.

mod block_cache;
mod direct;
mod files;
mod fill;
mod lock;
mod memory;
mod open_files;
mod seam;

pub use block_cache::{BlockCache, BlockCacheStats, CachedBlock};
pub use files::FileStorage;
pub use lock::{DirLock, LockError};
pub use memory::{MemStorage, Randomness};
pub use seam::{Storage, StorageError, StorageOp};
pub(crate) use seam::{complete_file, read_some, remove_if_there};
