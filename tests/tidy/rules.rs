//! Rules by number: each one that is cited stands in docs/RULES.md, and each one there names tests
//! that exist, or the capability that it waits for. Files that the document names exist, too.

use crate::source::Fault;
use std::collections::BTreeSet;

/// Where the rules stand.
pub const RULES: &str = "docs/RULES.md";

/// Where the golden traces lie.
const TRACES: &str = "tests/interaction/";

/// The list of planted bugs.
const MUTANTS: &str = "tests/mutants/mutants.toml";

/// Folders whose files the document names, each with its path in the package.
const FOLDERS: [&str; 3] = ["src/", "tests/", "docs/"];

/// How a rule says that it belongs to what does not exist yet; the capability follows.
const NOT_BUILT: &str = "**Not built yet:**";

/// A rule of the document.
#[derive(Debug, Default)]
struct Rule {
    number: String,
    line: usize,
    /// What it names as its tests, each with its line.
    tests: Vec<(usize, String)>,
    mutants: Vec<(usize, String)>,
    not_built: bool,
}

/// The rules, one for each heading `### C1 · …`, with what their items name.
fn rules(text: &str) -> Vec<Rule> {
    let mut found: Vec<Rule> = Vec::new();
    let mut item = "";
    for (at, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("### ") {
            let number = heading.split(" · ").next().unwrap_or_default().to_string();
            found.push(Rule { number, line: at + 1, ..Rule::default() });
            item = "";
            continue;
        }
        // An item goes on in lines that are set in.
        if !line.starts_with("  ") {
            item = line.strip_prefix("- ").unwrap_or_default();
        }
        let Some(rule) = found.last_mut() else { continue };
        let spans = line.split('`').skip(1).step_by(2).map(|span| (at + 1, span.to_string()));
        if item.starts_with("**Tests:**") {
            rule.tests.extend(spans);
        } else if item.starts_with("**Mutants:**") {
            rule.mutants.extend(spans);
        } else if let Some(capability) =
            line.strip_prefix("- ").unwrap_or("").strip_prefix(NOT_BUILT)
        {
            rule.not_built |= !capability.trim().is_empty();
        }
    }
    found
}

/// What is wrong with the rules of the document. `read` gives the text of a file that exists.
pub fn check_rules(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<Fault> {
    let fault = |line, what| Fault { path: RULES.to_string(), line, what };
    let mut faults = Vec::new();
    let mut numbers = BTreeSet::new();
    for rule in rules(text) {
        let number = &rule.number;
        if cited(number) != [number.clone()] {
            faults
                .push(fault(rule.line, format!("`{number}` is no number of a rule; say `C1 · …`")));
        }
        if !numbers.insert(number.clone()) {
            faults.push(fault(rule.line, format!("{number} stands here twice")));
        }
        if rule.tests.is_empty() && !rule.not_built {
            let what = format!(
                "{number} names no test; add `- **Tests:** …`, or `- {NOT_BUILT} …` with what is \
                 missing"
            );
            faults.push(fault(rule.line, what));
        }
        for (line, name) in &rule.tests {
            faults.extend(fault_of_test(name, &read).map(|what| fault(*line, what)));
        }
        for (line, name) in &rule.mutants {
            let listed = read(MUTANTS).unwrap_or_default();
            if !listed.lines().any(|entry| entry == format!("name = \"{name}\"")) {
                faults.push(fault(*line, format!("`{name}` is no mutant of {MUTANTS}")));
            }
        }
    }
    for (line, name, is_code) in spans_but_tests(text) {
        let path = name.split("::").next().unwrap_or_default();
        let is_file = FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.ends_with('/');
        if is_file && read(path).is_none() {
            faults.push(fault(line, format!("`{path}` does not exist")));
        } else if is_code && !is_file {
            faults.push(fault(line, format!("`{name}` names no file; say `src/paxos/quorum.rs`")));
        }
    }
    faults
}

/// What the document sets in backquotes outside its lists of tests, each with its line, and whether it
/// stands in a list of code.
fn spans_but_tests(text: &str) -> Vec<(usize, &str, bool)> {
    let mut found = Vec::new();
    let mut item = "";
    for (at, line) in text.lines().enumerate() {
        if !line.starts_with("  ") {
            item = line.strip_prefix("- ").unwrap_or_default();
        }
        if !item.starts_with("**Tests:**") {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| (at + 1, span, item.starts_with("**Code:**"))));
        }
    }
    found
}

/// What is wrong with the name of a test: `story.txt` or `path/of/file.rs::function`.
fn fault_of_test(name: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    if name.ends_with(".txt") {
        let missing = read(&format!("{TRACES}{name}")).is_none();
        return missing.then(|| format!("`{name}` is no trace in {TRACES}"));
    }
    let Some((path, function)) = name.split_once("::") else {
        return Some(format!("`{name}` names no test; say `story.txt` or `tests/file.rs::name`"));
    };
    match read(path) {
        None => Some(format!("`{path}` does not exist")),
        Some(text) if has_test(&text, function) => None,
        Some(_) => Some(format!("`{function}` is no test of {path}")),
    }
}

/// The text has a function of this name with `#[test]` among the lines right above it.
fn has_test(text: &str, function: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let start = format!("fn {function}(");
    let places = lines.iter().enumerate().filter(|(_, line)| line.starts_with(&start));
    places.map(|(at, _)| at).any(|at| {
        let above = lines[..at].iter().rev();
        let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.any(|line| line.starts_with("#[test]"))
    })
}

/// The numbers of rules in a line: as such (`C13`), and in front of a name (`c13_…`, `r27_r29_…`).
fn cited(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
        if digits(word, ['C', 'R']).is_some() {
            found.push(word.to_string());
            continue;
        }
        let mut rest = word;
        while let Some((front, behind)) = rest.split_once('_')
            && digits(front, ['c', 'r']).is_some_and(|digits| digits.len() == 2)
        {
            // Names have two digits always; rules of consensus are cited without a leading zero.
            found.push(match front.starts_with('c') {
                true => format!("C{}", front.trim_start_matches(['c', '0'])),
                false => format!("R{}", &front[1..]),
            });
            rest = behind;
        }
    }
    found
}

/// The digits behind one of these letters; a small letter may follow them.
fn digits(word: &str, letters: [char; 2]) -> Option<&str> {
    let number = word.strip_prefix(letters)?;
    let digits = number.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(number);
    (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())).then_some(digits)
}

/// Numbers cited by a file, in its text or its name, that the document `rules_text` does not have.
pub fn check_citations(path: &str, text: &str, rules_text: &str) -> Vec<Fault> {
    let known: BTreeSet<String> = rules(rules_text).into_iter().map(|rule| rule.number).collect();
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut faults = Vec::new();
    for (line, words) in std::iter::once((1, path)).chain(lines) {
        for number in cited(words).into_iter().filter(|number| !known.contains(number)) {
            let what =
                format!("{number} is no rule of {RULES}; cite one as it stands there, or add it");
            faults.push(Fault { path: path.to_string(), line, what });
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "# Rules\n\n### C1 · Fine\n\nText, with `code` and C2.\n\n\
        - **Without it:** `nothing.txt`\n- **Tests:** `story.txt`,\n  `tests/a.rs::holds`\n\
        - **Mutants:** `planted`\n\n### C2 · Not yet\n\n- **Not built yet:** locks.\n\n\
        ### R03 · Bare\n\nText.\n\n### C2 · Twice\n\n- **Not built yet:**\n- **Tests:** `gone.txt`,\n  \
        `tests/a.rs::step`, `tests/b.rs::holds`,\n  `simulate`\n- **Mutants:** `unknown`\n\n\
        ### Rules of thumb\n\n- **Tests:** `tests/a.rs::hold`\n- **Code:** `tests/a.rs`,\n  \
        `src/gone.rs`, `nowhere`\n";

    fn read(path: &str) -> Option<String> {
        let text = match path {
            "tests/interaction/story.txt" => "# A story.",
            "tests/mutants/mutants.toml" => "name = \"planted\"\n",
            "tests/a.rs" => {
                "/// It holds.\n#[test]\n// Why.\nfn holds() {\n    step();\n}\n\nfn step() {}\n"
            }
            _ => return None,
        };
        Some(text.to_string())
    }

    /// A rule without a test, and a test, trace, mutant or file that does not exist, are found.
    #[test]
    fn rules_without_tests_are_found() {
        let faults = check_rules(SAMPLE, read);
        let found: Vec<(usize, &str)> =
            faults.iter().map(|fault| (fault.line, fault.what.as_str())).collect();
        let expected = [
            (16, "R03 names no test"),
            (20, "C2 stands here twice"),
            (23, "`gone.txt` is no trace"),
            (24, "`step` is no test of tests/a.rs"),
            (24, "`tests/b.rs` does not exist"),
            (25, "`simulate` names no test"),
            (26, "`unknown` is no mutant"),
            (28, "`Rules of thumb` is no number of a rule"),
            (30, "`hold` is no test of tests/a.rs"),
            (32, "`src/gone.rs` does not exist"),
            (32, "`nowhere` names no file"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for ((line, what), (at, begins)) in found.iter().zip(expected) {
            assert!(*line == at && what.starts_with(begins), "{line}: {what}, not {at}: {begins}");
        }
    }

    /// A number that no rule has is found, in text, in a name and in the name of a file; one of the
    /// document is let through, and what only looks like a number too.
    #[test]
    fn numbers_of_no_rule_are_found() {
        let check = |path: &str, text: &str| -> Vec<usize> {
            let faults = check_citations(path, text, SAMPLE);
            faults.iter().map(|fault| fault.line).collect()
        };
        let text = format!(
            "// C1, C2 and (R03).\n// C{0} to R{0}.\nfn r{0}_x() {{}}\nfn c{0}b_x() {{}}",
            77
        );
        assert_eq!(check("src/a.rs", &text), [2, 2, 3, 4]);
        assert_eq!(check(&format!("tests/interaction/c{}_x.txt", 77), "C1"), [1]);
        assert_eq!(check("src/a.rs", &format!("// R{}: with its zero, please.", 3)), [1]);
        let good =
            "fn c01_x() {} fn r03_c02_y() {} let (c1, crc32c, r2d2_x) = C; // ABC1 C1xy C CR";
        assert_eq!(check("tests/interaction/c01_x.txt", good), [0; 0]);
    }
}
