//! Several shards, as people read them.

use super::ids::ShardId;
use std::fmt;

/// Shards by rising number: `shard 0`, `shards 0 and 2`, `shards 0 to 7, 9 and 11`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shards(Vec<ShardId>);

impl Shards {
    /// Returns true where no shard is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the shards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds one that is higher than all before.
    ///
    /// # Panics
    /// When it is not.
    pub fn push(&mut self, shard: ShardId) {
        let last = self.0.last().copied();
        assert!(last.is_none_or(|last| last < shard), "{shard} behind {last:?}");
        self.0.push(shard);
    }

    /// Stretches of neighbours: `3`, `0 to 7`; two neighbours are two stretches.
    fn stretches(&self) -> Vec<String> {
        let mut stretches: Vec<(u16, u16)> = Vec::new();
        for ShardId(shard) in &self.0 {
            match stretches.last_mut() {
                Some((_, last)) if *last + 1 == *shard => *last = *shard,
                Some(_) | None => stretches.push((*shard, *shard)),
            }
        }
        let texts = stretches.into_iter().flat_map(|(first, last)| match last - first {
            0 => vec![first.to_string()],
            1 => vec![first.to_string(), last.to_string()],
            _ => vec![format!("{first} to {last}")],
        });
        texts.collect()
    }
}

impl FromIterator<ShardId> for Shards {
    fn from_iter<I: IntoIterator<Item = ShardId>>(shards: I) -> Shards {
        let mut all: Vec<ShardId> = shards.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Shards(all)
    }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stretches = self.stretches();
        match stretches.as_slice() {
            [] => f.write_str("no shard"),
            [one] if self.len() == 1 => write!(f, "shard {one}"),
            [one] => write!(f, "shards {one}"),
            [all @ .., last] => write!(f, "shards {} and {last}", all.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is named once, neighbours together, and one shard is distinguished from none.
    #[test]
    fn shards_are_named_as_people_read_them() {
        let text =
            |shards: &[u16]| shards.iter().copied().map(ShardId).collect::<Shards>().to_string();
        assert_eq!(text(&[]), "no shard");
        assert_eq!(text(&[0]), "shard 0");
        assert_eq!(text(&[2, 0]), "shards 0 and 2");
        assert_eq!(text(&[0, 1]), "shards 0 and 1");
        assert_eq!(text(&[0, 1, 2, 3, 3]), "shards 0 to 3");
        assert_eq!(text(&[0, 1, 2, 5, 7, 8]), "shards 0 to 2, 5, 7 and 8");
    }
}
