//! Logs that lose their oldest entries, and logs of which only the last one counts.

use super::*;
use paxosd::client::Retention;
use paxosd::types::Index;

/// `create --retain-…` says in one request what the log keeps, in units that people use.
#[test]
fn c28_a_log_is_created_with_what_it_keeps() {
    let cluster = MockCluster::start(1, 1);
    let line = "create x --retain-bytes 64MiB --retain-entries 1000 --retain-age 7d";
    assert_eq!(run(&cluster, line, b"").code, 0);
    assert_eq!(run(&cluster, "create y", b"").code, 0);
    let state = cluster.state();
    let asked: Vec<Retention> = state
        .seen
        .iter()
        .filter_map(|seen| match &seen.request {
            Request::Create(create) => Some(create.retention),
            _ => None,
        })
        .collect();
    let week = Retention { bytes: 64 << 20, entries: 1000, age_ms: 7 * 86_400_000 };
    assert_eq!(asked, [week, Retention::default()]);
}

/// What `put` is given `get` prints, byte by byte and with nothing beside it; with `--expect` nothing is
/// lost that somebody else put meanwhile.
#[test]
fn get_prints_what_was_put() {
    let cluster = MockCluster::start(3, 2);
    assert_eq!(run(&cluster, "get x", b"").code, 3, "there is no such log");
    let put = run(&cluster, "put x one", b"");
    assert_eq!((put.code, put.out.as_str()), (0, "0\n"), "{put:?}");
    assert_eq!(run(&cluster, "get x", b"").out, "one");
    let put = run(&cluster, "put x - --expect 1", b"two\n\n");
    assert_eq!((put.code, put.out.as_str()), (0, "1\n"), "{put:?}");
    let got = run(&cluster, "get x", b"");
    assert_eq!((got.out.as_str(), got.err.as_str()), ("two\n\n", ""));
    let late = run(&cluster, "put x three --expect 1", b"");
    assert_eq!((late.code, late.out.as_str()), (4, ""), "{late:?}");
    for form in ["json", "jsonl"] {
        let got = run(&cluster, &format!("get x -o {form}"), b"");
        assert_eq!(got.out, "{\"index\":1,\"data\":\"two\\n\\n\"}\n");
    }
    assert!(run(&cluster, "get x -o table", b"").out.ends_with("  two\\n\\n\n"));
}

/// A log without an entry is nothing to print: exit code 3, whether it never had one or lost all.
#[test]
fn a_log_without_an_entry_has_nothing_to_get() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "create x", b"");
    let empty = run(&cluster, "get x", b"");
    assert_eq!((empty.code, empty.out.as_str()), (3, ""));
    assert!(empty.err.contains("log \"x\" has no entry"), "{}", empty.err);
    run(&cluster, "put x one", b"");
    run(&cluster, "trim x --before 1", b"");
    assert_eq!(run(&cluster, "get x", b"").code, 3);
}

/// The last entry is trimmed between the look for the end and the read of it, as others append: the one
/// that is the last by then is printed.
#[test]
fn get_finds_the_last_entry_while_the_log_moves_on() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "put x one", b"");
    let mut moves = 3;
    cluster.script(move |seen, state| {
        if let Request::Read(read) = &seen.request
            && read.from != Index(u64::MAX)
            && moves > 0
        {
            moves -= 1;
            let (id, entries) = state.logs.get_mut("x").unwrap();
            entries.push(b"later".to_vec());
            state.firsts.insert(*id, entries.len() as u64 - 1);
        }
        Act::Usual
    });
    let got = run(&cluster, "get x", b"");
    assert_eq!((got.code, got.out.as_str()), (0, "later"), "{got:?}");
}

/// What is trimmed before a follower comes to it is reported on standard error, as an object with -o jsonl, and
/// it goes on; with --on-gap fail it ends with exit code 9.
#[test]
fn c28_following_reports_a_gap_and_goes_on() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "append x --lines --create", b"a\nb\nc\nd\n");
    run(&cluster, "trim x --before 2", b"");
    let ran = run(&cluster, "read x --follow --from 1 --count 2 -o jsonl", b"");
    let lines: Vec<&str> = ran.out.lines().collect();
    let gap = "{\"gap\":{\"from\":1,\"to\":1,\"why\":\"trimmed\"}}";
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert_eq!((lines[0], lines[2]), (gap, "{\"index\":3,\"data\":\"d\"}"));
    assert!(ran.err.contains("entries 1 to 1 were trimmed"), "{}", ran.err);
    assert_eq!(run(&cluster, "read x --follow --from 1 --count 2 --on-gap fail", b"").code, 9);
    // Whoever asks for what there is misses nothing.
    let ran = run(&cluster, "read x --follow --count 2 --on-gap fail", b"");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "c\nd\n", ""));
}
