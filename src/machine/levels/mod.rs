//! The format level: which formats the members of the cluster may write.
//!
//! A kind of command that an older program does not know must not be chosen while a member runs one: that
//! member could not apply it, and would end, and after it the next (C44d). So the level is part of the state,
//! and a command raises it. Whoever proposes one makes sure that every member knows the level that it names;
//! a machine whose program does not know it refuses the value, before anything of that level is applied.

mod command;
mod snapshot;
mod state;

pub use command::LevelCommand;
pub(super) use command::{LEVEL_KIND, decode_body};
pub(super) use snapshot::{FEATURE, restore};
pub(super) use state::DIGEST_WORDS;
pub use state::Levels;
