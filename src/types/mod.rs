//! The project's vocabulary as types: newtypes that keep slots, indexes and the rest apart.

mod address;
mod ballot;
mod configuration;
mod count;
mod damage;
mod extent;
mod failure_kind;
mod file_owner;
mod format_level;
mod ids;
mod install_place;
mod life;
mod lost_range;
mod nodes;
mod race;
mod random;
mod record;
mod released;
mod shards;
mod slot_ranges;
mod trouble;
mod value;

pub use address::{ADMIN_PORT, Address, CLIENT_PORT, PEER_PORT};
pub use ballot::Ballot;
pub use configuration::Configuration;
pub use count::Count;
pub use damage::{Content, Damage, Losses, LostRecords, RecordLeft};
pub use extent::Extent;
pub use failure_kind::FailureKind;
pub use file_owner::FileOwner;
pub use format_level::{FormatLevel, FormatVersions};
pub use ids::{
    ClusterId, ConfigurationNumber, ConnId, Incarnation, Index, LogId, Lsn, NodeId, RunId,
    SegmentId, ShardId, Slot, Tick,
};
pub use install_place::InstallPlace;
pub use life::{Cut, Life, LifeId, Refuted, Witness, refutes};
pub use lost_range::LostRange;
pub use nodes::Nodes;
pub use race::Race;
pub use random::Random;
pub use record::{HardState, Record, RecordKind};
pub use released::{Released, ReleasedRange};
pub use shards::Shards;
pub use slot_ranges::SlotRanges;
pub use trouble::Trouble;
pub use value::Value;
