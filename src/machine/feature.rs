//! What every feature of the machine brings, and what it is given.
//!
//! A feature is a folder: its commands with their encoding, its state, its outcomes, its share of the
//! digest, its invariants. It imports nothing of the machine but this file and `digest`;
//! `assembly` puts the features together.

use crate::types::{FormatLevel, ShardId, Slot};

/// A command of some feature, as the machine handles it without knowledge of its fields.
pub(super) trait FeatureCommand {
    /// The number of the command's kind in the encoding.
    fn kind_number(&self) -> u8;

    /// The format level from which on the command may be proposed: members that know a lower one only would
    /// not understand it (C44d).
    fn needed_level(&self) -> FormatLevel;

    /// Encodes the command's body behind what `out` holds.
    fn encode_body(&self, out: &mut Vec<u8>);

    /// Checks the command against `limits.rs`.
    ///
    /// # Panics
    /// When the command breaks a limit: requests are checked long before (R38).
    fn check_limits(&self);
}

/// Where a command lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommandPlace {
    pub(super) slot: Slot,
    /// In bytes from the start of the slot's value.
    pub(super) offset: u32,
}

/// Which shard a machine belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HomeShard {
    pub(super) shard: ShardId,
    /// Shards of the cluster: with a name, they say which shard a log belongs to (C22).
    pub(super) shards: u16,
}
