//! Settings that a running node takes over when its configuration is read again.

use crate::config::Config;
use std::sync::atomic::{AtomicU64, Ordering};

/// The keys beside `log_level` that SIGHUP takes over, as they are now.
#[derive(Debug)]
pub struct Live {
    min_free_bytes: AtomicU64,
}

impl Live {
    /// The settings that a node starts with.
    #[must_use]
    pub fn new(config: &Config) -> Live {
        Live { min_free_bytes: AtomicU64::new(config.bounds.min_free_bytes) }
    }

    /// Free space that the node leaves alone.
    #[must_use]
    pub fn min_free_bytes(&self) -> u64 {
        self.min_free_bytes.load(Ordering::Relaxed)
    }

    /// From now on so much is left alone. Shards see it in their next turn.
    pub fn set_min_free_bytes(&self, bytes: u64) {
        self.min_free_bytes.store(bytes, Ordering::Relaxed);
    }
}
