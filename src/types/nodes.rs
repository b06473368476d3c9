//! Several nodes, as people read them.

use super::ids::NodeId;
use std::fmt;

/// Nodes in the order given: `node 3`, `nodes 1 and 2`, `nodes 1, 2 and 3`.
#[derive(Clone, Copy, Debug)]
pub struct Nodes<'a>(pub &'a [NodeId]);

impl fmt::Display for Nodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("no node"),
            [one] => write!(f, "node {one}"),
            [all @ .., last] => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "nodes {} and {last}", all.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One node is distinguished from several, and several are a list.
    #[test]
    fn nodes_are_named_as_people_read_them() {
        let text = |nodes: &[u16]| {
            let nodes: Vec<NodeId> = nodes.iter().copied().map(NodeId).collect();
            Nodes(&nodes).to_string()
        };
        assert_eq!(text(&[]), "no node");
        assert_eq!(text(&[3]), "node 3");
        assert_eq!(text(&[1, 2, 3]), "nodes 1, 2 and 3");
    }
}
