//! As much of Markdown as the checks of the documents need.

/// A command as a document shows it.
#[derive(Debug)]
pub struct Command {
    pub line: usize,
    pub program: String,
    /// The first word behind the program that is no flag.
    pub name: Option<String>,
    pub flags: Vec<String>,
}

/// Lines of a document: number, text, and the language of the code block they stand in.
fn lines(text: &str) -> Vec<(usize, &str, Option<&str>)> {
    let mut found = Vec::new();
    let mut block = None;
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language.trim()),
            (Some(_), Some(_)) => block = None,
            (None, _) => found.push((at + 1, line, block)),
        }
    }
    found
}

/// What stands between single backquotes in running text.
pub fn spans(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line, block) in lines(text) {
        if block.is_none() {
            let pieces = line.split('`').collect::<Vec<_>>();
            // An unpaired backquote opens nothing.
            let paired = pieces.len() - (pieces.len() + 1) % 2;
            let inside = pieces[..paired].iter().skip(1).step_by(2);
            found.extend(inside.map(|piece| (number, (*piece).to_string())));
        }
    }
    found
}

/// The lines of shell blocks, comments left out.
pub fn sh_lines(text: &str) -> Vec<(usize, String)> {
    let typed = lines(text).into_iter().filter(|(_, _, block)| *block == Some("sh"));
    let typed =
        typed.map(|(at, line, _)| (at, line.split(" # ").next().unwrap_or_default().trim()));
    let typed = typed.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    typed.map(|(at, line)| (at, line.to_string())).collect()
}

/// Commands of the named programs, in shell blocks and in code spans.
pub fn commands(text: &str, programs: &[&str]) -> Vec<Command> {
    let mut found = Vec::new();
    for (line, span) in spans(text) {
        found.extend(commands_of_line(line, &span, programs));
    }
    for (number, line, block) in lines(text) {
        let typed = match block {
            Some("sh") => Some(line),
            Some("console") => line.strip_prefix("$ "),
            Some(_) | None => None,
        };
        let typed = typed.map(|line| line.split(" # ").next().unwrap_or_default());
        found.extend(typed.into_iter().flat_map(|line| commands_of_line(number, line, programs)));
    }
    found.sort_by_key(|command| command.line);
    found
}

fn commands_of_line(line: usize, text: &str, programs: &[&str]) -> Vec<Command> {
    let mut found = Vec::new();
    for simple in text.split(['|', ';', '&', '(', ')']) {
        // What stands behind `runuser … --` is the command that it runs.
        let simple = simple.trim();
        let own = match simple.strip_prefix("runuser ").and_then(|rest| rest.split_once(" -- ")) {
            Some((_, own)) => own,
            None => simple.strip_prefix("sudo ").unwrap_or(simple),
        };
        let mut words = own.split_whitespace().skip_while(|word| word.contains('='));
        let Some(first) = words.next() else { continue };
        let program = first.rsplit('/').next().unwrap_or(first);
        if !programs.contains(&program) {
            continue;
        }
        let mut command =
            Command { line, program: program.to_string(), name: None, flags: Vec::new() };
        for word in words {
            if word.starts_with('-') && word.len() > 1 {
                let flag = word.split('=').next().unwrap_or(word);
                command.flags.push(flag.to_string());
            } else if command.name.is_none() && command.flags.is_empty() {
                command.name = Some(word.to_string());
            }
        }
        found.push(command);
    }
    found
}

/// Links outside code whose target `resolves` does not know, given file and anchor.
pub fn broken_links(text: &str, resolves: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line, block) in lines(text) {
        if block.is_some() {
            continue;
        }
        for piece in line.split("](").skip(1) {
            let target = piece.split(')').next().unwrap_or_default();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if !target.contains("://") && !resolves(file, anchor) {
                faults.push(format!("line {number}: {target} leads nowhere"));
            }
        }
    }
    faults
}

/// The anchors of a document's headings.
pub fn headings(text: &str) -> Vec<String> {
    let heads = lines(text)
        .into_iter()
        .filter(|(_, line, block)| block.is_none() && line.starts_with('#') && line.contains("# "));
    heads
        .map(|(_, line, _)| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            let kept: String = kept
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .collect();
            kept.replace(' ', "-")
        })
        .collect()
}

/// The rows of the first table below a heading, cells trimmed, head left out.
pub fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let below = text.lines().skip_while(|line| {
        line.trim_start_matches('#').trim() != heading || !line.starts_with('#')
    });
    let rows = below.skip_while(|line| !line.starts_with('|')).take_while(|l| l.starts_with('|'));
    rows.skip(2)
        .map(|row| {
            let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
            inner.split('|').map(|cell| cell.trim().to_string()).collect()
        })
        .collect()
}
