//! Advice can be followed: what messages, help texts and documents say to do is there to be done.

use super::*;
use crate::logs::template;
use crate::source::Kind;

/// A text that people read, and where it stands.
struct Said {
    place: String,
    text: String,
}

/// Words that follow a program's name in a sentence, where no command is meant.
const PROSE: &[&str] = &[
    "a", "and", "are", "at", "cluster", "command", "daemon", "data", "does", "from", "identity",
    "is", "manual", "needs", "on", "prepared", "runs", "takes", "would",
];

/// Flags of other programs that are advised.
const FOREIGN_FLAGS: &[&str] = &["--release", "--bench", "--version", "--help", "--target"];

/// Acts that need a command of ours, and how texts advise them: until the command is there, no text
/// may. Whoever adds the command finds its words here.
const NEEDED: &[(&str, &[&str])] = &[
    (
        "member",
        &[
            "under a new id",
            "under another id",
            "replace the node",
            "replace this node",
            "add a node",
            "add another node",
            "remove the node",
            "remove it from the cluster",
            "move the node to",
        ],
    ),
    ("trim", &["trim the log", "trim old", "trim logs", "truncate the log"]),
    ("recover", &["recover the node with", "let it recover its promises"]),
    ("checkpoint", &["take a checkpoint", "install a checkpoint"]),
    ("login", &["log in first", "use another credential", "ask for the right"]),
];

/// Verbs of advice behind which a key of the configuration may stand.
const VERBS: &[&str] = &["raise", "lower", "set", "give", "change", "correct"];

/// What there is to be advised.
struct World {
    surfaces: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    flags: BTreeSet<String>,
    headings: BTreeSet<String>,
    keys: BTreeSet<String>,
}

impl World {
    fn of_this_tree() -> World {
        let surfaces: BTreeMap<_, _> =
            PROGRAMS.iter().map(|program| (program.to_string(), surface(program))).collect();
        let mut flags: BTreeSet<String> = FOREIGN_FLAGS.iter().map(|at| at.to_string()).collect();
        flags.extend(surfaces.values().flat_map(|commands| commands.values().flatten().cloned()));
        let titles = |text: &str| -> Vec<String> {
            let heads = text.lines().filter(|line| line.starts_with('#'));
            heads.map(|line| line.trim_start_matches('#').trim().to_string()).collect()
        };
        let headings = documents().values().flat_map(|text| titles(text)).collect();
        let sample = read("paxosd.toml");
        let keys = sample.lines().filter_map(|line| line.split_once(" = "));
        let keys = keys.map(|(key, _)| key.trim_start_matches(['#', ' ']).to_string()).collect();
        World { surfaces, flags, headings, keys }
    }

    fn has_command(&self, name: &str) -> bool {
        self.surfaces.values().any(|commands| commands.contains_key(name))
    }

    /// True for a heading as it stands there, or without what is in parentheses at its end.
    fn has_heading(&self, heading: &str) -> bool {
        let short = |whole: &String| whole.split(" (").next() == Some(heading);
        self.headings.contains(heading) || self.headings.iter().any(short)
    }

    /// What a text advises that is not there.
    fn faults(&self, text: &str) -> Vec<String> {
        let mut faults = self.commands_missing(text);
        faults.extend(self.flags_missing(text));
        faults.extend(self.acts_missing(text));
        faults.extend(self.places_missing(text));
        faults.extend(self.keys_missing(text));
        faults
    }

    /// `paxosctl fly`, where no such command is.
    fn commands_missing(&self, text: &str) -> Vec<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let pairs = words.windows(2).filter_map(|pair| {
            let program = pair[0].rsplit(['/', '(', '`', '"', '\'']).next().unwrap_or(pair[0]);
            let commands = self.surfaces.get(program).filter(|_| !FLAGS_ONLY.contains(&program))?;
            let is_letter = |c: char| c.is_ascii_lowercase() || c == '-';
            let name: &str = pair[1].split(|c| !is_letter(c)).next().unwrap_or_default();
            let unknown = !name.is_empty()
                && !name.starts_with('-')
                && !commands.contains_key(name)
                && !PROSE.contains(&name);
            unknown.then(|| format!("`{program} {name}` is no command"))
        });
        pairs.collect()
    }

    /// `--fly`, where no program has such a flag.
    fn flags_missing(&self, text: &str) -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let flags = words.filter(|word| {
            word.strip_prefix("--")
                .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        });
        let unknown = flags.filter(|flag| !self.flags.contains(flag.trim_end_matches('-')));
        unknown.map(|flag| format!("{flag} is no flag of any program")).collect()
    }

    /// What only a command that is not there could do.
    fn acts_missing(&self, text: &str) -> Vec<String> {
        let text = text.to_lowercase();
        let missing = NEEDED.iter().filter(|(command, _)| !self.has_command(command));
        let said = missing.flat_map(|(command, phrases)| {
            phrases.iter().filter(|phrase| text.contains(**phrase)).map(move |at| (command, at))
        });
        said.map(|(command, at)| format!("\"{at}\" needs a command such as {command}")).collect()
    }

    /// A document, a heading of it, or a script that is not there.
    fn places_missing(&self, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for folder in ["docs/", "scripts/"] {
            for (at, _) in text.match_indices(folder) {
                let is_name = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
                let path = text[at..].split(|c| !is_name(c)).next().unwrap_or_default();
                let path = path.trim_end_matches('.');
                let whole = at == 0 || !is_name(text[..at].chars().next_back().unwrap_or(' '));
                if whole && !root().join(path).exists() {
                    faults.push(format!("{path} does not exist"));
                }
                // `see docs/OPERATIONS.md, "Backup"`.
                let behind = &text[at + path.len()..];
                let heading = behind.strip_prefix(", \"").and_then(|rest| rest.split('"').next());
                if let Some(heading) = heading.filter(|at| !self.has_heading(at)) {
                    faults.push(format!("{path} has no heading \"{heading}\""));
                }
            }
        }
        faults
    }

    /// `raise flying_height`, where the configuration has no such key.
    fn keys_missing(&self, text: &str) -> Vec<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let pairs = words.windows(2).filter(|pair| VERBS.contains(&pair[0]));
        let keys = pairs.filter_map(|pair| {
            let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
            let key = pair[1].trim_matches(|c: char| !is_letter(c));
            (key.trim_matches('_').contains('_') && key.chars().all(is_letter)).then_some(key)
        });
        let unknown = keys.filter(|key| !self.keys.contains(*key));
        unknown.map(|key| format!("{key} is no key of the configuration")).collect()
    }
}

/// What the programs print: each literal outside tests, and each help text.
fn said_by_programs() -> Vec<Said> {
    let mut said = Vec::new();
    for path in files(root(), "src", &[".rs"]) {
        let source = Source::parse(&path, &read(&path)).unwrap();
        let printed = source
            .tokens
            .iter()
            .filter(|token| token.kind == Kind::Literal && !token.test && token.text.contains('"'));
        said.extend(printed.map(|token| Said {
            place: format!("{path}:{}", token.line),
            text: template(&token.text),
        }));
    }
    for program in PROGRAMS {
        let top = help(program, &["--help"]);
        for name in nested(&top) {
            let own = help(program, &[&name, "--help"]);
            for below in nested(&own) {
                let text = help(program, &[&name, &below, "--help"]);
                said.push(Said { place: format!("{program} {name} {below} --help"), text });
            }
            said.push(Said { place: format!("{program} {name} --help"), text: own });
        }
        said.push(Said { place: format!("{program} --help"), text: top });
    }
    said
}

/// The running text of the documents that advise people, by paragraph; the changelog says what
/// was, and the shell blocks are checked as commands.
fn said_by_documents() -> Vec<Said> {
    let mut said = Vec::new();
    for (path, text) in documents() {
        if path == "CHANGELOG.md" {
            continue;
        }
        for (at, paragraph) in text.split("\n\n").enumerate() {
            let text = paragraph.replace('\n', " ");
            said.push(Said { place: format!("{path}, paragraph {}", at + 1), text });
        }
    }
    said
}

#[test]
fn advice_can_be_followed() {
    // No message, help text or document advises a command, flag, key, place or act that is not there.
    let world = World::of_this_tree();
    let programs = said_by_programs();
    assert!(programs.len() > 1000, "only {} texts of the programs were found", programs.len());
    let mut faults = Vec::new();
    for Said { place, text } in &programs {
        faults.extend(world.faults(text).into_iter().map(|what| format!("{place}: {what}")));
    }
    for Said { place, text } in said_by_documents() {
        // Commands, flags and places of documents have checks of their own.
        faults.extend(world.acts_missing(&text).into_iter().map(|what| format!("{place}: {what}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn advice_that_cannot_be_followed_is_found() {
    // Each kind of it is shown to the check, and so is good advice of the same kind.
    let world = World::of_this_tree();
    for (bad, good) in [
        ("stop it, and run paxosctl heal on its data", "run paxosctl verify on its data"),
        ("then (paxosd adopt) it", "that paxosd runs there"),
        ("name other nodes (--nodes)", "name other nodes (--endpoints)"),
        ("restore the directory, or replace the node under a new id", "leave the node stopped"),
        ("see docs/OPERATIONS.md, \"Flying\"", "see docs/OPERATIONS.md, \"Backup\""),
        ("see docs/FLYING.md", "see docs/OPERATIONS.md."),
        ("or raise connections_most", "or raise connections_max, and lower `append_bytes_max`"),
    ] {
        assert!(!world.faults(bad).is_empty(), "{bad:?} passes");
        assert_eq!(world.faults(good), Vec::<String>::new(), "{good:?}");
    }
}
