//! What an inspection says of the disk of a node that does not run.

use crate::node::identity_of;
use crate::remnants::{Story, text_of};
use crate::stored_text::rot;
use paxosd::checkpoint;
use paxosd::journal::Recovered;
use paxosd::storage::MemStorage;
use paxosd::types::{ShardId, Slot};

/// C29: a node took over a checkpoint, and has no records of slots that it stands for. An inspection of its disk finds
/// nothing wrong with that. A record that has rotted is found all the same.
#[test]
fn c29_an_inspection_takes_no_installed_slot_for_a_hole() {
    let Story { mut trio, away, .. } = Story::begin();
    trio.heal(away);
    trio.pass(20_000_000);
    assert!(trio.members[away].shard.installed_upto() > Slot(10), "nothing was installed");
    let inspected = |storage: &MemStorage| -> Recovered {
        checkpoint::inspect_shard(storage, &identity_of(away as u16 + 1), ShardId(0), &|_| {})
            .expect("nothing is short")
    };
    let found = inspected(trio.storage(away));
    assert!(found.chosen_upto > Slot(100), "{}", found.chosen_upto);
    assert!(found.holes.is_empty(), "{} holes, {:?}", found.holes.len(), found.holes.keys().next());
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    let damaged = trio.storage(away).duplicate();
    assert!(rot(&damaged, &text_of("keeps", 40)) > 0, "no segment holds the entry");
    assert!(!inspected(&damaged).findings.is_empty(), "what has rotted is not found");
}
