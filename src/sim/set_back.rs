//! A disk is set back to what it held earlier, once in a run: with the same file names, the same
//! identity, and everything consistent in itself. Only what peers saw can show it (C13, R13).
//!
//! What no receiver of the node's votes has seen cannot be detected: from the moment on that such a
//! receiver takes in a message which rests on what was lost, the run is *undetectable*, and ends.
//! Until then everything is checked as ever, and a node that is refuted must stay out.

use super::node::Medium;
use super::violation::Checked;
use super::world::World;
use crate::journal::MemStorage;
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
    /// What each node saw of the unlucky one before, as the messages that reached it said; after a
    /// restart, what its disk says. Kept apart from what the nodes make of it.
    seen: BTreeMap<usize, Vec<Witness>>,
}

impl World {
    /// Takes an image of the unlucky node's disk; later, puts it back under the next start. Other
    /// faults restart the node and its witnesses before, between and after.
    pub(super) fn set_back(&mut self, node: usize) -> Checked {
        let formed = self.nodes.iter().all(|node| node.formed);
        if self.nodes[node].is_out() || !formed || self.set_back.done {
            return Ok(());
        }
        let Some(image) = self.set_back.image.take() else {
            self.trace.line(self.now, || format!("n{}'s disk is copied", node + 1));
            let image = self.nodes[node].disk.storage().duplicate();
            image.crash(&mut || self.dice.bits());
            self.set_back.image = Some(image);
            return Ok(());
        };
        self.end(node, true)?;
        self.trace.line(self.now, || format!("n{}'s disk is set back", node + 1));
        self.nodes[node].disk.replace(image);
        self.nodes[node].medium = Medium::SetBack;
        self.set_back.done = true;
        Ok(())
    }

    /// A message of a node that was set back arrives: whoever has evidence against the node must
    /// not count it, which the checks of the whole show; who has none cannot know.
    pub(super) fn note_arrival(&mut self, from: usize, to: usize, message: &Message) {
        if from == self.plan.unlucky && !self.set_back.done {
            self.note_claim(from, to, message);
        }
        if self.nodes[from].medium != Medium::SetBack || !self.set_back.claims_broken {
            return;
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
        let Some(sender) = self.nodes[from].shard.as_ref().map(|shard| shard.replica()) else {
            return;
        };
        let lives = &sender.hard().lives;
        let knows = |seen: &Vec<Witness>| seen.iter().any(|seen| refutes(lives, *seen).is_some());
        if binds && !self.set_back.seen.get(&to).is_some_and(knows) {
            self.trace.line(self.now, || {
                format!("n{} cannot know that n{} was set back", to + 1, from + 1)
            });
            self.set_back.undetectable = true;
        }
    }

    /// The unlucky node says on what its message rests.
    fn note_claim(&mut self, from: usize, to: usize, message: &Message) {
        let durable = match message {
            Message::Accepted(accepted) => accepted.durable,
            Message::Grant(grant) => grant.durable,
            Message::Meet(meet) => meet.durable.durable,
            _ => return,
        };
        let Some(shard) = &self.nodes[from].shard else { return };
        let Some(life) = shard.replica().hard().lives.last() else { return };
        let (seen, claim) =
            (self.set_back.seen.entry(to).or_default(), Witness { life: life.id, durable });
        match seen.iter_mut().find(|seen| seen.life == claim.life) {
            Some(seen) => seen.durable = seen.durable.max(durable),
            None => seen.push(claim),
        }
    }

    /// A node starts: what it saw is what its disk says.
    pub(super) fn note_restart(&mut self, node: usize, witnessed: &[(NodeId, Witness)]) {
        let unlucky = self.nodes[self.plan.unlucky].id;
        let rows = witnessed.iter().filter(|row| row.0 == unlucky).map(|row| row.1).collect();
        self.set_back.seen.insert(node, rows);
    }
}
