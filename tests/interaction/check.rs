//! What must hold of a cluster after every step, and one node's state in one line.

use crate::cluster::Cluster;
use crate::show;
use paxosd::paxos::Role;
use paxosd::paxos::invariants::check_state;
use paxosd::types::{Ballot, NodeId, Slot, Value};

impl Cluster {
    /// Everything that must hold after a step of `id`.
    pub fn check(&self, id: NodeId) {
        let node = self.node(id);
        let Some(replica) = &node.replica else { return };
        check_state(replica);
        let slot = replica.chosen_upto();
        let hole = replica.holes().contains_key(&slot);
        let known = slot == Slot(0) || hole || node.chosen.contains_key(&slot);
        assert!(known, "node {id} knows slot {slot} as chosen and never emitted it");
        let mut holder: Option<(NodeId, Option<Ballot>)> = None;
        for (other, node) in &self.nodes {
            let Some(replica) = &node.replica else { continue };
            if node.stopped.is_some() || !replica.lease_valid(self.local(*other)) {
                continue;
            }
            assert!(
                holder.is_none(),
                "two valid leases: {holder:?} and {other} in {:?} (R20)",
                replica.serving()
            );
            holder = Some((*other, replica.serving()));
            assert!(
                replica.chosen_upto() >= self.checker.acknowledged,
                "a read at {other} under a lease misses slot {}: chosen_upto={} (R19)",
                self.checker.acknowledged,
                replica.chosen_upto()
            );
        }
    }

    /// One node's state in one line.
    pub fn state(&self, id: NodeId) -> String {
        let node = self.node(id);
        let Some(replica) = &node.replica else { return format!("{id}: down") };
        if let Some(stop) = &node.stopped {
            return format!("{id}: stopped: {}", show::stop(stop));
        }
        let role = show::role(replica.role());
        let mut text = format!("{id}: {role} promised={}", replica.promised());
        if let Role::Leader(_) = replica.role() {
            let lease = if replica.lease_valid(self.local(id)) { "lease" } else { "no lease" };
            text += &format!(" {lease}");
        }
        let value = |entry: (&Slot, &(Ballot, Value))| format!("{}:{:?}", entry.0, entry.1.1);
        let values: Vec<String> = node.chosen.iter().map(value).collect();
        text + &format!(" chosen={} [{}]", replica.chosen_upto(), values.join(" "))
    }
}
