//! Logs copied from one place to another, byte by byte, whatever they hold.

use super::*;

/// Entries of every kind: text, newlines, control characters, bytes that are no text, and none.
fn entries() -> Vec<Vec<u8>> {
    let whole: Vec<u8> = (0..=255).collect();
    let texts = ["plain", "two\nlines\n", "", "\n", "tab\t\"quoted\" \\ \u{7f}\0", "ä € 𝄞"];
    let bytes = [whole, b"\xff".to_vec(), b"cut \xe2\x82".to_vec(), Vec::new()];
    texts.map(|text| text.as_bytes().to_vec()).into_iter().chain(bytes).collect()
}

fn bytes_of(cluster: &MockCluster, name: &str) -> Vec<Vec<u8>> {
    cluster.state().logs[name].1.clone()
}

/// A cluster with one log that holds these entries.
fn holding(entries: &[Vec<u8>]) -> MockCluster {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "create source", b"");
    cluster.state().logs.get_mut("source").unwrap().1 = entries.to_vec();
    cluster
}

/// `read -o jsonl | append --jsonl` copies any entries exactly: to another log, to another cluster,
/// and from there back again.
#[test]
fn jsonl_is_an_exact_round_trip() {
    let entries = entries();
    let (here, there) = (holding(&entries), MockCluster::start(1, 1));
    let printed = run(&here, "read source -o jsonl", b"");
    assert_eq!((printed.code, printed.out.lines().count()), (0, entries.len()), "{printed:?}");
    for (cluster, name) in [(&here, "copy"), (&there, "source")] {
        let words = format!("append {name} --create --jsonl --expect 0");
        let ran = run(cluster, &words, printed.out.as_bytes());
        let indexes: String = (0..entries.len()).map(|at| format!("{at}\n")).collect();
        assert_eq!((ran.code, ran.out, ran.err), (0, indexes, String::new()));
        assert_eq!(bytes_of(cluster, name), entries, "{name}");
    }
    assert_eq!(run(&there, "read source -o jsonl", b"").out, printed.out);
}

/// A copy that was cut off goes on where it stopped.
#[test]
fn a_copy_goes_on_where_it_stopped() {
    let entries = entries();
    let cluster = holding(&entries);
    let first = run(&cluster, "read source -o jsonl --count 3", b"").out;
    assert_eq!(run(&cluster, "append copy --create --jsonl", first.as_bytes()).code, 0);
    let rest = run(&cluster, "read source -o jsonl --from 3", b"").out;
    let ran = run(&cluster, "append copy --jsonl --expect 3", rest.as_bytes());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(bytes_of(&cluster, "copy"), entries);
    let again = run(&cluster, "append copy --jsonl --expect 3", rest.as_bytes());
    assert_eq!(again.code, 4, "{again:?}");
    assert_eq!(bytes_of(&cluster, "copy"), entries);
}

/// A line that is no entry ends the copy: it is named, and what came before it is counted.
#[test]
fn a_line_that_is_no_entry_is_named() {
    let cluster = MockCluster::start(1, 1);
    let lines =
        b"{\"data\":\"a\"}\n{\"index\":1,\"data\":\"b\"}\n{\"data\":\"c\n{\"data\":\"d\"}\n";
    let ran = run(&cluster, "append x --create --jsonl", lines);
    assert_eq!((ran.code, ran.out.as_str()), (1, "0\n1\n"), "{ran:?}");
    for part in
        ["line 3 is no entry as read -o jsonl prints it", "2 lines were appended, up to index 1"]
    {
        assert!(ran.err.contains(part), "no {part:?} in {}", ran.err);
    }
    assert_eq!(cluster.log("x"), ["a", "b"]);
}

/// Entries can be read as exactly the bytes that they are.
#[test]
fn exact_bytes_are_the_bytes_and_no_more() {
    let cluster = holding(&[b"\x00\xff\n".to_vec(), Vec::new(), b"end".to_vec()]);
    let bytes = |line: &str| command(&cluster.endpoints(), line).output().unwrap().stdout;
    assert_eq!(bytes("read source --exact"), b"\x00\xff\nend");
    assert_eq!(bytes("read source --exact --from 2"), b"end");
    assert_eq!(bytes("read source"), b"\x00\xff\n\n\nend\n");
    let ran = run(&cluster, "read source --exact -o jsonl", b"");
    assert!(ran.code == 2 && ran.err.contains("--exact"), "{ran:?}");
}

/// The last entries of a log, and no others; with `--follow`, what comes after them too.
#[test]
fn the_last_entries_are_read() {
    let cluster = holding(&[]);
    assert_eq!(run(&cluster, "read source --last 2", b"").out, "");
    run(&cluster, "append source --lines", b"a\nb\nc\nd\ne\n");
    for (words, out) in [
        ("--last 2", "d\ne\n"),
        ("--last 5", "a\nb\nc\nd\ne\n"),
        ("--last 99", "a\nb\nc\nd\ne\n"),
        ("--last 0", ""),
        ("--last 3 --count 1", "c\n"),
        ("--last 2 --consistency local", "d\ne\n"),
        ("--last 1 -o jsonl", "{\"index\":4,\"data\":\"e\"}\n"),
    ] {
        let ran = run(&cluster, &format!("read source {words}"), b"");
        assert_eq!((ran.code, ran.out.as_str()), (0, out), "{words}: {ran:?}");
    }
    let mut child =
        command(&cluster.endpoints(), "read source --last 1 --follow --count 2").spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "e\n");
    run(&cluster, "append source f", b"");
    out.read_to_string(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("e\nf\n", Some(0)));
}
