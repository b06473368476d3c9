//! Nodes that must not start, or must not be let in, and say why.

use crate::rig::ctl::{Ran, paxosd};
use crate::rig::{Cluster, Plan, poll};
use crate::web::get;
use std::fs;

/// `paxosd WORD` for a node, to its end, with keys of its configuration overridden.
#[track_caller]
fn run(cluster: &Cluster, id: u16, word: &str, keys: &[(&str, &str)]) -> Ran {
    let mut command = cluster.node(id).command(word);
    command.envs(keys.iter().copied()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let output = command.output().unwrap();
    Ran::new(format!("{command:?}"), &output)
}

/// R27: a node whose data directory was wiped and initialised anew is another one: its peers refuse
/// it and say why, and the cluster goes on without it.
#[test]
fn r27_a_wiped_node_is_refused() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.wait_ready();
    cluster.ctl(["create", "orders"]).expect(0);
    let wiped = cluster.follower(0);
    let others: Vec<u16> = cluster.ids().filter(|id| *id != wiped).collect();
    cluster.node_mut(wiped).kill();
    fs::remove_dir_all(cluster.node(wiped).data()).unwrap();
    cluster.init(wiped);
    cluster.node_mut(wiped).start();
    poll::until("a peer logs that it refuses the wiped node", || {
        let refused = |id: &u16| {
            let log = cluster.node(*id).log();
            log.lines().any(|line| line.contains("incarnation")).then_some(())
        };
        others.iter().find_map(refused)
    });
    poll::until("the wiped node logs that it is refused", || {
        let log = cluster.node(wiped).log();
        log.lines()
            .any(|line| line.contains("incarnation") && line.contains("refuse"))
            .then_some(())
    });
    let ran = cluster.ctl(["status"]).expect(10).says("was wiped or replaced").says("CUT OFF");
    let lines = ran.err.lines().filter(|line| line.contains("no link")).count();
    assert_eq!(lines, 1, "a problem is named once:\n{}", ran.err);
    assert!(!ran.err.contains("has not formed"), "the others have:\n{}", ran.err);
    cluster.ctl(["top", "--once", "--interval", "0.1"]).expect(0).says("CUT OFF").says("2/3");
    let ready = get(&cluster.admin(wiped), "/readyz");
    assert!(ready.code == 503 && ready.body.contains("was wiped or replaced"), "{ready:?}");
    // It knows of no cluster that has formed: those that refuse it do.
    assert!(!ready.body.contains("has not formed"), "{ready:?}");
    let whom = format!("no link with nodes {} and {}: one side refuses", others[0], others[1]);
    assert!(ready.body.contains(&whom), "{ready:?}");
    poll::until("the wiped node logs who refuses it", || {
        cluster
            .node(wiped)
            .log()
            .contains(&format!("nothing is served yet: shard 0: {whom}"))
            .then_some(())
    });
    for index in 0..5 {
        let ran = cluster.ctl(["append", "orders", "without it"]).expect(0);
        assert_eq!(ran.out.trim(), index.to_string());
    }
    let local = cluster.client_of(wiped).status().unwrap();
    let refused = local.nodes.iter().find(|node| node.member.node.0 == wiped).unwrap();
    let applied = refused.state.as_ref().map(|state| state.shards[0].applied_upto.0);
    assert_eq!(applied.ok(), Some(0), "the wiped node learned from those who refuse it");
}

/// R38: a node whose limits differ from the others' is refused, and not only its log says so, with
/// both values: status and readiness do.
#[test]
fn r38_differing_limits_are_seen_from_outside() {
    let mut cluster = Cluster::laid_out(Plan::small(3));
    let text = cluster.config_text(3).replace("entry_bytes_max = 32768", "entry_bytes_max = 9999");
    fs::write(cluster.node(3).config(), text).unwrap();
    cluster.ids().for_each(|id| cluster.node_mut(id).start());
    poll::until("status says what differs, with both values", || {
        let ran = cluster.ctl(["status", "--timeout", "2"]);
        ["entry_bytes_max", "9999", "32768"].iter().all(|part| ran.err.contains(part)).then_some(())
    });
    // The admin pages show what a shard has published, which is no younger than its last turn.
    poll::until("readiness says it, too", || {
        let ready = get(&cluster.admin(3), "/readyz");
        assert_eq!(ready.code, 503, "{ready:?}");
        ["9999", "32768"].iter().all(|part| ready.body.contains(part)).then_some(())
    });
}

/// `run` on a directory of another node or cluster ends with 65, on one that is missing, empty or in
/// use with 75, for its disk may be mounted late and a process may end; a sentence says which.
#[test]
fn foreign_directories_are_not_run() {
    let mut cluster = Cluster::laid_out(Plan::small(3));
    let elsewhere = cluster.folder().join("elsewhere");
    let text = elsewhere.to_str().unwrap();
    run(&cluster, 1, "run", &[("PAXOSD_DATA_DIR", text)]).expect(75).says("does not exist");
    fs::create_dir(&elsewhere).unwrap();
    run(&cluster, 1, "run", &[("PAXOSD_DATA_DIR", text)]).expect(75).says("holds nothing");
    fs::write(elsewhere.join("letter"), "dear node").unwrap();
    run(&cluster, 1, "run", &[("PAXOSD_DATA_DIR", text)]).expect(65).says("no identity");
    assert_eq!(fs::read_to_string(elsewhere.join("letter")).unwrap(), "dear node");
    let other = cluster.node(2).data();
    let keys = [("PAXOSD_DATA_DIR", other.to_str().unwrap())];
    run(&cluster, 1, "run", &keys).expect(65).says("belongs to node 2");
    let keys = [("PAXOSD_CLUSTER_ID", "00000000000000000000000000000bad")];
    run(&cluster, 1, "run", &keys).expect(65).says("belongs to cluster");
    run(&cluster, 1, "run", &[("PAXOSD_SHARDS", "2")]).expect(65).says("shards");
    cluster.node_mut(1).start();
    poll::until("node 1 listens", || {
        cluster.node(1).log().contains("listening for clients").then_some(())
    });
    let (client, peer) = (cluster.endpoint(14), cluster.endpoint(15));
    let keys = [
        ("PAXOSD_LISTEN", client.as_str()),
        ("PAXOSD_LISTEN_PEER", peer.as_str()),
        ("PAXOSD_LISTEN_ADMIN", "off"),
    ];
    run(&cluster, 1, "run", &keys).expect(75).says("in use");
}

/// R08: a shard's directory or segment that is gone is not made anew.
#[test]
fn r08_missing_files_are_not_made_anew() {
    let mut cluster = Cluster::up(Plan::small(3).shards(2));
    cluster.wait_ready();
    cluster.node_mut(2).stop();
    let shard = cluster.node(2).journal(1);
    let kept = cluster.folder().join("kept");
    fs::rename(&shard, &kept).unwrap();
    run(&cluster, 2, "run", &[]).expect(75).says("shard-001").says("missing");
    assert!(!shard.exists(), "a shard's directory was made anew");
    fs::rename(&kept, &shard).unwrap();
    let segments = crate::rig::node::files(&shard, "segment-");
    fs::remove_file(&segments[0]).unwrap();
    let name = segments[0].file_name().unwrap().to_str().unwrap();
    run(&cluster, 2, "run", &[]).expect(65).says(name);
    assert!(!segments[0].exists(), "a segment was made anew");
}

/// `init` takes only an empty directory, and nothing but lost+found counts as empty.
#[test]
fn init_refuses_what_is_not_empty() {
    let cluster = Cluster::laid_out(Plan::small(1));
    run(&cluster, 1, "init", &[]).expect(65).says("not empty");
    let mount = cluster.folder().join("mount");
    fs::create_dir_all(mount.join("lost+found")).unwrap();
    let keys = [("PAXOSD_DATA_DIR", mount.to_str().unwrap())];
    run(&cluster, 1, "init", &keys).expect(0);
    run(&cluster, 1, "init", &keys).expect(65);
}

/// A wrong configuration ends with 78 and names every fault at once; wrong usage ends with 64.
#[test]
fn wrong_words_are_answered() {
    let cluster = Cluster::laid_out(Plan::small(3));
    let text = cluster.config_text(1) + "\n[[member]]\nid = 3\n";
    let text = text.replace("shards = 1", "shards = 0\nlease_msec = 300");
    let file = cluster.folder().join("wrong.toml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    for word in ["check-config", "run", "init"] {
        let ran = paxosd([word, "--config", file]).expect(78);
        for fault in ["shards = 0", "lease_msec", "member[4].id", "member[4].peer", "wrong.toml:"] {
            assert!(ran.err.contains(fault), "{word} says nothing of {fault:?}:\n{}", ran.err);
        }
    }
    let keys = [("PAXOSD_HEARTBEAT_MS", "never")];
    run(&cluster, 1, "run", &keys).expect(78).says("PAXOSD_HEARTBEAT_MS");
    let good = cluster.node(1).config();
    paxosd(["check-config", "--config", good.to_str().unwrap()]).expect(0);
    paxosd(["check-config", "--config", "/nowhere/paxosd.toml"]).expect(78).says("/nowhere");
    paxosd(["fly"]).expect(64);
    paxosd(["run", "--speed", "7"]).expect(64);
    paxosd(Vec::<String>::new()).expect(64);
    paxosd(["--version"]).expect(0).says(env!("CARGO_PKG_VERSION"));
}

/// A port that something else has ends the start with 75: trying again may help.
#[test]
fn a_taken_port_is_temporary() {
    let cluster = Cluster::laid_out(Plan::small(3));
    let _other = std::net::TcpListener::bind(cluster.endpoint(1)).unwrap();
    run(&cluster, 1, "run", &[]).expect(75).says(&cluster.endpoint(1));
}
