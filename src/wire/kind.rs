//! The numbers that name messages. `docs/PROTOCOL.md` has the same table.

/// Set in the kind of every reply: `request | REPLY`.
pub const REPLY: u16 = 0x8000;

macro_rules! kinds {
    ($(#[$about:meta])* $kind:ident: $($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum $kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl $kind {
            /// Every kind that this version knows.
            pub const ALL: &'static [$kind] = &[$($kind::$name,)*];

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                self as u16
            }

            /// The kind of a number; none for one that this version does not know.
            #[must_use]
            pub fn from_number(number: u16) -> Option<$kind> {
                match number {
                    $($number => Some($kind::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// How two sides meet. Numbers are never used again for anything else.
    GreetingKind:
    /// A client's greeting.
    Hello = 0x0001;
    /// A peer's greeting.
    PeerHello = 0x1001;
    /// Answers a Hello.
    HelloReply = 0x8001;
    /// Answers a PeerHello.
    PeerHelloReply = 0x9001;
}

kinds! {
    /// What a client asks. Numbers are never used again for anything else.
    RequestKind:
    /// Are you there?
    Ping = 0x0002;
    /// The answering shard's state.
    Status = 0x0003;
    /// Members, shards, leaders.
    Map = 0x0004;
    /// Create a log.
    Create = 0x0010;
    /// Delete a log.
    Delete = 0x0011;
    /// List logs.
    List = 0x0012;
    /// One log's data.
    Stat = 0x0013;
    /// Append entries.
    Append = 0x0014;
    /// Read entries.
    Read = 0x0015;
}

kinds! {
    /// What a node answers. Numbers are never used again for anything else.
    ReplyKind:
    /// Answers any request that was not done.
    Error = 0x8000;
    /// Answers a Ping.
    Pong = 0x8002;
    /// Answers a Status.
    StatusReply = 0x8003;
    /// Answers a Map.
    MapReply = 0x8004;
    /// Answers a Create.
    Created = 0x8010;
    /// Answers a Delete.
    Deleted = 0x8011;
    /// Answers a List.
    Listed = 0x8012;
    /// Answers a Stat.
    Stated = 0x8013;
    /// Answers an Append.
    Appended = 0x8014;
    /// Answers a Read.
    ReadDone = 0x8015;
}

kinds! {
    /// What replicas say to each other. Numbers are never used again for anything else.
    PeerKind:
    /// `peer::Meet`.
    Meet = 0x1010;
    /// `peer::Canvass`.
    Canvass = 0x1011;
    /// `peer::CanvassAnswer`.
    CanvassAnswer = 0x1012;
    /// `peer::Prepare`.
    Prepare = 0x1013;
    /// `peer::Promise`.
    Promise = 0x1014;
    /// `peer::LeaseRefusal`.
    LeaseRefusal = 0x1015;
    /// `peer::Nack`.
    Nack = 0x1016;
    /// `peer::Fetch`.
    Fetch = 0x1017;
    /// `peer::Fetched`.
    Fetched = 0x1018;
    /// `peer::Accept`.
    Accept = 0x1019;
    /// `peer::Accepted`.
    Accepted = 0x101A;
    /// `peer::Heartbeat`.
    Heartbeat = 0x101B;
    /// `peer::Grant`.
    Grant = 0x101C;
    /// `peer::Mark`.
    Mark = 0x1021;
    /// `peer::Resend`.
    Resend = 0x1022;
    /// `peer::Learn`.
    Learn = 0x101D;
    /// `peer::Learned`.
    Learned = 0x101E;
    /// `peer::HandOver`.
    HandOver = 0x101F;
    /// `peer::Release`.
    Release = 0x1020;
    /// `peer::Standing`.
    Standing = 0x1023;
}
