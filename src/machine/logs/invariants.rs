//! What holds of the logs in every state of a machine.

use super::digest::LogSum;
use super::state::Logs;
use crate::api::name::LogName;
use crate::machine::feature::CommandPlace;
use crate::types::{Index, LogId, ShardId, Slot};

impl Logs {
    /// Checks the whole state; its work grows with the number of logs and extents.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub(in crate::machine) fn check(&self, applied_upto: Slot) {
        assert!(
            self.names.len() == self.by_id.len(),
            "names and logs differ: names={} logs={}",
            self.names.len(),
            self.by_id.len()
        );
        let mut sum = LogSum::default();
        for id in self.by_id.keys() {
            sum.add(self.check_log(*id, applied_upto));
        }
        assert!(sum == self.sum, "digest parts from the logs: {sum:?} {:?}", self.sum);
    }

    /// Checks one log and returns its share of the digest, computed anew.
    fn check_log(&self, id: LogId, applied_upto: Slot) -> u64 {
        let (log, shard) = (&self.by_id[&id], self.home.shard);
        let counter = id.0 & ((1 << 48) - 1);
        assert!(id.shard() == shard, "log {id} is not of shard {shard}");
        assert!(
            counter > 0 && counter <= self.created,
            "log {id} was never created: created={}",
            self.created
        );
        let named = self.names.get(&log.name);
        assert!(named == Some(&id), "log {id} {:?} is found by name as {named:?}", log.name);
        assert!(LogName::new(&log.name).is_ok(), "log {id} has the name {:?}", log.name);
        let owner = ShardId::of_name(&log.name, self.home.shards);
        assert!(owner == shard, "log {id} {:?} belongs to shard {owner}", log.name); // C22
        let (mut end, mut bytes) = (None, 0);
        let mut last = CommandPlace { slot: Slot(0), offset: 0 };
        for extent in log.extents.from(Index(0)) {
            let begins = match end {
                Some(end) => extent.first == end,
                None => extent.first <= log.first && log.first < extent.end(),
            };
            let (at, first) = (extent.first, log.first);
            assert!(begins, "log {id}: an extent at {at} behind {end:?}, first is {first}");
            bytes += u64::from(extent.bytes);
            let place = CommandPlace { slot: extent.slot, offset: extent.offset };
            assert!(last < place, "log {id}: extent of {place:?} behind {last:?}");
            (end, last) = (Some(extent.end()), place);
        }
        let end = end.unwrap_or(log.first);
        assert!(end == log.next, "log {id}: extents end at {end}, next is {}", log.next);
        let (live, all) = (log.live_bytes, log.appended_bytes);
        assert!(bytes == live, "log {id}: extents have {bytes} bytes, kept are {live}");
        assert!(live <= all, "log {id}: {live} bytes are left of {all}");
        let slot = last.slot;
        assert!(
            slot <= applied_upto,
            "log {id} holds slot {slot}, applied_upto is {applied_upto}" // R18
        );
        let hash = log.facts(id).hash();
        assert!(hash == log.hash, "log {id}: its hash is {hash:#x}, kept is {:#x}", log.hash);
        hash
    }
}
