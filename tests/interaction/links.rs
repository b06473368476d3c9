//! Connections and processes of a cluster: they break, crash, come back.

use crate::cluster::Cluster;
use paxosd::paxos::Input;
use paxosd::types::NodeId;

impl Cluster {
    /// Both ends open a connection, unless one of them refuses the other's incarnation (C13).
    pub fn connect(&mut self, a: NodeId, b: NodeId) {
        let open = |cluster: &Cluster, from, to| cluster.links[&(from, to)].up;
        if open(self, a, b) || open(self, b, a) {
            return;
        }
        let (of_a, of_b) = (self.node(a).incarnation, self.node(b).incarnation);
        for (at, peer, of) in [(a, b, of_b), (b, a, of_a)] {
            if self.node(at).stopped.is_some() {
                return;
            }
            let Some(replica) = self.replica(at) else { return };
            if replica.admits(peer, of).is_err() {
                return self.say(|| format!("{at} refuses {peer} of incarnation {of}"));
            }
        }
        for (from, to) in [(a, b), (b, a)] {
            let link = self.link_mut(from, to);
            link.up = true;
            link.broken = false;
            link.blocked = false;
            link.queue.clear();
        }
        self.step(a, Input::PeerUp(b, of_b));
        self.step(b, Input::PeerUp(a, of_a));
    }

    pub fn connect_all(&mut self) {
        for a in self.ids() {
            for b in self.ids().into_iter().filter(|b| *b > a) {
                self.connect(a, b);
            }
        }
    }

    /// The connection breaks; neither end knows it yet. The last `lost` messages of each direction
    /// never arrive.
    pub fn break_link(&mut self, a: NodeId, b: NodeId, lost: [usize; 2]) {
        for ((from, to), lost) in [((a, b), lost[0]), ((b, a), lost[1])] {
            let link = self.link_mut(from, to);
            link.broken = true;
            let keep = link.queue.len().saturating_sub(lost);
            link.queue.truncate(keep);
        }
    }

    /// One end notices: what had not arrived there never will.
    pub fn lower(&mut self, at: NodeId, peer: NodeId) {
        let link = self.link_mut(peer, at);
        if !link.up {
            return;
        }
        link.up = false;
        link.queue.clear();
        if self.replica(at).is_some() {
            self.step(at, Input::PeerDown(peer));
        }
    }

    pub fn cut(&mut self, a: NodeId, b: NodeId) {
        self.break_link(a, b, [usize::MAX; 2]);
        self.lower(a, b);
        self.lower(b, a);
    }

    /// The process dies, and with it every record that is not durable but for the first `kept`.
    pub fn crash(&mut self, id: NodeId, kept: usize) {
        let node = self.node_mut(id);
        node.replica = None;
        node.stopped = None;
        node.leading = None;
        node.forget();
        let kept = node.disk.crash(kept);
        self.say(|| format!("{id} crashes"));
        for record in &kept {
            self.checker.durable(id, record);
        }
        for peer in self.ids().into_iter().filter(|peer| *peer != id) {
            self.break_link(id, peer, [0, usize::MAX]);
            self.link_mut(peer, id).up = false;
        }
    }

    /// The peers of a dead process notice.
    pub fn lower_peers(&mut self, id: NodeId) {
        for peer in self.ids().into_iter().filter(|peer| *peer != id) {
            self.lower(peer, id);
        }
    }
}
