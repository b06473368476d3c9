//! Faults of a configuration as `paxosd` reports them: of the file, the environment, the addresses.

use crate::config::Site;
use crate::rig::{PATIENCE, paxosd, run, said};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Output, Stdio};

/// `paxosd` to its end, which must come soon.
#[track_caller]
fn ends(arguments: &[&str]) -> Output {
    let mut command = paxosd();
    let mut child =
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = crate::poll::within(PATIENCE, || child.try_wait().unwrap()).is_some();
    if !ended {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(ended, "{arguments:?} did not end");
    output
}

/// Only a regular file of a sane size is read: a pipe is not waited for, a device not swallowed.
#[test]
fn only_regular_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let pipe = path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    fs::write(path("large"), vec![b'\n'; (1 << 20) + 1]).unwrap();
    symlink("/dev/zero", path("zero")).unwrap();
    for (file, holds) in [
        (pipe, "a pipe"),
        (path("large"), "1048576 bytes at most: it is likely another file"),
        (path("zero"), "a device"),
        ("/dev/zero".to_string(), "a device"),
        (path(""), "a directory"),
    ] {
        for command in ["check-config", "run", "init"] {
            let output = ends(&[command, "--config", &file]);
            assert_eq!(output.status.code(), Some(78), "{file}: {output:?}");
            let said = said(&output);
            assert!(said.contains(&file) && said.contains(holds), "{file}: {said}");
        }
    }
    let output = ends(&["run", "--config", &path("none")]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    for part in ["No such file", "next: name it with --config", "bootstrap.sh", "`paxosd dev`"] {
        assert!(said(&output).contains(part), "no {part} in {}", said(&output));
    }
    let site = Site::new(1);
    let link = path("link");
    symlink(site.file(), &link).unwrap();
    assert_eq!(run(&["check-config", "--config", &link], &[]).status.code(), Some(0));
}

/// A file that this user may not read is named with who asks and who may.
#[test]
#[ignore = "needs root: runs a command as another user"]
fn a_file_that_may_not_be_read_is_named_with_its_mode() {
    let site = Site::new(1);
    let folder = std::path::Path::new(site.file()).parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(site.file(), fs::Permissions::from_mode(0o600)).unwrap();
    let output = paxosd().args(["check-config", "--config", site.file()]).uid(65_534).output();
    let said = said(&output.unwrap());
    let holds = "runs as user 65534, and the file is of user 0 with mode 0600";
    assert!(said.contains(holds), "{said}");
}

/// A file that is not UTF-8 is reported with line and column, beside its other faults.
#[test]
fn a_file_that_is_not_text_is_reported_with_its_line() {
    let site = Site::new(1);
    let mut bytes = b"shards = 0\n# \xe9t\xe9\n".to_vec();
    bytes.extend_from_slice(site.text().as_bytes());
    fs::write(site.file(), bytes).unwrap();
    let output = run(&["check-config", "--config", site.file()], &[]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let said = said(&output);
    assert!(said.contains(":1: shards = 0"), "{said}");
    assert!(said.contains(":2: # \\xe9t\\xe9: is not UTF-8: byte 0xe9 in column 3"), "{said}");
}

/// Another kind of file than a configuration is not reported line by line: a score of faults, and
/// how many more there are.
#[test]
fn a_program_is_no_configuration() {
    let site = Site::new(1);
    let program = fs::read(env!("CARGO_BIN_EXE_paxosd")).unwrap();
    fs::write(site.file(), &program[..200 << 10]).unwrap();
    let output = run(&["check-config", "--config", site.file()], &[]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let said = said(&output);
    assert!(said.lines().count() <= 22, "{} lines:\n{said}", said.lines().count());
    assert!(said.contains("more; is this the configuration of a node?"), "{said}");
}

/// Names that turn out to be addresses in each other's way are reported with key and address; so is
/// a name that is nobody's, and an address that this host does not have. All of them may be
/// otherwise soon, so that the node is started again.
#[test]
fn names_are_compared_when_they_are_addresses() {
    let site = Site::new(3);
    let at = |address: &str| format!("127.0.0.1:{}", address.rsplit_once(':').unwrap().1);
    let port = crate::config::free_port();
    let (name, ip) = (format!("localhost:{port}"), at(&format!("localhost:{port}")));
    let ran = |environment: &[(&str, &str)], exit: i32, holds: &[&str]| {
        let output = run(&["check-config", "--config", site.file()], environment);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let output = run(&["run", "--config", site.file()], environment);
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        let said = said(&output);
        for holds in holds {
            assert!(said.contains(holds), "should say {holds}: {said}");
        }
    };
    let overlaps = format!("listen_peer = {ip}: overlaps listen = {name} at {ip}");
    ran(&[("PAXOSD_LISTEN", &name), ("PAXOSD_LISTEN_PEER", &ip)], 75, &[&overlaps]);
    let overlaps = format!("listen_admin = {name}: overlaps listen = {ip} at {ip}");
    ran(&[("PAXOSD_LISTEN", &ip), ("PAXOSD_LISTEN_ADMIN", &name)], 75, &[&overlaps]);
    let nowhere = [
        ("PAXOSD_INSECURE_LISTEN", "true"),
        ("PAXOSD_LISTEN", "one.invalid:7420"),
        ("PAXOSD_LISTEN_PEER", "two.invalid"),
    ];
    // Without a port of its own it is at that of the member.
    let peer = format!("listen_peer = two.invalid:{}: ", site.peer.rsplit_once(':').unwrap().1);
    ran(&nowhere, 75, &["listen = one.invalid:7420: ", &peer]);
    let far = [
        ("PAXOSD_INSECURE_LISTEN", "true"),
        ("PAXOSD_LISTEN", "203.0.113.1:7420"),
        ("PAXOSD_LISTEN_ADMIN", "203.0.113.2:7422"),
    ];
    let holds = [
        "listen = 203.0.113.1:7420: ",
        "listen_admin = 203.0.113.2:7422: ",
        "this host does not have that address, or not yet",
    ];
    ran(&far, 75, &holds);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let holds = format!("cannot listen at listen_admin = {address}: ");
    let advice = "need a port of their own: set listen_admin, or turn them off";
    ran(&[("PAXOSD_LISTEN_ADMIN", &address)], 75, &[&holds, advice]);
}

/// A name that is a member's address is reported when it is one.
#[test]
fn names_of_members_addresses_are_reported() {
    let site = Site::new(3);
    let (name, ip) = ("localhost:7420", "127.0.0.1:7420");
    let text = site.text().replacen(&site.client, ip, 1);
    fs::write(site.file(), text).unwrap();
    let environment = [("PAXOSD_LISTEN", "127.0.0.1:9"), ("PAXOSD_LISTEN_ADMIN", name)];
    let good = run(&["check-config", "--config", site.file()], &environment);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let output = run(&["run", "--config", site.file()], &environment);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    let said = said(&output);
    assert!(
        said.contains("listen_admin = localhost:7420: takes 127.0.0.1:7420, the client"),
        "{said}"
    );
}

/// A variable that is not UTF-8 is refused by its name rather than changed; variables that name no
/// key are reported beside faults as well.
#[test]
fn variables_are_taken_as_they_are_or_refused() {
    let site = Site::new(1);
    let with = |name: &str, value: &[u8]| {
        let mut command = paxosd();
        command.args(["check-config", "--config", site.file()]);
        command.env(name, OsStr::from_bytes(value)).env("PAXOSD_WHAT\u{1b}EVER", "1");
        let output = command.output().unwrap();
        assert!(!said(&output).contains('\u{1b}'), "{output:?}");
        assert!(said(&output).contains("warning: environment PAXOSD_WHAT\\u001bEVER names no key"));
        output
    };
    let output = with("PAXOSD_DATA_DIR", b"/tmp/d\xe9");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let holds = "environment PAXOSD_DATA_DIR: data_dir = /tmp/d\\xe9: is not UTF-8";
    assert!(said(&output).contains(holds), "{}", said(&output));
    let output = with("PAXOSD_SHARDS", b"\xff");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(said(&output).contains("environment PAXOSD_SHARDS: "), "{}", said(&output));
    let output = with("PAXOSD_LEASE_MS", b"+300");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(said(&output).contains("environment PAXOSD_LEASE_MS: lease_ms = +300: must be a"));
    // What is not ours may be what it likes.
    let output = with("OTHER", b"\xff");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
