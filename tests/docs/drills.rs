//! Drills: what a document asks people to run as it stands. Each section's drill stands alone.

use std::collections::BTreeSet;

/// A section's commands, in order, each with its line.
#[derive(Debug)]
pub struct Drill {
    pub heading: String,
    pub commands: Vec<(usize, String)>,
}

/// The drills of a document: the `console` blocks of each section.
pub fn drills(text: &str) -> Vec<Drill> {
    let mut found = vec![Drill { heading: String::new(), commands: Vec::new() }];
    let mut block = None;
    for (at, line) in text.lines().enumerate() {
        let last = found.last_mut().expect("never empty");
        match (line.strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some("console")) => {
                if let Some(command) = line.strip_prefix("$ ") {
                    last.commands.push((at + 1, command.to_string()));
                } else if let (Some(more), Some((_, command))) =
                    (line.strip_prefix("> "), last.commands.last_mut())
                {
                    *command += "\n";
                    *command += more;
                }
            }
            (None, Some(_)) => {}
            (None, None) => {
                if let Some(heading) = line.strip_prefix("## ") {
                    found.push(Drill { heading: heading.to_string(), commands: Vec::new() });
                }
            }
        }
    }
    found.retain(|drill| !drill.commands.is_empty());
    found
}

/// Variables that a command uses, and whether it stops where one of them is not set.
fn used(command: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for piece in command.split('$').skip(1) {
        let braced = piece.strip_prefix('{');
        let rest = braced.unwrap_or(piece);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            found.push((name.to_string(), braced.is_some() && behind.starts_with(":?")));
        }
    }
    found
}

/// Variables that a command walks through, each of them set in its turn.
fn walked(command: &str) -> Vec<String> {
    let words = command.split_whitespace();
    let pairs = words.clone().zip(words.skip(1)).filter(|(word, _)| *word == "for");
    pairs.map(|(_, name)| name.to_string()).collect()
}

/// Variables that a command sets.
fn set(command: &str) -> Vec<String> {
    let words = command.split(|c: char| c.is_whitespace() || c == ';');
    let is_name = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let assigned = words.filter_map(|word| word.split_once('=').map(|(name, _)| name));
    let assigned = assigned.filter(is_name).map(str::to_string);
    assigned.chain(walked(command)).collect()
}

/// What of a command names files that it writes or removes.
fn targets(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    if words.iter().any(|word| ["rm", "cp", "mv", "sed"].contains(word)) {
        return command.to_string();
    }
    let into = words.iter().filter(|word| word.contains('>'));
    into.copied().collect::<Vec<_>>().join(" ")
}

/// What keeps a drill from standing alone, each with its line.
pub fn leans(drill: &Drill) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known = BTreeSet::from(["PATH".to_string()]);
    for (line, command) in &drill.commands {
        known.extend(set(command));
        if command.contains("cluster.sh env") {
            known.extend(["PAXOS_CLUSTER_DIR", "PAXOSCTL_ENDPOINTS"].map(str::to_string));
        }
        let uses = used(command);
        for (name, _) in &uses {
            if !known.contains(name) {
                faults.push(format!("{line}: ${name} is set nowhere above in this section"));
            }
        }
        let asks = command.contains("paxosctl ") && !command.contains("--endpoints");
        let offline = ["paxosctl verify", "paxosctl disk-check"].map(|verb| command.contains(verb));
        if asks && !offline.contains(&true) && !known.contains("PAXOSCTL_ENDPOINTS") {
            faults.push(format!("{line}: paxosctl knows no cluster in this section"));
        }
        let (own, walked) = (|name: &str| name.starts_with(char::is_lowercase), walked(command));
        for (name, guarded) in used(&targets(command)) {
            if own(&name) && !guarded && !walked.contains(&name) {
                faults
                    .push(format!("{line}: it writes though ${name} be unset: say ${{{name}:?}}"));
            }
        }
    }
    faults.dedup();
    faults
}
