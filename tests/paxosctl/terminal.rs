//! What stands on standard error where that is a terminal.

use super::*;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::time::Duration;

/// A terminal: the end that a process writes to, and the end where it is seen.
fn terminal() -> (File, File) {
    let seen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&seen).unwrap();
    unlockpt(&seen).unwrap();
    let path = ptsname(&seen, Vec::new()).unwrap();
    let written = OpenOptions::new().read(true).write(true).open(path.to_str().unwrap()).unwrap();
    (written, File::from(seen))
}

/// Runs a command whose standard error is a terminal; returns its exit code and what was seen there.
fn run_on_terminal(endpoints: &[String], line: &str, input: &[u8]) -> (i32, String) {
    let (written, mut seen) = terminal();
    let mut command = command(endpoints, line);
    let mut child = command.stdout(Stdio::null()).stderr(written).spawn().unwrap();
    // The other end is closed when the child's is the last one.
    drop(command);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = seen.read(&mut bytes) {
        text.extend_from_slice(&bytes[..read]);
    }
    feeder.join().unwrap();
    (child.wait().unwrap().code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

/// `append --lines` says how many lines were sent and acknowledged.
#[test]
fn lines_are_counted_on_a_terminal() {
    let cluster = MockCluster::start(1, 1);
    let slow = |seen: &mock_cluster::Seen| {
        if matches!(seen.request, Request::Append(_)) && seen.nth.is_multiple_of(50) {
            // Sleeps because work that takes its time is what is played here.
            std::thread::sleep(Duration::from_millis(60));
        }
    };
    cluster.script(move |seen, _| {
        slow(seen);
        Act::Usual
    });
    let lines: String = (0..500).map(|at| format!("line {at}\n")).collect();
    let words = "append x --create --lines";
    let (code, seen) = run_on_terminal(&cluster.endpoints(), words, lines.as_bytes());
    assert_eq!((code, cluster.log("x").len()), (0, 500), "{seen:?}");
    let counts: Vec<&str> = seen.matches(" lines sent, ").collect();
    assert!(counts.len() > 1 && seen.contains(" acknowledged"), "{seen:?}");
    // Nowhere else.
    let ran = run(&cluster, "append x --lines", lines.as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

/// `wait` says what it waits for, and what is missing yet.
#[test]
fn wait_says_what_it_waits_for() {
    let cluster = MockCluster::start(1, 1);
    cluster.lead(0);
    let (code, seen) = run_on_terminal(&cluster.endpoints(), "wait --quorum --timeout 3", b"");
    assert_eq!(code, 10, "{seen:?}");
    assert!(seen.contains("waiting for a leader of every shard, 0.0 of 3.0 s"), "{seen:?}");
    assert!(seen.contains("of 3.0 s: no leader serves shard 0"), "{seen:?}");
    assert!(seen.contains("paxosctl: unhealthy: not ready after 3.0 s"), "{seen:?}");
}

/// Whoever sits at a terminal and gave no data learns that the command reads what they type.
#[test]
fn append_says_that_it_reads_the_terminal() {
    let cluster = MockCluster::start(1, 1);
    for (words, what) in [
        ("append x --create", "all of it is one entry"),
        ("append x --create --lines", "each line is an entry"),
    ] {
        let (stdin, mut typed) = terminal();
        let mut command = command(&cluster.endpoints(), words);
        let mut child = command.stdin(stdin).spawn().unwrap();
        drop(command);
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        err.read_line(&mut line).unwrap();
        assert!(line.contains("reading standard input") && line.contains(what), "{line}");
        typed.write_all(b"hello\n\x04").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{words}");
    }
    assert_eq!(cluster.log("x"), ["hello\n", "hello"]);
}
