//! Starts: what a node takes over from whoever started it, and directories that are not as they
//! should be.

use crate::config::Site;
use crate::poll;
use crate::rig::{Daemon, Raw, paxosd, run, said};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A node that another program starts, ended when the test lets go of it.
struct Started(Child);

impl Started {
    /// `paxosd run`, started by that program with those arguments in front.
    #[track_caller]
    fn by(starter: &[&str], site: &Site) -> Started {
        let mut command = under(starter, &["run", "--config", site.file()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let node = Started(child);
        poll::until("the node listens", || TcpStream::connect(&site.client).ok());
        node
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// A line of `/proc/PID/limits`: soft and hard.
    fn limits(&self, name: &str) -> [String; 2] {
        let text = fs::read_to_string(format!("/proc/{}/limits", self.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let mut words = line.split_whitespace().map(str::to_string);
        [words.next().unwrap(), words.next().unwrap()]
    }

    /// Its exit code after a signal.
    #[track_caller]
    fn stop(mut self, signal: Signal) -> Option<i32> {
        kill_process(self.pid(), signal).unwrap();
        poll::until("the node has ended", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `paxosd` with these arguments, as the arguments of another program.
fn under(starter: &[&str], arguments: &[&str]) -> Command {
    let Some((program, first)) = starter.split_first() else {
        let mut command = paxosd();
        command.args(arguments);
        return command;
    };
    let mut command = Command::new(program);
    command.args(first).arg(env!("CARGO_BIN_EXE_paxosd")).args(arguments);
    command
}

#[track_caller]
fn prepared(site: &Site) {
    let output = run(&["init", "--config", site.file()], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[track_caller]
fn ends(output: &Output, code: i32, holds: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    for part in holds {
        assert!(said(output).contains(part), "should say {part}: {}", said(output));
    }
}

/// Signals that the parent had blocked reach the node all the same: it can be stopped in order, and
/// asked to read its configuration again.
#[test]
fn signals_that_were_blocked_are_let_in() {
    for signal in [Signal::TERM, Signal::INT] {
        let site = Site::new(1);
        prepared(&site);
        let starter = ["env", "--block-signal=TERM,INT,HUP,USR1", "--ignore-signal=INT,HUP"];
        let node = Started::by(&starter, &site);
        let status = fs::read_to_string(format!("/proc/{}/status", node.0.id())).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        assert_eq!(blocked.trim().trim_start_matches('0'), "", "still blocked: {blocked}");
        assert_eq!(node.stop(signal), Some(0));
    }
}

/// A node without standard streams has none of its files in their places, and runs as any other.
#[test]
fn closed_standard_streams_are_no_files_of_the_node() {
    let site = Site::new(1);
    prepared(&site);
    let node = Started::by(&["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"], &site);
    for stream in 0..3 {
        let to = fs::read_link(format!("/proc/{}/fd/{stream}", node.0.id())).unwrap();
        assert_eq!(to, Path::new("/dev/null"), "stream {stream}");
    }
    Raw::open(&site.client, 0);
    assert_eq!(node.stop(Signal::TERM), Some(0));
}

/// The umask of the parent decides nothing: data are this user's alone, and can be used by it.
#[test]
fn data_are_private_whatever_the_umask() {
    for umask in ["0", "777"] {
        let site = Site::new(1);
        let starter = ["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")];
        let output = under(&starter, &["init", "--config", site.file()]).output().unwrap();
        ends(&output, 0, &[]);
        let shard = site.data().join("shard-000");
        let segment = shard.join("segment-00000000000000000001.wal");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for dir in [site.data(), shard] {
            assert_eq!(mode(&dir), 0o700, "umask {umask}: {dir:?}");
        }
        for file in [site.data().join("identity"), segment] {
            assert_eq!(mode(&file), 0o600, "umask {umask}: {file:?}");
        }
    }
}

/// Soft limits are raised to the hard ones; a hard limit that is too small for the node is a wrong
/// configuration, with the number that is needed, and nothing is touched.
#[test]
fn limits_are_raised_as_far_as_they_go() {
    let site = Site::new(1);
    prepared(&site);
    let starter = ["prlimit", "--nofile=64:2048", "--fsize=4096:100000000"];
    let node = Started::by(&starter, &site);
    assert_eq!(node.limits("Max open files"), ["2048", "2048"]);
    assert_eq!(node.limits("Max file size"), ["100000000", "100000000"]);
    assert_eq!(node.stop(Signal::TERM), Some(0));

    let few = under(&["prlimit", "--nofile=64:64"], &["run", "--config", site.file()]);
    ends(&{ few }.output().unwrap(), 78, &["64 open files", "LimitNOFILE"]);
    let fresh = Site::new(1);
    for word in ["init", "run"] {
        let site = if word == "init" { &fresh } else { &site };
        let mut small =
            under(&["prlimit", "--fsize=1000000:1000000"], &[word, "--config", site.file()]);
        ends(&small.output().unwrap(), 78, &["1000000 bytes", "segment_bytes", "LimitFSIZE"]);
    }
    assert!(!fresh.data().exists());
}

/// The working directory may go away: nothing that a node does later depends on it.
#[test]
fn a_working_directory_that_is_gone_is_not_missed() {
    let site = Site::new(1);
    prepared(&site);
    let here = tempfile::tempdir().unwrap();
    let mut command = paxosd();
    command.args(["run", "--config", site.file()]).current_dir(here.path());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let node = Started(child);
    poll::until("the node listens", || TcpStream::connect(&site.client).ok());
    here.close().unwrap();
    kill_process(node.pid(), Signal::HUP).unwrap();
    Raw::open(&site.client, 0);
    assert_eq!(node.stop(Signal::TERM), Some(0));
}

/// A data directory in memory is accepted and said to be that, by `init` and at each start: a sync does
/// nothing there. What is only for trying out says nothing.
#[test]
fn a_data_directory_in_memory_is_warned_of() {
    let warning = "lies on tmpfs, which is memory: a sync does nothing there";
    let site = Site::new(1);
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let data = memory.path().join("data");
    let environment = [("PAXOSD_DATA_DIR", data.to_str().unwrap())];
    let output = run(&["init", "--config", site.file()], &environment);
    ends(&output, 0, &[warning, data.to_str().unwrap()]);
    let mut node = Daemon::run(site.file(), &site.client, &environment);
    node.read_log();
    poll::until("the node listens", || TcpStream::connect(&site.client).ok());
    let (_, log) = node.stop();
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    let (_, log) = Daemon::start_in(&memory.path().join("dev"), &[]).stop();
    assert!(!log.contains("which is memory"), "{log}");
}

/// A relative data directory is reported with the place that it is relative to.
#[test]
fn a_relative_data_directory_is_reported_in_full() {
    let site = Site::new(1);
    let home = site.data().parent().unwrap().to_path_buf();
    let full = home.join("here/data");
    let mut command = paxosd();
    command.args(["run", "--config", site.file()]).env("PAXOSD_DATA_DIR", "here/data");
    let output = command.current_dir(&home).output().unwrap();
    ends(&output, 75, &[full.to_str().unwrap(), "does not exist"]);
}

/// A preparation that was cut short anywhere is known as such: `run` says what to do, and `init` begins
/// anew. What a node may have written is never taken for that.
#[test]
fn an_interrupted_init_is_done_again() {
    let remains = ["shard-000", "shard-000/hard-state", "identity.new"];
    for kept in 0..=remains.len() {
        let site = Site::new(1);
        let data = site.data();
        fs::create_dir(&data).unwrap();
        fs::write(data.join("lock"), "process 1\n").unwrap();
        fs::write(data.join("init-unfinished"), "").unwrap();
        for (at, name) in remains[..kept].iter().enumerate() {
            match at {
                0 => fs::create_dir(data.join(name)).unwrap(),
                _ => fs::write(data.join(name), "half").unwrap(),
            }
        }
        let output = run(&["run", "--config", site.file()], &[]);
        ends(&output, 65, &["interrupted", "`paxosd init` again"]);
        prepared(&site);
        assert!(!data.join("init-unfinished").exists() && !data.join("identity.new").exists());
        let node = Started::by(&[], &site);
        assert_eq!(node.stop(Signal::TERM), Some(0));
    }
    // The very last step was cut off: it is whole, and the node that runs there takes the mark away, so
    // that nobody takes its data for remains later.
    let site = Site::new(1);
    prepared(&site);
    fs::write(site.data().join("init-unfinished"), "").unwrap();
    let node = Started::by(&[], &site);
    assert!(!site.data().join("init-unfinished").exists());
    assert_eq!(node.stop(Signal::TERM), Some(0));
    ends(&run(&["init", "--config", site.file()], &[]), 65, &["not empty"]);
    // Somebody else's file stays what it is, also where it is called much like a shard's directory.
    for name in ["letter", "shard-base/letter", "shard-000"] {
        let site = Site::new(1);
        let theirs = site.data().join(name);
        fs::create_dir_all(theirs.parent().unwrap()).unwrap();
        fs::write(site.data().join("init-unfinished"), "").unwrap();
        fs::write(&theirs, "dear").unwrap();
        let holds = format!("it holds {}", name.split('/').next().unwrap());
        ends(&run(&["init", "--config", site.file()], &[]), 65, &[&holds]);
        assert_eq!(fs::read_to_string(theirs).unwrap(), "dear");
    }
}

/// Where nothing but the lock is left, `run` says that nothing is there, and `init` goes on.
#[test]
fn a_lock_alone_is_nothing() {
    let site = Site::new(1);
    fs::create_dir(site.data()).unwrap();
    fs::write(site.data().join("lock"), "process 1\n").unwrap();
    ends(
        &run(&["run", "--config", site.file()], &[]),
        75,
        &["holds nothing", "Is the disk mounted?"],
    );
    prepared(&site);
}

/// A directory in which no segment can be made is refused at the start, with what to do, and not
/// hours later, when the segment is needed.
#[test]
#[ignore = "needs root: runs a node as another user"]
fn a_directory_that_takes_no_files_exits_65() {
    const NOBODY: u32 = 65_534;
    let site = Site::new(1);
    prepared(&site);
    let (data, shard) = (site.data(), site.data().join("shard-000"));
    let home = data.parent().unwrap();
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
    for dir in [&data, &shard] {
        for entry in fs::read_dir(dir).unwrap() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&shard, fs::Permissions::from_mode(0o500)).unwrap();
    let mut command = paxosd();
    command.args(["run", "--config", site.file()]).uid(NOBODY).gid(NOBODY);
    let shown = shard.to_str().unwrap();
    ends(&command.output().unwrap(), 65, &[shown, "takes no new file", "chown -R", "rwx"]);
    // As it should be, the probe leaves nothing behind.
    fs::set_permissions(&shard, fs::Permissions::from_mode(0o700)).unwrap();
    let node = {
        let mut command = paxosd();
        command.args(["run", "--config", site.file()]).uid(NOBODY).gid(NOBODY);
        Started(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    poll::until("the node listens", || TcpStream::connect(&site.client).ok());
    assert_eq!(node.stop(Signal::TERM), Some(0));
    assert!(!shard.join("probe.new").exists());
}
