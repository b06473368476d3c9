//! What a client asked for, as long as that is remembered: until it is answered.

use crate::api::error::Outcome;
use crate::api::{Read, Reply, Request, RequestKind};

/// The kind of a request that is answered as soon as can be; nothing for a read that waits for new
/// entries: it takes as long as it was asked to.
#[must_use]
pub fn timed(request: &Request) -> Option<RequestKind> {
    let waits = matches!(request, Request::Read(Read { wait_ms: 1.., .. }));
    (!waits).then(|| request.kind())
}

/// What a request is called in a warning: "an append".
#[must_use]
pub fn described(kind: RequestKind) -> String {
    let name = kind.name();
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It was answered as asked.
    Ok,
    /// It was answered with an error of this outcome.
    Failed(Outcome),
}

impl Became {
    /// What an answer says.
    #[must_use]
    pub fn of(reply: &Reply) -> Became {
        if let Reply::Error(error) = reply { Became::Failed(error.outcome) } else { Became::Ok }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a warning that has always been there.
    #[test]
    fn requests_are_described_with_their_article() {
        assert_eq!(described(RequestKind::Append), "an append");
        assert_eq!(described(RequestKind::Create), "a create");
        assert_eq!(described(RequestKind::Stat), "a stat");
    }
}
