//! Completions and manual pages, as a packager asks for them.

use crate::rig::ctl::{paxosctl, paxosd};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// Each shell gets a script from both programs, and bash completes with it.
#[test]
fn shells_complete_commands_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        paxosctl(["completions", shell]).expect(0).says("disk-check");
        paxosd(["completions", shell]).expect(0).says("check-config");
    }
    paxosctl(["completions", "cmd"]).expect(2);
    let folder = TempDir::new().unwrap();
    for (program, script, typed, wanted) in [
        ("paxosctl", paxosctl(["completions", "bash"]), "ver", "verify"),
        ("paxosd", paxosd(["completions", "bash"]), "check", "check-config"),
    ] {
        let file = folder.path().join(program);
        fs::write(&file, script.expect(0).out).unwrap();
        let line = format!(
            "source {}; COMP_WORDS=({program} {typed}); COMP_CWORD=1; \
             _{program} {program} {typed} {program}; echo \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let output = Command::new("bash").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), wanted, "{output:?}");
    }
}

/// `man --dir` writes the page of each program, command and file to where `man` looks for it.
#[test]
fn pages_go_where_packagers_expect_them() {
    let folder = TempDir::new().unwrap();
    let ran = paxosctl(["man", "--dir", folder.path().to_str().unwrap()]).expect(0);
    let written: Vec<&str> = ran.out.lines().collect();
    for page in ["man1/paxosctl.1", "man1/paxosctl-verify.1", "man5/paxosd.toml.5"]
        .iter()
        .chain(&["man8/paxosd.8", "man8/paxosd-run.8"])
    {
        let path = folder.path().join(page);
        assert!(written.contains(&path.to_str().unwrap()), "{page} is not among {written:?}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(".TH ") && text.contains(".SH NAME"), "{page}:\n{text}");
        assert!(text.contains(".SH \"SEE ALSO\""), "{page}:\n{text}");
    }
    paxosctl(["man"]).expect(0).says(".TH paxosctl 1");
    fs::write(folder.path().join("file"), "").unwrap();
    let inside = folder.path().join("file/below");
    paxosctl(["man", "--dir", inside.to_str().unwrap()]).expect(1).says("cannot be written");
}
