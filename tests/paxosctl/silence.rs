//! Nodes that take connections and say nothing: what they cost those that ask others beside them.

use super::*;

/// Two endpoints that are silent, as a stopped process is: its host takes connections all the same.
fn two_silent() -> ([TcpListener; 2], Vec<String>) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = listeners.iter().map(|at| at.local_addr().unwrap().to_string()).collect();
    (listeners, addresses)
}

/// A node that leads, two members beside it that are silent, and the three of them as endpoints.
fn one_of_three() -> (MockCluster, [TcpListener; 2], Vec<String>) {
    let cluster = MockCluster::start(1, 2);
    let (listeners, silent) = two_silent();
    cluster.state().addresses.extend(silent.clone());
    let endpoints = [silent, vec![cluster.endpoints()[0].clone()]].concat();
    (cluster, listeners, endpoints)
}

/// How long a run took beyond the time it was given; starting a process takes some, too.
fn timed(endpoints: &[String], line: &str, given: Duration) -> Ran {
    let started = Instant::now();
    let ran = run_at(endpoints, &format!("{line} --timeout {}", given.as_secs_f64()), b"");
    let took = started.elapsed();
    assert!(took < given + Duration::from_millis(700), "{line}: {took:?} of {given:?}: {ran:?}");
    ran
}

/// One endpoint that answers is enough for every command, in whichever place it stands, and though
/// there is only a second for all three.
#[test]
fn one_endpoint_that_answers_is_enough() {
    let (_cluster, _silent, mut endpoints) = one_of_three();
    for (line, code) in [
        ("append x data --create", 0),
        ("list", 0),
        ("read x", 0),
        ("read x --consistency local", 0),
        ("wait --quorum", 0),
        ("status", 10),
    ] {
        let ran = timed(&endpoints, line, Duration::from_secs(1));
        assert_eq!(ran.code, code, "{line}: {ran:?}");
    }
    for _place in 0..2 {
        let ran = run_at(&endpoints, "top --once --interval 0.1 --timeout 1", b"");
        assert_eq!((ran.code, ran.out.matches("DEAD").count()), (0, 2), "{ran:?}");
        endpoints.rotate_right(1);
    }
}

/// `status` asks all members at once: two that are silent cost no more than one.
#[test]
fn silent_members_cost_their_own_time_only() {
    let (cluster, _silent, _) = one_of_three();
    let started = Instant::now();
    let ran = run_at(&cluster.endpoints()[..1], "status --timeout 30", b"");
    assert_eq!(ran.code, 10, "{ran:?}");
    assert_eq!(ran.out.matches("DEAD").count(), 2, "{ran:?}");
    assert_eq!(ran.out.matches("no answer came within").count(), 2, "{ran:?}");
    let shards = ran.out.lines().filter(|line| line.contains(" leader ")).count();
    assert_eq!(shards, 2, "the node that answers is shown whole: {ran:?}");
    // Each of them has an attempt of a second.
    assert!(started.elapsed() < Duration::from_millis(1900), "{:?}", started.elapsed());
}

/// `--timeout` is for the whole command: finding a node that answers takes from what the request
/// has.
#[test]
fn the_timeout_is_for_the_whole_command() {
    let (cluster, _silent, endpoints) = one_of_three();
    assert_eq!(run_at(&endpoints, "create x", b"").code, 0);
    cluster.script(|seen, _| match seen.request {
        Request::Append(_) | Request::Read(_) | Request::List(_) => Act::Silence,
        _ => Act::Usual,
    });
    let given = Duration::from_millis(1200);
    let ran = timed(&endpoints, "append x data", given);
    assert!(ran.code == 7 && ran.err.contains("gave up after 1.2 s"), "{ran:?}");
    assert_eq!(timed(&endpoints, "append x data --expect 0", given).code, 7);
    assert_eq!(timed(&endpoints, "read x", given).code, 6);
    assert_eq!(timed(&endpoints, "list", given).code, 6);
    assert_eq!(timed(&endpoints, "wait --quorum", given).code, 10);
    cluster.lead(0);
    // All that is wrong may be an election: it is looked at again, for as long as there is time.
    assert_eq!(timed(&endpoints, "status", given).code, 10);
    let (_silent, endpoints) = two_silent();
    assert_eq!(timed(&endpoints, "status", given).code, 10);
    assert_eq!(timed(&endpoints, "list", given).code, 6);
}
