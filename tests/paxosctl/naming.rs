//! What the endpoints and the environment say, and what is said of them.

use super::*;
use paxosd::types::ClusterId;

/// A command with endpoints and variables of its own; exit code, output and error.
fn run_with(endpoints: &str, variables: &[(&str, &str)], line: &str) -> Ran {
    let mut command = command(&[endpoints.to_string()], line);
    let output = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        code: output.status.code().unwrap(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Endpoints of two clusters are noticed before anything is done, whichever answers first;
/// `--cluster` says which one is meant.
#[test]
fn two_clusters_among_the_endpoints_are_noticed() {
    let (one, two) = (MockCluster::start(1, 1), MockCluster::start(1, 1));
    two.state().cluster = ClusterId(0xBEEF);
    let (a, b) = (one.endpoints()[0].clone(), two.endpoints()[0].clone());
    for both in [format!("{a},{b}"), format!("{b},{a}")] {
        for line in ["create x", "append x data --create", "status", "wait --ready", "top --once"] {
            let ran = run_with(&both, &[], line);
            assert_eq!(ran.code, 2, "{line}: {ran:?}");
            for part in ["different clusters", "c0ffee", "beef", "nothing was done", "--cluster"] {
                assert!(ran.err.contains(part), "{line}: no {part:?} in {}", ran.err);
            }
        }
        assert!(one.state().logs.is_empty() && two.state().logs.is_empty());
        let meant = format!("list -o raw --cluster {}", ClusterId(0xBEEF));
        assert_eq!(run_with(&both, &[], &meant).code, 0, "{both}");
    }
    let create = format!("create x --cluster {}", ClusterId(0xBEEF));
    assert_eq!(run_with(&format!("{a},{b}"), &[], &create).code, 0);
    assert!(one.state().logs.is_empty() && two.state().logs.len() == 1);
    // Alone, the other cluster refuses.
    let ran = run_with(&a, &[], &create);
    assert!(ran.code == 1 && ran.err.contains("WrongCluster"), "{ran:?}");
}

/// An id of zeros means any cluster to a node: it is refused before anything is sent, or the check that
/// was asked for would be none.
#[test]
fn a_cluster_of_zeros_is_refused() {
    let cluster = MockCluster::start(1, 1);
    let (endpoint, zeros) = (&cluster.endpoints()[0], "0".repeat(32));
    let flag = format!("append x data --create --cluster {zeros}");
    let variable = [("PAXOSCTL_CLUSTER", zeros.as_str())];
    for ran in [
        run_with(endpoint, &[], &flag),
        run_with(endpoint, &variable, "append x data --create"),
        run_with(endpoint, &variable, "list"),
    ] {
        assert!(ran.code == 2 && ran.err.contains("must not be all zeros"), "{ran:?}");
    }
    assert!(cluster.state().logs.is_empty());
}

/// Endpoints that are written as something else get an error that says what they are.
#[test]
fn misunderstood_endpoints_are_explained() {
    for (endpoints, part) in [
        ("127.0.0.1:7420 127.0.0.2:7420", "separated by commas, without blanks"),
        ("http://127.0.0.1:7420", "it has a scheme"),
        ("127.0.0.1:7420/", "it has a path"),
        ("127.0.0.1:7420,", "a comma too many"),
    ] {
        let ran = run_with(endpoints, &[], "list");
        assert!(ran.code == 2 && ran.err.contains(part), "{endpoints}: {ran:?}");
    }
    // A blank behind a comma makes the next one a command, where nobody quoted them.
    let ran = run_with("a", &[], "--endpoints 127.0.0.1:7420, 127.0.0.2:7420 list");
    assert!(ran.code == 2 && ran.err.contains("separated by commas, without blanks"), "{ran:?}");
    // Quoted, blanks do no harm.
    let cluster = MockCluster::start(1, 1);
    let ran = run_with(&format!("{}, {}", free_address(), cluster.endpoints()[0]), &[], "list");
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// A variable that no flag has is named, with the one that it resembles; the command goes on.
#[test]
fn mistyped_variables_are_named() {
    let cluster = MockCluster::start(1, 1);
    let endpoint = &cluster.endpoints()[0];
    let ran = run_with(endpoint, &[("PAXOSCTL_ENDPOINT", "a"), ("PAXOSCTL_WINDOW", "1")], "list");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.err,
        "paxosctl: warning: PAXOSCTL_ENDPOINT in the environment names no flag; \
         PAXOSCTL_ENDPOINTS does\n"
    );
}

/// A command that nobody answers says what it waits for, long before it gives up.
#[test]
fn a_wait_is_explained_while_it_lasts() {
    let free = free_address();
    let mut child = command(std::slice::from_ref(&free), "list --timeout 60s").spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    let waiting = format!("paxosctl: waiting: reach the cluster: {free}: cannot connect");
    assert!(line.starts_with(&waiting) && line.contains("trying for another 59."), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What `wait` came to, for scripts.
#[test]
fn wait_reports_as_json() {
    let cluster = MockCluster::start(3, 1);
    let json = |line: &str| -> (i32, serde_json::Value) {
        let ran = run(&cluster, line, b"");
        (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{line}: {ran:?}")))
    };
    let (code, good) = json("wait --ready -o json");
    assert_eq!((code, &good["reached"], &good["waited_for"]), (0, &true.into(), &"ready".into()));
    assert!(good["seconds"].is_f64() && good.get("wrong").is_none(), "{good}");
    cluster.kill(3);
    let (code, bad) = json("wait --ready -o json");
    assert_eq!((code, &bad["reached"]), (10, &false.into()));
    assert!(bad["wrong"].as_str().unwrap().contains("node 3"), "{bad}");
    assert!(bad["next"].as_str().unwrap().starts_with("start node 3;"), "{bad}");
}

/// A node that takes few connections is not asked for one a shard by those that look at all shards.
#[test]
fn looking_at_every_shard_takes_one_connection_at_a_time() {
    let cluster = MockCluster::start(1, 16);
    run(&cluster, "append x data --create", b"");
    for line in ["wait --quorum", "wait --ready", "list", "status"] {
        cluster.state().most_open = 0;
        assert_eq!(run(&cluster, line, b"").code, 0, "{line}");
        let open = cluster.state().most_open;
        // One for each shard would be 16.
        assert!(open <= 2, "{line}: {open} connections at once");
    }
}

/// A form of output in the environment speaks for all commands: those that do not have it go on without
/// it, and say so. Typed, it is wrong usage.
#[test]
fn a_form_for_other_commands_is_ignored_with_a_note() {
    let cluster = MockCluster::start(1, 1);
    let endpoint = &cluster.endpoints()[0];
    for line in ["top --once --interval 0.1", "bench append --seconds 0.1 --warmup 0"] {
        let ran = run_with(endpoint, &[("PAXOSCTL_OUTPUT", "jsonl")], line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let note = "paxosctl: note: PAXOSCTL_OUTPUT of the environment is ignored: ";
        assert!(ran.err.starts_with(note), "{line}: {ran:?}");
        let ran = run_with(endpoint, &[], &format!("{line} -o jsonl"));
        assert!(ran.code == 2 && ran.err.contains("Usage: paxosctl "), "{line}: {ran:?}");
    }
    let ran = run_with(endpoint, &[("PAXOSCTL_OUTPUT", "json")], "list");
    assert!(ran.code == 0 && ran.out.starts_with('[') && ran.err.is_empty(), "{ran:?}");
}

/// A value that the environment gives is blamed on the environment, one that was typed is not.
#[test]
fn a_wrong_value_is_blamed_on_where_it_stands() {
    let variables = [("PAXOSCTL_COUNT", "")];
    let ran = run_with("a", &variables, "read x");
    assert!(ran.code == 2 && ran.err.contains("'PAXOSCTL_COUNT of the environment"), "{ran:?}");
    let ran = run_with("a", &variables, "read x --count 1x");
    assert!(ran.code == 2 && ran.err.contains("'1x' for '--count <N>'"), "{ran:?}");
    let ran = run_with("a", &[("PAXOSCTL_TIMEOUT", "0")], "list");
    assert!(ran.code == 2 && ran.err.contains("PAXOSCTL_TIMEOUT of the environment"), "{ran:?}");
    assert!(ran.err.contains("Usage: paxosctl list ["), "{ran:?}");
}
