//! Values of arguments: times, sizes, and flags that the environment can set.

use crate::client::AttributeChanges;
use crate::limits;
use crate::types::ClusterId;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ValueEnum};
use std::ffi::OsStr;
use std::time::Duration;

/// Reads a whole number.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn parse_number(text: &str) -> Result<u64, String> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits {
        return Err("is not a whole number, 0 or more".to_string());
    }
    text.parse().map_err(|_| format!("is more than {}", u64::MAX))
}

/// Reads the id of a cluster, which is never all zeros: to a node that means any cluster, and nothing
/// would be checked.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn parse_cluster(text: &str) -> Result<ClusterId, String> {
    let cluster: ClusterId = text.parse()?;
    match cluster == ClusterId(0) {
        true => Err("must not be all zeros, which means any cluster".to_string()),
        false => Ok(cluster),
    }
}

/// Reads one attribute of a log: `retain.bytes=SIZE`, `retain.entries=N`, `retain.age=TIME` or
/// `sealed=true`.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn parse_attribute(text: &str) -> Result<AttributeChanges, String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("has no \"=\": an attribute is set as KEY=VALUE".to_string());
    };
    let none = AttributeChanges::default();
    match (key, value) {
        ("retain.bytes", value) => {
            Ok(AttributeChanges { retain_bytes: Some(parse_bytes(value)?), ..none })
        }
        ("retain.entries", value) => {
            Ok(AttributeChanges { retain_entries: Some(parse_number(value)?), ..none })
        }
        ("retain.age", value) => {
            Ok(AttributeChanges { retain_age_ms: Some(parse_age(value)?), ..none })
        }
        ("sealed", "true") => Ok(AttributeChanges { seal: true, ..none }),
        ("sealed", "false") => Err("a seal is never taken back".to_string()),
        ("sealed", _) => Err("is neither true nor false".to_string()),
        _ => Err(format!(
            "{key:?} is no attribute; use retain.bytes, retain.entries, retain.age or sealed"
        )),
    }
}

/// Reads a number of bytes with a unit, and rounds it up to whole blocks.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if !(1 << 20..=1 << 40).contains(&bytes) {
        return Err("must lie between 1MiB and 1024GiB".to_string());
    }
    Ok(bytes.next_multiple_of(limits::BLOCK_BYTES as u64))
}

/// Reads a number of bytes, with a unit or without.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err(
            "is no size: a whole number of bytes, alone or with KiB, MiB, GiB or TiB".to_string()
        );
    }
    let number = parse_number(number)?;
    let scale: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => {
            let text = format!("ends in {unit:?}; use a whole number with B, KiB, MiB, GiB or TiB");
            return Err(text);
        }
    };
    number.checked_mul(scale).ok_or_else(|| format!("is more than {} bytes", u64::MAX))
}

/// Units of an age, largest first, in milliseconds.
const AGE_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads an age as milliseconds: a whole number with the unit d, h, m, s or ms; 0 needs none.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn parse_age(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err("is no time: a whole number with the unit d, h, m, s or ms".to_string());
    }
    let number = parse_number(number)?;
    let found = AGE_UNITS.iter().find(|(name, _)| *name == unit);
    let scale = match (found, unit, number) {
        (Some((_, scale)), ..) => *scale,
        (None, "", 0) => 1,
        (None, "", _) => return Err("has no unit; use d, h, m, s or ms".to_string()),
        (None, ..) => {
            return Err(format!("ends in {unit:?}; use a whole number with d, h, m, s or ms"));
        }
    };
    number.checked_mul(scale).ok_or_else(|| format!("is more than {} ms", u64::MAX))
}

/// An age as [`parse_age`] reads it, in its largest unit that leaves a whole number.
pub fn age_text(age_ms: u64) -> String {
    let whole = |(_, scale): &&(&str, u64)| age_ms.is_multiple_of(*scale);
    let (unit, scale) = AGE_UNITS.iter().find(whole).unwrap_or(&("ms", 1));
    format!("{}{unit}", age_ms / scale)
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStart {
    /// The first entry that is not trimmed.
    Earliest,
    /// Behind the last entry.
    Latest,
    /// This index.
    At(u64),
    /// So many entries before the end.
    Last(u64),
}

/// Reads `earliest`, `latest`, an index, or how many entries before the end, as `-N`.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn parse_start(text: &str) -> Result<ReadStart, String> {
    match (text, text.strip_prefix('-')) {
        ("earliest", _) => Ok(ReadStart::Earliest),
        ("latest", _) => Ok(ReadStart::Latest),
        (_, Some(last)) => parse_number(last).map(ReadStart::Last),
        (index, None) => parse_number(index).map(ReadStart::At),
    }
    .map_err(|_| "is none of earliest, latest, an index, or -N for the last N entries".to_string())
}

/// What a read does that comes to trimmed or lost entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnGapArg {
    /// End with exit code 9 for trimmed entries, 12 for lost ones
    Fail,
    /// Say so, and go on at the first index behind them
    Continue,
}

/// Reads a time from a millisecond to a day: a number of seconds, fractions allowed, or one with
/// the unit ms, s, m or h.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("has the unit {unit:?}; use ms, s, m or h")),
    };
    let wrong = "is not a number of seconds, or a number with the unit ms, s, m or h";
    let number: f64 = number.parse().map_err(|_| wrong.to_string())?;
    let seconds = number * scale;
    if !(0.001..=86_400.0).contains(&seconds) {
        return Err("must lie between 1ms and 24h".to_string());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// How fresh a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConsistencyArg {
    /// Everything acknowledged before the read began is seen; needs a leader.
    Linearizable,
    /// What the asked node has applied; may be old, works without a leader.
    Local,
}

/// A flag: true where it is given, and true, false, 1 or 0 in the environment.
#[derive(Clone, Copy, Debug)]
pub struct Flag;

impl TypedValueParser for Flag {
    type Value = bool;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<bool, clap::Error> {
        match value.to_str() {
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) | None => {
                let name = arg.and_then(Arg::get_env).unwrap_or(OsStr::new("the flag"));
                let text = format!(
                    "environment {} = {value:?}: must be true, false, 1 or 0",
                    name.to_string_lossy()
                );
                Err(command.clone().error(ErrorKind::InvalidValue, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number is digits alone, and what is none says so in words.
    #[test]
    fn numbers_are_digits() {
        assert_eq!(
            (parse_number("0"), parse_number("18446744073709551615")),
            (Ok(0), Ok(u64::MAX))
        );
        for text in ["", "-1", "+1", "1.5", "x", "18446744073709551616"] {
            let wrong = parse_number(text).expect_err(text);
            assert!(wrong.starts_with("is "), "{wrong}");
        }
    }

    /// Sizes come with and without a unit, and are whole blocks.
    #[test]
    fn sizes_are_read_with_their_units() {
        let sizes = [("1048576", 1 << 20), ("1MiB", 1 << 20), ("64MiB", 64 << 20)];
        for (text, bytes) in sizes.into_iter().chain([("2GiB", 2 << 30), ("1048577", 0x10_1000)]) {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1023KiB", "2048GiB", "1.5GiB", "-1", "99999999999999999999"] {
            assert!(parse_size(text).is_err(), "{text:?} passes for a size");
        }
        let wrong = ["x", "99999999999999999999", "99999999999999GiB", "7kB"].map(parse_bytes);
        let wrong = wrong.map(|wrong| wrong.expect_err("no size"));
        assert!(
            wrong[0].contains("KiB, MiB, GiB or TiB") && wrong[3].contains("\"kB\""),
            "{wrong:?}"
        );
        assert!(wrong[1..3].iter().all(|why| why.contains("is more than 184467")), "{wrong:?}");
    }

    /// Ages have a unit, and are shown in the one that they are typed in.
    #[test]
    fn ages_are_read_with_their_units() {
        for (text, ms) in [
            ("7d", 604_800_000),
            ("12h", 43_200_000),
            ("30m", 1_800_000),
            ("90s", 90_000),
            ("500ms", 500),
        ] {
            assert_eq!(parse_age(text), Ok(ms), "{text}");
            assert_eq!(age_text(ms), text);
        }
        assert_eq!((parse_age("0"), parse_age("0d")), (Ok(0), Ok(0)));
        assert_eq!((age_text(3_600_000), age_text(1_000)), ("1h".to_string(), "1s".to_string()));
        for text in ["", "d", "7", "-1d", "1.5h", "1 d", "1D", "1w", "99999999999999999d"] {
            assert!(parse_age(text).is_err(), "{text:?} passes for an age");
        }
        let wrong = ["abc", "7", "7w"].map(|text| parse_age(text).expect_err(text));
        for (wrong, why) in wrong.iter().zip(["is no time", "has no unit", "ends in \"w\""]) {
            assert!(wrong.contains(why) && wrong.contains("d, h, m, s or ms"), "{wrong}");
        }
    }

    /// Times are seconds, or have a unit.
    #[test]
    fn times_are_read_with_their_units() {
        for (text, ms) in [
            ("5", 5000),
            ("0.5", 500),
            ("5s", 5000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1.5m", 90_000),
            ("24h", 86_400_000),
            ("1ms", 1),
        ] {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "s", "0", "0s", "25h", "-1s", "5 s", "5S", "5sec", "1d", "inf", "nan", "1e9"]
        {
            assert!(parse_time(text).is_err(), "{text:?} passes for a time");
        }
    }
}
