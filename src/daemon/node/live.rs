//! Settings that a running node takes over when its configuration is read again.

use crate::config::Config;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The keys beside `log_level` that SIGHUP takes over, as they are now.
#[derive(Debug)]
pub struct Live {
    min_free_bytes: AtomicU64,
    appends_in_dispute: AtomicBool,
}

impl Live {
    /// The settings that a node starts with.
    #[must_use]
    pub fn new(config: &Config) -> Live {
        Live {
            min_free_bytes: AtomicU64::new(config.bounds.min_free_bytes),
            appends_in_dispute: AtomicBool::new(config.appends_in_dispute),
        }
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

    /// A leader takes plain appends while members' states differ and no majority agrees with its own.
    #[must_use]
    pub fn appends_in_dispute(&self) -> bool {
        self.appends_in_dispute.load(Ordering::Relaxed)
    }

    /// From now on it does, or does not. Shards see it in their next turn.
    pub fn set_appends_in_dispute(&self, takes: bool) {
        self.appends_in_dispute.store(takes, Ordering::Relaxed);
    }
}
