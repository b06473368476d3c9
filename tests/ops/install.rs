//! `scripts/install.sh`: what it puts where, what it leaves alone, and what it says.

use crate::rig::ctl::Ran;
use crate::rig::node::clean_command;
use crate::{programs, root, run, script, tree};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// A machine's file system, as far as a packager sees it.
struct Stage(TempDir);

impl Stage {
    fn new() -> Stage {
        Stage(TempDir::new().unwrap())
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    /// Runs `install.sh --root` here with the programs that cargo built beside this test.
    fn install(&self, arguments: &[&str]) -> Ran {
        let from = programs().to_str().unwrap();
        self.install_from(from, arguments)
    }

    fn install_from(&self, from: &str, arguments: &[&str]) -> Ran {
        let here = ["--root", self.0.path().to_str().unwrap(), "--from", from];
        run(script("install.sh").args(here).args(arguments))
    }

    fn uninstall(&self, arguments: &[&str]) -> Ran {
        let here = ["--uninstall", "--root", self.0.path().to_str().unwrap()];
        run(script("install.sh").args(here).args(arguments))
    }
}

/// Copies the programs, each with a few bytes behind its end: another build of the same.
fn another_build(folder: &Path) {
    for program in ["paxosd", "paxosctl"] {
        let mut bytes = fs::read(programs().join(program)).unwrap();
        bytes.extend_from_slice(b"another build");
        fs::write(folder.join(program), bytes).unwrap();
        fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Programs, documents, unit and user are where a distribution looks for them; a second run has
/// nothing to do.
#[test]
fn everything_has_its_place() {
    let stage = Stage::new();
    stage.install(&["--prefix", "/usr"]).expect(0).says("paxosd 0.");
    for (file, mode) in [
        ("usr/bin/paxosd", 0o755),
        ("usr/bin/paxosctl", 0o755),
        ("usr/lib/systemd/system/paxosd.service", 0o644),
        ("usr/lib/sysusers.d/paxosd.conf", 0o644),
        ("usr/share/doc/paxosd/paxosd.toml", 0o644),
        ("usr/share/doc/paxosd/docs/OPERATIONS.md", 0o644),
        ("usr/share/doc/paxosd/scripts/bootstrap.sh", 0o755),
    ] {
        let metadata = fs::metadata(stage.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{file}");
    }
    assert!(stage.path("etc/paxosd").is_dir() && stage.path("var/lib/paxosd").is_dir());
    let unit = fs::read_to_string(stage.path("usr/lib/systemd/system/paxosd.service")).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/paxosd run --config /etc/paxosd/paxosd.toml\n"));
    assert!(unit.contains("file:///usr/share/doc/paxosd/docs/OPERATIONS.md"));

    let before = tree(stage.0.path());
    let again = stage.install(&["--prefix", "/usr"]).expect(0);
    assert!(again.out.starts_with("unchanged "), "{}", again.out);
    let done = |line: &&str| ["make ", "install ", "replace "].iter().any(|v| line.starts_with(v));
    assert_eq!(again.out.lines().find(done), None, "the second run did something");
    assert_eq!(tree(stage.0.path()), before);

    let other = Stage::new();
    other.install(&["--prefix=/opt/paxosd"]).expect(0);
    assert!(other.path("opt/paxosd/bin/paxosd").exists());
    assert!(other.path("etc/systemd/system/paxosd.service").exists());
}

/// What the installed documents link to is installed beside them.
#[test]
fn links_of_installed_documents_hold() {
    let stage = Stage::new();
    stage.install(&["--prefix", "/usr"]).expect(0);
    let doc = stage.path("usr/share/doc/paxosd");
    let mut links = 0;
    for document in tree(&doc).iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(doc.join(document)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = doc.join(document).parent().unwrap().join(file);
            assert!(target.exists(), "{} links to {link}, which is not there", document.display());
            links += 1;
        }
    }
    assert!(links > 30, "only {links} links were found");
}

/// A running node keeps its program while another takes its place; the configuration stays.
#[test]
fn an_upgrade_replaces_programs_under_a_running_node() {
    let stage = Stage::new();
    stage.install(&[]).expect(0);
    fs::write(stage.path("etc/paxosd/paxosd.toml"), "ours = true").unwrap();
    let program = stage.path("usr/local/bin/paxosd");
    let mut node = clean_command(program.to_str().unwrap())
        .args(["dev", "--listen", "127.0.0.1:0", "--dir"])
        .arg(stage.path("dev"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let build = TempDir::new().unwrap();
    another_build(build.path());
    let upgraded = stage.install_from(build.path().to_str().unwrap(), &[]);
    let alive = node.try_wait();
    node.kill().unwrap();
    node.wait().unwrap();
    upgraded.expect(0).says("replace ").says("it was 0.");
    assert!(matches!(alive, Ok(None)), "the node ended: {alive:?}");
    assert_eq!(fs::read(&program).unwrap(), fs::read(build.path().join("paxosd")).unwrap());
    assert_eq!(fs::read_to_string(stage.path("etc/paxosd/paxosd.toml")).unwrap(), "ours = true");
    let aside = |path: &PathBuf| path.to_string_lossy().contains(".new-");
    assert_eq!(tree(stage.0.path()).into_iter().find(aside), None, "a file was left aside");
}

/// What belongs to the operator survives `--uninstall`, and is named.
#[test]
fn uninstall_keeps_configuration_and_data() {
    let stage = Stage::new();
    stage.install(&[]).expect(0);
    for file in ["etc/paxosd/paxosd.toml", "var/lib/paxosd/identity"] {
        fs::write(stage.path(file), "ours").unwrap();
    }
    let went = stage.uninstall(&[]).expect(0);
    for kept in ["/etc/paxosd", "/var/lib/paxosd"] {
        assert!(went.out.contains(&format!("kept {}{kept}", stage.0.path().display())));
    }
    let left: Vec<PathBuf> = tree(stage.0.path())
        .into_iter()
        .filter(|path| stage.0.path().join(path).is_file())
        .collect();
    let wanted = ["etc/paxosd/paxosd.toml", "var/lib/paxosd/identity"].map(PathBuf::from);
    assert_eq!(left, wanted);
    stage.uninstall(&[]).expect(0).says("was not installed");
}

/// A dry run names what a real one does, and does none of it.
#[test]
fn a_dry_run_changes_nothing() {
    let stage = Stage::new();
    let shown = stage.install(&["--dry-run"]).expect(0);
    assert_eq!(tree(stage.0.path()), Vec::<PathBuf>::new());
    let did = stage.install(&[]).expect(0);
    let promised: Vec<&str> = shown.out.lines().filter_map(|l| l.strip_prefix("would ")).collect();
    let done: Vec<&str> = did.out.lines().take_while(|line| !line.is_empty()).collect();
    assert!(promised.len() > 10, "{}", shown.out);
    assert_eq!(promised, done);

    let before = tree(stage.0.path());
    stage.uninstall(&["--dry-run"]).expect(0).says("would remove ");
    assert_eq!(tree(stage.0.path()), before);
}

/// Without systemd, and for nobody in particular: the programs alone, which run.
#[test]
fn programs_alone_need_neither_root_nor_systemd() {
    let home = TempDir::new().unwrap();
    let prefix = home.path().join(".local");
    let mut install = script("install.sh");
    install.arg("--no-service").arg("--prefix").arg(&prefix).arg("--from").arg(programs());
    run(&mut install).expect(0).says("The service was not installed").says("paxosd run --config");
    let version = run(clean_command(prefix.join("bin/paxosd").to_str().unwrap()).arg("--version"));
    version.expect(0).says("paxosd 0.");
    assert_eq!(tree(&prefix).into_iter().find(|path| path.starts_with("lib")), None);
}

/// Without programs it builds them; without cargo it says how to get them.
#[test]
fn programs_are_built_where_none_are_given() {
    let stage = Stage::new();
    let tools = TempDir::new().unwrap();
    let target = stage.path("target");
    let cargo = format!(
        "#!/bin/sh\nmkdir -p {0}/release\ncp {1}/paxosd {1}/paxosctl {0}/release/\necho \"$@\" >{0}/asked\n",
        target.display(),
        programs().display()
    );
    fs::write(tools.path().join("cargo"), cargo).unwrap();
    fs::set_permissions(tools.path().join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let install = |path: String| {
        let mut command = script("install.sh");
        command.env("PATH", path).env("CARGO_TARGET_DIR", &target);
        command.arg("--root").arg(stage.0.path().join("machine"));
        run(&mut command)
    };
    let nowhere = install("/usr/bin:/bin".to_string()).expect(1);
    assert!(nowhere.err.contains("cargo is not on the PATH"), "{}", nowhere.err);
    assert!(!stage.path("machine").exists(), "something was installed without programs");
    install(format!("{}:/usr/bin:/bin", tools.path().display())).expect(0).says("Building paxosd");
    assert!(fs::read_to_string(target.join("asked")).unwrap().contains("build --release"));
    assert!(stage.path("machine/usr/local/bin/paxosd").exists());
}

/// Each misuse is reported with what to do, and each failure with what stood in the way.
#[test]
fn misuse_and_failures_are_reported() {
    let stage = Stage::new();
    for arguments in [
        &["--prefx", "/usr"][..],
        &["install"],
        &["--prefix"],
        &["--prefix", "--dry-run"],
        &["--prefix", "usr"],
        &["--prefix", "/opt/my paxosd"],
        &["--uninstall"],
    ] {
        stage.install(arguments).expect(2).says("Try: install.sh --help");
    }
    run(script("install.sh").arg("--help")).expect(0).says("--uninstall").says("Exit codes:");

    let empty = TempDir::new().unwrap();
    let from = empty.path().to_str().unwrap();
    stage.install_from(from, &[]).expect(1).says("holds no paxosd and paxosctl");
    for program in ["paxosd", "paxosctl"] {
        fs::copy(root().join("LICENSE"), empty.path().join(program)).unwrap();
    }
    stage.install_from(from, &[]).expect(1).says("does not run on this machine");
    fs::write(stage.path("usr"), "a file").unwrap();
    stage.install(&[]).expect(1).says("is no directory");
}
