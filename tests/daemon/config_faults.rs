//! Faults of a configuration as `paxosd` tells them: of the file, the environment, the addresses.

use crate::config::Site;
use crate::rig::{PATIENCE, paxosd, run, said};
use std::fs;
use std::os::unix::fs::symlink;
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
        (path("large"), "1048576 bytes"),
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
    let site = Site::new(1);
    let link = path("link");
    symlink(site.file(), &link).unwrap();
    assert_eq!(run(&["check-config", "--config", &link], &[]).status.code(), Some(0));
}

/// A file that is not UTF-8 is told with line and column, beside its other faults.
#[test]
fn a_file_that_is_not_text_is_told_with_its_line() {
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
