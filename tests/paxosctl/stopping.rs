//! How `append --lines` ends before its input does: nothing acknowledged goes unreported, and
//! nothing more is sent.

use super::*;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout};

/// `append x --create --lines`, fed without end by a thread of its own.
fn fed_without_end(cluster: &MockCluster) -> (Child, BufReader<ChildStdout>) {
    let mut child = command(&cluster.endpoints(), "append x --create --lines").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || while stdin.write_all(&b"some line\n".repeat(1000)).is_ok() {});
    let out = BufReader::with_capacity(16, child.stdout.take().unwrap());
    (child, out)
}

/// The end of a process: the signal that it ended by, and what it said.
fn end_of(mut child: Child) -> (Option<i32>, String) {
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().signal(), err)
}

fn read_indexes(out: &mut BufReader<ChildStdout>, upto: usize) {
    for at in 0..upto {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{at}\n"));
    }
}

/// `append --lines | head -3`: the process ends by SIGPIPE, as others do, and says how far it got.
#[test]
fn a_closed_pipe_ends_the_appends() {
    let cluster = MockCluster::start(1, 1);
    let (child, mut out) = fed_without_end(&cluster);
    read_indexes(&mut out, 3);
    drop(out);
    let (signal, err) = end_of(child);
    assert_eq!(signal, Some(Signal::PIPE.as_raw()), "{err}");
    let held = cluster.log("x").len();
    let expected = format!("{held} lines were appended, up to index {}", held - 1);
    assert!(
        err.contains(&expected) && err.contains("nothing else was sent"),
        "no {expected:?} in {err}"
    );
}

/// Likewise where no further line comes: nobody waits for one to find out.
#[test]
fn a_closed_pipe_ends_the_waiting_for_lines() {
    let cluster = MockCluster::start(1, 1);
    let mut child = command(&cluster.endpoints(), "append x --create --lines").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
    writeln!(stdin, "line 0").unwrap();
    read_indexes(&mut out, 1);
    drop(out);
    let (signal, err) = end_of(child);
    assert_eq!(signal, Some(Signal::PIPE.as_raw()), "{err}");
    assert!(err.contains("1 line was appended, at index 0"), "{err}");
    drop(stdin);
}

/// Ctrl-C under load: every index that was acknowledged is printed, and the process ends by SIGINT.
#[test]
fn an_interrupt_drops_no_acknowledged_index() {
    let cluster = MockCluster::start(1, 1);
    let (child, mut out) = fed_without_end(&cluster);
    read_indexes(&mut out, 5);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).unwrap();
    let mut printed = String::new();
    out.read_to_string(&mut printed).unwrap();
    let (signal, err) = end_of(child);
    assert_eq!(signal, Some(Signal::INT.as_raw()), "{err}");
    let held = cluster.log("x").len();
    assert_eq!(printed.lines().count() + 5, held, "indexes against entries: {err}");
    let expected = format!("stopped by SIGINT: {held} lines were appended, up to index ");
    assert!(err.contains(&expected), "no {expected:?} in {err}");
}

/// Ctrl-C in the middle of a line: the part that is there is no entry.
#[test]
fn a_part_of_a_line_is_no_entry() {
    let cluster = MockCluster::start(1, 1);
    let mut child = command(&cluster.endpoints(), "append x --create --lines").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
    write!(stdin, "whole\npart").unwrap();
    read_indexes(&mut out, 1);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let (signal, err) = end_of(child);
    assert_eq!(signal, Some(Signal::TERM.as_raw()), "{err}");
    assert!(
        err.contains("stopped by SIGTERM: 1 line was appended, at index 0, and nothing else"),
        "{err}"
    );
    assert_eq!(cluster.log("x"), ["whole"]);
    drop(stdin);
}

/// An input that is empty appends nothing, and says so; an empty entry is one that is typed.
#[test]
fn an_empty_input_is_no_entry() {
    let cluster = MockCluster::start(1, 1);
    let ran = run(&cluster, "append x --create", b"");
    assert!(ran.code == 2 && ran.err.contains("standard input is empty"), "{ran:?}");
    assert!(!cluster.state().logs.contains_key("x"));
    let mut typed = command(&cluster.endpoints(), "append x --create");
    let output = typed.arg("").output().unwrap();
    assert_eq!((output.status.code(), cluster.log("x")), (Some(0), vec![String::new()]));
}
