//! A number of things, for people.

use std::fmt;

/// So many of something: `1 shard`, `2 shards`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<'a>(pub u64, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thing is one thing.
    #[test]
    fn one_has_no_plural() {
        let shown = [0, 1, 2].map(|count| Count(count, "shard").to_string());
        assert_eq!(shown, ["0 shards", "1 shard", "2 shards"]);
    }
}
