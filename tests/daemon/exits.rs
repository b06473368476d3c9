//! The commands of `paxosd`, and which exit code says what.

use crate::config::Site;
use crate::rig::{Daemon, Raw, paxosd, run, said};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;

/// Usage errors exit 64; help and version are no errors.
#[test]
fn usage_errors_exit_64() {
    for arguments in [&["unknown"][..], &[], &["run", "--nope"], &["dev", "--shards", "0"]] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    for arguments in [["--version"], ["--help"], ["help"]] {
        let output = run(&arguments, &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty());
    }
    let exposed = run(&["dev", "--listen", "0.0.0.0:0"], &[]);
    assert_eq!(exposed.status.code(), Some(64), "{exposed:?}");
}

/// A faulty configuration exits 78 from every command, with every fault, and nothing is touched.
#[test]
fn faulty_configurations_exit_78() {
    let site = Site::new(1);
    let text = site.text().replace("node_id = 1", "node_id = 9\nlease_ms = \"x\"\nspeed = 1");
    fs::write(site.file(), text).unwrap();
    for command in ["check-config", "init", "run"] {
        let output = run(&[command, "--config", site.file()], &[]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let said = said(&output);
        for fault in [":2: node_id = 9", ":3: lease_ms = \"x\"", ":4: speed"] {
            assert!(said.contains(fault), "{command} does not name {fault}: {said}");
        }
        assert!(!site.data().exists(), "{command} touched the data directory");
    }
    let missing = run(&["run", "--config", "/nonexistent/paxosd.toml"], &[]);
    assert_eq!(missing.status.code(), Some(78), "{missing:?}");
    assert!(said(&missing).contains("/nonexistent/paxosd.toml"));
}

/// `check-config` says that a good configuration is good; the environment counts.
#[test]
fn good_configurations_are_called_good() {
    let site = Site::new(1);
    let good = run(&["check-config", "--config", site.file()], &[]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let environment = [("PAXOSD_LEASE_MS", "1"), ("PAXOSD_WHATEVER", "1")];
    let wrong = run(&["check-config", "--config", site.file()], &environment);
    assert_eq!(wrong.status.code(), Some(78));
    assert!(said(&wrong).contains("environment PAXOSD_LEASE_MS"), "{}", said(&wrong));
    let by_environment = run(&["check-config"], &[("PAXOSD_CONFIG", site.file())]);
    assert_eq!(by_environment.status.code(), Some(0), "{by_environment:?}");
}

/// `dev` has no configuration to correct: what is wrong with a directory is said by its arguments, and
/// the directory stays as it is.
#[test]
fn dev_speaks_of_its_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let (made, strange) = (dir.path().join("made"), dir.path().join("strange"));
    assert_eq!(Daemon::start_in(&made, &[]).stop().0, Some(0));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("letter"), "dear").unwrap();
    let site = Site::new(1);
    assert_eq!(run(&["init", "--config", site.file()], &[]).status.code(), Some(0));
    for (dir, shards, holds) in [
        (&made, "2", "has 1 shard, and the number never changes: leave --shards out"),
        (&strange, "1", "it holds files, and none of a node: give another --dir"),
        (&site.data(), "1", "a node that `paxosd dev` did not make: give another --dir"),
    ] {
        let dir = dir.to_str().unwrap();
        let arguments = ["dev", "--dir", dir, "--shards", shards, "--listen", "127.0.0.1:0"];
        let output = run(&arguments, &[]);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        let said = said(&output);
        assert!(said.contains(dir) && said.contains(holds), "should say {holds}: {said}");
        assert!(!said.contains("configuration") && !said.contains("data_dir"), "{said}");
    }
    assert_eq!(fs::read_dir(&strange).unwrap().count(), 1);
}

/// A data directory that this user may not make is named with who could make it.
#[test]
#[ignore = "needs root: runs a command as another user"]
fn a_directory_that_may_not_be_made_is_said_how_to_make() {
    let site = Site::new(1);
    let folder = std::path::Path::new(site.file()).parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.join("a/b");
    let mut init = paxosd();
    init.args(["init", "--config", site.file()]).env("PAXOSD_DATA_DIR", &data).uid(65_534);
    let output = init.output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let advice = format!("install -d -m 0700 -o 65534 {}", data.display());
    let whom = format!("user 65534, who may not write to {};", folder.display());
    assert!(said(&output).contains(&advice) && said(&output).contains(&whom), "{}", said(&output));
}

/// R27: `init` prepares an empty directory once; anything but lost+found in it is refused.
#[test]
fn r27_init_takes_only_an_empty_directory() {
    let site = Site::new(1);
    fs::create_dir(site.data()).unwrap();
    fs::create_dir(site.data().join("lost+found")).unwrap();
    let first = run(&["init", "--config", site.file()], &[]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let identity = fs::read(site.data().join("identity")).unwrap();
    let second = run(&["init", "--config", site.file()], &[]);
    assert_eq!(second.status.code(), Some(65), "{second:?}");
    assert!(said(&second).contains("not empty"), "{}", said(&second));
    assert_eq!(fs::read(site.data().join("identity")).unwrap(), identity, "and changes nothing");

    let other = Site::new(1);
    fs::create_dir(other.data()).unwrap();
    fs::write(other.data().join("letter"), "dear").unwrap();
    let refused = run(&["init", "--config", other.file()], &[]);
    assert_eq!(refused.status.code(), Some(65));
    assert!(said(&refused).contains("letter"), "{}", said(&refused));
    assert_eq!(fs::read_dir(other.data()).unwrap().count(), 1);
}

/// R27, R08: `run` never makes a data directory anew, and says what is wrong with one that is not
/// its own. What a disk that is mounted late would cure ends with 75, so that the node is started
/// again; what a person has to mend, with 65.
#[test]
fn r27_run_refuses_what_is_not_its_own() {
    let site = Site::new(1);
    let ended = |code: i32, environment: &[(&str, &str)], holds: &str| {
        let output = run(&["run", "--config", site.file()], environment);
        assert_eq!(output.status.code(), Some(code), "{holds}: {output:?}");
        assert!(said(&output).contains(holds), "should say {holds}: {}", said(&output));
    };
    let refused = |_: &Site, environment: &[(&str, &str)], holds: &str| {
        ended(65, environment, holds);
    };
    let waits = |holds: &str| ended(75, &[], holds);
    waits("does not exist");
    assert!(!site.data().exists());
    fs::create_dir(site.data()).unwrap();
    waits("holds nothing");
    fs::create_dir(site.data().join("lost+found")).unwrap();
    waits("holds nothing");
    fs::write(site.data().join("letter"), "dear").unwrap();
    refused(&site, &[], "no identity");
    fs::remove_file(site.data().join("letter")).unwrap();
    assert_eq!(run(&["init", "--config", site.file()], &[]).status.code(), Some(0));
    let cluster = [("PAXOSD_CLUSTER_ID", "00000000000000000000000000000001")];
    refused(&site, &cluster, "cluster");
    refused(&site, &[("PAXOSD_SHARDS", "2")], "set shards = 1");
    fs::rename(site.data().join("identity"), site.data().join("kept")).unwrap();
    refused(&site, &[], "Do not empty it: restore");
    fs::rename(site.data().join("kept"), site.data().join("identity")).unwrap();
    fs::rename(site.data().join("shard-000"), site.data().join("elsewhere")).unwrap();
    waits("shard-000 is missing");
    assert!(!site.data().join("shard-000").exists());
}

/// A data directory that was once used as another user is refused with the file's name and what to
/// do; it is neither the disk's failure nor worth a restart.
#[test]
#[ignore = "needs root: runs a node as another user"]
fn files_of_another_user_exit_65() {
    const NOBODY: u32 = 65_534;
    let site = Site::new(1);
    assert_eq!(run(&["init", "--config", site.file()], &[]).status.code(), Some(0));
    let data = site.data();
    let home = data.parent().unwrap();
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
    let shard = data.join("shard-000");
    let segment = shard.join("segment-00000000000000000001.wal");
    let mut all = vec![data.clone(), data.join("identity"), data.join("lock"), shard.clone()];
    all.extend([shard.join("hard-state"), segment]);
    let give = |to: u32, path: &std::path::Path| chown(path, Some(to), Some(to)).unwrap();
    for kept in &all {
        all.iter().for_each(|path| give(NOBODY, path));
        give(0, kept);
        let mode = fs::metadata(kept).unwrap().permissions().mode();
        fs::set_permissions(kept, fs::Permissions::from_mode(mode & 0o700)).unwrap();
        let mut command = paxosd();
        command.args(["run", "--config", site.file()]).uid(NOBODY).gid(NOBODY);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(65), "{kept:?}: {output:?}");
        let said = said(&output);
        assert!(said.contains(kept.to_str().unwrap()), "{kept:?} is not named: {said}");
        assert!(said.contains("chown -R") && said.contains("user 65534"), "{said}");
    }
}

/// R27: a directory of another cluster and another node is said to be both; an empty directory in
/// place of a shard's is taken for a disk that is not mounted, not for one to be initialised.
#[test]
fn r27_all_that_differs_is_said() {
    let site = Site::new(1);
    assert_eq!(run(&["init", "--config", site.file()], &[]).status.code(), Some(0));
    let text = site.text().replace("node_id = 1", "node_id = 2").replace("id = 1", "id = 2");
    fs::write(site.file(), &text).unwrap();
    let cluster = [("PAXOSD_CLUSTER_ID", "00000000000000000000000000000001")];
    let output = run(&["run", "--config", site.file()], &cluster);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    let said_so = said(&output);
    for part in ["node 1", "node 2", "cluster 5ca1ab1e", "cluster 00000000"] {
        assert!(said_so.contains(part), "{part}: {said_so}");
    }
    fs::write(site.file(), site.text()).unwrap();
    fs::rename(site.data().join("shard-000"), site.data().join("elsewhere")).unwrap();
    fs::create_dir(site.data().join("shard-000")).unwrap();
    let output = run(&["run", "--config", site.file()], &[]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(said(&output).contains("Is its disk mounted?"), "{output:?}");
    assert!(said(&output).contains("(exit 75)"), "{output:?}");
    assert!(!said(&output).contains("paxosd init"), "{output:?}");
}

/// Two processes never share a data directory.
#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start_in(&data, &[]);
    let data = data.to_str().unwrap();
    let second = run(&["dev", "--dir", data, "--listen", "127.0.0.1:0"], &[]);
    assert_eq!(second.status.code(), Some(75), "a process gives it back: {second:?}");
    assert!(said(&second).contains("in use"), "{}", said(&second));
    assert_eq!(daemon.stop().0, Some(0));
}

/// A lock file that was removed while a node runs lets no second one in.
#[test]
fn a_removed_lock_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start_in(&data, &[]);
    fs::remove_file(data.join("lock")).unwrap();
    let second = run(&["dev", "--dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0"], &[]);
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    assert_eq!(daemon.stop().0, Some(0));
}

/// A path at which there can be no directory is a fault of the configuration, not of the disk.
#[test]
fn an_impossible_path_exits_78() {
    for path in ["/proc/nowhere", "/dev/null/data"] {
        let site = Site::new(1);
        let output = run(&["init", "--config", site.file()], &[("PAXOSD_DATA_DIR", path)]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        assert!(said(&output).contains(path), "{output:?}");
    }
}

/// Standard output that takes nothing is answered with a sentence, and never with a panic.
#[test]
fn a_full_standard_output_is_no_panic() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let site = Site::new(1);
    for command in ["check-config", "init"] {
        let output =
            paxosd().args([command, "--config", site.file()]).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        let said = said(&output);
        assert!(said.contains("cannot write to standard output"), "{said}");
        assert!(!said.contains("panic"), "{said}");
    }
    assert!(site.data().join("identity").exists(), "init did what it should all the same");
}

/// `dev` goes on when nobody reads the address that it prints.
#[test]
fn dev_goes_on_without_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", crate::config::free_port());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = paxosd()
        .args(["dev", "--listen", &address, "--dir"])
        .arg(dir.path().join("data"))
        .env("PAXOSD_MIN_FREE_BYTES", "0")
        .stdout(writer)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = std::time::Instant::now() + crate::rig::PATIENCE;
    let answers = loop {
        if std::net::TcpStream::connect(&address).is_ok() {
            // It listens before it prints: greeted, it has outlived that.
            Raw::open(&address, 0);
            break child.try_wait().unwrap().is_none();
        }
        if std::time::Instant::now() > until || child.try_wait().unwrap().is_some() {
            break false;
        }
        std::thread::yield_now();
    };
    let _ = child.kill();
    child.wait().unwrap();
    assert!(answers, "it ended because nobody read its address");
}

/// A port that is taken exits 75, before the journal is replayed: it may be free soon.
#[test]
fn a_taken_port_exits_75() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = run(&["dev", "--dir", data.to_str().unwrap(), "--listen", &address], &[]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(said(&output).contains(&address), "{}", said(&output));
    let owner = format!("; process {} (", std::process::id());
    assert!(said(&output).contains(&owner), "no {owner:?} in {}", said(&output));
    assert!(!data.exists());
}

/// SIGTERM and SIGINT stop a node in order. (A second signal: `a_second_signal_stops_at_once` of the process tests, where
/// the first one has something to wait for.)
#[test]
fn signals_stop_a_node() {
    for signal in [SIGTERM, SIGINT] {
        let daemon = Daemon::start(&[]);
        let (mut client, _) = Raw::open(&daemon.address, 0);
        daemon.signal(signal);
        client.expect_closed();
        let (exit, log) = daemon.finish();
        assert_eq!(exit, Some(0), "{log}");
    }
}

/// Under journald every line on standard error has a priority, the last words of a failure too.
#[test]
fn journald_gets_priorities() {
    let daemon = Daemon::start(&[("JOURNAL_STREAM", "8:1")]);
    let (exit, log) = daemon.stop();
    assert_eq!(exit, Some(0));
    assert!(!log.is_empty());
    assert!(log.lines().all(|line| line.starts_with("<6>")), "{log}");
    let site = Site::new(1);
    let failed = paxosd()
        .args(["run", "--config", site.file()])
        .env("JOURNAL_STREAM", "8:1")
        .output()
        .unwrap();
    let said = said(&failed);
    assert!(said.lines().last().is_some_and(|line| line.starts_with("<3>")), "{said}");
}
