//! Writing a journal: records become jobs, and jobs become durable.
//!
//! [`journal`] does no input or output. It hands out [`jobs`], which [`execute`] runs over a storage.

pub mod execute;
pub mod filling;
pub mod hard_state;
pub mod jobs;
pub mod journal;
pub mod lookup;
mod memory;
pub mod pieces;
pub mod places_jobs;
pub mod planning;
pub mod read_plan;
pub mod releasing;
pub mod removal;
pub mod room;
pub mod segment_slots;
pub mod spilling;
