//! Standard output that takes nothing, or that nobody reads any more: what was done is said to be done,
//! and nothing waits for a reader that is gone.

use super::*;
use std::fs::OpenOptions;

/// `paxosctl` whose standard output is a full device; exit code and standard error.
fn into_a_full_device(cluster: &MockCluster, line: &str, input: &[u8]) -> (i32, String) {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = command(&cluster.endpoints(), line).stdout(full).spawn().unwrap();
    // It may end without reading all of it.
    let _fed = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// An index that has nowhere to go is an error that says that the entry was appended, and where.
#[test]
fn an_output_that_takes_nothing_is_no_success() {
    let cluster = MockCluster::start(1, 1);
    let (code, err) = into_a_full_device(&cluster, "create x", b"");
    assert!(code == 1 && err.contains("log \"x\" was created, with id "), "{code}: {err}");
    let (code, err) = into_a_full_device(&cluster, "append x data", b"");
    let expected = "the entry was appended, at index 0: do not append it again";
    assert!(code == 1 && err.contains(expected), "{code}: {err}");
    assert!(err.contains("cannot write to standard output"), "{err}");
    let (code, err) = into_a_full_device(&cluster, "append x --lines", b"a\n");
    assert!(code == 1 && err.contains("1 line was appended, at index 1"), "{code}: {err}");
    assert_eq!(cluster.log("x"), ["data", "a"]);
    for line in ["read x", "read x --follow", "list", "status"] {
        let (code, err) = into_a_full_device(&cluster, line, b"");
        assert!(code == 1 && err.contains("cannot write to standard output"), "{line}: {err}");
    }
    let (code, err) = into_a_full_device(&cluster, "delete x", b"");
    assert!(code == 1 && err.contains("log \"x\" was deleted"), "{code}: {err}");
    // What prints nothing lacks nothing.
    let (code, err) = into_a_full_device(&cluster, "wait --quorum", b"");
    assert_eq!((code, err.as_str()), (0, ""));
}

/// A supervisor gives /dev/null, whichever way it was opened: that is a place to print to.
#[test]
fn no_output_is_wanted_where_it_goes_to_dev_null() {
    let cluster = MockCluster::start(1, 1);
    for read in [false, true] {
        let null = OpenOptions::new().read(read).write(true).open("/dev/null").unwrap();
        let mut append = command(&cluster.endpoints(), "append y data --create");
        assert!(append.stdout(null).stdin(Stdio::null()).status().unwrap().success());
    }
}

/// `read --follow | head -1`: it ends soon after its reader, though no entry comes any more.
#[test]
fn following_ends_with_its_reader() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "append x a --create", b"");
    cluster.script(|seen, _| {
        if matches!(seen.request, Request::Read(_)) {
            // Sleeps because the wait at a log's tail is what is played here.
            std::thread::sleep(Duration::from_millis(20));
        }
        Act::Usual
    });
    let mut child = command(&cluster.endpoints(), "read x --follow").spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "a\n");
    drop(out);
    let ended = comes_true(|| child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert!(ended && status.code() == Some(0), "it went on following, or failed: {status}");
}
