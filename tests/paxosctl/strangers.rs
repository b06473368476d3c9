//! Endpoints that are no client port of a node of the cluster: what is said of them, and how soon.

use super::*;

/// A server that says this to whoever connects, and then nothing; or nothing before it was asked.
struct Stranger {
    endpoint: String,
}

impl Stranger {
    fn start(says: &'static [u8], when_asked: bool) -> Stranger {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = server.local_addr().unwrap().to_string();
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut socket in server.incoming().map_while(Result::ok) {
                if when_asked {
                    let _any_part_of_it = socket.read(&mut [0; 4096]);
                }
                let _the_client_may_be_gone = socket.write_all(says);
                kept.push(socket);
            }
        });
        Stranger { endpoint }
    }

    /// Runs a command that has a minute, and needs no second of it.
    fn run(&self, line: &str) -> Ran {
        let started = Instant::now();
        let ran =
            run_at(std::slice::from_ref(&self.endpoint), &format!("{line} --timeout 60"), b"");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}: {ran:?}", started.elapsed());
        ran
    }
}

const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nnot a request\n";

fn says(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.err.contains(part), "no {part:?} in {}", ran.err);
    }
}

/// A cluster whose nodes refuse every greeting so.
fn refusing(code: ErrorCode) -> MockCluster {
    let cluster = MockCluster::start(1, 1);
    cluster.state().refuse_hello = Some(RequestError::new(code, "as the test wants it"));
    cluster
}

/// `wait` ends at once where waiting cannot help, as every other command does; `status` shows what
/// it was and advises likewise.
#[test]
fn a_permanent_mistake_is_not_waited_for() {
    let web = Stranger::start(HTTP, true);
    let advice = "next: name the client port, 7420 unless configured otherwise";
    for line in ["append x data", "wait --quorum", "wait --ready"] {
        let ran = web.run(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        says(&ran, &["it speaks HTTP", "stage hello", advice]);
    }
    let ran = web.run("status");
    assert_eq!((ran.code, ran.out.matches("it speaks HTTP").count()), (10, 1), "{ran:?}");
    assert!(ran.out.contains("  NOT A NODE  ") && !ran.out.contains("DEAD"), "{ran:?}");
    says(&ran, &[advice]);

    for (code, state, advice) in [
        (ErrorCode::WrongPort, "WRONG PORT", advice),
        (
            ErrorCode::WrongCluster,
            "OTHER CLUSTER",
            "next: name endpoints of the cluster that is meant",
        ),
        (
            ErrorCode::VersionMismatch,
            "OTHER VERSION",
            "next: use a client of the same version as the nodes",
        ),
    ] {
        let cluster = refusing(code);
        let started = Instant::now();
        for line in ["append x data", "wait --quorum"] {
            let ran = run(&cluster, &format!("{line} --timeout 60"), b"");
            assert_eq!(ran.code, 1, "{line}: {ran:?}");
            says(&ran, &["stage hello", &code.to_string(), advice]);
        }
        let ran = run(&cluster, "status", b"");
        assert!(ran.code == 10 && ran.out.contains(&format!("  {state}  ")), "{ran:?}");
        says(&ran, &[advice]);
        let ran = run(&cluster, "status -o raw", b"");
        let name = state.to_lowercase().replace(' ', "_");
        assert!(ran.code == 10 && ran.out.contains(&format!("\t{name}\t-")), "{ran:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

/// One endpoint that is wrong is no reason not to wait for another one; what is wrong is reported.
#[test]
fn a_mistake_beside_others_is_reported_at_the_end() {
    let web = Stranger::start(HTTP, true);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = run_at(&[web.endpoint.clone(), free.clone()], "wait --quorum", b"");
    assert_eq!(ran.code, 10, "{ran:?}");
    says(&ran, &["not ready after 1.0 s", "it speaks HTTP", &free, "next: ", "7420", "firewall"]);
    let ran = run_at(&[web.endpoint, free], "status", b"");
    let count = |state| ran.out.matches(state).count();
    assert_eq!((ran.code, count("DEAD"), count("NOT A NODE")), (10, 1, 1), "{ran:?}");
    says(&ran, &["7420", "firewall"]);
}

/// Whatever `wait` ends with says what to do next.
#[test]
fn wait_says_what_to_do_next() {
    let cluster = MockCluster::start(3, 1);
    cluster.kill(3);
    let ran = run(&cluster, "wait --ready", b"");
    assert_eq!(ran.code, 10, "{ran:?}");
    says(&ran, &["node 3 at ", "does not answer", "; next: "]);
    cluster.lead(0);
    let ran = run(&cluster, "wait --quorum", b"");
    assert_eq!(ran.code, 10, "{ran:?}");
    says(&ran, &["no leader serves shard 0", "; next: check that a majority of the nodes runs"]);
}

/// A server that greets first, with fewer bytes than a frame's header has, is recognised by what it
/// says.
#[test]
fn a_server_with_a_banner_is_no_silent_node() {
    let advice = "next: name the client port of a node, 7420 unless configured otherwise";
    let ssh = Stranger::start(b"SSH-2.0-OpenSSH_9.2p1\r\n", false);
    let ran = ssh.run("list");
    assert_eq!(ran.code, 1, "{ran:?}");
    says(&ran, &[&ssh.endpoint, "it says \"SSH-2.0-OpenSSH_9.2p1\\r\\n\"", "stage hello", advice]);
    let ran = ssh.run("status");
    assert_eq!((ran.code, ran.out.matches("SSH-2.0").count()), (10, 1), "{ran:?}");
    // What might still become a frame is waited for.
    let short = Stranger::start(b"hi\n", false);
    let ran = short.run("list");
    assert_eq!(ran.code, 1, "{ran:?}");
    says(&ran, &["it says \"hi\\n\"", "stage hello", advice]);
}
