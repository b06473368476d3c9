//! `paxosctl` itself, as a process, against a scripted cluster: what it prints and what it exits
//! with.

#![allow(clippy::unwrap_used, reason = "a test says by failing what went wrong")]

#[path = "paxosctl/closed.rs"]
mod closed;
#[path = "paxosctl/copying.rs"]
mod copying;
mod mock_cluster;
#[path = "paxosctl/naming.rs"]
mod naming;
#[path = "paxosctl/retaining.rs"]
mod retaining;
#[path = "paxosctl/silence.rs"]
mod silence;
#[path = "paxosctl/stopping.rs"]
mod stopping;
#[path = "paxosctl/strangers.rs"]
mod strangers;
#[path = "paxosctl/terminal.rs"]
mod terminal;

use mock_cluster::{Act, MockCluster};
use paxosd::api::Request;
use paxosd::client::{ErrorCode, RequestError};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What a run of `paxosctl` gave.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// `paxosctl` with the arguments in `line`, separated by spaces.
fn command(endpoints: &[String], line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxosctl"));
    command.env("PAXOSCTL_ENDPOINTS", endpoints.join(",")).env("PAXOSCTL_TIMEOUT", "1");
    command.args(line.split(' ').filter(|word| !word.is_empty()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(cluster: &MockCluster, line: &str, input: &[u8]) -> Ran {
    run_at(&cluster.endpoints(), line, input)
}

fn run_at(endpoints: &[String], line: &str, input: &[u8]) -> Ran {
    let mut child = command(endpoints, line).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end without reading all of it.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    assert_code_is_listed(line, code);
    Ran { code, out: text(&output.stdout), err: text(&output.stderr) }
}

/// A command ends with no code that its own help does not list.
fn assert_code_is_listed(line: &str, code: i32) {
    static LISTED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut words = line.split_whitespace();
    let Some(name) = words.next().filter(|word| !word.starts_with('-') && *word != "wrong") else {
        return;
    };
    let name =
        if name == "bench" { format!("bench {}", words.next().unwrap()) } else { name.into() };
    let mut listed = LISTED.lock().unwrap();
    let help = listed.entry(name.clone()).or_insert_with(|| {
        let mut help = Command::new(env!("CARGO_BIN_EXE_paxosctl"));
        let output = help.args(name.split(' ')).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    let help = help.clone();
    drop(listed);
    let codes = help.split("Exit codes:\n").nth(1).expect("--help lists the exit codes");
    let is_listed = codes
        .lines()
        .any(|line| line.trim().split_once("  ").is_some_and(|(of, _)| of == code.to_string()));
    assert!(is_listed, "{line}: exit {code} is not among:\n{codes}");
}

/// The answer to every request that `wanted` picks is this error.
fn refuse(cluster: &MockCluster, code: ErrorCode, wanted: fn(&Request) -> bool) {
    cluster.script(move |seen, _| {
        if wanted(&seen.request) {
            return Act::Refuse(RequestError::new(code, "as the test wants it"));
        }
        Act::Usual
    });
}

/// A tour of the manual: each command prints what it should and exits with 0.
#[test]
fn a_tour_of_the_commands() {
    let cluster = MockCluster::start(3, 2);
    let ran = run(&cluster, "create orders", b"");
    assert!(ran.code == 0 && ran.out.starts_with("created orders (id "), "{ran:?}");
    assert_eq!(run(&cluster, "append orders first", b"").out, "0\n");
    assert_eq!(run(&cluster, "append orders", b"two\nlines\n").out, "1\n");
    assert_eq!(run(&cluster, "append orders --lines", b"a\n\nb\nlast").out, "2\n3\n4\n5\n");
    assert_eq!(run(&cluster, "append orders x --expect 6", b"").out, "6\n");
    assert_eq!(
        run(&cluster, "append made --create x -o jsonl", b"").out.matches("index").count(),
        1
    );

    let whole = "first\ntwo\nlines\n\na\n\nb\nlast\nx\n";
    assert_eq!(run(&cluster, "read orders", b"").out, whole);
    assert_eq!(run(&cluster, "read orders --from 5 --count 1", b"").out, "last\n");
    assert_eq!(run(&cluster, "read orders --from 99", b"").out, "");
    let local = run(&cluster, "read orders --from 6 --consistency local -o jsonl", b"");
    assert_eq!(local.out, "{\"index\":6,\"data\":\"x\"}\n");

    assert_eq!(run(&cluster, "list -o raw", b"").out, "made\norders\n");
    assert_eq!(run(&cluster, "list or -o raw", b"").out, "orders\n");
    let table = run(&cluster, "list", b"").out;
    assert!(table.starts_with("NAME") && table.contains("2023-11-14T22:13:20Z"), "{table}");
    assert!(table.lines().next().is_some_and(|head| head.contains("NAME    SHARD")), "{table}");
    assert_eq!(run(&cluster, "stat orders -o raw", b"").out, "7\n");
    let json: serde_json::Value =
        serde_json::from_str(&run(&cluster, "stat orders -o json", b"").out).unwrap();
    assert_eq!((&json["name"], &json["next_index"]), (&"orders".into(), &7.into()));
    assert_eq!(run(&cluster, "delete made", b"").out, "deleted made\n");

    let status = run(&cluster, "status", b"");
    assert!(status.code == 0 && status.out.matches("follower").count() == 4, "{status:?}");
    assert_eq!(run(&cluster, "wait --quorum", b"").code, 0);
    assert_eq!(run(&cluster, "wait --ready", b"").code, 0);
    assert_eq!(run(&cluster, "--version", b"").code, 0);
}

/// Lines go in order, many at once, and more than one window of them.
#[test]
fn many_lines_are_pipelined_in_order() {
    let cluster = MockCluster::start(1, 1);
    let lines: String = (0..5000).map(|at| format!("line {at}\n")).collect();
    let ran = run(&cluster, "append x --create --lines", lines.as_bytes());
    let indexes: String = (0..5000).map(|at| format!("{at}\n")).collect();
    assert_eq!((ran.code, ran.out, ran.err), (0, indexes, String::new()));
    assert_eq!(run(&cluster, "read x", b"").out, lines);
}

/// A line that comes slowly is acknowledged before the next one is waited for.
#[test]
fn slow_lines_are_acknowledged_one_by_one() {
    let cluster = MockCluster::start(1, 1);
    let mut child = command(&cluster.endpoints(), "append x --create --lines").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for at in 0..3 {
        writeln!(stdin, "line {at}").unwrap();
        let mut index = String::new();
        out.read_line(&mut index).unwrap();
        assert_eq!(index, format!("{at}\n"));
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A failure in the middle: what was acknowledged is printed, the rest is summed up.
#[test]
fn a_failed_line_is_named() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "create x", b"");
    cluster.script(|seen, _| match (&seen.request, seen.nth) {
        (Request::Append(_), 2) => {
            Act::Refuse(RequestError::new(ErrorCode::UnknownLog, "deleted just now"))
        }
        _ => Act::Usual,
    });
    let ran = run(&cluster, "append x --lines", b"a\nb\nc\nd\ne\n");
    assert_eq!((ran.code, ran.out.as_str()), (3, "0\n1\n"), "{}", ran.err);
    assert!(
        ran.err.contains("line 3")
            && ran.err.contains("2 lines were appended, up to index 1, 3 were not"),
        "{}",
        ran.err
    );
    assert_eq!(cluster.log("x"), ["a", "b"]);
}

/// Waits until something holds that nothing signals; false where it does not soon.
fn comes_true(mut fact: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    while !fact() {
        if Instant::now() > until {
            return false;
        }
        // Sleeps because there is nothing to wait on.
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Following prints what is there, then waits for more.
#[test]
fn follow_waits_for_more() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "append x a --create", b"");
    cluster.script(|seen, _| {
        // At the tail the mock answers at once, as a node does when the wait is over.
        if matches!(seen.request, Request::Read(_)) && seen.nth > 0 {
            // Sleeps because the wait at a log's tail is what is played here.
            std::thread::sleep(Duration::from_millis(20));
        }
        Act::Usual
    });
    let mut child = command(&cluster.endpoints(), "read x --follow --count 2").spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "a\n");
    run(&cluster, "append x b", b"");
    out.read_to_string(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("a\nb\n", Some(0)));
}

/// Every exit code of the manual, from the failure that it stands for.
#[test]
fn every_exit_code_is_reached() {
    let cluster = MockCluster::start(3, 1);
    let code = |line: &str| {
        let ran = run(&cluster, line, b"");
        assert_eq!(ran.code == 0, ran.err.is_empty(), "{line}: {ran:?}");
        ran.code
    };
    assert_eq!(code("create x"), 0);
    assert_eq!(code("wrong"), 2);
    assert_eq!(code("read x --follow -o json"), 2);
    assert_eq!(code("create x\ny"), 2);
    assert_eq!(code("read nothing"), 3);
    assert_eq!(code("append nothing data"), 3);
    assert_eq!(code("append x data --expect 5"), 4);
    assert_eq!(code("create x"), 5);

    let appends: fn(&Request) -> bool = |request| matches!(request, Request::Append(_));
    for (error, wanted) in [
        (ErrorCode::BadRequest, 1),
        (ErrorCode::NoQuorum, 6),
        (ErrorCode::DiskFull, 6),
        (ErrorCode::LeadershipLost, 7),
        (ErrorCode::Denied, 8),
    ] {
        refuse(&cluster, error, appends);
        assert_eq!(code("append x data"), wanted, "{error}");
    }
    refuse(&cluster, ErrorCode::Damaged, |request| matches!(request, Request::Read(_)));
    assert_eq!(code("read x"), 11);

    cluster.script(|_, _| Act::Usual);
    cluster.state().damaged_slots = 1;
    assert_eq!(code("status"), 11);
    cluster.state().damaged_slots = 0;
    cluster.kill(3);
    assert_eq!(code("status"), 10);
    assert_eq!(code("wait --quorum"), 0);
    assert_eq!(code("wait --ready"), 10);
    cluster.lead(0);
    let waited = run(&cluster, "wait --quorum", b"");
    assert_eq!(waited.code, 10, "{waited:?}");
    assert!(waited.err.contains("no leader serves shard 0"), "{waited:?}");
}

/// A log that is not there is missed for different reasons: only what appends is advised to create
/// it.
#[test]
fn a_missing_log_is_missed_by_each_command_in_its_way() {
    let cluster = MockCluster::start(1, 1);
    let create = "next: create the log first, or use append --create";
    let lines = run(&cluster, "append nosuch --lines", b"a\n");
    for ran in [run(&cluster, "append nosuch data", b""), lines] {
        assert!(ran.code == 3 && ran.err.contains(create), "{ran:?}");
    }
    for line in ["delete nosuch", "stat nosuch", "read nosuch"] {
        let ran = run(&cluster, line, b"");
        assert!(ran.code == 3 && ran.err.contains("next: look for its name"), "{line}: {ran:?}");
    }
}

/// What fails under load is reported with the log's name, as it was typed, not with its id.
#[test]
fn bench_names_logs_by_their_names() {
    let cluster = MockCluster::start(1, 1);
    refuse(&cluster, ErrorCode::DiskFull, |request| matches!(request, Request::Append(_)));
    let load = "--connections 1 --seconds 0.3 --warmup 0.01 --timeout 0.2";
    let ran = run(&cluster, &format!("bench append {load}"), b"");
    assert!(ran.code == 6 && ran.out.contains("append to log \"bench-0\": "), "{ran:?}");
    let ran = run(&cluster, &format!("bench read {load}"), b"");
    assert!(ran.code == 6 && ran.err.contains("append to log \"bench-0\": "), "{ran:?}");
}

/// Want of a quorum, and unknown outcomes, end within the timeout, and say where.
#[test]
fn failures_name_endpoint_stage_and_next_step() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "create x", b"");
    cluster.script(|seen, _| match seen.request {
        Request::Append(_) => Act::Silence,
        _ => Act::Usual,
    });
    let started = Instant::now();
    let ran = run(&cluster, "append x data", b"");
    assert!(ran.code == 7 && started.elapsed() < Duration::from_secs(3), "{ran:?}");
    for part in [&cluster.endpoints()[0], "outcome unknown", "stage quorum", "next: look whether"] {
        assert!(ran.err.contains(part), "no {part:?} in {}", ran.err);
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = run_at(std::slice::from_ref(&free), "list", b"");
    assert_eq!(ran.code, 6);
    for part in [&free, "not executed", "stage connect", "next: check the endpoints"] {
        assert!(ran.err.contains(part), "no {part:?} in {}", ran.err);
    }
}

/// Each way to miss a node names the stage, for every endpoint that was tried, and what to do.
#[test]
fn every_endpoint_is_named_with_its_stage() {
    let says = |ran: &Ran, parts: &[&str]| {
        for part in parts {
            assert!(ran.err.contains(part), "no {part:?} in {}", ran.err);
        }
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = deaf.local_addr().unwrap().to_string();
    let ran = run_at(&[free.clone(), silent.clone()], "list", b"");
    assert_eq!(ran.code, 6, "{ran:?}");
    let refused = format!("; {free}: cannot connect");
    says(&ran, &["reach the cluster: not executed", &silent, "stage hello", &refused]);
    says(&ran, &["stage connect", "next: its host takes connections, but the node is silent"]);

    for wrong in ["127.0.0.1:99999", "http://127.0.0.1:7420"] {
        let ran = run_at(&[wrong.to_string()], "list", b"");
        assert_eq!(ran.code, 2, "{ran:?}");
        says(&ran, &[wrong, "host:port", "stage resolve", "next: correct --endpoints"]);
    }
    let scheme = run_at(&["http://127.0.0.1:7420".to_string()], "list", b"");
    says(&scheme, &["it has a scheme; an endpoint is host:port without one"]);
    // Where no port is written it is the clients' one.
    let ran = run_at(&["127.0.9.77".to_string(), "no-such-host.invalid".to_string()], "list", b"");
    assert_eq!(ran.code, 6, "{ran:?}");
    says(&ran, &["127.0.9.77:7420", "no-such-host.invalid:7420"]);
    let ran = run_at(&["no-such-host.invalid:7420".to_string()], "list", b"");
    assert_eq!(ran.code, 6, "{ran:?}");
    says(&ran, &["no-such-host.invalid:7420", "stage resolve", "next: check the endpoint's host"]);
}

/// A port that speaks HTTP, as the admin port does, is said to be one.
#[test]
fn an_http_port_is_said_to_be_one() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = server.local_addr().unwrap().to_string();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut socket in server.incoming().map_while(Result::ok) {
            let _any_part_of_it = socket.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nnot a request\n";
            let _the_client_may_be_gone = socket.write_all(answer.as_bytes());
            kept.push(socket);
        }
    });
    let ran = run_at(std::slice::from_ref(&endpoint), "list", b"");
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in [endpoint.as_str(), "it speaks HTTP", "stage hello", "next: name the client port"] {
        assert!(ran.err.contains(part), "no {part:?} in {}", ran.err);
    }
}

/// An append with `--expect` whose answer is lost is looked up: certain is only that it was not
/// executed.
#[test]
fn a_lost_answer_with_expect_is_looked_up() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "create x", b"");
    cluster.script(|seen, state| match (&seen.request, seen.nth) {
        (Request::Append(_), 0) => Act::UsualThenClose,
        (Request::Append(_), 1) => Act::Close,
        (Request::Append(_), 2) => {
            // Somebody else takes the index while the answer is lost.
            state.logs.get_mut("x").unwrap().1.push(b"theirs".to_vec());
            Act::Close
        }
        _ => Act::Usual,
    });
    let ran = run(&cluster, "append x a --expect 0", b"");
    assert!(ran.code == 7 && ran.err.contains("index 0 holds exactly these bytes"), "{ran:?}");
    let ran = run(&cluster, "append x b --expect 1", b"");
    assert!(ran.code == 7 && ran.err.contains("nothing is there yet"), "{ran:?}");
    let ran = run(&cluster, "append x b --expect 1", b"");
    assert!(ran.code == 4 && ran.err.contains("index 1 holds another entry"), "{ran:?}");
    assert_eq!(cluster.appends_seen(), ["a", "b", "b"], "nothing was sent twice");
}

/// A reader that has seen enough ends it quietly.
#[test]
fn a_broken_pipe_ends_quietly() {
    let cluster = MockCluster::start(1, 1);
    let lines: String = (0..20_000).map(|at| format!("{at} is a line of some length\n")).collect();
    run(&cluster, "append x --create --lines", lines.as_bytes());
    cluster.script(|_, _| Act::Usual);
    let mut child = command(&cluster.endpoints(), "read x").spawn().unwrap();
    let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

/// An index that cannot be printed is reported on standard error: nobody should append once more.
#[test]
fn an_append_that_cannot_be_printed_is_reported() {
    let cluster = MockCluster::start(1, 1);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&cluster.endpoints(), "append x data --create")
        .stdout(full)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let expected = "the entry was appended, at index 0: do not append it again";
    assert!(err.contains(expected), "{err}");
    assert_eq!(cluster.log("x"), ["data"]);
}

/// An entry over the limit is named by its line, and by nothing where there is only one.
#[test]
fn entries_over_the_limit_are_named() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "create x", b"");
    let large = vec![b'x'; 9 << 20];
    let ran = run(&cluster, "append x", &large);
    assert!(ran.code == 1 && ran.err.contains("the entry has more than"), "{ran:?}");
    let lines = [&b"a\nb\n"[..], &large[..]].concat();
    let ran = run(&cluster, "append x --lines", &lines);
    assert!(ran.code == 1 && ran.err.contains("line 3 has more than"), "{ran:?}");
    assert!(ran.err.contains("2 lines were appended, up to index 1"), "{ran:?}");
}

/// A poll that is lost while it waits is repeated within the time there is: the node is not asked
/// to wait longer than that, and never for longer than a second, as a node that died without a word
/// is missed only then.
#[test]
fn follow_survives_a_lost_poll() {
    let cluster = MockCluster::start(1, 1);
    run(&cluster, "append x a --create", b"");
    let waits = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen_waits = std::sync::Arc::clone(&waits);
    cluster.script(move |seen, state| {
        let Request::Read(read) = &seen.request else { return Act::Usual };
        seen_waits.lock().unwrap().push(read.wait_ms);
        match seen.nth {
            // The leader goes away while the reader waits for an entry.
            1 => Act::Close,
            2 => {
                state.logs.get_mut("x").unwrap().1.push(b"b".to_vec());
                Act::Usual
            }
            _ => Act::Usual,
        }
    });
    let ran = run(&cluster, "read x --follow --count 2", b"");
    assert_eq!((ran.code, ran.out.as_str()), (0, "a\nb\n"), "{ran:?}");
    let waits = waits.lock().unwrap();
    assert!((900..=1000).contains(&waits[1]) && waits[2] <= 500, "asked to wait {waits:?} ms");
}

/// All nodes down: `status` shows each endpoint as dead and exits 10, without waiting for them.
#[test]
fn dead_endpoints_are_shown() {
    let dead: Vec<String> = (0..2)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string())
        .collect();
    let mut status = command(&dead, "status");
    // Should it wait all the same, the test fails by its output, not by the clock.
    let output = status.env("PAXOSCTL_TIMEOUT", "600").output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    assert_eq!(out.matches("DEAD").count(), 2, "{out}");
    let ran = run_at(&dead, "list", b"");
    assert_eq!(ran.code, 6);
    for endpoint in &dead {
        assert!(ran.err.contains(&format!("{endpoint}: cannot connect")), "{ran:?}");
    }
    let ran = run_at(&["no-such-host.invalid:1".to_string()], "list", b"");
    assert_eq!(ran.code, 6, "{ran:?}");
    let ran = run_at(&["nonsense:x".to_string()], "list", b"");
    assert!(ran.code == 2 && ran.err.contains("next: correct --endpoints"), "{ran:?}");
}

/// Flags in the environment are true, false, 1 or 0; the command line wins over them.
#[test]
fn flags_in_the_environment() {
    let cluster = MockCluster::start(1, 1);
    let with = |name: &str, value: &str, line: &str| {
        let output = command(&cluster.endpoints(), line)
            .env(name, value)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(with("PAXOSCTL_CREATE", "1", "append x data").0, Some(0));
    assert_eq!(with("PAXOSCTL_CREATE", "false", "append y data").0, Some(3));
    assert_eq!(with("PAXOSCTL_READY", "1", "wait").0, Some(0));
    assert_eq!(with("PAXOSCTL_READY", "1", "wait --quorum").0, Some(0));
    assert_eq!(with("PAXOSCTL_READY", "0", "wait --quorum").0, Some(0));
    assert_eq!(with("PAXOSCTL_READY", "0", "wait").0, Some(2));
    assert_eq!(with("PAXOSCTL_LINES", "1", "append x data").0, Some(0));
    assert_eq!(cluster.log("x"), ["data", "data"]);
    let (code, err) = with("PAXOSCTL_CREATE", "maybe", "append x data");
    assert!(code == Some(2) && err.contains("PAXOSCTL_CREATE"), "{err}");
}
