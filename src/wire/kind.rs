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

pub(in crate::wire) use kinds;
