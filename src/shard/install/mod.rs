//! A node that is behind what the journals of its peers still have takes over a checkpoint (C29).
//!
//! `receiver` is that node, `source` the peer that gives it its own and keeps it until the receiver lacks nothing any more
//! (`shortfall`); what peers have to be installed is in `offers`, and `relief` is for a node without room. What the
//! checkpoint stands for and is not here is fetched afterwards: `absent` asks for it, `arrivals` has what is on its
//! way, and `values` gives it. What may be in this node's own journal `own_values` looks for first, and `own_copies`
//! last.

mod absent;
mod arrivals;
mod offers;
mod own_copies;
mod own_values;
mod pace;
mod receiver;
mod relief;
mod shortfall;
mod source;
mod values;

pub use absent::Absent;
pub(super) use absent::log_ends;
pub use receiver::Receiver;
pub(super) use receiver::ReceiverStep;
pub use shortfall::Shortfall;
pub use source::CheckpointSource;
pub use values::ValuesSource;
