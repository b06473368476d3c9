//! What holds of the logs in every state of a machine.

use super::digest::{LogShare, LogSum};
use super::state::{Log, Logs};
use crate::api::name::LogName;
use crate::types::{LogId, ShardId};

impl Logs {
    /// Checks the whole state; its work grows with the number of logs.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub(in crate::machine) fn check(&self) {
        assert!(
            self.names.len() == self.count(),
            "names and logs differ: names={} logs={}",
            self.names.len(),
            self.count()
        );
        let mut sum = LogSum::default();
        for (id, log) in self.by_id().iter() {
            sum.add(self.check_log(id, log));
        }
        assert!(self.by_id().iter().count() == self.count(), "{} logs are counted", self.count());
        assert!(sum == self.sum, "digest parts from the logs: {sum:?} {:?}", self.sum);
    }

    /// Checks one log and returns its share of the sums, computed anew.
    fn check_log(&self, id: LogId, log: &Log) -> LogShare {
        let (shard, counter) = (self.home.shard, id.counter());
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
        let (first, next) = (log.first, log.next);
        assert!(first <= next, "log {id}: first is {first}, next is {next}");
        let (trimmed, all) = (log.trimmed_bytes, log.appended_bytes);
        assert!(trimmed <= all, "log {id}: {trimmed} bytes of {all} are trimmed");
        let hash = log.facts(id).hash();
        assert!(hash == log.hash, "log {id}: its hash is {hash:#x}, kept is {:#x}", log.hash);
        LogShare { hash, live_bytes: all - trimmed }
    }
}
