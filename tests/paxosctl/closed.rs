//! Standard output that is closed from the start, or that nobody reads any more: what was done is said
//! to be done, and nothing waits for a reader that is gone.

use super::*;

/// `paxosctl` started with a closed standard output, as by `>&-`; exit code and standard error.
fn without_output(cluster: &MockCluster, line: &str, input: &[u8]) -> (i32, String) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" >&-", env!("CARGO_BIN_EXE_paxosctl")]);
    shell.args(line.split(' ')).env("PAXOSCTL_ENDPOINTS", cluster.endpoints().join(","));
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    // It may end without reading all of it.
    let _fed = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// An index that has nowhere to go is an error that says that the entry was appended, and where.
#[test]
fn a_closed_output_is_no_success() {
    let cluster = MockCluster::start(1, 1);
    let (code, err) = without_output(&cluster, "create x", b"");
    assert!(code == 1 && err.contains("log \"x\" was created, with id "), "{code}: {err}");
    let (code, err) = without_output(&cluster, "append x data", b"");
    let expected = "the entry was appended, at index 0: do not append it again";
    assert!(code == 1 && err.contains(expected), "{code}: {err}");
    assert!(err.contains("cannot write to standard output"), "{err}");
    let (code, err) = without_output(&cluster, "append x --lines", b"a\n");
    assert!(code == 1 && err.contains("1 line was appended, at index 1"), "{code}: {err}");
    assert_eq!(cluster.log("x"), ["data", "a"]);
    for line in ["read x", "read x --follow", "list", "status"] {
        let (code, err) = without_output(&cluster, line, b"");
        assert!(code == 1 && err.contains("cannot write to standard output"), "{line}: {err}");
    }
    let (code, err) = without_output(&cluster, "delete x", b"");
    assert!(code == 1 && err.contains("log \"x\" was deleted"), "{code}: {err}");
    // What prints nothing lacks nothing, and /dev/null is a place to print to.
    let (code, err) = without_output(&cluster, "wait --quorum", b"");
    assert_eq!((code, err.as_str()), (0, ""));
    let mut null = command(&cluster.endpoints(), "append y data --create");
    assert!(null.stdout(Stdio::null()).stdin(Stdio::null()).status().unwrap().success());
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
    let until = Instant::now() + Duration::from_secs(20);
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > until => break None,
            // Sleeps because nothing shows a child's end but its status.
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if ended.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "none: it went on following");
}
