//! Reading a journal back: from the files of a directory to what a shard starts from.
//!
//! [`opening`] takes stock of the files, [`tail`] finds the end (C11), [`records`] reads each batch,
//! [`replay`] adds the records up, [`open_slots`] reads the values above the chosen prefix, and [`run`]
//! joins them.
//!
//! A torn tail is distinguished from damage in [`tail`], by what `shows_pre_image` in [`records`] finds. A
//! peer may overrule that: where one saw a record of the cut acknowledged, `paxos/evidence.rs` takes the cut
//! for damage.

pub mod inspect;
#[cfg(test)]
mod manifest_tests;
pub mod open_slots;
pub mod opening;
pub mod records;
pub mod recovered;
pub mod replay;
pub mod run;
pub mod short_segment;
pub mod tail;
