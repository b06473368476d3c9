//! Documents do not rot: what they say of commands, flags, files, keys and exit codes is compared
//! with the programs and the tree.

#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

#[path = "docs/advice.rs"]
mod advice;
#[path = "docs/drills.rs"]
mod drills;
#[path = "docs/logs.rs"]
mod logs;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/metrics.rs"]
mod metrics;
#[allow(dead_code)] // The style checker needs more of it.
#[path = "tidy/source.rs"]
mod source;

use drills::{drills, leans};
use logs::{Message, messages};
use markdown::{Command, broken_links, commands, headings, sh_lines, spans, table};
use paxosd::limits;
use source::{Source, files};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

const PROGRAMS: &[&str] = &["paxosd", "paxosctl", "cluster.sh", "install.sh", "bootstrap.sh"];

/// Scripts that have flags but no commands.
const FLAGS_ONLY: &[&str] = &["install.sh", "bootstrap.sh"];

/// What else may begin a line of a ```sh block in OPERATIONS.md, with words that must then follow:
/// services have one name, and a command is typed as the reader will type it.
const FOREIGN: &[(&str, &[&str])] = &[
    ("systemctl", &["paxosd", "daemon-reload"]),
    ("journalctl", &["-u paxosd"]),
    ("runuser", &["-u paxosd -- paxosd "]),
    ("curl", &["http://127.0.0.1:7422/"]),
    ("cargo", &["build --release"]),
    ("sudo", &["scripts/install.sh"]),
    ("install", &["-d -m 0700 -o paxosd -g paxosd "]),
    ("cp", &["-a "]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents by path: those of the root, and `docs/`.
fn documents() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["", "docs/"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                let path = format!("{folder}{name}");
                found.insert(path.clone(), read(&path));
            }
        }
    }
    assert!(found.contains_key("README.md") && found.contains_key("docs/OPERATIONS.md"));
    found
}

/// What a program prints when asked for help.
fn help(program: &str, arguments: &[&str]) -> String {
    let mut command = match program {
        "paxosd" => process::Command::new(env!("CARGO_BIN_EXE_paxosd")),
        "paxosctl" => process::Command::new(env!("CARGO_BIN_EXE_paxosctl")),
        script => process::Command::new(root().join("scripts").join(script)),
    };
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands of a program, each with the flags that it takes.
fn surface(program: &str) -> BTreeMap<String, BTreeSet<String>> {
    let flags = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '=' | '`' | '['));
        words.filter(|word| word.starts_with('-')).map(str::to_string).collect()
    };
    let mut found = BTreeMap::new();
    if FLAGS_ONLY.contains(&program) {
        found.insert(String::new(), flags(&help(program, &["--help"])));
        return found;
    }
    if program == "cluster.sh" {
        let text = help(program, &["help"]);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("  cluster.sh ") {
                let name = rest.split_whitespace().next().unwrap().to_string();
                found.insert(name, flags(&text));
            }
        }
        return found;
    }
    let text = help(program, &["--help"]);
    let list = text.split("\nCommands:\n").nth(1).expect("--help lists the commands");
    for line in list.lines().take_while(|line| !line.is_empty()) {
        // A line with a name starts two columns in; a wrapped description starts further right.
        if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            let name = name.split_whitespace().next().unwrap();
            if name == "help" {
                found.insert(name.to_string(), flags(&text));
                continue;
            }
            let own = help(program, &[name, "--help"]);
            let mut known = flags(&own);
            // The flags of a command's own commands, such as `bench append`, are its flags too.
            for below in nested(&own) {
                known.extend(flags(&help(program, &[name, &below, "--help"])));
            }
            found.insert(name.to_string(), known);
        }
    }
    found
}

/// The commands below a command, as its help lists them.
fn nested(text: &str) -> Vec<String> {
    let list = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let starts = lines.filter_map(|line| line.strip_prefix("  ").filter(|l| !l.starts_with(' ')));
    let names = starts.filter_map(|line| line.split_whitespace().next().map(str::to_string));
    names.filter(|name| name != "help").collect()
}

/// What is wrong with a command of a document.
fn fault_of(
    command: &Command,
    known: &BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
) -> Option<String> {
    let program = &known[&command.program];
    let none = String::new();
    let name = match FLAGS_ONLY.contains(&command.program.as_str()) {
        true => &none,
        false => command.name.as_ref()?,
    };
    let Some(flags) = program.get(name) else {
        return Some(format!("`{} {name}` is no command of it", command.program));
    };
    let unknown = command.flags.iter().find(|flag| !flags.contains(*flag))?;
    Some(format!("`{} {name}` does not take {unknown}", command.program))
}

#[test]
fn commands_in_documents_exist() {
    // Every command and flag that a document shows is one that the program has.
    let known: BTreeMap<_, _> =
        PROGRAMS.iter().map(|program| (program.to_string(), surface(program))).collect();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, text) in documents() {
        for command in commands(&text, PROGRAMS) {
            seen.insert((command.program.clone(), command.name.clone()));
            if let Some(fault) = fault_of(&command, &known) {
                faults.push(format!("{path}:{}: {fault}", command.line));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for wanted in [
        ("paxosd", Some("init")),
        ("paxosctl", Some("append")),
        ("cluster.sh", Some("up")),
        ("install.sh", None),
        ("bootstrap.sh", None),
    ] {
        let wanted = (wanted.0.to_string(), wanted.1.map(str::to_string));
        assert!(seen.contains(&wanted), "no document shows {wanted:?}");
    }
}

#[test]
fn links_lead_somewhere() {
    // A link to a file or to a heading resolves.
    let documents = documents();
    let mut faults = Vec::new();
    for (path, text) in &documents {
        let folder = PathBuf::from(path).parent().unwrap().to_path_buf();
        let broken = broken_links(text, |target, anchor| {
            let file = if target.is_empty() { PathBuf::from(path) } else { folder.join(target) };
            let full = root().join(file);
            let anchored = |anchor| headings(&fs::read_to_string(&full).unwrap()).contains(anchor);
            full.exists() && (anchor.is_empty() || anchored(&anchor.to_string()))
        });
        faults.extend(broken.into_iter().map(|fault| format!("{path}, {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn names_in_documents_exist() {
    // A `snake_case` name in a document is a name of the configuration, the code or a script.
    let mut sources = read("paxosd.toml") + &read("scripts/cluster.sh") + &read(".ci/tour.py");
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        sources += &format!(" {} ", entry.unwrap().path().file_stem().unwrap().display());
    }
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let words: BTreeSet<&str> =
        sources.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut faults = Vec::new();
    for (path, text) in documents() {
        for (line, span) in spans(&text) {
            // Tests that a rule names are looked up by tests/tidy.rs.
            if path == "docs/RULES.md" && (span.contains("::") || span.ends_with(".txt")) {
                continue;
            }
            for word in span.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                let is_name = word.contains('_') && !word.ends_with('_');
                let key = word.strip_prefix("PAXOSD_").map(str::to_lowercase);
                let known = match &key {
                    Some(key) => words.contains(key.as_str()),
                    None => words.contains(word),
                };
                if is_name && !known {
                    faults
                        .push(format!("{path}:{line}: `{word}` is nowhere in src/ or paxosd.toml"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn layers_in_documents_exist() {
    // The code map of ARCHITECTURE.md names every top-level module of src/, and no other.
    let map = table(&read("docs/ARCHITECTURE.md"), "Code map");
    let cells = map.iter().map(|row| row[1].as_str()).collect::<Vec<_>>().join(" ");
    let named: BTreeSet<String> =
        spans(&cells).into_iter().map(|(_, name)| name.trim_end_matches('/').to_string()).collect();
    let present: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_end_matches(".rs").to_string())
        .filter(|name| name != "lib")
        .collect();
    assert_eq!(named, present);
}

#[test]
fn exit_codes_are_as_written() {
    // The tables of OPERATIONS.md say what the programs' own help says.
    let text = read("docs/OPERATIONS.md");
    for program in ["paxosd", "paxosctl"] {
        let written: Vec<(String, String)> = table(&text, &format!("Exit codes of {program}"))
            .iter()
            .map(|row| (row[0].clone(), row[1].replace('`', "")))
            .collect();
        let help = help(program, &["--help"]);
        let list = help.split("Exit codes:\n").nth(1).expect("--help lists the exit codes");
        let stated: Vec<(String, String)> = list
            .lines()
            .map_while(|line| line.trim().split_once("  "))
            .map(|(code, meaning)| (code.to_string(), meaning.trim().to_string()))
            .collect();
        assert!(stated.len() > 4, "{program} --help lists only {stated:?}");
        assert_eq!(written, stated, "{program}");
    }
}

#[test]
fn numbers_of_the_protocol_are_the_limits() {
    // What PROTOCOL.md says of bounds that no HelloReply carries is what limits.rs has.
    let text = read("docs/PROTOCOL.md");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mib = |bytes: usize| bytes >> 20;
    let stated = [
        format!("its body has at most {} bytes", limits::FRAME_BYTES_BEFORE_HELLO),
        format!("no whole Hello arrives within {} seconds", limits::HANDSHAKE_MS / 1000),
        format!("The youngest {} MiB of a shard's slots", mib(limits::CACHE_BYTES_MAX)),
        format!("and {} MiB at most", mib(limits::VALUE_BYTES_MAX) + 1),
        format!("takes less than {} KiB of what waits", limits::UNREAD_BYTES_MIN >> 10),
        format!(
            "in {} seconds, and, while more than {} MiB",
            limits::UNREAD_MS / 1000,
            mib(limits::SHARD_OUTPUT_BYTES_TIGHT)
        ),
        format!("at most {} even where `limit` is higher", limits::LIST_NAMES_MAX),
    ];
    for words in stated {
        assert!(text.contains(&words), "docs/PROTOCOL.md does not say: {words}");
    }
}

/// What the whole source logs as warnings and errors.
fn logged() -> BTreeSet<Message> {
    let sources = files(root(), "src", &[".rs"]);
    let parse = |path: &String| Source::parse(path, &read(path)).unwrap();
    sources.iter().flat_map(|path| messages(&parse(path))).collect()
}

#[test]
fn every_warning_is_explained() {
    // The table of OPERATIONS.md has every warning and error of the log, and no other.
    let rows = table(&read("docs/OPERATIONS.md"), "Warnings and errors of the log");
    let written: BTreeSet<Message> =
        rows.iter().map(|row| (row[0].clone(), row[1].trim_matches('`').to_string())).collect();
    assert_eq!(written.len(), rows.len(), "a message stands there twice");
    assert!(rows.iter().all(|row| row[2].len() > 20), "a message is not explained");
    let logged = logged();
    assert!(logged.len() > 20, "the source logs only {logged:?}");
    let row = |(level, text): &Message| format!("| {level} | `{text}` | … |");
    let missing: Vec<String> = logged.difference(&written).map(row).collect();
    let stale: Vec<String> = written.difference(&logged).map(row).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/OPERATIONS.md, \"Warnings and errors of the log\":\n\
         logged, and not explained:\n{}\nexplained, and logged nowhere:\n{}",
        missing.join("\n"),
        stale.join("\n")
    );
}

/// What is wrong with a line that an operator is to type.
fn fault_of_line(line: &str) -> Option<String> {
    let first = line.split_whitespace().next()?;
    let program = first.rsplit('/').next().unwrap_or(first);
    if PROGRAMS.contains(&program) {
        return None;
    }
    match FOREIGN.iter().find(|(name, _)| *name == first) {
        None => Some(format!("`{first}` is no program that an operator is known to have")),
        Some((_, follow)) if follow.iter().any(|words| line.contains(words)) => None,
        Some((_, follow)) => Some(format!("`{line}` says none of {follow:?}")),
    }
}

#[test]
fn operators_type_what_is_known() {
    // Each line of a ```sh block in OPERATIONS.md is a command of ours, or of the system for us;
    // what it can run here stands in ```console blocks, which .ci/tour.py runs.
    let text = read("docs/OPERATIONS.md");
    let lines = sh_lines(&text);
    assert!(lines.len() > 10, "OPERATIONS.md has only {} commands", lines.len());
    let faults: Vec<String> = lines
        .iter()
        .filter_map(|(at, line)| Some(format!("{at}: {}", fault_of_line(line)?)))
        .collect();
    assert!(faults.is_empty(), "docs/OPERATIONS.md:{}", faults.join("\ndocs/OPERATIONS.md:"));
    let commands = text.matches("\n$ ").count();
    assert!(commands > 20, "only {commands} commands of OPERATIONS.md are run");
    let run = read(".ci/run");
    assert!(run.contains("tour.py README.md") && run.contains("tour.py docs/OPERATIONS.md"));
}

#[test]
fn drills_stand_alone() {
    // Whoever pastes one section's commands, in a fresh shell and as root, runs what CI runs: nothing
    // was set in another section, and nothing is written where a variable is not set.
    for (path, least) in [("README.md", 1), ("docs/OPERATIONS.md", 9)] {
        let found = drills(&read(path));
        assert!(found.len() >= least, "{path} has only {} drills", found.len());
        let faults: Vec<String> = found
            .iter()
            .flat_map(|drill| leans(drill).into_iter().map(|fault| (&drill.heading, fault)))
            .map(|(heading, fault)| format!("{path}:{fault} (\"{heading}\")"))
            .collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
    let tour = read(".ci/tour.py");
    assert!(tour.contains("for heading, drill in drills(document)") && tour.contains("\"-u\""));
}

#[test]
fn a_drill_that_leans_on_another_is_found() {
    let text = "## One\n```console\n$ try=$(mktemp -d)\n$ eval \"$(scripts/cluster.sh env)\"\n\
                $ paxosctl read orders >\"${try:?}/orders\"\n```\n\
                ## Two\n```console\n$ paxosctl read orders >\"$try/orders\"\n```\n\
                ## Three\n```console\n$ a=1; for b in 1 2; do rm -r \"/x/$a/$b\"; done\n```\n";
    let faults: Vec<Vec<String>> = drills(text).iter().map(leans).collect();
    assert_eq!(faults[0], [""; 0]);
    assert_eq!(faults[1].len(), 3, "{faults:?}");
    assert_eq!(faults[2], ["13: it writes though $a be unset: say ${a:?}"]);
}

#[test]
fn the_changelog_has_the_version() {
    // The newest release of the changelog is the version of the programs, with its day.
    let changelog = read("CHANGELOG.md");
    let mut heads = changelog.lines().filter_map(|line| line.strip_prefix("## ["));
    assert_eq!(heads.next(), Some("Unreleased]"), "what is to come stands first");
    let (version, day) = heads.next().and_then(|head| head.split_once("] - ")).expect("a release");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let digits: Vec<usize> = day.split('-').map(str::len).collect();
    assert_eq!(digits, [4, 2, 2], "{day:?} is no day");
}

#[test]
fn the_demo_shows_the_tour() {
    // Each command of the README's tour stands in demo.sh, which claims to show it.
    let readme = read("README.md");
    let tour = readme.split("\n## A tour of five minutes\n").nth(1).expect("the README has a tour");
    let tour = tour.split("\n## ").next().unwrap_or_default();
    let typed = tour.lines().filter_map(|line| line.strip_prefix("$ "));
    let typed: Vec<&str> = typed.map(|line| line.split("  # ").next().unwrap().trim()).collect();
    assert!(typed.len() > 12, "the tour has only {typed:?}");
    let demo = read("scripts/demo.sh");
    let missing: Vec<&&str> = typed.iter().filter(|line| !demo.contains(**line)).collect();
    assert!(missing.is_empty(), "scripts/demo.sh does not show {missing:#?}");
}

#[test]
fn a_rotten_document_is_found() {
    // Each check above is shown a document that it must not accept.
    let surface = BTreeMap::from([("up".to_string(), BTreeSet::from(["--wipe".to_string()]))]);
    let known = BTreeMap::from([("cluster.sh".to_string(), surface)]);
    let text = "Use `cluster.sh up` or `cluster.sh explode`.\n\
                ```sh\n\
                eval \"$(scripts/cluster.sh up --wipe)\" && A=1 scripts/cluster.sh up --now # No.\n\
                ```\n\
                `cluster.sh` alone, and cluster.sh in prose are nobody's commands.";
    let found: Vec<(usize, Option<String>)> = commands(text, &["cluster.sh"])
        .iter()
        .map(|command| (command.line, fault_of(command, &known)))
        .collect();
    let expected = [
        (1, None),
        (1, Some("`cluster.sh explode` is no command of it".to_string())),
        (3, None),
        (3, Some("`cluster.sh up` does not take --now".to_string())),
        (5, None),
    ];
    assert_eq!(found, expected);

    let sample = "fn f() { log::warn!(\"a {b} {{c}} \\\n   d\"); log::info!(\"e\"); }\n\
                  #[test]\nfn g() { log::error!(\"h\"); }";
    let found = messages(&Source::parse("src/a.rs", sample).unwrap());
    assert_eq!(found, [("warn".to_string(), "a … {c} d".to_string())]);
    for line in ["systemctl restart paxos", "rm -rf /", "runuser -u root -- paxosd init"] {
        assert!(fault_of_line(line).is_some(), "{line}");
    }

    let links = "[a](there.md) [b](gone.md)\n```\n[c](gone.md)\n```\n[d](https://x.org/)\n[e](#f)";
    let faults = broken_links(links, |target, _| target == "there.md");
    assert_eq!(faults, ["line 1: gone.md leads nowhere", "line 6: #f leads nowhere"]);
    assert_eq!(headings("# A b, C!\n```\n# no\n```\n## `d` e"), ["a-b-c", "d-e"]);

    let tables = "## One\n\n| a | b |\n| --- | --- |\n| 1 | x |\n\n## Two\n\n| c |\n|---|\n| 2 |\n";
    assert_eq!(table(tables, "One"), [["1", "x"]]);
    assert_eq!(table(tables, "Two"), [["2"]]);
}
