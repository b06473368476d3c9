//! Newtypes over integers. A slot belongs to a shard, an index to a log; they are never mixed.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

macro_rules! position {
    ($name:ident) => {
        impl $name {
            /// Returns the position right after this one.
            ///
            /// # Panics
            /// Past the last 64-bit position, which no deployment reaches.
            #[must_use]
            pub fn next(self) -> $name {
                $name(self.0.checked_add(1).expect("64-bit positions do not run out"))
            }

            /// Returns the position right before this one, or zero for zero.
            #[must_use]
            pub fn prev(self) -> $name {
                $name(self.0.saturating_sub(1))
            }

            /// Returns the position `count` after this one, saturating.
            #[must_use]
            pub fn plus(self, count: u64) -> $name {
                $name(self.0.saturating_add(count))
            }
        }
    };
}

id!(
    /// A member of the cluster: 1 to 65535, chosen by the operator. Zero is nobody.
    NodeId(u16)
);
id!(
    /// One Paxos group of the cluster: 0 to `shards - 1`.
    ShardId(u16)
);
id!(
    /// Position in a shard's sequence of decisions: 1, 2, 3 …; as a watermark, 0 means none yet.
    Slot(u64)
);
id!(
    /// Dense position of an entry in its log: 0, 1, 2 …
    Index(u64)
);
id!(
    /// A log's identity, never used again: shard in the upper 16 bits, a counter from 1 below.
    LogId(u64)
);
id!(
    /// Position in one shard's stream of persisted records on one node: 1, 2, 3 …, without gaps.
    Lsn(u64)
);
id!(
    /// One file of the write-ahead log: 1, 2, 3 …
    SegmentId(u64)
);
id!(
    /// One sorted run of a shard's index on one node's disk: 1, 2, 3 …, never used again.
    RunId(u64)
);
id!(
    /// Random number written when a data directory is initialised; shows that a node was wiped.
    Incarnation(u64)
);
id!(
    /// One configuration of a cluster: 0 for that of its formation, one more with each change.
    ConfigurationNumber(u64)
);
id!(
    /// A client connection within one shard of one node.
    ConnId(u64)
);
id!(
    /// Microseconds on a node's own suspend-aware monotonic clock (`CLOCK_BOOTTIME`).
    Tick(u64)
);

position!(Slot);
position!(Index);
position!(Lsn);
position!(SegmentId);

impl ConfigurationNumber {
    /// The configuration that the cluster formed with, and the only one until members can change.
    pub const FORMATION: ConfigurationNumber = ConfigurationNumber(0);
}

impl Tick {
    /// Returns the instant `micros` later, saturating.
    #[must_use]
    pub fn after(self, micros: u64) -> Tick {
        Tick(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this instant, or zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl LogId {
    /// Names the log `counter` (from 1) of a shard.
    #[must_use]
    pub fn new(shard: ShardId, counter: u64) -> LogId {
        assert!(counter > 0 && counter < 1 << 48, "log counter out of range: {counter}");
        LogId(u64::from(shard.0) << 48 | counter)
    }

    /// Returns the shard that holds the log.
    #[must_use]
    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> 48) as u16)
    }

    /// Returns how many logs the shard had created when it created this one, itself included.
    #[must_use]
    pub fn counter(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }
}

impl ShardId {
    /// Returns the shard of a log's name: `crc32c(name) % shards`.
    ///
    /// # Panics
    /// When `shards` is zero: a checked configuration has at least one.
    #[must_use]
    pub fn of_name(name: &str, shards: u16) -> ShardId {
        assert!(shards > 0, "a cluster has at least one shard");
        ShardId((crc32c::crc32c(name.as_bytes()) % u32::from(shards)) as u16)
    }
}

/// The cluster's identity: 128 bits, written as 32 hexadecimal digits (dashes allowed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for ClusterId {
    type Err = String;

    /// Reads 32 hexadecimal digits, dashes ignored.
    ///
    /// # Errors
    /// A text that says what is wrong with the input.
    fn from_str(text: &str) -> Result<ClusterId, String> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let count = digits.chars().count();
        if count != 32 {
            return Err(format!("has {count} characters, needs 32 hexadecimal digits"));
        }
        // The parser alone would take a sign for one of them.
        let plain = digits.chars().all(|c| c.is_ascii_hexdigit());
        u128::from_str_radix(&digits, 16)
            .ok()
            .filter(|_| plain)
            .map(ClusterId)
            .ok_or_else(|| "holds a character that is not a hexadecimal digit".to_string())
    }
}
