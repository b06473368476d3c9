//! An entry as one line of JSON: what `read -o jsonl` prints is what `append --jsonl` takes, so that
//! any log can be copied byte by byte.

use crate::types::Index;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The longest line that can hold an entry of so many bytes: every byte may be written as six
/// (`\u0000`), and the rest of the object has its place beside them.
#[must_use]
pub fn line_bytes_max(entry_bytes_max: u32) -> u64 {
    u64::from(entry_bytes_max) * 6 + 1024
}

/// Index and data, in this order; where the data is not UTF-8 it is base64, and `base64` is true.
#[derive(Serialize)]
struct Written<'a> {
    index: u64,
    data: Cow<'a, str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    base64: bool,
}

/// The same, as it is read: the index may be missing, as the log gives each entry its own. A key
/// that does not belong there is refused, because a mistyped one would lose what it says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(rename = "index")]
    _index: Option<IgnoredAny>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(default)]
    base64: bool,
}

/// The line of an entry, without the newline that ends it.
#[must_use]
pub fn to_line(index: Index, data: &[u8]) -> String {
    let (data, base64) = match std::str::from_utf8(data) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(STANDARD.encode(data)), true),
    };
    serde_json::to_string(&Written { index: index.0, data, base64 })
        .expect("numbers, text and flags are always JSON")
}

/// The data of a line.
///
/// # Errors
/// A text that says what is wrong with the line.
pub fn from_line(line: &[u8]) -> Result<Vec<u8>, String> {
    let read: Read<'_> = serde_json::from_slice(line)
        .map_err(|error| format!("is no entry as read -o jsonl prints it: {}", fault_of(&error)))?;
    if !read.base64 {
        return Ok(read.data.into_owned().into_bytes());
    }
    STANDARD
        .decode(read.data.as_ref())
        .map_err(|error| format!("has data that is no base64: {error}"))
}

/// What is wrong and in which column: the parser's own line number counts within the one line that it
/// was given.
fn fault_of(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    match text.strip_suffix(&format!(" at line {} column {column}", error.line())) {
        Some(what) => format!("{what} at column {column}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The two forms, as documents show them.
    #[test]
    fn text_is_text_and_other_bytes_are_base64() {
        assert_eq!(to_line(Index(0), b"a\"b\n"), r#"{"index":0,"data":"a\"b\n"}"#);
        assert_eq!(to_line(Index(1), b"\xff\x00"), r#"{"index":1,"data":"/wA=","base64":true}"#);
        assert_eq!(to_line(Index(2), b""), r#"{"index":2,"data":""}"#);
    }

    /// What others write is taken too: another order, blanks, no index.
    #[test]
    fn lines_written_by_others_are_read() {
        assert_eq!(from_line(br#" {"data": "\u00e4", "index": "7"} "#), Ok("ä".into()));
        assert_eq!(from_line(br#"{"base64":false,"data":"/wA="}"#), Ok(b"/wA=".to_vec()));
    }

    /// A line that would be another entry than the one meant is refused.
    #[test]
    fn a_line_that_is_no_entry_is_refused() {
        for (line, part) in [
            ("plain text", "expected value"),
            (r#"{"index":3}"#, "missing field `data`"),
            (r#"{"data":7}"#, "invalid type"),
            (r#"{"data":"a","bas64":true}"#, "unknown field `bas64`"),
            (r#"{"data":"a","data":"b"}"#, "duplicate field"),
            (r#"{"data":"a"} {"data":"b"}"#, "trailing characters"),
            (r#"{"data":"cut sho"#, "EOF"),
            (r#"{"data":"\ud800"}"#, "hex escape"),
            (r#"{"data":"/w=","base64":true}"#, "no base64"),
        ] {
            let error = from_line(line.as_bytes()).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
            assert!(!error.contains(" line "), "two line numbers: {error}");
        }
        let error = from_line(b"plain text").expect_err("no JSON");
        assert!(error.ends_with("expected value at column 1"), "{error}");
        from_line(b"{\"data\":\"\xff\"}").expect_err("not UTF-8");
    }

    proptest! {
        /// Any bytes come back as they were, and fit the longest line.
        #[test]
        fn any_bytes_come_back(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let line = to_line(Index(5), &data);
            prop_assert!(!line.contains('\n'));
            prop_assert!(line.len() as u64 <= line_bytes_max(data.len() as u32));
            prop_assert_eq!(from_line(line.as_bytes()), Ok(data));
        }

        /// So does text, which is written as text, control characters included.
        #[test]
        fn any_text_comes_back(data in "(?s).{0,80}") {
            let line = to_line(Index(5), data.as_bytes());
            prop_assert!(!line.contains('\n') && !line.contains("base64\":true"));
            prop_assert!(line.len() as u64 <= line_bytes_max(data.len() as u32));
            prop_assert_eq!(from_line(line.as_bytes()), Ok(data.into_bytes()));
        }
    }
}
