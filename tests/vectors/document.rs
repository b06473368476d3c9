//! The worked example of the document: blocks fenced as `vector NAME`, bytes to the left of a bar.

use crate::file::{hex, parse, path, read};

/// Every example of the document: its name and bytes.
fn examples(document: &str) -> Vec<(String, Vec<u8>)> {
    let mut examples: Vec<(String, Vec<u8>)> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match line.strip_prefix("```vector ") {
            Some(name) => {
                examples.push((name.to_string(), Vec::new()));
                inside = true;
            }
            None if line == "```" => inside = false,
            None if inside => {
                let bytes = line.split('|').next().expect("a split has a first part");
                let (_, example) = examples.last_mut().expect("inside an example");
                example.extend(hex(bytes));
            }
            None => {}
        }
    }
    examples
}

// Every frame that the document takes apart is, byte for byte, the vector of its name.
#[test]
fn the_worked_example_is_the_vectors() {
    let document = std::fs::read_to_string(path("PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let vectors = parse(&read());
    let examples = examples(&document);
    let names: Vec<&str> = examples.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["hello", "hello-reply", "append", "appended-first"]);
    for (name, bytes) in &examples {
        let (_, vector) = vectors.get(name).expect("a vector of this name");
        assert_eq!(bytes, vector, "{name}");
    }
}
