//! What holds in every state of a machine. Tests and the simulator look after every step.

use super::digest::LogSum;
use super::state::Machine;
use crate::api::name::LogName;
use crate::types::{Index, LogId, ShardId, Slot};

/// Checks a whole state; its work grows with the number of logs and extents.
///
/// # Panics
/// When an invariant is broken.
pub fn check_state(machine: &Machine) {
    assert!(
        machine.names.len() == machine.logs.len(),
        "names and logs differ: names={} logs={}",
        machine.names.len(),
        machine.logs.len()
    );
    let mut sum = LogSum::default();
    for id in machine.logs.keys() {
        sum.add(check_log(machine, *id));
    }
    assert!(sum == machine.sum, "digest parts from the logs: {sum:?} {:?}", machine.sum);
}

/// Checks one log and returns its share of the digest, computed anew.
fn check_log(machine: &Machine, id: LogId) -> u64 {
    let log = &machine.logs[&id];
    let counter = id.0 & ((1 << 48) - 1);
    assert!(id.shard() == machine.shard, "log {id} is not of shard {}", machine.shard);
    assert!(
        counter > 0 && counter <= machine.created,
        "log {id} was never created: created={}",
        machine.created
    );
    let named = machine.names.get(&log.name);
    assert!(named == Some(&id), "log {id} {:?} is known by name as {named:?}", log.name);
    assert!(LogName::new(&log.name).is_ok(), "log {id} has the name {:?}", log.name);
    let home = ShardId::of_name(&log.name, machine.shards);
    assert!(home == machine.shard, "log {id} {:?} belongs to shard {home}", log.name); // C22
    let (mut end, mut place) = (Index(0), (Slot(0), 0));
    for extent in log.extents.from(Index(0)) {
        assert!(extent.first == end, "log {id}: extent at {} behind {end}", extent.first);
        let here = (extent.slot, extent.offset);
        assert!(place < here, "log {id}: extent of {here:?} behind {place:?}");
        (end, place) = (extent.end(), here);
    }
    assert!(end == log.next, "log {id}: extents end at {end}, next is {}", log.next);
    let (slot, upto) = (place.0, machine.applied_upto);
    assert!(slot <= upto, "log {id} holds slot {slot}, applied_upto is {upto}"); // R18
    let hash = log.facts(id).hash();
    assert!(hash == log.hash, "log {id}: its hash is {hash:#x}, kept is {:#x}", log.hash);
    hash
}
