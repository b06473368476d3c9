//! Variables of the environment that look like flags and are none.

use clap::Command;
use std::collections::BTreeSet;
use std::ffi::OsString;

/// What the variables of flags begin with.
const PREFIX: &str = "PAXOSCTL_";

/// What is wrong with variables that begin like those of flags, each as a sentence: a mistyped one
/// would else be ignored without a word.
pub fn unknown(program: Command, variables: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let known = known(program);
    let names = variables.into_iter().filter_map(|name| name.into_string().ok());
    let unknown: BTreeSet<String> =
        names.filter(|name| name.starts_with(PREFIX) && !known.contains(name)).collect();
    let sentence = |name: String| match nearest(&name, &known) {
        Some(near) => format!("{name} in the environment names no flag; {near} does"),
        None => format!(
            "{name} in the environment names no flag; --help of each command lists those that do"
        ),
    };
    unknown.into_iter().map(sentence).collect()
}

/// The variables of all flags of all commands.
fn known(mut program: Command) -> BTreeSet<String> {
    program.build();
    let mut found = BTreeSet::new();
    let mut commands = vec![&program];
    while let Some(command) = commands.pop() {
        let variables = command.get_arguments().filter_map(clap::Arg::get_env);
        found.extend(variables.filter_map(|name| name.to_str().map(str::to_string)));
        commands.extend(command.get_subcommands());
    }
    found
}

/// The known name that differs least, if it differs by little: two letters of a short name are
/// another name.
fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a String> {
    let (letters, near) = known.iter().map(|other| (distance(name, other), other)).min()?;
    let length = name.len().saturating_sub(PREFIX.len());
    (letters <= 2 && letters * 3 <= length).then_some(near)
}

/// How many letters must be put in, taken out or replaced to make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut corner = at;
        row[0] = at + 1;
        for (to, other) in b.iter().enumerate() {
            let replaced = corner + usize::from(letter != *other);
            corner = row[to + 1];
            row[to + 1] = replaced.min(row[to] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::args;
    use super::*;

    /// A mistyped variable is named with the one that was meant; those of every command are known.
    #[test]
    fn mistyped_variables_are_named() {
        let set =
            ["PAXOSCTL_ENDPOINT", "PAXOSCTL_TIMEOUT", "PAXOSCTL_WINDOW", "PAXOSCTL_QQ", "HOME"];
        let warnings = unknown(args::program(), set.map(OsString::from));
        assert_eq!(
            warnings,
            [
                "PAXOSCTL_ENDPOINT in the environment names no flag; PAXOSCTL_ENDPOINTS does",
                "PAXOSCTL_QQ in the environment names no flag; --help of each command lists those \
                 that do",
            ]
        );
    }

    /// No name is guessed that hardly resembles what was written; a slip is recognised in short names
    /// and in long ones.
    #[test]
    fn far_names_are_not_guessed() {
        let warnings = |name: &str| {
            unknown(args::program(), [OsString::from(format!("PAXOSCTL_{name}"))]).concat()
        };
        for far in ["FOO", "RAW", "A", "", "DB", "HOST"] {
            assert!(warnings(far).contains("--help of each command"), "{}", warnings(far));
        }
        for (slip, meant) in
            [("FORM", None), ("CONT", Some("COUNT")), ("ENPOINT", Some("ENDPOINTS"))]
        {
            let wanted = meant.map(|meant| format!("PAXOSCTL_{meant} does"));
            assert_eq!(wanted.is_some(), warnings(slip).ends_with(" does"), "{}", warnings(slip));
            assert!(
                wanted.is_none_or(|wanted| warnings(slip).ends_with(&wanted)),
                "{}",
                warnings(slip)
            );
        }
    }

    /// The distance counts what was put in, taken out and replaced.
    #[test]
    fn the_distance_counts_letters() {
        for (a, b, letters) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "ac", 1), ("abc", "xbcd", 2)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (letters, letters), "{a} {b}");
        }
    }
}
