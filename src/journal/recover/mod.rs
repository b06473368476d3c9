//! Reading a journal back: from the files of a directory to what a shard starts from.
//!
//! [`opening`] takes stock of the files, [`tail`] finds the end (C11), `segment/records.rs` reads each
//! batch, [`replay`] adds the records up, [`conclude`] says what they mean together, [`open_slots`] reads
//! the values above the chosen prefix, and [`run`] joins them.
//!
//! A torn tail is distinguished from damage in [`tail`], by what `shows_pre_image` in
//! `segment/records.rs` finds. A peer may overrule that: where one saw a record of the cut acknowledged, `paxos/evidence.rs` takes the cut
//! for damage.

pub mod conclude;
pub mod inspect;
pub mod missing;
pub mod open_slots;
pub mod opening;
pub mod places_check;
pub mod recovered;
pub mod replay;
pub mod run;
pub mod short_segment;
pub mod tail;
