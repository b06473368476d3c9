//! The project's vocabulary as types: newtypes that keep slots, indexes and the rest apart.

mod ballot;
mod count;
mod ids;
mod record;
mod value;

pub use ballot::Ballot;
pub use count::Count;
pub use ids::{
    ClusterId, ConnId, Incarnation, Index, LogId, Lsn, NodeId, SegmentId, ShardId, Slot, Tick,
};
pub use record::{HardState, Record, RecordKind};
pub use value::Value;
