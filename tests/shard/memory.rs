//! What a shard says that it keeps in memory.

use crate::checkpoints::{OFTEN, with_logs};
use crate::node::{Node, append, create, log};
use paxosd::api::{Delete, Request};
use paxosd::limits::{CACHE_BYTES_MAX, LOG_MEMORY_BYTES, PLACE_MEMORY_BYTES};
use paxosd::shard::MemoryAccounts;

fn accounts(node: &Node) -> MemoryAccounts {
    node.shard.backlog().memory
}

/// Each account follows what it counts: logs come and go, values are cached and have places, and both leave
/// memory behind a checkpoint, which leaves runs and spans.
#[test]
fn accounts_follow_what_they_count() {
    let mut node = Node::new();
    assert_eq!(accounts(&node).logs, 0);
    for nth in 0..40 {
        node.ask(create(&format!("log-{nth:06}")));
    }
    assert_eq!(accounts(&node).logs, 40 * (LOG_MEMORY_BYTES as u64 + 10));
    for nth in 0..30 {
        node.ask(Request::Delete(Delete { log: log(&format!("log-{nth:06}")) }));
    }
    assert_eq!(accounts(&node).logs, 10 * (LOG_MEMORY_BYTES as u64 + 10));
    let before = accounts(&node);
    for nth in 0..10 {
        node.ask(Request::Append(append("log-000035", &format!("{nth:01000}"))));
    }
    let after = accounts(&node);
    assert!(after.places >= before.places + 10 * PLACE_MEMORY_BYTES as u64, "{after:?}");
    let cached = before.cache + 10_000..before.cache + 15_000;
    assert!(cached.contains(&after.cache) && after.cache < CACHE_BYTES_MAX as u64, "{after:?}");
    assert!(after.index > before.index, "{after:?}");
    assert_eq!(after.spans, before.spans, "there is no checkpoint");

    let often = accounts(&with_logs(OFTEN, 150));
    assert!(often.spans > 0 && often.index > 0 && often.places > 0, "{often:?}");
    let named: u64 = often.named().iter().map(|(_, bytes)| bytes).sum();
    assert!(named > often.logs + often.index + often.places + often.cache, "{often:?}");
}
