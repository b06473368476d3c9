//! Declaring entries lost (C32b): the leader asks every member, itself too, whether it has the values that hold
//! them, and proposes the command only where all say that they have none.
//!
//! What all have said holds until the command is applied, and ever after. A node comes by the value of a slot that
//! it has applied in one way only: another member gives it. No member had one to give, and none was on its way to
//! the one that answered, which says so itself. And were the bytes found again all the same, on a disk that
//! reads once more what it could not read before, nothing would follow: that the entries are lost is part of the
//! state, the same on all nodes.

mod declarations;
mod holdings;
mod job;

pub(super) use self::declarations::{Declarations, DeclareStep, too_many};
pub(super) use self::holdings::Answer;
pub(super) use self::holdings::Holdings;
pub use self::job::{LossDone, LossJob};
