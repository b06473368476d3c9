//! A disk is set back to what it held earlier, once in a run: with the same file names, the same
//! identity, and everything consistent in itself. Only what peers saw can show it (C13, R13).
//!
//! What no receiver of the node's votes has seen cannot be detected: from the moment on that such a
//! receiver takes in a message which rests on what was lost, the run is *undetectable*, and ends.
//! Until then everything is checked as ever, and a node that is refuted must stay out.

use super::node::{Medium, Node};
use crate::storage::MemStorage;
use crate::types::{NodeId, Witness, refutes};
use crate::wire::peer::Message;
use std::collections::BTreeMap;

/// The one disk of a run that is set back.
#[derive(Debug, Default)]
pub(super) struct SetBack {
    /// What the disk held at some time.
    image: Option<MemStorage>,
    /// It was put back.
    done: bool,
    /// Something that the node had claimed is gone with it.
    pub(super) claims_broken: bool,
    /// The node was refuted, and ended.
    pub(super) refuted: bool,
    /// Somebody who had seen nothing took in a message of the node.
    pub(super) undetectable: bool,
    /// What each node saw of the faulty node before, as the messages that reached it said; after a
    /// restart, what its disk says. Kept apart from what the nodes make of it.
    seen: BTreeMap<usize, Vec<Witness>>,
}

impl SetBack {
    /// True when the disk was put back: it is done once in a run.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Keeps an image, which a later call of [`SetBack::put_back`] returns.
    pub(super) fn keep(&mut self, image: MemStorage) {
        self.image = Some(image);
    }

    /// The image kept, which the caller puts back now; none when there is none yet.
    pub(super) fn put_back(&mut self) -> Option<MemStorage> {
        let image = self.image.take();
        self.done = image.is_some();
        image
    }

    /// A message arrives at `to`. Who has evidence against a node that was set back must not count the
    /// message, which the checks of the whole show; who has none cannot know, and the run becomes
    /// undetectable: true is returned then.
    pub(super) fn note_arrival(
        &mut self,
        sender: &Node,
        is_faulty: bool,
        to: usize,
        message: &Message,
    ) -> bool {
        if is_faulty && !self.done {
            self.note_claim(sender, to, message);
        }
        if sender.medium != Medium::SetBack || !self.claims_broken {
            return false;
        }
        let binds = matches!(
            message,
            Message::Prepare(_)
                | Message::Promise(_)
                | Message::Accept(_)
                | Message::Accepted(_)
                | Message::Heartbeat(_)
                | Message::Grant(_)
                | Message::CanvassAnswer(_)
        );
        let Some(shard) = &sender.shard else { return false };
        let lives = &shard.replica().hard().lives;
        let knows = |seen: &Vec<Witness>| seen.iter().any(|seen| refutes(lives, *seen).is_some());
        let unknown = binds && !self.seen.get(&to).is_some_and(knows);
        self.undetectable |= unknown;
        unknown
    }

    /// The unlucky node says on what its message rests.
    fn note_claim(&mut self, sender: &Node, to: usize, message: &Message) {
        let durable = match message {
            Message::Accepted(accepted) => accepted.durable,
            Message::Grant(grant) => grant.durable,
            Message::Announce(announce) => announce.durable.durable,
            _ => return,
        };
        let Some(shard) = &sender.shard else { return };
        let Some(life) = shard.replica().hard().lives.last() else { return };
        let seen = self.seen.entry(to).or_default();
        match seen.iter_mut().find(|seen| seen.life == life.id) {
            Some(seen) => seen.durable = seen.durable.max(durable),
            None => seen.push(Witness { life: life.id, durable }),
        }
    }

    /// A node starts: what it saw of the faulty node is what its disk says.
    pub(super) fn note_restart(
        &mut self,
        node: usize,
        faulty_node: NodeId,
        witnessed: &[(NodeId, Witness)],
    ) {
        let rows = witnessed.iter().filter(|row| row.0 == faulty_node).map(|row| row.1).collect();
        self.seen.insert(node, rows);
    }
}
